#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mounts that cannot be, and plugins that never become ready: each is refused by name, in time,
leaves no process, no mount and no hold on its path; a neighbour answers all the while."""

import concurrent.futures
import time

import harness
from harness import settings

start_limit_s = 5  # start_ms_max

# Mode, the most seconds until the refusal, and what a person reads.
never_ready = {
    "never-hello": (10, ["was not ready within 5000 ms", "waiting for the answer to hello"]),
    "hangs-in-hello": (10, ["was not ready within 5000 ms", "waiting for the answer to hello"]),
    "hangs-in-mount": (10, ["was not ready within 5000 ms", "being mounted"]),
    "truncated-frame": (10, ["was not ready within 5000 ms"]),
    "exit-0": (4, ["exited with status 0 while waiting for the answer to hello"]),
    "exit-7": (4, ["exited with status 7", "bad_plugin: exiting with 7"]),
    "crash-in-hello": (4, ["was killed by SIGSEGV while waiting for the answer to hello"]),
    "abort-in-mount": (4, ["was killed by SIGABRT while being mounted"]),
    "wrong-protocol": (4, ["this plugin speaks protocol 900 only"]),
    "lies-about-protocol": (4, ["it chose 900, the broker speaks 1 to 1"]),
    "bad-name": (4, ["gave a name that is none", "[a-z0-9][a-z0-9_-]*"]),
    "garbage": (4, ["broke the protocol", "segments, 512 allowed"]),
    "evil-frame": (4, ["broke the protocol", "segments, 512 allowed"]),
    "huge-frame": (4, ["broke the protocol", "bytes, 33554432 allowed"]),
    "closes-fd3": (4, ["closed its link and lived on"]),
    "fails-mount": (4, ["failed while being mounted", "does not like the mount"]),
    "no-backend": (4, ["offers nothing to call"]),
}


class NeverReady(harness.NeighbourTest):
    """All modes are mounted at once, side by side with the neighbour; each test looks at one."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()

        def mount(mode):
            began = time.monotonic()
            answer = cls.broker.cli("mount", f"bad/{mode}/", f"bad_plugin-{mode}")
            return answer, time.monotonic() - began

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            cls.answers = dict(zip(never_ready, pool.map(mount, never_ready)))

    def check(self, mode):
        limit_s, texts = never_ready[mode]
        answer, took_s = self.answers[mode]
        self.assert_says(answer, 1, f"'bad/{mode}/' is not mounted", "\n  try: ", *texts)
        self.assertLess(took_s, harness.seconds(limit_s + 2))

    def test_afterwards_there_is_no_mount_no_process_and_no_taken_path(self):
        mounts = self.broker.ok("mounts").json["mounts"]
        self.assertEqual([each["path"] for each in mounts], ["neighbour/"])
        harness.until("only the neighbour's process runs",
                      lambda: len(harness.processes_of(self.broker.plugins)) == 1)
        self.broker.ok("mount", "bad/", "bad_plugin")
        self.broker.ok("unmount", "bad/")
        self.assertEqual([byte for byte in self.broker.log if byte < " " and byte != "\n"], [],
                         "the daemon's log is escaped")

    def test_the_neighbour_answered_all_the_while(self):
        self.assertEqual(self.neighbour.failures, [])
        self.assertGreater(self.neighbour.calls, 100 if not settings.sanitized else 10)

    def test_L14_a_plugin_without_our_protocol_fails_its_start_by_that_name(self):
        for mode in ("wrong-protocol", "lies-about-protocol"):
            self.check(mode)

    def test_a_start_that_failed_starts_one_process_only(self):
        # The mount is not kept, so a second instance would be started to be killed.
        self.assertEqual(self.broker.log.count("(instance 2)"), 0)


harness.test_each(NeverReady, never_ready, NeverReady.check,
                  "test_a_plugin_that_does_{}_is_refused_by_name")


class NotMounted(harness.SystemTest):
    def test_a_plugin_that_is_not_there_is_not_found(self):
        answer = self.broker.cli("mount", "a/", "nothere")
        self.assert_says(answer, 4, "there is no plugin 'nothere'", "why: the plugin directory",
                         "try: ls ")

    def test_a_file_that_is_not_executable_is_no_plugin(self):
        (self.broker.plugins / "text").write_text("hello")
        answer = self.broker.cli("mount", "a/", "text")
        self.assert_says(answer, 1, "'text' is no plugin", "why:", "try: chmod +x")

    def test_an_executable_that_is_no_program_is_refused_by_name(self):
        file = self.broker.plugins / "noise"
        file.write_bytes(b"\x7fELF is all that is right\n" * 3)
        file.chmod(0o755)
        answer = self.broker.cli("mount", "a/", "noise")
        self.assert_says(answer, 1, "'a/' is not mounted", "noise")

    def test_a_plugin_outside_the_directory_cannot_be_named(self):
        for name in ("/bin/true", "../plugins/kv", ".", "", "a/b"):
            self.assert_says(self.broker.cli("mount", "a/", name), 1, "is no plugin", "why:")

    def test_a_path_that_is_taken_or_overlaps_is_refused(self):
        self.broker.ok("mount", "team/kv/", "kv")
        self.assert_says(self.broker.cli("mount", "team/kv", "calc"), 1,
                         "'team/kv/' is not free", "why: there is a mount at this path", "try:")
        for path in ("team/", "team/kv/deep/"):
            self.assert_says(self.broker.cli("mount", path, "calc"), 1, "is not free",
                             "why: the mount 'team/kv/' overlaps with it", "try:")
        self.broker.ok("mount", "team/kvx/", "kv")

    def test_a_path_that_is_none_is_refused(self):
        for path in ("", "/", "a b/", "../x/", "a//b/", "ä/", "x" * 300, "a\x1b[31m/"):
            self.assert_says(self.broker.cli("mount", path, "kv"), 1, "is no mount path", "why:",
                             "try: ")

    def test_an_unknown_option_is_refused_by_the_plugin_s_words(self):
        answer = self.broker.cli("mount", "a/", "kv", "--option", "colour=green")
        self.assert_says(answer, 1, "'a/' is not mounted", "colour")
        answer = self.broker.cli("mount", "a/", "bad_plugin", "--option", "colour=green")
        self.assert_says(answer, 1, "the plugin has no option 'colour'")

    def test_an_option_given_twice_or_without_a_value_is_refused(self):
        answer = self.broker.cli("mount", "a/", "bad_plugin", "--option", "ms=1", "--option",
                                 "ms=2")
        self.assert_says(answer, 1, "option 'ms' is given twice")
        self.assert_says(self.broker.cli("mount", "a/", "kv", "--option", "ms"), 2, "NAME=VALUE")

    def test_a_plugin_that_starts_slowly_within_the_limit_is_mounted(self):
        began = time.monotonic()
        self.broker.ok("mount", "slow/", "bad_plugin-slow-start")
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertEqual(self.broker.status("slow/")["state"], "ready")


if __name__ == "__main__":
    harness.main()
