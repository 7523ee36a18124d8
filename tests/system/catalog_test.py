#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The catalog and trust, with real files, processes, keys and signatures: what is registered is
what runs, whose word counts, and that neither a crash nor a thief changes a version."""

import json
import os
import pathlib
import shutil
import subprocess
import time

import harness
from harness import SystemTest, settings, until


class CatalogTest(SystemTest):
    """A broker that runs releases only. `bad_plugin` says whatever name and version it is told."""

    def start_broker(self):
        self.plugins = self.broker.directory / "releases"
        self.plugins.mkdir(mode=0o755)
        self.broker.plugins = self.plugins
        self.broker.development = []
        for name in ("kv", "bad"):
            self.install(name)
        self.broker.start()

    def install(self, name, tail=b""):
        """A copy of a plugin's program; `tail` makes another file of it that does the same."""
        source = pathlib.Path(settings.plugins) / "kv"
        if name.startswith("bad"):
            source = pathlib.Path(settings.bad_plugins) / "bad_plugin"
        target = self.plugins / name
        new = self.plugins / (name + ".new")
        new.write_bytes(source.read_bytes() + tail)
        new.chmod(0o755)
        new.rename(target)
        return target

    def register(self, version, name="bad", *words):
        return self.broker.ok("plugin", "register", f"{name}@{version}", "--command", "bad",
                              "--arg", f"version={version}", "--arg", f"name={name}",
                              *words).json["release"]

    def versions(self, path):
        now = self.broker.status(path)
        return now["plugin_version"], now["version_wanted"]

    def local(self, *words):
        """`bulkhead` without a broker: keys and signatures."""
        done = subprocess.run([settings.bulkhead, *[str(word) for word in words]],
                              capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode())

    def key(self, name):
        file = self.broker.directory / name
        self.local("key", "generate", file)
        return file

    def trust(self, key, *words):
        return self.broker.ok("key", "trust", f"{key}.pub", "--name", key.name,
                              *words).json["key"]["id"]

    def sign(self, name, version, *keys, words=()):
        file = self.plugins / name
        self.local("plugin", "manifest", file, "--kind", "generic", "--name", name, "--version",
                   version, "--force", *words)
        for number, key in enumerate(keys):
            self.local("key", "sign", "--key", key, *(["--add"] if number else []), file)
        return file


