#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The end of a broker, and a disk that is full: SIGTERM in good order, while a mount hangs, twice;
what a full disk refuses, what it does not, and that the broker recovers."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
import unittest

import harness

drain_and_stop_s = 8  # drain_ms_max + stop_grace_ms + stop_term_ms
disk_bytes = 6 << 20
mounts_max = 50
# How the store says kind=storage, fault=disk_full; the command line shows words, not kinds.
storage_words = ["full", "try: free space on the disk of the state directory"]


class Stop(harness.SystemTest):
    def stops_within_the_limits_and_tells(self, client):
        """The broker ends, and `client`, which waits for an answer, gets an error."""
        began = time.monotonic()
        self.assertEqual(self.broker.stop(), 0)
        self.assertLess(time.monotonic() - began, harness.seconds(drain_and_stop_s + 4))
        out, err = client.communicate(timeout=harness.seconds(10))
        self.assertEqual(out, b"")
        self.assertIn(b"error: ", err)
        self.assertNotEqual(client.returncode, 0)
        self.assert_nothing_is_left()

    def test_sigterm_stops_all_in_good_order(self):
        self.broker.ok("mount", "kv/", "kv")
        self.broker.ok("mount", "calc/", "calc")
        self.broker.ok("write", "kv/app", "colour=green")
        began = time.monotonic()
        self.assertEqual(self.broker.stop(), 0)
        self.assertLess(time.monotonic() - began, harness.seconds(3))
        self.assert_nothing_is_left()
        self.assertIn("stopping: SIGTERM received", self.broker.log)

    def test_sigint_stops_too_and_an_empty_broker_stops(self):
        self.broker.process.send_signal(signal.SIGINT)
        self.assertEqual(self.broker.process.wait(harness.seconds(10)), 0)
        self.assert_nothing_is_left()

    def test_sigterm_stops_after_restarts_and_unmounts_too(self):
        self.broker.ok("mount", "kv/", "kv")
        self.broker.ok("restart", "kv/")
        self.broker.ok("kill", "kv/")
        self.broker.wait_state("kv/", "ready")
        self.broker.ok("mount", "calc/", "calc")
        self.broker.ok("unmount", "calc/")
        self.assertEqual(self.broker.cli("mount", "x/", "bad_plugin-exit-7").code, 1)
        self.assertEqual(self.broker.stop(), 0)
        self.assert_nothing_is_left()

    def test_sigterm_while_a_mount_hangs_ends_within_the_limits(self):
        client = self.broker.begin("mount", "x/", "bad_plugin-never-hello")
        harness.until("the plugin runs", lambda: harness.processes_of(self.broker.plugins))
        self.stops_within_the_limits_and_tells(client)

    def test_sigterm_with_a_call_in_flight_ends_within_the_limits_and_tells_the_caller(self):
        self.broker.ok("mount", "x/", "bad_plugin-ignores-sigterm")
        client = self.broker.begin_endless_call("x/")
        self.stops_within_the_limits_and_tells(client)

    def test_a_second_sigterm_ends_at_once_and_no_plugin_outlives_it(self):
        # A plugin that is deaf to the end of its link outlives this until plugins are confined; any
        # other ends with it, also with a call in flight.
        self.broker.ok("mount", "x/", "bad_plugin")
        client = self.broker.begin_endless_call("x/")
        self.addCleanup(client.communicate)
        self.broker.process.send_signal(signal.SIGTERM)
        harness.until("the first is seen", lambda: "once more" in self.broker.log)
        began = time.monotonic()
        self.broker.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.broker.process.wait(harness.seconds(5)), 128 + signal.SIGTERM)
        self.assertLess(time.monotonic() - began, harness.seconds(1))
        harness.until("no plugin is left",
                      lambda: not harness.processes_of(self.broker.plugins), 1)

    def test_what_was_mounted_is_mounted_again_after_a_stop(self):
        before = self.broker.ok("mount", "kv/", "kv").json["mount"]
        self.broker.ok("write", "kv/app", "colour=green")
        self.assertEqual(self.broker.stop(), 0)
        self.broker.start()
        after = self.broker.wait_state("kv/", "ready")
        self.assertEqual(after["uuid"], before["uuid"])
        self.assertGreater(after["generation"], before["generation"])
        self.assertEqual(self.broker.ok("read", "kv/app").json["fields"]["colour"], "green")


class FullDisk(unittest.TestCase):
    def test_a_full_disk_refuses_writes_by_name_serves_reads_and_recovers(self):
        broker = harness.Broker()
        self.addCleanup(broker.close)
        broker.state.mkdir(mode=0o700)
        mounted = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={disk_bytes},mode=0700", "none", broker.state],
            capture_output=True, check=False).returncode == 0
        if not mounted:
            self.skipTest("needs root and the right to mount a small tmpfs")
        self.addCleanup(subprocess.run, ["umount", "-l", broker.state], check=False)
        broker.start()
        broker.ok("mount", "kv/", "kv")
        broker.ok("write", "kv/app", "colour=green")
        filler = pathlib.Path(broker.state) / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        big = broker.directory / "big"
        big.write_text("x" * 200_000)
        refused = broker.cli("write", "kv/big", f"body=@{big}")
        harness.SystemTest.assert_says(self, refused, 1, "the plugin says: ", *storage_words)
        self.assertEqual(broker.ok("read", "kv/app").json["fields"]["colour"], "green")
        # A record is small: a few may fit into pages that the file has already.
        for number in range(mounts_max):
            refused = broker.cli("mount", f"other/{number}/", "kv", "--description", "x" * 1024)
            if refused.code != 0:
                break
        harness.SystemTest.assert_says(self, refused, 1, *storage_words)
        self.assertIsNone(broker.process.poll(), broker.log)
        filler.unlink()
        broker.ok("write", "kv/big", f"body=@{big}")
        broker.ok("write", "kv/app", "colour=blue")
        broker.kill()
        broker.start()
        broker.wait_state("kv/", "ready")
        self.assertEqual(broker.ok("read", "kv/app").json["fields"]["colour"], "blue")
        self.assertEqual(broker.stop(), 0)


if __name__ == "__main__":
    harness.main()
