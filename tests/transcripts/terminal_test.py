#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What only a terminal shows: completion, Ctrl-C, history, the prompt. On a live broker."""

import argparse
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

import run

places = argparse.Namespace()
interrupt = "\x03"


def takes_interrupts(process):
    """The event loop takes them: they are blocked outside of it."""
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    blocked = int(re.search(r"SigBlk:\s*([0-9a-f]+)", status)[1], 16)
    return blocked >> (signal.SIGINT - 1) & 1


class on_a_terminal(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="bulkhead-")
        self.addCleanup(folder.cleanup)
        self.directory = pathlib.Path(folder.name)
        self.daemon = run.broker(places.bin, places.plugins, self.directory)
        self.addCleanup(self.daemon.stop)
        self.daemon.until("mount kv/ kv", "ready")
        self.screen = run.terminal(self.daemon, self.directory)
        self.addCleanup(self.close)

    def close(self):
        if self.screen is not None:
            self.screen.kill()

    def seen_after(self, typed, text):
        """Types, and reads until `text` is on the screen."""
        self.screen.type(typed)
        return run.read_until_quiet(self.screen.descriptor,
                                    lambda seen: text in run.plain(seen))

    def test_tab_completes_commands_paths_and_lists_choices(self):
        self.seen_after("unm\t", "unmount ")
        self.seen_after("k\t", "kv/")
        self.seen_after(interrupt, "> ")
        listing = self.seen_after("re\t\t", "restart")
        self.assertIn("read", listing)
        self.assertIn("reset", listing)

    def test_ctrl_c_drops_the_line_and_keeps_the_session(self):
        self.screen.type("unmount kv/" + interrupt)
        self.screen.to_prompt()
        self.assertIn("kv/", self.screen.run("mounts"))

    def test_ctrl_c_stops_the_command_and_keeps_the_session(self):
        self.screen.type("logs kv/ -f\n")
        run.read_until_quiet(self.screen.descriptor, lambda seen: "-f" in seen and "\n" in seen)
        self.screen.type(interrupt)
        self.assertIn("error: interrupted", self.screen.to_prompt())
        self.assertIn("kv/", self.screen.run("mounts"))

    def test_ctrl_d_ends_the_session_well(self):
        self.screen.type("\x04")
        run.read_until_quiet(self.screen.descriptor, lambda _: False)
        status = os.waitstatus_to_exitcode(os.waitpid(self.screen.process, 0)[1])
        self.screen = None
        self.assertEqual(status, 0)

    def test_history_is_private_and_leaves_out_what_begins_with_a_blank(self):
        self.screen.run("mounts")
        self.screen.run(" read kv/secret")
        self.screen.run("tree")
        history = self.directory / ".local/state/bulkhead/history"
        self.assertEqual(history.read_text(), "mounts\ntree\n")
        self.assertEqual(stat.S_IMODE(history.stat().st_mode), 0o600)
        self.seen_after("\x1b[A", "tree")

    def test_a_history_that_has_grown_long_is_cut_to_its_newest_lines(self):
        history = self.directory / ".local/state/bulkhead/history"
        history.parent.mkdir(parents=True)
        history.write_text("".join(f"help {number}\n" for number in range(2500)))
        history.chmod(0o600)
        again = run.terminal(self.daemon, self.directory)
        again.run("mounts")
        again.kill()
        lines = history.read_text().splitlines()
        self.assertEqual((lines[0], lines[-2:], len(lines)),
                         ("help 1500", ["help 2499", "mounts"], 1001))
        self.assertEqual(stat.S_IMODE(history.stat().st_mode), 0o600)
        self.assertEqual(list(history.parent.iterdir()), [history])

    def test_a_command_goes_on_behind_a_backslash_and_is_one_line_of_history(self):
        self.screen.run("mounts \\\n-o json")
        history = self.directory / ".local/state/bulkhead/history"
        self.assertEqual(history.read_text(), "mounts -o json\n")

    def test_the_prompt_tells_how_the_mounts_are(self):
        self.screen.type("mount two/ kv\n")
        run.read_until_quiet(self.screen.descriptor,
                             lambda seen: "bulkhead 2 up> " in run.plain(seen))

    def test_a_session_outlives_its_broker(self):
        self.daemon.stop()
        self.assertIn("error: ", self.screen.run("mounts"))
        again = run.broker(places.bin, places.plugins, self.directory)
        self.addCleanup(again.stop)
        self.assertIn("kv/", self.screen.run("mounts"))

    def test_an_interrupted_command_exits_with_130(self):
        command = subprocess.Popen([self.daemon.bulkhead, "events", "-f"],
                                   env=self.daemon.environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        command.stdout.readline()
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=run.step_seconds_max)
        self.assertEqual((command.returncode, errors), (130, b"error: interrupted\n"))

    def test_a_reader_that_goes_away_is_no_error(self):
        closed, writable = os.pipe()
        os.close(closed)
        command = subprocess.run([self.daemon.bulkhead, "events", "-f"], stdout=writable,
                                 stderr=subprocess.PIPE, env=self.daemon.environment,
                                 timeout=run.step_seconds_max)
        os.close(writable)
        self.assertEqual(command.returncode, 0)
        self.assertEqual(command.stderr, b"")

    def bulkhead(self, *words, **more):
        """One command, not in the session."""
        return subprocess.run([self.daemon.bulkhead, *words], env=self.daemon.environment,
                              stderr=subprocess.PIPE, text=True, timeout=run.step_seconds_max,
                              **more)

    def test_output_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            command = self.bulkhead("mounts", stdout=full)
        self.assertEqual(command.returncode, 1)
        self.assertIn("error: cannot write to standard output\n  why: No space left",
                      command.stderr)

    def test_a_value_that_cannot_be_read_is_wrong_usage(self):
        for value, text in ((self.directory, "cannot read"), ("/dev/zero", "more than 16 MiB"),
                            ("/no/such/file", "cannot read")):
            command = self.bulkhead("write", "kv/app", f"x=@{value}")
            self.assertEqual((command.returncode, text in command.stderr), (2, True),
                             command.stderr)

    def test_a_value_is_read_from_standard_input_and_ctrl_c_stops_waiting_for_it(self):
        done = self.bulkhead("write", "kv/app", "x=-", input="a value", stdout=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("a value", self.screen.run("read kv/app"))
        waiting = subprocess.Popen([self.daemon.bulkhead, "write", "kv/app", "x=-"],
                                   env=self.daemon.environment, stdin=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        give_up = time.monotonic() + run.step_seconds_max
        while not takes_interrupts(waiting.pid):
            self.assertLess(time.monotonic(), give_up)
            time.sleep(0.01)
        waiting.send_signal(signal.SIGINT)
        _, errors = waiting.communicate(timeout=run.step_seconds_max)
        self.assertEqual((waiting.returncode, errors), (130, b"error: interrupted\n"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--plugins", type=pathlib.Path, required=True)
    places, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0]] + rest)
