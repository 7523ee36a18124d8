#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The life of real processes: one that is stopped by a signal, ends whose news come in an odd
order, what a plugin leaves behind, and mounts that sleep. Each death is one death, with one report
and the true status."""

import os
import signal
import time

import harness

stop_limit_s = 3  # stop_grace_ms + stop_term_ms


def ping_wait_ms():
    """So short that no other limit can be the one that ended a plugin."""
    return round(harness.seconds(0.8) * 1000)


def quick_ping():
    return "--ping-every", "200ms", "--ping-wait", f"{ping_wait_ms()}ms"


class Life(harness.SystemTest):
    def end_of(self, path, *, deaths=1):
        """The newest report, after making sure that so many are all there are."""
        self.broker.wait_state(path, "ready")
        why = self.broker.ok("why", path, "-n", "0").json
        self.assertEqual(len(why["reports"]), deaths, str(why))
        names = [each["name"] for each in self.broker.ok("events").json["events"]
                 if each["mount"] == path]
        self.assertEqual(names.count("crashed"), deaths, str(names))
        self.assertEqual(self.broker.status(path)["restarts"], deaths)
        return why["reports"][0]

    def test_L10_a_plugin_that_a_signal_stopped_is_killed_and_replaced_by_the_ping_rule(self):
        pid = self.broker.ok("mount", "x/", "bad_plugin", *quick_ping()).json["mount"]["pid"]
        caller = self.broker.begin_endless_call("x/")
        self.addCleanup(caller.wait)
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        harness.until("the next instance is ready",
                      lambda: self.broker.status("x/")["generation"] == 2)
        took_s = time.monotonic() - began
        report = self.end_of("x/")
        self.assertIn(f"did not answer a ping within {ping_wait_ms()} ms",
                      report["cause"]["unresponsive"])
        self.assertEqual([(each["method"], each["outcome"]) for each in report["calls"]],
                         [("write x/a", "plugin_crashed")])
        out, err = caller.communicate(timeout=harness.seconds(10))
        self.assertEqual((caller.returncode, out), (1, b""))
        self.assertIn(b"hung and was killed: it did not answer a ping", err)
        self.assertFalse(harness.alive(pid))
        self.broker.ok("write", "x/a", "colour=green")
        print(f"stopped, found out and replaced in {took_s:.2f} s", flush=True)

    def test_L10_a_plugin_whose_loop_hangs_in_a_call_is_replaced_by_the_ping_rule(self):
        self.broker.ok("mount", "x/", "bad_plugin", *quick_ping())
        answer = self.broker.cli("--timeout", "20s", "write", "x/a", "mode=hang-on-call")
        self.assert_says(answer, 1, f"did not answer a ping within {ping_wait_ms()} ms",
                         "try: bulkhead why x/")
        self.assertIn("unresponsive", self.end_of("x/")["cause"])

    def test_a_plugin_that_answers_pings_is_ended_by_the_age_of_its_oldest_call(self):
        self.broker.ok("mount", "x/", "bad_plugin", "--call-age-max", "500ms")
        answer = self.broker.cli("--timeout", "20s", "write", "x/a", "mode=never-answers")
        self.assert_says(answer, 1, "hung and was killed", "call_age_max")
        self.assertIn("unresponsive", self.end_of("x/")["cause"])

    # -- news in an odd order --------------------------------------------------------------------

    def test_a_grandchild_that_holds_the_link_does_not_hide_the_death_of_its_parent(self):
        for plugin in ("bad_plugin-forks-orphan", "bad_plugin-forks-daemon"):
            with self.subTest(plugin):
                path = plugin + "/"
                pid = self.broker.ok("mount", path, plugin).json["mount"]["pid"]
                heir = harness.until("the grandchild is there",
                                     lambda parent=pid: list(harness.children(parent)))[0]
                began = time.monotonic()
                # Not one that a sanitizer catches and turns into an exit.
                os.kill(pid, signal.SIGUSR2)
                harness.until("the next instance is ready", lambda mount=path:
                              self.broker.status(mount)["generation"] == 2)
                self.assertLess(time.monotonic() - began, harness.seconds(2))
                report = self.end_of(path)
                self.assertEqual(report["cause"], {"signaled": signal.SIGUSR2})
                self.broker.ok("write", path + "a", "colour=green")
                # One in a session of its own outlives its parent until plugins are confined.
                self.assertEqual(harness.alive(heir), plugin.endswith("daemon"))

    def test_an_end_of_file_before_the_exit_status_is_one_death_with_the_true_status(self):
        self.broker.ok("mount", "x/", "bad_plugin")
        answer = self.broker.cli("write", "x/a", "mode=closes-fd3-then-exits-7")
        self.assert_says(answer, 1, "exited with status 7")
        report = self.end_of("x/")
        self.assertEqual(report["cause"], {"exited": 7})
        self.assertEqual((report["calls_in_flight"], report["calls"][0]["method"]),
                         (1, "write x/a"))

    def test_an_end_of_file_without_an_exit_is_one_death_too(self):
        pid = self.broker.ok("mount", "x/", "bad_plugin").json["mount"]["pid"]
        answer = self.broker.cli("write", "x/a", "mode=closes-fd3-on-call")
        self.assert_says(answer, 1, "closed its link and lived on, and was ended")
        self.assertIn("link_closed", self.end_of("x/")["cause"])
        self.assertFalse(harness.alive(pid))

    # -- what a plugin leaves behind -------------------------------------------------------------

    def test_F11_a_double_forked_child_that_ignores_sigterm_does_not_survive_the_stop(self):
        for order in ("stop", "unmount"):
            with self.subTest(order):
                self.broker.ok("mount", "x/", "bad_plugin-forks-twice")
                self.assertEqual(len(harness.processes_of(self.broker.plugins)), 2)
                began = time.monotonic()
                self.broker.ok(order, "x/")
                took_s = time.monotonic() - began
                # The group was killed at once; its orphan may be a moment longer in dying.
                harness.until("nobody survives",
                              lambda: not harness.processes_of(self.broker.plugins), 1)
                self.assertLess(took_s, harness.seconds(stop_limit_s + 3))
                print(f"{order}: 2 processes, 0 survivors, {took_s:.2f} s", flush=True)
                if order == "stop":
                    self.broker.ok("unmount", "x/")

    # -- mounts that sleep -----------------------------------------------------------------------

    def test_L06_an_idle_mount_is_woken_by_calls_with_its_data_and_spends_no_window(self):
        self.broker.ok("mount", "kv/", "kv", "--idle-stop", "400ms")
        last = 0
        for turn in range(1, 6):
            self.broker.ok("write", f"kv/app{turn}", "colour=green")
            # Each write woke it; on a slow machine it may have slept before the first one too.
            generation = self.broker.status("kv/")["generation"]
            self.assertGreater(generation, last)
            last = generation
            asleep = self.broker.wait_state("kv/", "stopped")
            self.assertIn("it starts with its next call", asleep["reason"])
            self.assertEqual(asleep["pid"], 0)
            harness.until("no process is left",
                          lambda: not harness.processes_of(self.broker.plugins))
        began = time.monotonic()
        answer = self.broker.ok("read", "kv/app1").json
        print(f"woken and answered in {(time.monotonic() - began) * 1000:.0f} ms", flush=True)
        self.assertEqual(answer["fields"]["colour"], "green")
        now = self.broker.status("kv/")
        self.assertEqual((now["restarts_in_window"], now["last_crash"]), (0, None))

    def test_a_lazy_mount_sleeps_over_a_restart_of_the_broker_and_wakes_with_its_data(self):
        before = self.broker.ok("mount", "kv/", "kv", "--lazy").json["mount"]
        self.assertEqual((before["state"], before["pid"]), ("stopped", 0))
        self.broker.ok("write", "kv/app", "colour=green")
        used = self.broker.status("kv/")["generation"]
        self.assertEqual(self.broker.stop(), 0)
        self.broker.start()
        after = self.broker.status("kv/")
        self.assertEqual((after["state"], after["uuid"], after["life"]["start"]),
                         ("stopped", before["uuid"], "lazy"))
        self.assertEqual(harness.processes_of(self.broker.plugins), [])
        self.assertEqual(self.broker.ok("read", "kv/app").json["fields"]["colour"], "green")
        self.assertGreater(self.broker.status("kv/")["generation"], used)

    def test_L02_a_stopped_mount_stays_stopped_until_an_operator_starts_it(self):
        self.broker.ok("mount", "kv/", "kv", "--lazy")
        self.broker.ok("write", "kv/app", "colour=green")
        self.broker.ok("stop", "kv/")
        self.assert_says(self.broker.cli("read", "kv/app"), 3, "is stopped",
                         "try: bulkhead start kv/")
        self.broker.ok("start", "kv/")
        self.assertEqual(self.broker.ok("read", "kv/app").json["fields"]["colour"], "green")


    def test_P02_a_crash_takes_the_memory_and_leaves_the_storage(self):
        self.broker.ok("mount", "kv/", "kv")
        self.broker.ok("write", "kv/app", "colour=green")
        self.broker.ok("mount", "calc/", "calc")
        script = harness.Script(self.broker)
        self.addCleanup(script.close)
        script.ask('call calc/ define (parameters = ["x"], body = "x + 1")')
        self.assertEqual(script.ask("call $1 call (arguments = [41])")["result"], {"value": 42})
        for path in ("kv/", "calc/"):
            self.broker.ok("kill", path)
            harness.until("the next instance is ready", lambda mount=path: (
                now := self.broker.status(mount))["generation"] == 2 and now["state"] == "ready")
        self.assertIn("error: ", script.ask("call $1 call (arguments = [41])"))
        self.assertEqual(self.broker.ok("read", "kv/app").json["fields"]["colour"], "green")

    # -- looking back ----------------------------------------------------------------------------

    def test_events_go_on_in_another_client_where_the_first_one_ended(self):
        self.broker.ok("mount", "kv/", "kv")
        first = self.broker.ok("events").json
        self.broker.ok("kill", "kv/")
        self.broker.wait_state("kv/", "ready")
        second = self.broker.ok("events", "--since", str(first["next"]))
        self.assertEqual(second.err, "")
        numbers = [each["number"] for each in first["events"] + second.json["events"]]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertIn("crashed", [each["name"] for each in second.json["events"]])
        # Another broker counts from 1: its client is told, and sees all of it.
        self.assertEqual(self.broker.stop(), 0)
        self.broker.start()
        self.broker.wait_state("kv/", "ready")
        anew = self.broker.ok("events", "--since", "100000")
        self.assertIn("was started anew", anew.err)
        self.assertEqual(anew.json["events"][0]["number"], 1)


if __name__ == "__main__":
    harness.main()
