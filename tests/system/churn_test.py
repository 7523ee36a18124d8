#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kill and restart confined plugins, thousands of times: what the broker holds of the system
returns to where it began, and a neighbour loses no call. And what an idle broker weighs."""

import os
import time

import harness
from harness import settings

rounds_full = int(os.environ.get("BULKHEAD_CHURN_ROUNDS", "1000"))  # the bar is 10,000
rounds_small = 300
warm_up_rounds = 200  # until allocators and rings (events, log lines) have their working size
idle_pss_kib_max = 25 * 1024


class Churn(harness.SystemTest):
    def start_broker(self):
        self.confine()
        super().start_broker()

    def rounds(self, script, count):
        """Kills the mount's process and waits until the next one serves, `count` times."""
        for _ in range(count):
            killed = script.ask("kill churn/")
            self.assertIsInstance(killed, dict, str(killed))
            end = time.monotonic() + harness.seconds(20)
            while True:
                now = script.ask("status churn/")
                if isinstance(now, dict):
                    mount = now["mount"]
                    if mount["generation"] > killed["generation"] and mount["state"] == "ready":
                        break
                    self.assertNotEqual(mount["state"], "quarantined")
                self.assertLess(time.monotonic(), end, str(now))

    def test_kills_and_restarts_leave_nothing_behind_and_the_neighbour_loses_no_call(self):
        neighbour = harness.Neighbour(self.broker)
        self.addCleanup(neighbour.stop)
        self.broker.ok("mount", "churn/", "echo", "--intensity", "10000", "--period", "1s",
                       "--backoff-first", "1ms", "--backoff-max", "1ms")
        count = harness.scale(rounds_full, rounds_small)
        script = harness.Script(self.broker)
        self.rounds(script, min(warm_up_rounds, count // 3))
        before = self.settled(2)
        began = time.monotonic()
        self.rounds(script, count)
        took_s = time.monotonic() - began
        after = self.settled(2)
        script.close()
        print(f"{count} rounds in {took_s:.1f} s\n  before: {before}\n  after:  {after}\n"
              f"  neighbour: {neighbour.calls} calls, slowest {neighbour.slowest_s:.3f} s",
              flush=True)
        self.assert_nothing_grew(before, after)
        self.assertEqual(neighbour.failures, [])
        self.assertEqual(len(harness.processes_of(self.broker.plugins)), 2)
        self.broker.ok("read", "churn/say/hello")

    def test_mounts_and_unmounts_leave_nothing_behind(self):
        script = harness.Script(self.broker)
        count = harness.scale(300, 30)

        def rounds(number):
            for _ in range(number):
                for command in ("mount x/ kv", "write x/app colour=green", "unmount x/"):
                    self.assertIsInstance(answer := script.ask(command), dict, str(answer))
        rounds(max(10, count // 3))
        before = self.settled(0)
        rounds(count)
        after = self.settled(0)
        script.close()
        print(f"{count} mounts\n  before: {before}\n  after:  {after}", flush=True)
        self.assert_nothing_grew(before, after)

    def test_an_idle_broker_with_two_plugins_weighs_less_than_25_mib(self):
        pids = [self.broker.pid] + [self.broker.ok("mount", f"{name}/", name).json["mount"]["pid"]
                                    for name in ("kv", "calc")]
        time.sleep(0.5)
        weights = [harness.pss_kib(pid) for pid in pids]
        print(f"PSS in KiB: broker, kv, calc {weights}, in all {sum(weights)}", flush=True)
        if settings.sanitized:
            print("  not compared with the bar: a sanitizer's shadow memory counts", flush=True)
        else:
            self.assertLess(sum(weights), idle_pss_kib_max)


if __name__ == "__main__":
    harness.main()
