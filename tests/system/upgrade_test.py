#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Upgrades of what a plugin stores, with real processes: every way in which a migration ends, the
way back, and the broker's own death in the middle."""

import pathlib
import shutil

import harness
from harness import SystemTest, settings, until


class Upgrade(SystemTest):
    """`bad_plugin` stores one key, and counts its layouts as its arguments say."""

    def start_broker(self):
        self.plugins = self.broker.directory / "releases"
        self.plugins.mkdir(mode=0o755)
        shutil.copy(pathlib.Path(settings.bad_plugins) / "bad_plugin", self.plugins / "bad")
        (self.plugins / "bad").chmod(0o755)
        self.broker.plugins = self.plugins
        self.broker.development = []
        self.broker.start()
        self.register("1.0.0", 1)
        self.broker.ok("mount", "m/", "bad")

    def register(self, version, storage, mode="echo"):
        self.broker.ok("plugin", "register", f"bad@{version}", "--command", "bad",
                       "--arg", f"version={version}", "--arg", "name=bad",
                       "--arg", f"storage={storage}", "--arg", f"mode={mode}")

    def now(self):
        status = self.broker.status("m/")
        return status["state"], status["plugin_version"], status["storage_version"]

    def events(self):
        return [each["name"] for each in self.broker.ok("events").json["events"]]

    def test_an_upgrade_and_the_way_back(self):
        self.assertEqual(self.now(), ("ready", "1.0.0", 1))
        self.assert_says(self.broker.cli("rollback", "m/"), 3, "there is no snapshot")
        self.register("2.0.0", 2)
        self.broker.ok("reload", "m/")
        self.assertEqual(self.now(), ("ready", "2.0.0", 2))
        self.assertTrue(self.broker.status("m/")["snapshot"].startswith("1.0.0, "))
        self.broker.kill()
        self.broker.start()
        self.broker.wait_state("m/", "ready")
        self.assertEqual(self.now(), ("ready", "2.0.0", 2))
        answer = self.broker.ok("rollback", "m/")
        self.assertIn("it is back at 1.0.0, ", answer.err)
        self.assertIn("what was stored since is lost", answer.err)
        self.assertEqual(self.now(), ("ready", "1.0.0", 1))
        self.assertEqual(self.broker.status("m/")["snapshot"], "")

    def test_a_migration_that_fails_or_dies_leaves_the_release_before(self):
        for version, mode, words in (("2.0.0", "fails-migrate", "does not like the storage"),
                                     ("2.0.1", "crashes-in-migrate", "SIGSEGV")):
            self.register(version, 2, mode)
            answer = self.broker.cli("reload", "m/")
            self.assertEqual(answer.code, 1)
            self.assertIn(words, answer.out)
            self.assertEqual(self.now(), ("ready", "1.0.0", 1))
        self.register("2.0.2", 2)
        self.broker.ok("reload", "m/")
        self.assertEqual(self.now(), ("ready", "2.0.2", 2))

    def test_a_broker_that_dies_in_a_migration_puts_the_storage_back(self):
        self.register("2.0.0", 2, "hangs-in-migrate")
        reload = self.broker.begin("reload", "m/")
        until("it migrates", lambda: "migrating" in self.events())
        self.broker.kill()
        reload.communicate()
        self.broker.start()
        self.broker.wait_state("m/", "ready")
        self.assertEqual(self.now(), ("ready", "1.0.0", 1))

    def test_an_older_release_is_not_started_on_newer_storage(self):
        self.register("2.0.0", 2)
        self.broker.ok("reload", "m/")
        self.broker.ok("tune", "m/", "--version", "1.0.0")
        answer = self.broker.cli("reload", "m/")
        self.assertEqual(answer.code, 1)
        self.assertIn("the storage is version 2, this plugin knows 1", answer.out)
        self.assertIn("bulkhead rollback m/ returns to 1.0.0, ", answer.out)
        self.assertEqual(self.now(), ("ready", "2.0.0", 2))
        self.broker.ok("rollback", "m/")
        self.assertEqual(self.now(), ("ready", "1.0.0", 1))

    def test_a_mount_in_quarantine_has_its_storage_back(self):
        self.register("2.0.0", 2, "crashes-in-migrate")
        self.broker.cli("restart", "m/")
        self.broker.wait_state("m/", "quarantined")
        until("the storage is back", lambda: "storage_restored" in self.events())
        self.assertEqual(self.broker.status("m/")["storage_version"], 1)
        self.broker.ok("tune", "m/", "--version", "1.0.0")
        self.broker.ok("reset", "m/")
        self.assertEqual(self.now(), ("ready", "1.0.0", 1))

    def test_a_mount_that_is_stopped_in_a_migration_has_its_storage_back(self):
        self.register("2.0.0", 2, "hangs-in-migrate")
        reload = self.broker.begin("reload", "m/")
        until("it migrates", lambda: "migrating" in self.events())
        self.broker.ok("stop", "m/")
        reload.communicate()
        until("the storage is back", lambda: "storage_restored" in self.events())
        self.assertEqual(self.broker.status("m/")["state"], "stopped")
        self.assertEqual(self.broker.status("m/")["storage_version"], 1)


if __name__ == "__main__":
    harness.main()
