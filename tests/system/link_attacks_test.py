#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attacks on the link by a plugin that was let in. Of each: what it sent, what the broker grew by
meanwhile, how long a neighbour waited at most for an answer, and what became of it. No attack may
cost the broker more than a hundred times its bytes (but for what it has stored before, which has a
bound of its own), nor more than the budget that it strains; each ends as the table says, with the
limit named in the crash report; and a neighbour's calls go on.
The plugins are confined, as by default. Each has a broker of its own, so that none grows into
memory that another one left. The last lines of the test's output are the table."""

import re
import threading
import time

import harness
from harness import settings

mib = 1 << 20
# Below this a growth says nothing: the allocator's own pieces, and the neighbour's.
noise_bytes = 4 * mib
amplification_max = 100
neighbour_waits_s_max = 2

# Mode: what the crash report names (None: the plugin lives on, and harms nobody), and the most that
# the broker may grow by: the budget, and the noise.
attacks = {
    "link-bogus-answer": ("a frame that is no message", noise_bytes),
    "link-unfinished-calls": ("plugin_calls_open_max: 4097 calls, 4096 allowed", 8 * mib),
    "link-capabilities": ("plugin_capabilities_max: ", 16 * mib),
    "link-empty-table": ("Exceeded message traversal limit", noise_bytes),
    "link-views": ("plugin_capabilities_given_max: 16385 ", 32 * mib),
    "link-chain": ("plugin_calls_open_max: 4097 ", 12 * mib),
    "link-deep-path": ("plugin_pipeline_steps_max: 100000 ", noise_bytes),
    "link-long-farewell": ("", 32 * mib),
    "link-descriptors": (None, noise_bytes),
    "link-flood": (None, noise_bytes),
    "link-callbacks": (None, 48 * mib),
}
# Those that a deadline ends: together, because they take long. They are not asked whether they
# live: who reads nothing does not answer that either, and would be ended for it.
slow_attacks = {
    "link-drip": ("plugin_frame_ms_max: 10000 ms ", noise_bytes),
    "link-slow-reader": ("plugin_write_ms_max: ", 24 * mib),
    "link-unread-answers": ("plugin_write_ms_max: ", 24 * mib),
}


# A value that was stored before is asked for in a hundred bytes: what is made of it is bounded by
# view_unread_bytes_max (2 MiB) and by view_calls_in_store_max (8), not by what was sent. A call in
# the store holds its value twice, as it was read and as the answer; SQLite keeps 2 MiB of pages.
# The queue alone would let 64 MiB pass.
stored_bytes = mib
stored_attack = "link-stored-answers"
stored_budget = 2 * mib + 8 * 2 * stored_bytes + 2 * mib + noise_bytes

# Sent again and again by an instance each, or, as an error, by the same: the bytes, what the caller
# reads, and the most that the broker may grow by.
repeats = 8
repeated_attacks = {
    "garbage-on-call": (64 << 10, "broke the protocol", noise_bytes),
    "evil-frame-on-call": (8, "broke the protocol", noise_bytes),
    "huge-frame-on-call": (8, "bytes, 33554432 allowed", noise_bytes),
    "error-on-call": (mib, "the plugin says: ", 16 * mib),
}
unanswered_calls = 32


class Watch:
    """The most memory that the broker has had, looked at every few milliseconds."""

    def __init__(self, pid):
        self.pid, self.ended = pid, threading.Event()
        self.before = self.most = harness.Counters(pid).rss_kib
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended.wait(0.005):
            self.most = max(self.most, harness.kib(self.pid, "status", "VmRSS"))

    def grown_bytes(self):
        self.ended.set()
        self.thread.join()
        return (self.most - self.before) * 1024