class Catalog(CatalogTest):

    def test_a_release_is_registered_mounted_and_shown(self):
        release = self.broker.ok("plugin", "register", "kv").json["release"]
        self.assertEqual((release["kind"], release["name"]), ("secrets", "kv"))
        self.assertEqual(len(release["sha256"]), 64)
        self.assertTrue(release["preferred"])
        self.broker.ok("mount", "kv/", "secrets/kv")
        now = self.broker.status("kv/")
        self.assertEqual(now["sha256"], release["sha256"])
        self.assertEqual(now["kind"], "secrets")
        self.assertFalse(now["unregistered"])
        self.broker.ok("write", "kv/app", "user=ada")
        listed = self.broker.ok("plugin", "list").json["releases"]
        self.assertEqual([each["used_by"] for each in listed], [["kv/"]])

    def test_a_file_that_nobody_registered_is_not_mounted(self):
        answer = self.broker.cli("mount", "kv/", "kv")
        self.assert_says(answer, 4, "there is no plugin 'kv'", "plugin register")

    def test_the_same_again_is_a_success_and_other_bytes_are_refused(self):
        first = self.register("1.0.0")
        self.assertEqual(self.register("1.0.0"), first)
        self.install("bad", b"other")
        answer = self.broker.cli("plugin", "register", "bad@1.0.0", "--arg", "version=1.0.0",
                                 "--arg", "name=bad")
        self.assert_says(answer, 1, "is registered", "never changes")

    def test_what_says_another_name_or_version_is_refused(self):
        answer = self.broker.cli("plugin", "register", "bad@2.0.0", "--arg", "version=1.0.0")
        self.assert_says(answer, 1, "another version", "1.0.0, not 2.0.0")
        answer = self.broker.cli("plugin", "register", "bad", "--arg", "name=good")
        self.assert_says(answer, 1, "another name")
        answer = self.broker.cli("plugin", "register", "auth/bad")
        self.assert_says(answer, 1, "another kind")

    def test_a_slow_or_silent_plugin_holds_up_nobody(self):
        began = time.monotonic()
        slow = [self.broker.begin("plugin", "register", "bad", "--arg", f"mode={mode}")
                for mode in ("never-hello", "hangs-in-hello", "slow-start")]
        self.broker.ok("plugin", "register", "kv")
        self.broker.ok("mount", "kv/", "kv")
        self.broker.ok("write", "kv/a", "b=c")
        self.assertLess(time.monotonic() - began, harness.seconds(4))
        codes = []
        for each in slow:
            each.communicate()
            codes.append(each.returncode)
        self.assertEqual(codes, [1, 1, 0])
        self.assertEqual(len(harness.processes_of(self.plugins)), 1)

    def test_the_order_of_versions_and_the_pin(self):
        for version in ("1.9.0", "1.10.0", "2.0.0-rc.1"):
            self.register(version)
        self.broker.ok("mount", "any/", "bad")
        self.broker.ok("mount", "old/", "bad@1.9.0")
        self.assertEqual(self.versions("any/"), ("1.10.0", "1.10.0"))
        self.assertEqual(self.versions("old/"), ("1.9.0", "1.9.0"))
        self.broker.ok("plugin", "pin", "bad@2.0.0-rc.1")
        self.assertEqual(self.versions("old/"), ("1.9.0", "2.0.0-rc.1"))
        self.broker.ok("reload", "--plugin", "bad")
        self.assertEqual(self.versions("any/"), ("2.0.0-rc.1", "2.0.0-rc.1"))
        self.assertEqual(self.versions("old/"), ("2.0.0-rc.1", "2.0.0-rc.1"))
        self.assert_says(self.broker.cli("plugin", "deregister", "bad@2.0.0-rc.1"), 3, "is pinned")
        self.broker.ok("plugin", "unpin", "bad")
        self.broker.ok("restart", "old/")
        self.assertEqual(self.versions("old/"), ("1.9.0", "1.9.0"))

    def test_P07_every_mount_of_a_program_is_a_process_of_its_own(self):
        self.register("1.0.0")
        self.register("1.1.0")
        self.broker.ok("mount", "a/", "bad@1.0.0")
        self.broker.ok("mount", "b/", "bad@1.0.0", "--option", "mode=echo")
        self.broker.ok("mount", "c/", "bad@1.0.0", "--option", "mode=echo")
        self.broker.ok("mount", "d/", "bad@1.1.0", "--option", "mode=echo")
        pids = {self.broker.status(path)["pid"] for path in ("a/", "b/", "c/", "d/")}
        self.assertEqual(len(pids), 4)

    def test_a_release_in_use_stays_and_the_refusal_names_the_mounts(self):
        self.register("1.0.0")
        self.broker.ok("mount", "a/", "bad")
        self.broker.ok("mount", "b/", "bad")
        self.register("1.1.0")
        answer = self.broker.cli("plugin", "deregister", "bad@1.0.0")
        self.assert_says(answer, 3, "is in use", "a/, b/")
        self.broker.ok("reload", "--plugin", "bad")
        self.broker.ok("plugin", "deregister", "bad@1.0.0")
        self.assertEqual(len(self.broker.ok("plugin", "list").json["releases"]), 1)

    def test_P06_neither_a_crash_nor_a_new_broker_upgrades_anybody(self):
        self.register("1.0.0")
        self.broker.ok("mount", "m/", "bad")
        self.register("1.1.0")
        self.broker.ok("kill", "m/", "KILL")
        until("it runs again", lambda: self.broker.status("m/")["generation"] == 2 and
              self.broker.status("m/")["state"] == "ready")
        self.assertEqual(self.versions("m/"), ("1.0.0", "1.1.0"))
        self.broker.kill()
        self.broker.start()
        self.broker.wait_state("m/", "ready")
        self.assertEqual(self.versions("m/"), ("1.0.0", "1.1.0"))
        self.broker.ok("reload", "m/")
        self.assertEqual(self.versions("m/"), ("1.1.0", "1.1.0"))
        self.broker.kill()
        self.broker.start()
        self.broker.wait_state("m/", "ready")
        self.assertEqual(self.versions("m/"), ("1.1.0", "1.1.0"))

    def test_a_mount_is_tuned_to_another_version(self):
        self.register("1.0.0")
        self.register("1.1.0")
        self.broker.ok("mount", "m/", "bad")
        self.assertEqual(self.versions("m/"), ("1.1.0", "1.1.0"))
        self.assertEqual(self.broker.cli("tune", "m/", "--version", "3.0.0").code, 4)
        self.broker.ok("tune", "m/", "--version", "1.0.0")
        self.assertEqual(self.versions("m/"), ("1.1.0", "1.0.0"))
        self.broker.ok("reload", "m/")
        self.broker.ok("tune", "m/", "--version", "", "--reload")
        self.assertEqual(self.versions("m/"), ("1.1.0", "1.1.0"))

    def test_a_reload_names_no_version_but_the_one_that_it_takes(self):
        self.register("1.0.0")
        self.broker.ok("mount", "m/", "bad")
        self.register("1.1.0")
        answer = self.broker.cli("reload", "m/", "--version", "1.0.0")
        self.assertEqual(answer.code, 1)
        self.assertIn("its next release is 1.1.0", answer.out)
        self.broker.ok("reload", "m/", "--version", "1.1.0")

    def test_a_reload_to_a_release_that_fails_leaves_the_old_one(self):
        self.register("1.0.0")
        self.broker.ok("mount", "m/", "bad")
        self.register("1.1.0", "bad", "--arg", "mode=fails-mount")
        answer = self.broker.cli("reload", "m/")
        self.assertEqual(answer.code, 1)
        self.assertEqual(self.versions("m/"), ("1.0.0", "1.1.0"))
        self.assertEqual(self.broker.status("m/")["state"], "ready")


