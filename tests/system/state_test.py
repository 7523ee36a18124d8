#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The state as an operator meets it: encrypted with a key file, backed up while it is used, put
back, judged; and on a disk that is full, of which the broker recovers without a restart."""

import contextlib
import os
import subprocess
import threading

import harness


class StateTest(harness.SystemTest):
    """Each test starts the broker when it has said how."""

    def start_broker(self):
        self.keys = self.broker.directory / "keys"

    def daemon(self, *words):
        """`bulkheadd` for something that ends by itself."""
        done = subprocess.run([harness.settings.bulkheadd, *map(str, words)],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=harness.seconds(60))
        words = list(map(str, words))
        return harness.Answer(words, done.returncode, done.stdout.decode(), done.stderr.decode())

    def refused(self, *words):
        """A daemon that does not start; what it says."""
        command = self.broker.popen()
        return self.daemon(*command[1:], *words)

    def encrypt(self):
        self.assertEqual(self.daemon("--new-state-key", self.keys).code, 0)
        self.broker.flags = ["--state-key", str(self.keys)]

    def files(self):
        return b"".join(file.read_bytes() for file in self.broker.state.iterdir())


class Encrypted(StateTest):
    def test_what_plugins_store_is_not_in_the_files(self):
        self.encrypt()
        self.broker.start()
        self.broker.ok("mount", "kv/", "kv")
        self.broker.ok("write", "kv/app", "colour=unfindable-green")
        self.assertNotIn(b"unfindable-green", self.files())
        self.broker.kill()
        self.assertNotIn(b"unfindable-green", self.files())
        self.broker.start()
        self.assertIn("unfindable-green", self.broker.ok("read", "kv/app").out)

    def test_a_state_does_not_start_without_its_key_or_with_another_one(self):
        self.encrypt()
        self.broker.start()
        self.broker.ok("mount", "kv/", "kv")
        self.broker.ok("write", "kv/app", "colour=green")
        self.assertEqual(self.broker.stop(), 0, self.broker.log)
        self.broker.flags = []
        answer = self.refused()
        self.assert_says(answer, 1, "encrypted with the key", "--state-key")
        self.daemon("--new-state-key", self.broker.directory / "other")
        answer = self.refused("--state-key", self.broker.directory / "other")
        self.assert_says(answer, 1, "encrypted with the key", str(self.broker.directory / "other"))
        self.keys.chmod(0o644)
        self.assert_says(self.refused("--state-key", self.keys), 1, "0644", "chmod 600")
        self.keys.chmod(0o400)
        self.broker.flags = ["--state-key", str(self.keys)]
        self.broker.start()
        self.assertIn("green", self.broker.ok("read", "kv/app").out)

    def test_a_plain_state_is_encrypted_while_it_is_used(self):
        self.broker.start()
        self.broker.ok("mount", "kv/", "kv")
        for i in range(30):
            self.broker.ok("write", f"kv/k{i}", f"word=plain-word-{i}")
        self.assertEqual(self.broker.stop(), 0, self.broker.log)
        self.assertIn(b"plain-word-7", self.files())
        self.encrypt()
        self.broker.start()
        self.assertIn("plain-word-7", self.broker.ok("read", "kv/k7").out)
        self.broker.ok("rotate-state-key")  # answers when everything is encrypted
        self.assertEqual(self.broker.stop(), 0, self.broker.log)
        self.assertNotIn(b"plain-word", self.files())

    def test_a_new_key_is_taken_and_the_old_one_may_go(self):
        self.encrypt()
        self.broker.start()
        self.broker.ok("mount", "kv/", "kv")
        self.broker.ok("write", "kv/app", "colour=green")
        self.daemon("--new-state-key", self.keys)
        answer = self.broker.ok("rotate-state-key")
        self.assertGreater(answer.json["rewritten"], 0)
        lines = self.keys.read_text().splitlines(keepends=True)
        self.keys.write_text(lines[0] + lines[2])
        self.assertEqual(self.broker.stop(), 0, self.broker.log)
        self.broker.start()
        self.assertIn("green", self.broker.ok("read", "kv/app").out)

    def test_rotation_of_a_plain_state_is_refused(self):
        self.broker.start()
        self.assert_says(self.broker.cli("rotate-state-key"), 1, "not encrypted", "--state-key")

    def test_a_credential_of_systemd_is_the_key(self):
        self.daemon("--new-state-key", self.broker.directory / "bulkhead-state-key")
        os.environ["CREDENTIALS_DIRECTORY"] = str(self.broker.directory)
        self.addCleanup(os.environ.pop, "CREDENTIALS_DIRECTORY")
        self.broker.start()
        self.broker.ok("mount", "kv/", "kv")
        self.broker.ok("write", "kv/app", "colour=unfindable-green")
        self.assertNotIn(b"unfindable-green", self.files())


class Backup(StateTest):
    def fill(self):
        self.encrypt()
        self.broker.start()
        self.broker.ok("mount", "kv/", "kv")
        self.broker.ok("write", "kv/app", "colour=green")

    @contextlib.contextmanager
    def writing(self):
        """Somebody writes all the time, and every write succeeds."""
        ended, answers = threading.Event(), []

        def write():
            script = harness.Script(self.broker)
            while not ended.is_set():
                answers.append(script.ask(f"write kv/load n:={len(answers)}"))
            script.close()

        writer = threading.Thread(target=write)
        writer.start()
        harness.until("somebody writes", lambda: answers)
        yield
        ended.set()
        writer.join()
        self.assertTrue(all(isinstance(answer, dict) for answer in answers), answers[-3:])

    def test_a_backup_that_was_made_under_load_is_put_back(self):
        self.fill()
        copy = self.broker.directory / "copy.db"
        with self.writing():
            made = self.broker.ok("backup", str(copy)).json
        self.assertEqual(made["bytes"], copy.stat().st_size)
        self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
        self.broker.ok("write", "kv/app", "colour=red")
        self.broker.ok("kill", "kv/", "KILL")
        self.broker.wait_state("kv/", "ready")
        generation = self.broker.status("kv/")["generation"]
        self.assertEqual(self.broker.stop(), 0, self.broker.log)

        checked = self.daemon("--check-state", copy, "--state-key", self.keys)
        self.assertEqual(checked.code, 0, repr(checked))
        self.assertIn(f"revision   {made['revision']}\n", checked.out)
        self.assertIn("every value was decrypted", checked.out)

        state = ["--state", self.broker.state]
        self.assert_says(self.daemon("--restore", copy, *state), 1, "there is a state", "--force")
        restored = self.daemon("--restore", copy, "--force", *state)
        self.assertEqual(restored.code, 0, repr(restored))
        self.broker.start()
        self.assertIn("green", self.broker.ok("read", "kv/app").out)
        self.assertGreater(self.broker.status("kv/")["generation"], generation)
        aside = [file.name for file in self.broker.state.iterdir() if "before-restore" in file.name]
        self.assertEqual(len(aside), 1)

    def test_refusals_have_names_and_change_nothing(self):
        self.fill()
        copy = self.broker.directory / "copy.db"
        self.broker.ok("backup", str(copy))
        self.assert_says(self.broker.cli("backup", str(copy)), 1, str(copy), "of that name")
        nowhere = str(self.broker.directory / "none" / "copy.db")
        self.assert_says(self.broker.cli("backup", nowhere), 1, nowhere)
        state = ["--state", self.broker.state]
        self.assert_says(self.daemon("--restore", copy, "--force", *state), 1, "in use",
                         str(self.broker.pid))
        self.assert_says(self.daemon("--check-state", self.broker.state / "bulkhead.db"), 1,
                         "in use")
        self.assertIn("green", self.broker.ok("read", "kv/app").out)
        self.broker.stop()
        damaged = self.broker.directory / "damaged.db"
        damaged.write_bytes(copy.read_bytes()[:-4096])
        elsewhere = self.broker.directory / "elsewhere"
        answer = self.daemon("--restore", damaged, "--state", elsewhere)
        self.assert_says(answer, 1, str(damaged), "damaged")
        self.assertFalse((elsewhere / "bulkhead.db").exists())
        self.assertEqual(self.daemon("--restore", copy, "--state", elsewhere).code, 0)


class FullDisk(StateTest):
    def test_a_full_disk_refuses_writes_serves_reads_and_recovers(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to mount a small disk")
        self.broker.state.mkdir(mode=0o700)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs",
                                  str(self.broker.state)], check=False)
        if mounted.returncode != 0:
            self.skipTest("no tmpfs can be mounted here")
        self.addCleanup(self.unmount)
        self.encrypt()
        self.broker.start()
        self.broker.ok("mount", "kv/", "kv")
        self.broker.ok("write", "kv/app", "colour=green")
        filler = self.broker.state / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        answer = harness.until("a write is refused", lambda: self.refused_write(), 20)
        self.assert_says(answer, 1, "is full", "free space")
        self.assertIn("green", self.broker.ok("read", "kv/app").out)
        self.assertEqual(self.broker.status("kv/")["state"], "ready")
        filler.unlink()
        self.broker.ok("write", "kv/app", "colour=red")
        self.assertIn("red", self.broker.ok("read", "kv/app").out)
        self.broker.kill()
        self.broker.start()
        self.assertIn("red", self.broker.ok("read", "kv/app").out)

    def refused_write(self):
        answer = self.broker.cli("write", "kv/large", "text=" + "y" * 60_000)
        return answer if answer.code != 0 else None

    def unmount(self):
        self.broker.close()
        subprocess.run(["umount", "-l", str(self.broker.state)], check=False)


if __name__ == "__main__":
    harness.main()
