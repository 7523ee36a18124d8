#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wrong calls, and plugins that misbehave under a call: the caller is told at once what happened,
the mount recovers by the rules, and a neighbour's calls go on. One broker serves all these tests;
the last assertion of each is that the neighbour has not noticed."""

import json
import pathlib
import signal
import time

import harness
from harness import settings

# Mode, exit code, and what the caller reads. Each ends the instance.
ends_the_instance = {
    "segv-on-call": ["was killed by SIGSEGV", "why: instance 1 had run for"],
    "abort-on-call": ["was killed by SIGABRT", "why: instance 1 had run for"],
    "exit-on-call": ["exited with status 0"],
    "exit-7-on-call": ["exited with status 7"],
    "garbage-on-call": ["broke the protocol and was ended", "segments, 512 allowed"],
    "evil-frame-on-call": ["broke the protocol and was ended", "segments, 512 allowed"],
    "closes-fd3-on-call": ["closed its link and lived on, and was ended"],
}
log_lines_kept = 1000
log_line_bytes_max = 4096
error_text_bytes_max = 8192
stop_limit_s = 3  # stop_grace_ms + stop_term_ms
deaf_slack_s = 3


class Misuse(harness.NeighbourTest):
    def setUp(self):
        self.path = self.id().rpartition(".")[2][:60] + "/"
        self.calls_before = self.neighbour.calls

    def tearDown(self):
        harness.until("the neighbour answers", lambda: self.neighbour.calls > self.calls_before)
        self.assertEqual(self.neighbour.failures, [])
        self.assertIsNone(self.broker.process.poll(), "the broker is alive")
        if self.broker.status(self.path) is not None:
            self.broker.ok("unmount", self.path)

    def mount(self, plugin="bad_plugin", *words):
        return self.broker.ok("mount", self.path, plugin, *words).json["mount"]

    def provoke(self, mode, *words):
        return self.broker.cli(*words, "write", self.path + "x", f"mode={mode}")

    def check_ends_the_instance(self, mode):
        self.mount()
        began = time.monotonic()
        self.assert_says(self.provoke(mode), 1, f"plugin 'bad_plugin' at '{self.path}'",
                         f"try: bulkhead why {self.path}", *ends_the_instance[mode])
        self.assertLess(time.monotonic() - began, harness.seconds(3))
        self.broker.ok("write", self.path + "x", "colour=green")
        now = self.broker.status(self.path)
        self.assertEqual((now["state"], now["generation"], now["restarts"]), ("ready", 2, 1))
        self.assertEqual((now["calls_total"], now["calls_failed"]), (2, 1))
        why = self.broker.ok("why", self.path).json
        self.assertEqual((why["crash"]["generation"], why["crash"]["calls_in_flight"]), (1, 1))
        self.assertEqual(why["crash"]["next"], "restarts at once")
        text = self.broker.ok("why", self.path, output="table").out
        self.assertIn("generation 1", text)
        self.assertIn("restarts at once", text)

    # -- wrong calls -----------------------------------------------------------------------------

    def test_a_path_that_no_mount_serves_is_not_found(self):
        for words in (("read", "nobody/app"), ("list", "nobody/"), ("status", "nobody/"),
                      ("kill", "nobody/"), ("restart", "nobody/"), ("logs", "nobody/"),
                      ("unmount", "nobody/"), ("why", "nobody/"), ("call", "nobody/", "f")):
            self.assert_says(self.broker.cli(*words), 4, "nobody/")

    def test_a_key_that_is_missing_is_not_found_in_the_plugin_s_words(self):
        self.mount("kv")
        self.assert_says(self.broker.cli("read", self.path + "missing"), 4, "the plugin says: ")
        self.assertEqual(self.broker.status(self.path)["restarts"], 0)

    def test_an_unknown_method_is_refused_and_the_known_ones_are_named(self):
        self.mount("calc")
        self.assert_says(self.broker.cli("call", self.path, "evaluat", "(expression = \"1\")"), 4,
                         "has no method 'evaluat'", "did you mean 'evaluate'?")

    def test_arguments_that_make_no_sense_are_refused_before_they_are_sent(self):
        self.mount("calc")
        for text in ("(expression = ", "(nosuch = 1)", "(expression = 1)", '{"expression": 1}'):
            answer = self.broker.cli("call", self.path, "evaluate", text)
            self.assert_says(answer, 2)
        self.assertEqual(self.broker.status(self.path)["calls_failed"], 0)

    def test_a_typed_call_to_a_plugin_without_a_typed_interface_is_refused(self):
        self.mount("kv")
        answer = self.broker.cli("call", self.path, "evaluate")
        self.assertIn(answer.code, (1, 2), repr(answer))
        self.assertTrue(answer.err.startswith("error: "), repr(answer))

    def test_a_signal_that_is_none_is_refused(self):
        self.mount()
        self.assert_says(self.broker.cli("kill", self.path, "NOSUCH"), 2, "NOSUCH")
        self.assertNotEqual(self.broker.cli("kill", self.path, "0").code, 0)
        self.assertNotEqual(self.broker.cli("kill", self.path, "65").code, 0)

    # -- bad plugins -----------------------------------------------------------------------------

    def test_a_call_that_is_never_answered_ends_at_the_caller_s_deadline(self):
        self.mount()
        self.assert_says(self.provoke("never-answers", "--timeout", "500ms"), 7,
                         "no answer in 500 ms", "why: ", "try: ")
        self.broker.ok("write", self.path + "x", "colour=green")

    def test_a_plugin_that_hangs_is_shown_and_restarted_by_hand(self):
        pid = self.mount()["pid"]
        self.assert_says(self.provoke("hang-on-call", "--timeout", "500ms"), 7, "no answer")
        began = time.monotonic()
        self.assertEqual(self.broker.ok("status", self.path).json["mount"]["state"], "ready")
        self.assertLess(time.monotonic() - began, harness.seconds(1))
        self.check_restart_replaces(pid)

    def test_a_plugin_that_stopped_itself_is_restarted_by_hand(self):
        pid = self.mount()["pid"]
        self.assert_says(self.provoke("stops-self", "--timeout", "500ms"), 7, "no answer")
        harness.until("it is stopped", lambda: harness.parent_and_state(pid)[1] == "T")
        self.check_restart_replaces(pid)

    def check_restart_replaces(self, pid):
        began = time.monotonic()
        after = self.broker.ok("restart", self.path).json["mount"]
        self.assertLess(time.monotonic() - began, harness.seconds(stop_limit_s + deaf_slack_s))
        self.assertEqual((after["state"], after["generation"]), ("ready", 2))
        self.assertFalse(harness.alive(pid))
        self.broker.ok("write", self.path + "x", "colour=green")
        self.assertEqual(self.broker.status(self.path)["restarts_in_window"], 0)

    def test_a_plugin_that_ignores_every_request_to_stop_is_killed_within_the_limits(self):
        pid = self.mount("bad_plugin-ignores-sigterm")["pid"]
        self.broker.ok("write", self.path + "x", "colour=green")
        self.check_restart_replaces(pid)
        pid = self.broker.status(self.path)["pid"]
        began = time.monotonic()
        self.broker.ok("unmount", self.path)
        self.assertLess(time.monotonic() - began, harness.seconds(stop_limit_s + deaf_slack_s))
        self.assertFalse(harness.alive(pid))

    def test_a_grandchild_in_the_group_is_killed_with_the_plugin(self):
        pid = self.mount("bad_plugin-forks-orphan")["pid"]
        orphan = harness.until("the grandchild is there", lambda: list(harness.children(pid)))[0]
        self.broker.ok("kill", self.path)
        harness.until("the grandchild is gone", lambda: not harness.alive(orphan), 5)
        self.broker.wait_state(self.path, "ready")
        self.broker.ok("write", self.path + "x", "colour=green")
        pid = self.broker.status(self.path)["pid"]
        orphan = harness.until("the next one is there", lambda: list(harness.children(pid)))[0]
        self.broker.ok("unmount", self.path)
        harness.until("the next one is gone", lambda: not harness.alive(orphan), 5)

    def check_flood(self, plugin):
        self.mount(plugin)
        slowest_before = self.neighbour.slowest_s
        began = time.monotonic()
        calls = self.neighbour.calls
        grown = harness.Counters(self.broker.pid).rss_kib
        while time.monotonic() - began < 3:
            self.broker.ok("write", self.path + "x", "colour=green")
        self.assertGreater(self.neighbour.calls - calls, 50 if not settings.sanitized else 5)
        slowest = max(slowest_before, self.neighbour.slowest_s)
        self.assertLess(slowest, harness.seconds(2))
        lines = self.broker.ok("logs", self.path, "-n", "1000").json["lines"]
        self.assertGreaterEqual(len(lines), 1)  # a line without an end is cut and stays one line
        self.assertLessEqual(len(lines), log_lines_kept)
        self.assertLessEqual(max(len(each["text"]) for each in lines), log_line_bytes_max + 64)
        grown = harness.Counters(self.broker.pid).rss_kib - grown
        self.assertLess(grown, 24 * 1024 if not settings.sanitized else 1 << 20)

    def test_a_flood_on_stdout_is_bounded(self):
        self.check_flood("bad_plugin-floods-stdout")

    def test_a_flood_on_stderr_without_a_line_s_end_is_bounded(self):
        self.check_flood("bad_plugin-floods-stderr")

    def test_a_stray_printf_is_a_log_line(self):
        self.mount()
        self.assertEqual(self.provoke("prints-on-call").code, 0)
        lines = harness.until("the line is in the log",
                              lambda: self.broker.ok("logs", self.path).json["lines"])
        self.assertEqual([(each["source"], each["text"]) for each in lines],
                         [("stdout", "a stray printf")])

    def test_a_hostile_error_text_is_escaped_cut_and_only_the_plugin_s(self):
        self.mount()
        answer = self.provoke("error-on-call")
        self.assert_says(answer, 1, "the plugin says: ", "\\x1b[2J")  # not 3: not quarantined
        self.assertLess(len(answer.err), 2 * error_text_bytes_max)
        self.assertEqual(self.broker.status(self.path)["state"], "ready")

    def test_an_answer_that_is_too_large_is_an_error_of_that_call_alone(self):
        self.mount()
        self.assert_says(self.provoke("big-reply"), 1, "too large", "33554432")
        self.broker.ok("write", self.path + "x", "colour=green")
        self.assertEqual(self.broker.status(self.path)["generation"], 1)

    def test_a_plugin_that_calls_its_view_without_end_starves_nobody(self):
        self.mount()
        self.assertEqual(self.provoke("calls-host-forever").code, 0)
        calls = self.neighbour.calls
        time.sleep(1)
        # Each mount has a share of the store: its 64 calls wait behind themselves.
        self.assertGreater(self.neighbour.calls - calls, 50 if not settings.sanitized else 5)
        self.assertEqual(self.broker.ok("status", self.path).json["mount"]["state"], "ready")

    # -- restarts --------------------------------------------------------------------------------

    def test_a_crash_loop_ends_in_backoff_then_quarantine_and_reset_leads_out(self):
        self.mount()
        states = []
        for _ in range(4):
            self.assert_says(self.provoke("segv-on-call"), 1, "was killed by SIGSEGV")
            states.append(self.broker.status(self.path)["state"])
        self.assertEqual(states[-1], "quarantined")
        began = time.monotonic()
        self.assert_says(self.broker.cli("read", self.path + "x"), 3, "is quarantined",
                         "why: plugin 'bad_plugin'", "more than 3 restarts within 30 s",
                         f"bulkhead reset {self.path}")
        self.assertLess(time.monotonic() - began, harness.seconds(2))
        answer = self.broker.cli("status", self.path, output="table")
        self.assertEqual(answer.code, 3)
        self.assertIn("quarantined", answer.out)
        names = [each["name"] for each in self.broker.ok("events").json["events"]
                 if each["mount"] == self.path]
        self.assertIn("backoff", names)
        self.assertEqual(names.count("quarantined"), 1)
        after = self.broker.ok("reset", self.path).json["mount"]
        self.assertEqual((after["state"], after["restarts_in_window"]), ("ready", 0))
        self.broker.ok("write", self.path + "x", "colour=green")

    def test_transient_and_temporary_mounts_stay_down_as_their_words_say(self):
        self.mount("bad_plugin", "--restart", "transient")
        self.assert_says(self.provoke("exit-on-call"), 1, "exited with status 0")
        self.assertEqual(self.broker.status(self.path)["state"], "stopped")
        self.assert_says(self.broker.cli("read", self.path + "x"), 3, "is stopped",
                         f"try: bulkhead start {self.path}")
        self.broker.ok("restart", self.path)
        self.assert_says(self.provoke("exit-7-on-call"), 1, "exited with status 7")
        self.broker.wait_state(self.path, "ready")
        self.broker.ok("unmount", self.path)
        self.mount("bad_plugin", "--restart", "temporary")
        self.assert_says(self.provoke("exit-7-on-call"), 1, "exited with status 7")
        self.assertEqual(self.broker.status(self.path)["state"], "stopped")

    def test_a_kill_by_hand_is_explained(self):
        pid = self.mount()["pid"]
        sent = self.broker.ok("kill", self.path, "TERM").json
        self.assertEqual((sent["pid"], sent["signal"]), (pid, signal.SIGTERM))
        crash = harness.until("a report is there",
                              lambda: self.broker.ok("why", self.path).json["crash"])
        self.assertEqual(crash["cause"], {"signaled": int(signal.SIGTERM)}, json.dumps(crash))
        self.broker.wait_state(self.path, "ready")


class HeldBack(harness.SystemTest):
    """Who writes more of a log than it may waits until it may write on."""

    pipe_bytes = 64 << 10
    measured_s = 4
    lines_per_s = 10

    def start_broker(self):
        pass

    def written(self, pid):
        """What a process has handed to write(), which its link does not use."""
        for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("wchar:"):
                return int(line.split()[1])
        raise AssertionError("no wchar")

    def check_rate(self, bytes_per_s, plugin):
        file = self.broker.directory / "config.toml"
        file.write_text(f"[limits]\nlog_bytes_per_s_max = {bytes_per_s}\n"
                        f"log_lines_per_s_max = {self.lines_per_s}\n")
        self.broker.flags = ["--config", str(file)]
        self.broker.start()
        pid = self.broker.ok("mount", "b/", plugin).json["mount"]["pid"]
        harness.until("its pipe has been full", lambda: self.written(pid) > self.pipe_bytes)
        began, before = time.monotonic(), self.written(pid)
        time.sleep(self.measured_s)
        rate = (self.written(pid) - before) / (time.monotonic() - began)
        self.assertLess(rate, 1.5 * bytes_per_s)
        self.assertGreater(rate, bytes_per_s / 4)
        return [each["text"] for each in
                self.broker.ok("logs", "b/", "-n", "1000").json["lines"]]

    def test_a_flood_of_lines_is_held_to_both_rates(self):
        lines = self.check_rate(20_000, "bad_plugin-floods-stdout")
        told = [each for each in lines if each.endswith(" dropped: more than 10 per second]")]
        self.assertGreater(len(told), 0)
        passed = len(lines) - len(told)
        self.assertLess(passed, self.lines_per_s * 20 * self.measured_s)

    def test_a_flood_without_lines_is_held_to_the_rate_on_stderr_too(self):
        self.check_rate(20_000, "bad_plugin-floods-stderr")

    def test_a_rate_of_more_than_a_pipe_holds_in_a_slice_is_held(self):
        self.check_rate(2_000_000, "bad_plugin-floods-stdout")


harness.test_each(Misuse, ends_the_instance, Misuse.check_ends_the_instance,
                  "test_{}_is_told_to_the_caller_at_once")


if __name__ == "__main__":
    harness.main()
