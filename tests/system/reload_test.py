#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reload after reload under load: eight clients, each with one call under way at all times, lose
none, and what the broker holds of the system returns to where it began."""

import os
import statistics
import time

import harness

reloads_full = int(os.environ.get("BULKHEAD_RELOADS", "1000"))  # 1,000 is the bar
reloads_small = 20
warm_up_reloads = 50  # until allocators and rings (events, log lines) have their working size
clients = 8


class Reload(harness.SystemTest):
    def reload(self, script, count):
        """So many reloads, one after the other; what each took until the new instance served."""
        took_ms = []
        for _ in range(count):
            answer = script.ask("reload m/")
            self.assertIsInstance(answer, dict, str(answer))
            result = answer["results"][0]
            self.assertEqual(result["outcome"], "replaced", str(result))
            took_ms.append(result["took_ms"])
        return took_ms

    def test_Z01_no_call_fails_over_many_reloads_and_nothing_is_left_behind(self):
        count = harness.scale(reloads_full, reloads_small)
        self.broker.ok("mount", "m/", "echo")
        load = self.load("calls", "m/say/hello", clients=clients)
        script = harness.Script(self.broker)
        self.addCleanup(script.close)
        calm = load.phase(1)["calls"]
        load.order("go")
        self.reload(script, min(warm_up_reloads, count // 3))
        load.order("halt")
        warm = load.order("mark")["calls"]
        before = self.settled(1)

        load.order("go")
        began = time.monotonic()
        took_ms = self.reload(script, count)
        span_s = time.monotonic() - began
        load.order("halt")
        busy = load.order("mark")["calls"]
        after = self.settled(1)

        print(f"{count} reloads in {span_s:.1f} s, median {statistics.median(took_ms)} ms each: "
              f"{busy['answered']} calls of {clients} clients, {busy['failed']} failed; p50 "
              f"{busy['p50_us']:.0f} us, calm {calm['p50_us']:.0f} us; slowest "
              f"{busy['most_us'] / 1000:.1f} ms\n  before: {before}\n  after:  {after}", flush=True)
        for phase in (calm, warm, busy):
            self.assertEqual((phase["failed"], phase["first_failure"]), (0, ""))
        self.assertGreater(busy["answered"], count)
        now = self.broker.status("m/")
        self.assertEqual((now["calls_failed"], now["restarts"], now["last_crash"]), (0, 0, None))
        self.assert_nothing_grew(before, after)


if __name__ == "__main__":
    harness.main()