class LinkAttacks(harness.SystemTest):
    rows = []

    def start_broker(self):
        # A confined plugin that tries to send a descriptor is killed for that before it is sent.
        if "descriptors" not in self.id():
            self.confine()
        self.broker.start()
        self.neighbour = harness.Neighbour(self.broker)
        self.addCleanup(self.neighbour.stop)

    @classmethod
    def tearDownClass(cls):
        print(f"\n{'attack':24} {'sent':>11} {'grown':>11} {'times':>6} {'waited':>7}  outcome")
        for row in cls.rows:
            print("{:24} {:>11} {:>11} {:>6} {:>7}  {}".format(*row))

    def mount(self, mode, *flags):
        self.broker.ok("mount", mode + "/", "bad_plugin", "--restart", "temporary", *flags)
        return mode + "/"

    def begin(self, mode):
        return self.broker.begin("write", f"{mode}/x", f"mode={mode}")

    def sent_bytes(self, path):
        lines = self.broker.ok("logs", path, "-n", "50").json["lines"]
        return max(int(re.search(r"sent (\d+)", each["text"])[1]) for each in lines)

    def outcome(self, path, named):
        if named is None:
            time.sleep(5)
            self.assertEqual(self.broker.status(path)["state"], "ready")
            return "lives on, alone"
        crash = harness.until(f"{path} has ended",
                              lambda: self.broker.ok("why", path).json["crash"], 90)
        self.assertIn(named, str(crash["cause"]))
        self.assertLess(len(str(crash["cause"])), 4096)
        self.assertNotIn("\x1b", str(crash["cause"]))
        if named:
            self.assertIn("violation", crash["cause"])
            self.assertIn(named, self.broker.ok("why", path, output="table").out)
        limit, _, count = named.partition(": ")
        if count:
            breach = crash["breach"]
            self.assertEqual(breach["limit"], limit)
            self.assertGreaterEqual(int(breach["count"]), int(breach["allowed"]))
            self.assertTrue(breach["unit"])
        return str(crash["cause"])[:100]

    def report(self, mode, sent, grown, outcome, budget, amplification=amplification_max):
        times = f"{grown / sent:.1f}" if sent else ""
        self.rows.append((mode, sent, grown, times, self.waited(), outcome))
        if settings.sanitized:
            return  # memory is the sanitizer's
        self.assertLessEqual(grown, budget)
        if amplification:
            self.assertLessEqual(grown, max(noise_bytes, amplification * sent))

    def waited(self):
        return f"{self.neighbour.slowest_s * 1000:.0f} ms"

    def neighbour_served(self, calls):
        harness.until("the neighbour answers", lambda: self.neighbour.calls > calls + 20)
        self.assertEqual(self.neighbour.failures, [])
        self.assertLess(self.neighbour.slowest_s, harness.seconds(neighbour_waits_s_max))
        self.assertIsNone(self.broker.process.poll(), "the broker is alive")

    def check_attack(self, mode):
        self.attack(mode, self.mount(mode), *attacks[mode])

    def attack(self, mode, path, named, budget, **more):
        calls = self.neighbour.calls
        fds = harness.Counters(self.broker.pid).fds
        watch = Watch(self.broker.pid)
        try:
            call = self.begin(mode)
            outcome = self.outcome(path, named)
        finally:
            grown = watch.grown_bytes()
        self.assertLess(harness.Counters(self.broker.pid).fds, fds + 20)
        self.report(mode, self.sent_bytes(path), grown, outcome, budget, **more)
        self.broker.ok("unmount", path)
        call.wait(30)
        self.neighbour_served(calls)

    def test_what_was_stored_before_is_answered_within_a_bound_of_its_own(self):
        path = self.mount(stored_attack, "--ping-every", "0s", "--option", f"bytes={stored_bytes}")
        self.broker.ok("write", path + "x", "mode=stores-value")
        self.attack(stored_attack, path, "plugin_write_ms_max: ", stored_budget,
                    amplification=None)

    def test_those_that_wait_are_ended_by_their_deadlines(self):
        paths = {mode: self.mount(mode, "--ping-every", "0s") for mode in slow_attacks}
        calls = self.neighbour.calls
        watch = Watch(self.broker.pid)
        try:
            begun = {mode: self.begin(mode) for mode in slow_attacks}
            outcomes = {mode: self.outcome(paths[mode], named)
                        for mode, (named, _) in slow_attacks.items()}
        finally:
            grown = watch.grown_bytes()
        sent = sum(self.sent_bytes(path) for path in paths.values())
        self.report("those that wait", sent, grown, "; ".join(outcomes.values()),
                    sum(most for _, most in slow_attacks.values()))
        for mode, call in begun.items():
            self.broker.ok("unmount", paths[mode])
            call.wait(30)
        self.neighbour_served(calls)

    def check_repeated(self, mode):
        sent, said, budget = repeated_attacks[mode]
        path = self.mount(mode)
        calls = self.neighbour.calls
        watch = Watch(self.broker.pid)
        try:
            for _ in range(repeats):
                answer = self.broker.cli("write", path + "x", f"mode={mode}")
                self.assertEqual(answer.code, 1, repr(answer))
                self.assertIn(said, answer.err)
                if mode != "error-on-call":  # of which it does not end
                    self.broker.wait_state(path, "stopped")
                    self.broker.ok("restart", path)
        finally:
            grown = watch.grown_bytes()
        self.report(mode, repeats * sent, grown, f"{repeats} times: {said}", budget)
        self.neighbour_served(calls)

    def test_calls_that_are_not_answered_cost_next_to_nothing(self):
        path = self.mount("never-answers")
        calls = self.neighbour.calls
        watch = Watch(self.broker.pid)
        try:
            begun = [self.broker.begin("--timeout", "2s", "write", path + "x", "mode=never-answers")
                     for _ in range(unanswered_calls)]
            harness.until("all are in flight", lambda: self.broker.status(path)[
                "calls_in_flight"] == unanswered_calls)
            self.assertEqual({call.wait(30) for call in begun}, {7})
        finally:
            grown = watch.grown_bytes()
        self.report("never-answers", 0, grown, f"{unanswered_calls} callers' deadlines",
                    noise_bytes)
        self.neighbour_served(calls)


harness.test_each(LinkAttacks, attacks, LinkAttacks.check_attack, "test_{}")
harness.test_each(LinkAttacks, repeated_attacks, LinkAttacks.check_repeated,
                  "test_{}_again_and_again")


if __name__ == "__main__":
    harness.main()
