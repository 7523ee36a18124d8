#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The declared state, with a real daemon and a real file: what a start, `config apply` and SIGHUP
make of it, what is pruned, and what nobody touches."""

import os
import pathlib
import signal
import subprocess

import harness
from harness import SystemTest, settings, until

two_releases = """
[[release]]
kind = "generic"
name = "bad"
version = "1.0.0"
arguments = ["name=bad", "version=1.0.0"]

[[release]]
kind = "generic"
name = "bad"
version = "1.1.0"
arguments = ["name=bad", "version=1.1.0"]
"""

one_mount = """
[mount."m/"]
plugin = "bad"
version = "1.0.0"
"""


class Declared(SystemTest):
    """A broker that runs releases only, and has a configuration file."""

    def start_broker(self):
        self.broker.development = []
        self.broker.plugins = self.broker.directory / "releases"
        self.broker.plugins.mkdir(mode=0o755)
        for name, source in (("bad", settings.bad_plugins + "/bad_plugin"),
                             ("kv", settings.plugins + "/kv")):
            target = self.broker.plugins / name
            target.write_bytes(pathlib.Path(source).read_bytes())
            target.chmod(0o755)
        self.file = self.broker.directory / "bulkhead.toml"
        self.broker.flags = ["--config", str(self.file)]
        self.say(two_releases, one_mount)
        self.broker.start()
        self.broker.wait_state("m/", "ready")

    def say(self, *texts):
        self.file.write_text("".join(texts))

    def changes(self, *words):
        """(exit code, ["mount kv/", ...]) of `config WORDS`; " !" marks what has a problem."""
        answer = self.broker.cli("config", *words)
        return answer.code, [f"{each['action']} {each['target']}{' !' * bool(each['problem'])}"
                             for each in answer.json["changes"]]

    def version(self, path):
        now = self.broker.status(path)
        return now and now["plugin_version"]

    def events(self, name):
        return [each["reason"] for each in self.broker.ok("events").json["events"]
                if each["name"] == name]

    def test_a_start_brings_what_the_file_says_and_the_next_start_changes_nothing(self):
        self.assertEqual(self.version("m/"), "1.0.0")
        self.assertTrue(self.broker.status("m/")["declared"])
        listed = self.broker.ok("plugin", "list").json["releases"]
        self.assertEqual([each["declared"] for each in listed], [True, True])
        self.assertEqual(self.changes("diff"), (0, []))
        shown = self.broker.ok("config", "show").json
        self.assertEqual([each["path"] for each in shown["mounts"]], ["m/"])
        generation = self.broker.status("m/")["generation"]
        self.assertEqual(self.changes("apply"), (0, []))
        self.assertEqual(self.broker.status("m/")["generation"], generation)
        self.broker.kill()
        self.broker.start()
        self.broker.wait_state("m/", "ready")
        self.assertEqual(self.changes("diff"), (0, []))

    def test_an_edit_is_shown_applied_and_applied_only_once(self):
        self.say(two_releases, one_mount.replace("1.0.0", "1.1.0"),
                 "[mount.more]\nplugin = \"bad\"\n")
        self.assertEqual(self.changes("diff"), (0, ["mount more/", "tune m/"]))
        self.assertEqual(self.version("m/"), "1.0.0")
        self.assertEqual(self.changes("apply"), (0, ["mount more/", "tune m/"]))
        self.assertEqual((self.version("m/"), self.version("more/")), ("1.1.0", "1.1.0"))
        self.assertEqual(self.changes("apply"), (0, []))

    def test_SIGHUP_applies_the_file(self):
        self.say(two_releases, one_mount.replace("1.0.0", "1.1.0"))
        self.broker.process.send_signal(signal.SIGHUP)
        until("the new version runs", lambda: self.version("m/") == "1.1.0")
        self.assertIn("SIGHUP received", self.broker.log)

    def test_a_broken_file_on_SIGHUP_changes_nothing_and_is_an_event(self):
        self.say("[mount.m]\nplugn = \"bad\"\n")
        self.broker.process.send_signal(signal.SIGHUP)
        until("the file is refused", lambda: self.events("config_refused"))
        self.assertIn(f"{self.file}:2: key of a mount 'plugn' is not known",
                      self.events("config_refused")[0])
        self.assertEqual(self.version("m/"), "1.0.0")
        answer = self.broker.cli("config", "apply", "--prune")
        self.assert_says(answer, 1, "key of a mount 'plugn' is not known", "did you mean 'plugin'?")
        self.assertEqual(self.broker.stop(), 0)

    def test_what_is_no_file_is_refused_and_holds_nothing_up(self):
        for make in (lambda: os.mkfifo(self.file), self.file.mkdir):
            self.file.unlink()
            make()
            self.assert_says(self.broker.cli("config", "apply", "--prune"), 1, "cannot be read")
            self.assertEqual(self.version("m/"), "1.0.0")
        daemon = subprocess.run([settings.bulkheadd, "--config", self.file, "--check"],
                                capture_output=True, check=False)
        self.assertEqual(daemon.returncode, 1)
        self.broker.process.send_signal(signal.SIGHUP)
        until("the directory is refused", lambda: self.events("config_refused"))
        listed = self.broker.ok("plugin", "list").json["releases"]
        self.assertEqual([each["declared"] for each in listed], [True, True])
        self.assertEqual(self.broker.stop(), 0)

    def test_a_mount_that_an_operator_moved_keeps_its_data(self):
        self.broker.ok("move", "m/", "n/")
        self.assertEqual(self.changes("apply", "--prune"), (1, ["mount m/ !"]))
        self.assertEqual(self.version("n/"), "1.0.0")
        self.say(two_releases, one_mount.replace("m/", "n/"))
        self.assertEqual(self.changes("apply"), (0, ["tune n/"]))
        self.assertEqual(self.changes("diff", "--prune"), (0, []))

    def test_a_start_with_what_cannot_be_applied_starts_the_rest(self):
        self.broker.kill()
        self.say(two_releases, "[mount.a]\nplugin = \"bad\"\nversion = \"9.9.9\"\n", one_mount,
                 "[mount.b]\nplugin = \"bad\"\n")
        self.broker.start()
        self.broker.wait_state("m/", "ready")
        self.broker.wait_state("b/", "ready")
        self.assertEqual(self.changes("diff"), (0, ["mount a/"]))
        self.assertTrue(any("mount a/" in each for each in self.events("config_problem")))
        code, done = self.changes("apply")
        self.assertEqual((code, done), (1, ["mount a/ !"]))

    def test_an_edit_before_a_start_reloads_the_mount_that_just_starts(self):
        self.broker.kill()
        self.say(two_releases, one_mount.replace("1.0.0", "1.1.0"))
        self.broker.start()
        until("the new version runs", lambda: self.version("m/") == "1.1.0")

    def test_what_the_file_lists_no_more_goes_only_when_pruned(self):
        self.broker.ok("plugin", "register", "kv")
        self.broker.ok("mount", "mine/", "kv")
        self.broker.ok("write", "mine/app", "user=ada")
        self.say(two_releases, "[mount.\"mine/\"]\nplugin = \"kv\"\n")
        self.assertEqual(self.changes("apply"), (1, ["mount mine/ !", "keep m/"]))
        self.say(two_releases)
        self.assertEqual(self.changes("apply"), (0, ["keep m/"]))
        self.assertEqual(self.version("m/"), "1.0.0")
        self.say("")
        code, done = self.changes("apply", "--prune")
        self.assertEqual((code, sorted(done)), (0, ["deregister generic/bad@1.0.0",
                                                    "deregister generic/bad@1.1.0", "unmount m/"]))
        self.assertIsNone(self.broker.status("m/"))
        self.assertIn("ada", self.broker.ok("read", "mine/app").out)
        listed = self.broker.ok("plugin", "list").json["releases"]
        self.assertEqual([each["name"] for each in listed], ["kv"])

    def test_a_limit_takes_a_new_start_and_is_said_to(self):
        self.say("[limits]\ncall_ms_max = 12345\n", two_releases, one_mount)
        self.assertEqual(self.changes("diff"), (0, ["configure limits.call_ms_max"]))
        self.assertEqual(self.changes("apply"), (0, ["configure limits.call_ms_max"]))
        self.assertEqual(self.events("config_problem"), [])

    def test_check_judges_a_file_without_a_broker(self):
        check = [settings.bulkhead, "config", "check", str(self.file)]
        done = subprocess.run(check, capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout.decode()),
                         (0, f"{self.file}: good, 0 groups, 2 releases, 1 mount\n"))
        self.say("[mount.m]\n")
        done = subprocess.run(check, capture_output=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{self.file}:1: the mount 'm' names no plugin", done.stderr.decode())
        daemon = subprocess.run([settings.bulkheadd, "--config", self.file, "--check"],
                                capture_output=True, check=False)
        self.assertEqual(daemon.returncode, 1)

    def test_a_broker_without_a_file_ignores_SIGHUP_and_says_that_nothing_is_declared(self):
        self.broker.kill()
        self.broker.flags = []
        self.broker.start()
        self.broker.process.send_signal(signal.SIGHUP)
        self.broker.wait_state("m/", "ready")
        self.assert_says(self.broker.cli("config", "diff"), 3, "nothing is declared")


if __name__ == "__main__":
    os.umask(0o022)
    harness.main()
