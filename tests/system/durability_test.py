#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged is there after `kill -9` of the broker, at any moment; no plugin outlives
the broker; one broker per socket and state; nobody else reads or reaches either."""

import os
import pathlib
import random
import shutil
import stat
import subprocess
import threading
import time

import harness

kills_full = 200
kills_small = 15
kills_encrypted_full = 60
kills_encrypted_small = 8
keys_max = 12
load_s_max = 0.25
keys = 20
outlive_s_max = 1.0
other_uid = 65534


class Load:
    """Writes and mounts until the broker is gone, remembering what was acknowledged."""

    def __init__(self, broker, values, mounted, seed):
        self.values = values  # key: (the value acknowledged, the value tried)
        self.mounted = mounted  # path: True, False, or None while a change is under way
        self.random = random.Random(seed)
        self.writes = self.changes = 0
        self.scripts = [harness.Script(broker), harness.Script(broker)]
        self.threads = [threading.Thread(target=self.write), threading.Thread(target=self.change)]
        for thread in self.threads:
            thread.start()

    def write(self):
        while True:
            key = f"key-{self.random.randrange(keys)}"
            acknowledged, tried = self.values.get(key, (0, 0))
            self.values[key] = (acknowledged, tried + 1)
            if not isinstance(self.scripts[0].ask(f"write kv/{key} n:={tried + 1}"), dict):
                return
            self.values[key] = (tried + 1, tried + 1)
            self.writes += 1

    def change(self):
        while True:
            for path in self.mounted:
                there, self.mounted[path] = self.mounted[path], None
                order = f"unmount {path}" if there else f"mount {path} bad_plugin"
                if not isinstance(self.scripts[1].ask(order), dict):
                    return
                self.mounted[path] = not there
                self.changes += 1

    def join(self):
        for thread in self.threads:
            thread.join()
        for script in self.scripts:
            script.close()


class Killed(harness.SystemTest):
    def kills(self):
        return harness.scale(kills_full, kills_small)

    def between_lives(self, moments):
        """What an operator may do while the broker is down."""

    def check(self, values, mounted, generation):
        """Compares what is there with what was acknowledged; returns kv's generation."""
        listed = {each["path"] for each in self.broker.ok("mounts").json["mounts"]}
        self.assertIn("kv/", listed)
        for path, there in mounted.items():
            if there is None:
                mounted[path] = path in listed
            else:
                self.assertEqual(path in listed, there, f"{path}, of {listed}")
        script = harness.Script(self.broker)
        for key, (acknowledged, tried) in values.items():
            answer = script.ask(f"read kv/{key}")
            if acknowledged == 0 and isinstance(answer, str) and "the plugin says" in answer:
                continue
            self.assertIsInstance(answer, dict, f"{key} {acknowledged} {answer}")
            value = answer["fields"]["n"]
            self.assertTrue(acknowledged <= value <= tried,
                            f"{key}: {value}, acknowledged {acknowledged}, tried {tried}")
            values[key] = (value, tried)
        script.close()
        now = self.broker.status("kv/")["generation"]
        self.assertGreater(now, generation, "generations never repeat")
        return now

    def test_nothing_acknowledged_is_lost_when_the_broker_is_killed_at_random_moments(self):
        self.broker.ok("mount", "kv/", "kv")
        values, mounted, generation = {}, {"m/a/": False, "m/b/": False, "m/c/": False}, 1
        kills = self.kills()
        seed = random.randrange(1 << 30)
        print(f"seed {seed}, {kills} kills", flush=True)
        moments = random.Random(seed)
        writes = changes = 0
        longest_s = 0.0
        for _ in range(kills):
            load = Load(self.broker, values, mounted, moments.random())
            time.sleep(moments.uniform(0, harness.seconds(load_s_max)))
            self.broker.kill()
            killed = time.monotonic()
            harness.until("no plugin outlives the broker",
                          lambda: not harness.processes_of(self.broker.plugins), outlive_s_max)
            longest_s = max(longest_s, time.monotonic() - killed)
            load.join()
            writes += load.writes
            changes += load.changes
            self.between_lives(moments)
            self.broker.start()  # on the socket that the dead one left
            generation = self.check(values, mounted, generation)
        print(f"{writes} writes and {changes} changes of mounts were acknowledged; the last plugin "
              f"outlived a broker by {longest_s:.2f} s", flush=True)
        self.assertGreater(writes, kills)
        self.assertGreater(changes, 0)
        self.assertEqual(self.broker.stop(), 0)


