#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A storm in one mount: its plugin crashes a hundred times a second, and twenty neighbours under
load do not notice.

The neighbours are an open loop: each asks at random times of a fixed mean, the same in each round,
and a call counts from the moment at which it was due. (Clients that wait for their answers fall
into step, ask all at once, and measure the queue that they are: next to that any storm looks
small.) The load leaves most of the machine idle; how much is printed.

Calm and storm take turns, so that what else the machine does falls on both; figures are medians
over the rounds. A crash costs the machine something whoever causes it: a process is started and
ends. So a third kind of round starts as many processes of the same program outside the broker,
without a link and without a call. With few cores a call waits for those as well, and outside
strict mode the storm is compared with them.

The bar is 0 failed calls, and a p99 within 5 % or 50 us of the calm one. BULKHEAD_STORM_S=30 is its
length, and BULKHEAD_STRICT=1 asserts it. Two cores do not meet it: with 29 % of the machine
in use when calm, the p99 was 1.03 ms calm, 2.26 ms in the storm (2.2x) and 1.69 ms (1.6x) with the
processes outside; that was before the reactor looked for I/O between the turns of a crash.
Otherwise the limit is laxer, for machines that build something else meanwhile, but still far below
what one blocking step of the broker costs."""

import os
import shutil
import statistics
import threading
import time

import harness
from harness import settings

storm_s = float(os.environ.get("BULKHEAD_STORM_S", "5"))
round_s = 1.0
neighbours = 20
call_every_us = 10_000  # each neighbour, in the mean
crash_every_us = 9_000  # a closed loop on KJ's timers, which are late by up to a millisecond
process_every_s = 0.01
crash_share_min = 0.1  # of the processes started outside: less would be no storm to speak of
lax_factor, lax_us = 3, 20_000
strict_factor, strict_us = 1.05, 50
strict_crashes_per_s_min = 95


class Processes:
    """Starts and ends a program at the storm's pace, without the broker."""

    def __init__(self, program, every_s):
        self.program, self.every_s, self.started = program, every_s, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        due = time.monotonic()
        while not self.ended.is_set():
            os.waitpid(os.posix_spawn(self.program, [str(self.program)], {}), 0)
            self.started += 1
            due = max(due + self.every_s, time.monotonic())
            self.ended.wait(due - time.monotonic())

    def stop(self):
        self.ended.set()
        self.thread.join()


def medians(of):
    return {kind: statistics.median(found) for kind, found in of.items()}


class Storm(harness.SystemTest):
    def mount_all(self):
        paths = [f"n{number}/" for number in range(neighbours)]
        # As users have it: a start takes the bytes that were registered, and copies no file.
        for plugin, command in (("echo", "echo"), ("bad", "bad_plugin")):
            file = self.broker.plugins / command
            built = file.resolve()
            file.unlink()  # a link, which is not registered
            shutil.copy(built, file)
            self.broker.ok("plugin", "register", plugin, "--command", command)
        for path in paths:
            self.broker.ok("mount", path, "echo", "--ping-every", "0")
        self.broker.ok("mount", "storm/", "bad", "--intensity", "10000", "--period", "10s",
                       "--backoff-first", "0", "--backoff-max", "0")
        return [path + "say/hello" for path in paths]

    def rounds(self, load, crash, count):
        """p99 of the neighbours and share of the machine in use by kind of round, failures of the
        neighbours, and crashes and processes."""
        p99 = {"calm": [], "processes": [], "storm": []}
        used = {kind: [] for kind in p99}
        failures, started = [], 0
        restarts_before = self.broker.status("storm/")["restarts"]
        for _ in range(count):
            for kind, found in p99.items():
                if kind == "processes":
                    outside = Processes(self.broker.plugins / "bad_plugin-exit-0", process_every_s)
                if kind == "storm":
                    crash.order("go")
                busy, ticks = harness.cpu_times()
                calls = load.phase(round_s)["calls"]
                busy_then, ticks_then = harness.cpu_times()
                used[kind].append((busy_then - busy) / (ticks_then - ticks))
                if kind == "processes":
                    outside.stop()
                    started += outside.started
                if kind == "storm":
                    crash.order("halt")
                    crash.order("mark")
                found.append(calls["p99_us"])
                if calls["failed"]:
                    failures.append((kind, calls["failed"], calls["first_failure"]))
                self.assertGreater(calls["answered"], neighbours)
        crashes = self.broker.status("storm/")["restarts"] - restarts_before
        return medians(p99), medians(used), failures, crashes, started

    def test_a_crash_storm_in_one_mount_is_not_noticed_by_its_neighbours(self):
        paths = self.mount_all()
        load = self.load("calls", *paths, clients=neighbours, every_us=call_every_us,
                         open_loop=True)
        crash = self.load("crash", "storm/x", every_us=crash_every_us)
        self.rounds(load, crash, 2)  # until allocators and rings have their working size
        before = self.settled(neighbours + 1)
        count = max(2, round(harness.scale(storm_s, 2) / round_s))
        p99, used, failures, crashes, started = self.rounds(load, crash, count)
        after = self.settled(neighbours + 1)
        rate = crashes / (count * round_s)
        print(f"{crashes} crashes in {count * round_s:.0f} s ({rate:.0f}/s), {neighbours} "
              f"neighbours: {len(failures)} rounds with failed calls; p99 calm {p99['calm']:.0f} "
              f"us, storm {p99['storm']:.0f} us ({p99['storm'] / p99['calm']:.2f}x), the same "
              f"processes outside ({started}) {p99['processes']:.0f} us "
              f"({p99['processes'] / p99['calm']:.2f}x); of the machine in use "
              f"{used['calm']:.0%}, {used['storm']:.0%}, {used['processes']:.0%}\n"
              f"  before: {before}\n  after:  {after}",
              flush=True)
        self.assertEqual(failures, [])
        for path in paths:
            self.assertEqual(self.broker.status(path.split("/")[0] + "/")["restarts"], 0)
        self.assert_nothing_grew(before, after)
        if settings.sanitized:
            print("  nor are times", flush=True)
            return
        self.assertGreater(crashes, crash_share_min * started)
        if harness.strict:
            self.assertGreater(rate, strict_crashes_per_s_min, "the machine has no room for it")
        factor, extra_us = (strict_factor, strict_us) if harness.strict else (lax_factor, lax_us)
        baseline = p99["calm"] if harness.strict else max(p99["calm"], p99["processes"])
        self.assertLess(p99["storm"], max(baseline * factor, baseline + extra_us))


if __name__ == "__main__":
    harness.main()
