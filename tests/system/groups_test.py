#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon's configuration, and groups of mounts: who is restarted with whom, in which order, how
a group gives up and is brought back, and that others do not notice."""

import subprocess
import unittest

import harness
from harness import settings

config_text = """
[limits]
clients_max = 77

[group.all]
strategy = "one_for_all"
intensity = 2

[group.rest]
strategy = "rest_for_one"
after = ["all"]

[group.outer]
strategy = "one_for_all"

[group.inner]
strategy = "one_for_all"
intensity = 0
parent = "outer"
"""


class Configuration(unittest.TestCase):
    def setUp(self):
        self.broker = harness.Broker()
        self.addCleanup(self.broker.close)
        self.file = self.broker.directory / "bulkhead.toml"

    def check(self, text):
        self.file.write_text(text)
        done = subprocess.run([settings.bulkheadd, "--config", self.file, "--check"],
                              capture_output=True, check=False, timeout=harness.seconds(10))
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def test_a_good_file_is_said_to_be_good_and_starts_nothing(self):
        self.assertEqual(self.check(config_text), (0, f"{self.file}: good, 4 groups\n", ""))

    def test_a_key_that_is_not_known_is_refused_by_its_line(self):
        code, out, err = self.check("[limits]\nclients_mx = 3\n")
        self.assertEqual((code, out), (1, ""))
        self.assertIn(f"error: {self.file}:2: limit 'clients_mx' is not known", err)
        self.assertIn("try:  did you mean 'clients_max'?", err)

    def test_L17_a_cycle_is_refused_and_named(self):
        code, _, err = self.check("".join(
            f"[group.g{i}]\nafter = [\"g{(i + 1) % 20}\"]\n" for i in range(20)))
        self.assertEqual(code, 1)
        self.assertIn("g0 -> g1 -> g2 ->", err)

    def test_a_file_that_is_not_there_is_told(self):
        done = subprocess.run([settings.bulkheadd, "--config", "/nonexistent.toml"],
                              capture_output=True, check=False, timeout=harness.seconds(10))
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"/nonexistent.toml cannot be read", done.stderr)

    def test_the_file_says_where_the_broker_lives_and_what_it_allows(self):
        self.file.write_text(f'socket = "{self.broker.socket}"\nstate = "{self.broker.state}"\n'
                             f'plugins = "{self.broker.plugins}"\n' + config_text)
        self.broker.command = [settings.bulkheadd, "--unregistered", "--unconfined", "--config",
                               str(self.file)]
        self.broker.start()
        limits = {each["name"]: each["value"] for each in self.broker.ok("limits").json["limits"]}
        self.assertEqual(limits["clients_max"], 77)


class Groups(harness.SystemTest):
    def start_broker(self):
        file = self.broker.directory / "bulkhead.toml"
        file.write_text(config_text)
        self.broker.flags = ["--config", str(file)]
        self.broker.start()
        self.neighbour = harness.Neighbour(self.broker)
        self.addCleanup(self.neighbour.stop)

    def mount(self, group, *paths):
        for path in paths:
            self.broker.ok("mount", path, "kv", "--group", group)

    def generations(self, *paths):
        return [self.broker.status(path)["generation"] for path in paths]

    def kill(self, path):
        self.broker.ok("kill", path)

    def await_generations(self, expected):
        def there():
            found = {path: self.broker.status(path) for path in expected}
            return all(now["state"] == "ready" and now["generation"] == expected[path]
                       for path, now in found.items())
        harness.until(f"generations are {expected}", there)

    def events_of(self, *paths):
        events = self.broker.ok("events").json["events"]
        return [(each["mount"], each["name"]) for each in events if each["mount"] in paths]

    def check_neighbour(self):
        self.assertEqual(self.neighbour.failures, [])
        self.assertEqual(self.broker.status("neighbour/")["generation"], 1)

    def test_D02_one_for_all_restarts_all_in_order(self):
        self.mount("all", "a/", "b/", "c/")
        before = len(self.events_of("a/", "b/", "c/"))
        self.kill("b/")
        self.await_generations({"a/": 2, "b/": 2, "c/": 2})
        events = self.events_of("a/", "b/", "c/")[before:]
        stops = [path for path, name in events if name == "stopping"]
        starts = [path for path, name in events if name == "starting"]
        self.assertEqual(stops, ["c/", "a/"])
        self.assertEqual(starts, ["a/", "b/", "c/"])
        for path in ("a/", "b/", "c/"):
            self.broker.ok("write", path + "app", "colour=green")
        self.assertIn("restarts with its group", self.broker.ok("why", "b/").out)
        self.check_neighbour()

    def test_D04_L18_rest_for_one_restarts_what_came_after(self):
        self.mount("rest", "a/", "b/", "c/")
        self.kill("b/")
        self.await_generations({"a/": 1, "b/": 2, "c/": 2})
        self.kill("c/")
        self.await_generations({"a/": 1, "b/": 2, "c/": 3})
        self.kill("a/")
        self.await_generations({"a/": 2, "b/": 3, "c/": 4})
        self.check_neighbour()

    def test_a_group_that_gives_up_is_quarantined_and_reset_brings_all_back(self):
        self.mount("all", "a/", "b/")
        for generation in (2, 3):
            self.kill("a/")
            self.await_generations({"a/": generation, "b/": generation})
        self.kill("a/")
        for path in ("a/", "b/"):
            self.broker.wait_state(path, "quarantined")
            self.assert_says(self.broker.cli("read", path + "x"), 3, "is quarantined")
        self.assertIn("more than 2 restarts within 30 s", self.broker.status("a/")["reason"])
        self.broker.ok("reset", "b/")
        self.await_generations({"a/": 4, "b/": 4})
        self.check_neighbour()

    def test_calls_wait_while_a_group_restarts(self):
        self.mount("all", "a/", "b/")
        self.broker.ok("write", "b/app", "colour=green")
        self.kill("a/")
        self.assertEqual(self.broker.ok("read", "b/app").json["fields"]["colour"], "green")

    def test_an_inner_group_that_gives_up_takes_its_parent_along(self):
        self.mount("outer", "a/")
        self.mount("inner", "b/", "c/")
        self.kill("b/")
        self.await_generations({"a/": 2, "b/": 2, "c/": 2})
        self.check_neighbour()

    def test_an_unmount_and_a_broker_s_restart_keep_groups_as_they_are(self):
        self.mount("rest", "z/", "a/")
        self.mount("all", "m/")
        self.broker.ok("unmount", "z/")
        self.mount("rest", "y/")
        self.assertEqual(self.broker.stop(), 0)
        self.broker.start()
        for path in ("m/", "a/", "y/"):
            self.broker.wait_state(path, "ready")
        ready = [path for path, name in self.events_of("m/", "a/", "y/") if name == "ready"]
        self.assertEqual(ready, ["m/", "a/", "y/"])
        generation = self.generations("y/")[0]
        self.kill("a/")
        self.await_generations({"y/": generation + 1})

    def test_a_mount_that_fails_to_start_in_a_group_is_refused_and_disturbs_nobody(self):
        self.mount("all", "a/")
        answer = self.broker.cli("mount", "b/", "bad_plugin-exit-7", "--group", "all")
        self.assert_says(answer, 1, "'b/' is not mounted", "exited with status 7")
        self.assert_says(self.broker.cli("mount", "b/", "kv", "--group", "nosuch"), 1,
                         "there is no group 'nosuch'")
        self.assertEqual(self.generations("a/"), [1])
        self.mount("all", "b/")

    def test_the_tree_shows_groups_their_strategy_and_their_restarts(self):
        self.mount("all", "a/", "b/")
        self.mount("inner", "c/")
        self.kill("a/")
        self.await_generations({"a/": 2, "b/": 2})
        text = self.broker.ok("tree", output="table").out
        self.assertIn("all (group) running: one_for_all, 1 of 2 restarts in 30 s, 2 mounts", text)
        self.assertRegex(text, r"(?s)outer \(group\).*inner \(group\).*c/ \(mount\)")


if __name__ == "__main__":
    harness.main()
