#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manners of the daemon: what it writes, and what it does not let hold it up."""

import fcntl
import os

import harness

f_setpipe_sz = 1031  # F_SETPIPE_SZ, which Python 3.9 does not name
page_bytes = 4096
restarts = 40  # more events than a pipe of a page holds


class Stderr(harness.SystemTest):
    def start_broker(self):
        self.reader, writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        fcntl.fcntl(writer, f_setpipe_sz, page_bytes)
        self.broker.start(stderr=writer)
        os.close(writer)

    def test_a_stderr_that_nobody_reads_holds_nothing_up(self):
        self.broker.ok("mount", "kv/", "kv")
        for _ in range(restarts):
            self.broker.ok("restart", "kv/")
        self.assertEqual(self.broker.status("kv/")["state"], "ready")
        self.assertEqual(self.broker.stop(), 0)
        self.assertGreater(len(os.read(self.reader, 2 * page_bytes)), page_bytes - 256,
                           "the pipe was full, or this test proves nothing")


class Log(harness.SystemTest):
    def test_what_happened_before_the_daemon_listened_is_in_its_log_too(self):
        self.broker.ok("mount", "kv/", "kv")
        self.assertEqual(self.broker.stop(), 0)
        kept = len(self.broker.log)
        (self.broker.plugins / "kv").unlink()
        self.broker.start()
        again = self.broker.log[kept:]
        self.assertIn("starting kv/ first start", again)
        names = [each["name"] for each in self.broker.ok("events").json["events"]]
        # What is no event: that it listens, and that it is a broker for development.
        logged = [line.split(" ")[0] for line in again.splitlines()
                  if not line.startswith(("bulkheadd ", "UNREGISTERED ", "UNCONFINED"))]
        self.assertEqual(logged[:len(names)], names[:len(logged)])


if __name__ == "__main__":
    harness.main()