class KilledEncrypted(Killed):
    """The same on an encrypted state, whose key changes now and then: a broker is also killed while
    it encrypts anew what older keys encrypted."""

    def kills(self):
        return harness.scale(kills_encrypted_full, kills_encrypted_small)

    def start_broker(self):
        self.keys = self.broker.directory / "keys"
        self.add_key()
        self.broker.flags = ["--state-key", str(self.keys)]
        self.broker.start()

    def add_key(self):
        subprocess.run([harness.settings.bulkheadd, "--new-state-key", self.keys], check=True,
                       stdout=subprocess.DEVNULL, timeout=harness.seconds(20))

    def between_lives(self, moments):
        if moments.random() < 0.3 and len(self.keys.read_text().splitlines()) <= keys_max:
            self.add_key()


class Alone(harness.SystemTest):
    def refused(self, **changes):
        done = subprocess.run(self.broker.popen(**changes), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=harness.seconds(20), check=False)
        self.assertEqual(done.returncode, 1, done.stderr.decode())
        self.assertIn(b"error: ", done.stderr)
        return done.stderr.decode()

    def test_a_second_broker_on_the_same_socket_is_refused_by_name(self):
        text = self.refused(state=self.broker.directory / "state-2")
        self.assertIn(str(self.broker.socket), text)
        self.assertEqual(self.broker.cli("mounts").code, 0)

    def test_a_second_broker_on_the_same_state_is_refused_by_name(self):
        text = self.refused(socket=self.broker.directory / "socket-2")
        self.assertIn(str(self.broker.state), text)
        self.assertEqual(self.broker.cli("mounts").code, 0)

    def test_a_missing_plugin_directory_is_refused_by_name(self):
        text = self.refused(plugins="/nonexistent/plugins", state=self.broker.directory / "3",
                            socket=self.broker.directory / "socket-3")
        self.assertIn("/nonexistent/plugins", text)
        self.assertIn("try: ", text)

    def test_state_and_socket_are_the_owner_s_alone(self):
        self.broker.ok("mount", "kv/", "kv")
        self.assertEqual(stat.S_IMODE(self.broker.state.stat().st_mode), 0o700)
        for file in self.broker.state.iterdir():
            self.assertEqual(stat.S_IMODE(file.stat().st_mode) & 0o077, 0, file)
        self.assertEqual(stat.S_IMODE(self.broker.socket.stat().st_mode), 0o600)

    def as_other(self):
        file = self.broker.directory / "bulkhead"
        if not file.exists():
            shutil.copy(harness.settings.bulkhead, file)
            file.chmod(0o755)
        done = subprocess.run([file, "--address", self.broker.address, "mounts"],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=harness.seconds(20), user=other_uid, group=other_uid,
                              extra_groups=[], cwd="/")
        return harness.Answer(["mounts"], done.returncode, done.stdout.decode(),
                              done.stderr.decode())

    def test_another_user_is_refused_by_the_socket_and_by_the_broker(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to become another user")
        self.broker.directory.chmod(0o755)
        answer = self.as_other()
        self.assertIn(answer.code, (5, 6), repr(answer))
        self.assertIn("Permission denied", answer.err)
        self.broker.socket.chmod(0o666)  # what the kernel says of the peer decides, not the mode
        self.assert_says(self.as_other(), 6, f"{other_uid}")
        self.assertEqual(self.broker.cli("mounts").code, 0)

    def test_a_client_without_a_broker_is_told_where_it_looked(self):
        self.broker.kill()
        answer = self.broker.cli("mounts")
        self.assert_says(answer, 5, str(self.broker.socket), "why: ", "try: start bulkheadd")
        pathlib.Path(self.broker.socket).unlink()
        self.assert_says(self.broker.cli("mounts"), 5, str(self.broker.socket))


if __name__ == "__main__":
    harness.main()
