#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Connections to the outside: a confined plugin without a network asks a server on a real socket,
through the connection that the broker makes for it, and reaches nothing that was not granted."""

import os
import signal
import socket
import threading

import harness
from harness import SystemTest, until


class Server(threading.Thread):
    """Whois as RFC 3912 has it: a line in, text out, and the connection closes. A question for
    "silence" is not answered; `gone` says when the one who asked it went."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.questions = []
        self.gone = threading.Event()

    def run(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, client.makefile("rb") as lines:
            question = lines.readline().decode().strip()
            self.questions.append(question)
            if question == "silence":
                lines.read()
                self.gone.set()
            else:
                client.sendall(f"{question} is known here\n".encode() * 5000)

    def stop(self):
        if self.socket.fileno() >= 0:
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Outbound(SystemTest):
    def start_broker(self):
        self.broker.confinement = ["--profile", "strict-unprivileged"]
        self.server = Server()
        self.server.start()
        self.addCleanup(self.server.stop)
        super().start_broker()

    def mount(self, *flags):
        self.broker.ok("mount", "whois/", "whois", "--option", f"server={self.server.address}",
                       *flags)

    def outside(self):
        return self.broker.ok("status").json["broker"]

    def test_a_granted_address_is_reached_from_within_all_walls(self):
        self.mount("--grant", f"net:{self.server.address}")
        self.assertIn(f"net:{self.server.address}",
                      self.broker.status("whois/")["confinement"]["grants"])
        answer = self.broker.ok("read", "whois/domain/example").json["fields"]["answer"]
        self.assertEqual(answer, "example is known here\n" * 5000)
        self.assertEqual(self.server.questions, ["example"])

    def test_what_is_not_granted_is_not_even_tried(self):
        self.mount("--grant", "net:127.0.0.1:1")
        answer = self.broker.cli("read", "whois/domain/example", output="table")
        self.assertNotEqual(answer.code, 0)
        self.assertIn("no operator has granted it", answer.err)
        self.assertEqual(self.server.questions, [])
        before = self.broker.status("whois/")
        self.broker.ok("tune", "whois/", "--grant", f"net:{self.server.address}")
        self.broker.ok("read", "whois/domain/example")
        now = self.broker.status("whois/")
        self.assertEqual((now["pid"], now["generation"]), (before["pid"], before["generation"]))

    def test_a_grant_that_is_taken_away_ends_what_is_open_and_leaves_the_process(self):
        self.mount("--grant", f"net:{self.server.address}")
        before = self.broker.status("whois/")
        asking = self.broker.begin("read", "whois/domain/silence")
        until("the question is there", lambda: self.server.questions)
        self.assertEqual(self.outside()["connections_out"], 1)
        tuned = self.broker.ok("tune", "whois/", "--grant", "").json["mount"]["confinement"]
        self.assertTrue(self.server.gone.wait(harness.seconds(5)))
        _, said = asking.communicate(timeout=harness.seconds(10))
        self.assertNotEqual(asking.returncode, 0)
        self.assertIn("its grant was taken away", said.decode())
        again = self.broker.cli("read", "whois/domain/example", output="table")
        self.assertIn("no operator has granted it", again.err)
        self.assertEqual(self.server.questions, ["silence"])

        now = self.broker.status("whois/")
        self.assertEqual((now["pid"], now["generation"]), (before["pid"], before["generation"]))
        for shown in (tuned, now["confinement"]):
            self.assertFalse(shown["grants"])
            self.assertFalse(shown["pending"])
        outside = self.outside()
        self.assertEqual((outside["connections_out"], outside["connections_revoked"]), (0, 1))
        events = self.broker.ok("events", output="table").out
        self.assertIn("1 taken away (ended 1 connection)", events)
        # The same address granted anew may be used again.
        self.broker.ok("tune", "whois/", "--grant", f"net:{self.server.address}")
        self.broker.ok("read", "whois/domain/example")

    def test_an_address_where_nobody_listens_fails_by_its_reason(self):
        port = self.server.address
        self.server.stop()
        self.mount("--grant", f"net:{port}")
        answer = self.broker.cli("read", "whois/domain/example", output="table")
        self.assertIn("Connection refused", answer.err)

    def test_a_connection_ends_with_the_process_that_asked_for_it(self):
        self.mount("--grant", f"net:{self.server.address}")
        asking = threading.Thread(
            target=lambda: self.broker.cli("read", "whois/domain/silence"))
        asking.start()
        until("the question is there", lambda: self.server.questions)
        os.kill(self.broker.status("whois/")["pid"], signal.SIGKILL)
        self.assertTrue(self.server.gone.wait(harness.seconds(5)))
        asking.join()
        self.broker.wait_state("whois/", "ready")
        self.broker.ok("read", "whois/domain/example")


if __name__ == "__main__":
    harness.main()