class Trust(CatalogTest):

    def test_a_file_that_was_swapped_after_registration_does_not_run(self):
        release = self.register("1.0.0")
        self.broker.ok("mount", "m/", "bad")
        self.install("bad", b"swapped")
        # From memory these are still the bytes that were registered.
        self.broker.ok("restart", "m/")
        self.assertEqual(self.broker.status("m/")["sha256"], release["sha256"])
        self.broker.kill()
        self.broker.start()
        now = self.broker.wait_state("m/", "quarantined")
        self.assertIn("was not started", now["reason"])
        self.install("bad")
        self.broker.ok("reset", "m/")
        self.assertEqual(self.broker.status("m/")["state"], "ready")

    def test_a_file_that_is_gone_quarantines_its_mount_and_stops_nobody_else(self):
        self.register("1.0.0")
        self.broker.ok("plugin", "register", "kv")
        self.broker.ok("mount", "m/", "bad")
        self.broker.ok("mount", "kv/", "kv")
        self.broker.kill()
        (self.plugins / "bad").unlink()
        self.broker.start()
        self.broker.wait_state("kv/", "ready")
        now = self.broker.wait_state("m/", "quarantined")
        self.assertIn("was not started", now["reason"])

    def test_with_a_trusted_key_unsigned_releases_are_refused(self):
        self.register("1.0.0")
        self.broker.ok("mount", "m/", "bad")
        key = self.key("ci")
        self.trust(key)
        self.assertEqual(self.broker.status("m/")["state"], "ready")  # until its next start
        answer = self.broker.cli("plugin", "register", "kv")
        self.assertEqual(answer.code, 6, repr(answer))
        self.assertIn("signature", answer.err)
        self.broker.ok("kill", "m/", "KILL")
        self.assertIn("not signed", self.broker.wait_state("m/", "quarantined")["reason"])
        self.broker.ok("key", "policy", "generic", "optional")
        self.broker.ok("reset", "m/")

    def test_a_signed_release_runs_and_an_edited_manifest_does_not(self):
        key = self.key("ci")
        identity = self.trust(key)
        file = self.sign("bad", "0.0.1", key, words=["--security-version", "3"])
        release = self.broker.ok("plugin", "register", "bad").json["release"]
        self.assertEqual(release["signed_by"], [identity])
        self.assertEqual(release["security_version"], 3)
        self.broker.ok("mount", "m/", "bad")
        self.assertEqual(self.broker.status("m/")["signed_by"], [identity])
        self.broker.ok("unmount", "m/")
        self.broker.ok("plugin", "deregister", "bad@0.0.1")
        manifest = pathlib.Path(f"{file}.manifest")
        manifest.write_text(manifest.read_text().replace("security-version: 3",
                                                         "security-version: 9"))
        answer = self.broker.cli("plugin", "register", "bad")
        self.assertEqual(answer.code, 6, repr(answer))

    def test_times_of_a_manifest_count_until_the_mount_says_other(self):
        file = self.install("bad")
        self.local("plugin", "manifest", file, "--kind", "generic", "--name", "bad", "--version",
                   "0.0.1", "--limit", "call-ms=300", "--limit", "start-ms=400")
        self.broker.ok("plugin", "register", "bad")
        self.broker.ok("mount", "m/", "bad")
        answer = self.broker.cli("write", "m/a", "mode=never-answers", output="table")
        self.assertEqual(answer.code, 7, repr(answer))
        self.assertIn("300 ms", answer.err)
        self.broker.ok("tune", "m/", "--call-max", "700ms")
        answer = self.broker.cli("write", "m/a", "mode=never-answers", output="table")
        self.assertIn("700 ms", answer.err)
        self.broker.ok("tune", "m/", "--call-max", "0s")
        answer = self.broker.cli("write", "m/a", "mode=never-answers", output="table")
        self.assertIn("300 ms", answer.err)
        slow = ("mount", "slow/", "bad", "--option", "mode=slow-mount", "--option", "ms=600")
        answer = self.broker.cli(*slow, output="table")
        self.assertIn("was not ready within 400 ms", answer.err)
        self.broker.ok(*slow, "--start-max", "5s")

    def test_a_signature_of_other_bytes_or_an_unknown_key_is_refused(self):
        key, stranger = self.key("ci"), self.key("stranger")
        self.trust(key)
        self.sign("bad", "0.0.1", stranger)
        self.assertEqual(self.broker.cli("plugin", "register", "bad").code, 6)
        self.sign("bad", "0.0.1", key)
        self.install("bad", b"other bytes")
        self.assertEqual(self.broker.cli("plugin", "register", "bad").code, 6)

    def test_a_revoked_key_stops_its_mounts_and_is_never_taken_again(self):
        key, other = self.key("ci"), self.key("next")
        self.trust(key)
        self.trust(other)
        self.sign("bad", "0.0.1", key)
        self.broker.ok("plugin", "register", "bad")
        self.broker.ok("mount", "m/", "bad")
        shutil.copy(self.plugins / "bad", self.plugins / "bad2")
        self.local("plugin", "manifest", self.plugins / "bad2", "--kind", "generic", "--name",
                   "bad2", "--version", "0.0.1")
        self.local("key", "sign", "--key", key, self.plugins / "bad2")
        self.local("key", "sign", "--key", other, "--add", self.plugins / "bad2")
        self.broker.ok("plugin", "register", "bad2", "--arg", "name=bad2")
        self.broker.ok("mount", "both/", "bad2")
        pid = self.broker.status("m/")["pid"]
        answer = self.broker.ok("key", "untrust", "ci", "--revoke", "--reason", "stolen").json
        self.assertEqual(answer["affected"], ["m/"])
        now = self.broker.status("m/")
        self.assertEqual(now["state"], "quarantined")
        self.assertIn("revoked", now["reason"])
        self.assertFalse(pathlib.Path(f"/proc/{pid}").exists())
        self.assertEqual(self.broker.status("both/")["state"], "ready")
        self.broker.ok("restart", "both/")
        self.assertEqual(self.broker.cli("key", "trust", f"{key}.pub").code, 3)
        self.broker.kill()
        self.broker.start()
        self.broker.wait_state("m/", "quarantined")
        self.broker.wait_state("both/", "ready")

    def test_a_revoked_key_stops_nobody_whom_it_never_signed(self):
        self.register("1.0.0")
        self.broker.ok("mount", "m/", "bad")
        pid = self.broker.status("m/")["pid"]
        self.trust(self.key("ci"))
        self.assert_says(self.broker.cli("key", "untrust", "", "--revoke"), 2, "is no key")
        answer = self.broker.ok("key", "untrust", "ci", "--revoke").json
        self.assertEqual(answer["affected"], [])
        now = self.broker.status("m/")
        self.assertEqual((now["state"], now["pid"]), ("ready", pid))

    def test_a_release_below_the_floor_does_not_start_any_more(self):
        key = self.key("ci")
        self.trust(key)
        self.sign("bad", "1.0.0", key, words=["--security-version", "1"])
        words = ["--arg", "name=bad", "--arg"]
        self.broker.ok("plugin", "register", "bad@1.0.0", *words, "version=1.0.0")
        self.sign("bad", "1.1.0", key, words=["--security-version", "2"])
        self.broker.ok("plugin", "register", "bad@1.1.0", *words, "version=1.1.0")
        self.broker.ok("mount", "old/", "bad@1.0.0")
        self.broker.ok("mount", "new/", "bad@1.1.0")
        floors = self.broker.ok("key", "list").json["trust"]["floors"]
        self.assertEqual([each["security_version"] for each in floors], [2])
        answer = self.broker.cli("mount", "again/", "bad@1.0.0")
        self.assertEqual(answer.code, 1, repr(answer))
        self.broker.cli("restart", "old/")
        self.assertIn("security", self.broker.wait_state("old/", "quarantined")["reason"])
        refusals = {each["version"]: each["refusal"]
                    for each in self.broker.ok("plugin", "list").json["releases"]}
        self.assertEqual(refusals["1.1.0"], "")
        self.assertIn("security", refusals["1.0.0"])

    def test_links_lead_nowhere(self):
        outside = self.broker.directory / "outside"
        shutil.copy(self.plugins / "bad", outside)
        for name, target in {"absolute": outside, "upward": "../outside", "beside": "bad",
                             "kernel": "/proc/self/exe"}.items():
            (self.plugins / name).symlink_to(target)
            answer = self.broker.cli("plugin", "register", "bad", "--command", name)
            self.assert_says(answer, answer.code or 1, "link")
        (self.plugins / "tree").symlink_to(self.broker.directory)
        for command in ("tree/outside", "../outside", str(outside)):
            answer = self.broker.cli("plugin", "register", "bad", "--command", command)
            self.assertNotEqual(answer.code, 0, f"{command}: {answer!r}")
        self.assertEqual(self.broker.ok("plugin", "list").json["releases"], [])

    def test_what_is_written_by_another_name_of_the_file_does_not_run(self):
        outside = self.broker.directory / "outside"
        os.link(self.plugins / "bad", outside)
        self.register("1.0.0")
        self.broker.ok("mount", "m/", "bad")
        self.broker.kill()
        with outside.open("ab") as file:
            file.write(b"more")
        self.broker.start()
        self.assertIn("was not started", self.broker.wait_state("m/", "quarantined")["reason"])
        outside.chmod(0o777)
        answer = self.broker.cli("plugin", "register", "bad@2.0.0", "--arg", "version=2.0.0")
        self.assert_says(answer, answer.code or 1, "writ")

    def test_companions_that_are_links_are_not_followed(self):
        key = self.key("ci")
        self.trust(key)
        file = self.sign("bad", "0.0.1", key)
        for suffix in (".manifest", ".manifest.minisig"):
            companion = pathlib.Path(f"{file}{suffix}")
            away = self.broker.directory / companion.name
            companion.rename(away)
            companion.symlink_to(away)
            answer = self.broker.cli("plugin", "register", "bad")
            self.assertNotEqual(answer.code, 0, repr(answer))
            companion.unlink()
            away.rename(companion)
        self.broker.ok("plugin", "register", "bad")

    def test_a_signature_cut_short_is_refused_wherever_it_is_cut(self):
        key = self.key("ci")
        self.trust(key)
        signature = pathlib.Path(f"{self.sign('bad', '0.0.1', key)}.manifest.minisig")
        whole = signature.read_bytes()
        lines = [at + 1 for at, byte in enumerate(whole) if byte == 0x0a]
        for length in sorted({0, 1, *lines[:-1], *(end - 2 for end in lines), len(whole) // 2}):
            signature.write_bytes(whole[:length])
            answer = self.broker.cli("plugin", "register", "bad")
            self.assertIn(answer.code, (1, 6), f"{length} bytes: {answer!r}")
            self.assert_says(answer, answer.code, "sign" if length else "empty")
        signature.write_bytes(whole)
        self.broker.ok("plugin", "register", "bad")

    def test_a_release_outside_its_time_is_refused(self):
        key = self.key("ci")
        self.trust(key)
        for words, said in ((["--not-before", "2020-01-01", "--expires", "2021-01-01"], "expired"),
                            (["--not-before", "2990-01-01"], "not valid yet")):
            self.sign("bad", "0.0.1", key, words=words)
            answer = self.broker.cli("plugin", "register", "bad")
            self.assertEqual(answer.code, 6, repr(answer))
            self.assertIn(said, answer.err)

    def test_a_key_signs_only_what_it_may(self):
        key = self.key("ci")
        self.trust(key, "--plugins", "secrets/*")
        self.sign("bad", "0.0.1", key)
        self.assertEqual(self.broker.cli("plugin", "register", "bad").code, 6)

    def test_development_is_said_loudly_and_the_catalog_wins_there_too(self):
        self.broker.kill()
        self.broker.development = ["--unregistered"]
        self.broker.start()
        self.assertIn("UNREGISTERED PLUGINS MAY RUN", self.broker.log)
        self.assertTrue(self.broker.ok("key", "list").json["trust"]["development"])
        self.broker.ok("mount", "file/", "bad")
        self.assertTrue(self.broker.status("file/")["unregistered"])
        self.broker.ok("plugin", "register", "bad")
        self.broker.ok("mount", "release/", "bad")
        self.assertFalse(self.broker.status("release/")["unregistered"])
        events = json.dumps(self.broker.ok("events").json)
        self.assertIn("development", events)


if __name__ == "__main__":
    os.umask(0o022)
    harness.main()
