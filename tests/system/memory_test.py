#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What has passed through the broker is not to be found in its memory afterwards. A secret is
written and read by way of a plugin that stores it, encrypted; a few calls later the whole memory of
the broker's process, as root sees it, is searched for it. That the search finds what is there is
shown by an option of a mount, which the broker holds on to."""

import os
import secrets
import subprocess
import unittest

import harness

calls_after = 50  # through the buffers of the same connections, which are not given back


def places_in_memory(pid, needle):
    """In how many of the process's mappings it is."""
    places = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, \
            open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if "w" not in rights:
                continue
            first, last = (int(each, 16) for each in span.split("-"))
            memory.seek(first)
            try:
                places += needle.encode() in memory.read(last - first)
            except OSError:
                continue  # a guard page
    return places


@unittest.skipUnless(os.geteuid() == 0, "only root can read the memory of a broker")
class Memory(harness.SystemTest):
    def start_broker(self):
        keys = self.broker.directory / "keys"
        subprocess.run([harness.settings.bulkheadd, "--new-state-key", str(keys)], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.broker.flags = ["--state-key", str(keys)]
        self.broker.start()

    def test_a_secret_that_was_stored_and_read_is_gone(self):
        held, stored = secrets.token_hex(20), secrets.token_hex(20)
        self.broker.ok("mount", "held/", "bad_plugin", "--option", f"mode={held}")
        self.broker.ok("mount", "kv/", "kv")
        self.broker.ok("write", "kv/secret", f"password={stored}")
        self.assertIn(stored, self.broker.ok("read", "kv/secret").out)
        for n in range(calls_after):
            self.broker.ok("write", "kv/other", f"password={n:040}")
            self.broker.ok("read", "kv/other")
        self.assertGreater(places_in_memory(self.broker.pid, held), 0)
        harness.until("it is gone", lambda: not places_in_memory(self.broker.pid, stored))


    def test_the_keys_of_the_state_are_kept_out_of_swap(self):
        with open(f"/proc/{self.broker.pid}/status", encoding="utf-8") as status:
            locked, = (line.split()[1] for line in status if line.startswith("VmLck:"))
        self.assertGreater(int(locked), 0)


if __name__ == "__main__":
    harness.main()
