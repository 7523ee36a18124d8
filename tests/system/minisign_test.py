#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys and signatures go both ways between `bulkhead` and `minisign`, Debian's package.

Needs no broker. A machine without minisign fails here: what is not tried is not known to work."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness


class Minisign(unittest.TestCase):
    def setUp(self):
        self.assertTrue(shutil.which("minisign"), "install it: apt-get install minisign")
        place = tempfile.TemporaryDirectory(prefix="bulkhead-minisign-")
        self.addCleanup(place.cleanup)
        self.folder = pathlib.Path(place.name)
        (self.folder / "kv").write_text("#!/bin/sh\nexit 0\n")
        self.bulkhead("plugin", "manifest", "kv", "--kind", "secrets", "--version", "1.0.0")

    def run_in_folder(self, words, code):
        done = subprocess.run(words, cwd=self.folder, stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        self.assertEqual(done.returncode, code, done.stdout)
        return done.stdout

    def bulkhead(self, *words, code=0):
        return self.run_in_folder([harness.settings.bulkhead, *words], code)

    def minisign(self, *words, code=0):
        return self.run_in_folder(["minisign", *words], code)

    def test_minisign_verifies_what_bulkhead_signed(self):
        self.bulkhead("key", "generate", "our.key", "--name", "a name")
        self.bulkhead("key", "sign", "--key", "our.key", "kv")
        said = self.minisign("-V", "-p", "our.key.pub", "-m", "kv.manifest")
        self.assertIn("Signature and comment signature verified", said)
        self.assertIn("file:kv.manifest", said)
        manifest = self.folder / "kv.manifest"
        manifest.write_text(manifest.read_text().replace("1.0.0", "1.0.1"))
        self.minisign("-V", "-p", "our.key.pub", "-m", "kv.manifest", code=1)

    def test_bulkhead_verifies_what_minisign_signed_in_both_kinds(self):
        self.minisign("-G", "-W", "-p", "their.pub", "-s", "their.key")
        for kind in [], ["-l"]:
            with self.subTest(kind=kind):
                self.minisign("-S", *kind, "-s", "their.key", "-m", "kv.manifest",
                              "-t", "a comment of theirs")
                said = self.bulkhead("key", "verify", "--key", "their.pub", "kv")
                self.assertIn("comment  a comment of theirs", said)

    def test_each_uses_the_other_ones_secret_key(self):
        self.bulkhead("key", "generate", "our.key")
        self.minisign("-S", "-s", "our.key", "-m", "kv.manifest")
        self.bulkhead("key", "verify", "--key", "our.key.pub", "kv")
        self.minisign("-G", "-W", "-p", "their.pub", "-s", "their.key")
        self.bulkhead("key", "sign", "--key", "their.key", "kv")
        self.minisign("-V", "-p", "their.pub", "-m", "kv.manifest")

    def test_each_signature_of_several_satisfies_minisign_by_itself(self):
        for name in "a", "b":
            self.bulkhead("key", "generate", f"{name}.key")
            self.bulkhead("key", "sign", "--add", "--key", f"{name}.key", "kv")
        lines = (self.folder / "kv.manifest.minisig").read_text().splitlines(keepends=True)
        self.assertEqual(len(lines), 8)
        for name, block in ("a", lines[:4]), ("b", lines[4:]):
            (self.folder / "one.minisig").write_text("".join(block))
            self.minisign("-V", "-p", f"{name}.key.pub", "-m", "kv.manifest", "-x", "one.minisig")


if __name__ == "__main__":
    harness.main()
