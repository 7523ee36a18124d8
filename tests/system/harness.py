# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: a broker of their own, the command line, and the kernel's counters.

A test program is run as `python3 NAME_test.py --bulkheadd FILE --bulkhead FILE --plugins DIR
--bad-plugins DIR
--load FILE [--scale small] [--sanitized] [unittest arguments]`; CMake passes the files.
`scale()` chooses between the count of a release and the smaller one of a sanitizer build.

Every broker has a directory of its own, deleted at the end. Nothing waits by a fixed time where
a condition can be seen: `until()` polls one, with a deadline, and fails with words. Every process
that a test starts is ended by its number."""

import argparse
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

settings = argparse.Namespace()
poll_s = 0.02
slow_factor_sanitized = 4
strict = os.environ.get("BULKHEAD_STRICT") == "1"  # the machine is quiet
growth_kib_max = 4 * 1024  # of a broker that came back to where it was


def seconds(value):
    """A deadline in seconds, longer under sanitizers."""
    return value * (slow_factor_sanitized if settings.sanitized else 1)


def scale(full, small):
    return small if settings.scale == "small" else full


def until(what, condition, limit_s=10.0):
    """Waits until `condition()` is truthy and returns its value; fails by name at the deadline."""
    end = time.monotonic() + seconds(limit_s)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds(limit_s)} s: {what}")
        time.sleep(poll_s)


class Answer:
    """What one command left: exit code, both texts, and its JSON."""

    def __init__(self, words, code, out, err):
        self.words, self.code, self.out, self.err = words, code, out, err

    def __repr__(self):
        return f"{' '.join(self.words)}: exit {self.code}\n{self.out}{self.err}"

    @property
    def json(self):
        return json.loads(self.out)


# -- the kernel's view ---------------------------------------------------------------------------


def parent_and_state(pid):
    """(parent, state letter) of a process, or None."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    rest = text.rpartition(")")[2].split()
    return int(rest[1]), rest[0]


def alive(pid):
    """Neither gone nor a zombie."""
    found = parent_and_state(pid)
    return found is not None and found[1] not in "ZX"


def children(pid):
    """The direct children of a process, as {pid: state letter}."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            facts = parent_and_state(entry)
            if facts and facts[0] == pid:
                found[int(entry)] = facts[1]
    return found


def processes_of(directory):
    """Living processes whose program lies in `directory`: plugins, also orphaned ones."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            if words[0].startswith(str(directory).encode() + b"/") and alive(int(entry)):
                found.append(int(entry))
    return found


def kib(pid, file, key):
    for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise AssertionError(f"/proc/{pid}/{file} has no {key}")


def pss_kib(pid):
    return kib(pid, "smaps_rollup", "Pss")


def cpu_times():
    """(busy, all) of all processors together since the machine began, in ticks."""
    first = pathlib.Path("/proc/stat").read_text().splitlines()[0]
    ticks = [int(word) for word in first.split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


class Counters:
    """What a broker holds of the system's resources."""

    def __init__(self, pid):
        self.fds = len(os.listdir(f"/proc/{pid}/fd"))
        self.threads = len(os.listdir(f"/proc/{pid}/task"))
        self.zombies = list(children(pid).values()).count("Z")
        self.rss_kib = kib(pid, "status", "VmRSS")

    def __repr__(self):
        return (f"fds {self.fds}, threads {self.threads}, zombies {self.zombies}, "
                f"rss {self.rss_kib} KiB")


# -- a broker ------------------------------------------------------------------------------------


class Script:
    """One `bulkhead` process that stays: commands go in on its stdin, answers come back."""

    def __init__(self, broker):
        self.process = subprocess.Popen(
            [settings.bulkhead, "--address", broker.address, "-o", "json", "--keep-going"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        self.buffer = b""

    def line(self, limit_s):
        end = time.monotonic() + seconds(limit_s)
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            out = self.process.stdout
            if left <= 0 or not select.select([out], [], [], left)[0]:
                return None
            more = os.read(out.fileno(), 1 << 16)
            if not more:
                return None
            self.buffer += more
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()

    def ask(self, command, limit_s=30):
        """The answer as a dictionary, or the error's text. None: no answer."""
        try:
            self.process.stdin.write(command.encode() + b"\n")
        except BrokenPipeError:
            return None
        first = self.line(limit_s)
        if first is None or first.startswith("{"):
            return first and json.loads(first)
        text = first
        while (more := self.line(0.05)) is not None:
            text += "\n" + more
        return text

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(seconds(5))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Load:
    """Clients of a broker that are told when to ask: a `system-load` process (load.cpp)."""

    def __init__(self, broker, mode, *words, clients=1, every_us=0, open_loop=False):
        self.process = subprocess.Popen(
            [settings.load, "--address", broker.address, mode, "--clients", str(clients),
             "--every-us", str(every_us), *(["--open"] if open_loop else []), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def order(self, word, limit_s=60):
        """`go`, `halt` (nothing is under way any more), or `mark`: what happened since the last."""
        self.process.stdin.write(word.encode() + b"\n")
        if not select.select([self.process.stdout], [], [], seconds(limit_s))[0]:
            raise AssertionError(f"system-load does not answer '{word}'")
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"system-load has ended: {self.process.wait()}")
        return json.loads(line)

    def phase(self, span_s):
        """Asks for so long; what happened."""
        self.order("go")
        time.sleep(span_s)
        self.order("halt")
        return self.order("mark")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Broker:
    """A daemon on a directory of its own. Before the start: `flags` are added to its command line,
    `command` replaces it."""

    def __init__(self, directory=None):
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="bulkhead-system-"))
        self.socket = self.directory / "socket"
        self.state = self.directory / "state"
        self.plugins = self.directory / "plugins"
        self.address = f"unix:{self.socket}"
        self.process = None
        self.development = ["--unregistered"]  # any file may be mounted
        # What misbehaves on purpose would not get far; what confinement does is for its own tests.
        self.confinement = ["--unconfined"]
        self.flags = []
        self.command = None
        if not self.plugins.exists():
            self.plugins.mkdir()
            for source in (settings.plugins, settings.bad_plugins):
                for file in pathlib.Path(source).iterdir():
                    if file.is_file() and os.access(file, os.X_OK):
                        (self.plugins / file.name).symlink_to(file)

    @property
    def pid(self):
        return self.process.pid

    def popen(self, **changes):
        if self.command:
            return self.command
        words = {"socket": self.socket, "state": self.state, "plugins": self.plugins, **changes}
        command = [settings.bulkheadd, *self.development, *self.confinement, *self.flags]
        for name, value in words.items():
            command += [f"--{name}", str(value)]
        return command

    def start(self, stderr=None):
        """`stderr`: a descriptor in place of the log."""
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(self.popen(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=stderr or log)
        until("the daemon listens", self.listens, 20)
        return self

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon exited with {self.process.returncode}:\n{self.log}")
        return self.cli("version").out.count("null") == 0 and self.cli("mounts").code == 0

    @property
    def log(self):
        return (self.directory / "log").read_text(errors="replace")

    def cli(self, *words, output="json", limit_s=60, **more):
        """Runs one command. `-o json` unless `output` says table."""
        command = [settings.bulkhead, "--address", self.address, "-o", output, *words]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=seconds(limit_s), check=False, **more)
        return Answer(words, done.returncode, done.stdout.decode(), done.stderr.decode())

    def begin(self, *words):
        """Starts one command and does not wait for it."""
        return subprocess.Popen([settings.bulkhead, "--address", self.address, *words],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def begin_endless_call(self, path):
        """A call to a bad plugin that never answers; returns once it is in flight."""
        client = self.begin("write", path + "a", "mode=never-answers")
        until("the call is in flight", lambda: self.status(path)["calls_in_flight"] == 1)
        return client

    def ok(self, *words, **more):
        answer = self.cli(*words, **more)
        if answer.code != 0:
            raise AssertionError(f"failed: {answer!r}\nthe daemon's log:\n{self.log[-4000:]}")
        return answer

    def status(self, path):
        """The mount's status; None when there is none."""
        answer = self.cli("status", path)
        return answer.json["mount"] if answer.out else None

    def wait_state(self, path, *states, limit_s=15):
        return until(f"{path} is {' or '.join(states)}",
                     lambda: (now := self.status(path)) and now["state"] in states and now,
                     limit_s)

    def stop(self, limit_s=20):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds(limit_s))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        """Ends whatever is left, plugins too, and deletes the directory."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for pid in processes_of(self.plugins):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


class Neighbour:
    """A mount that behaves, called all the time: every call must be answered, and well."""

    def __init__(self, broker, path="neighbour/"):
        self.calls, self.failures, self.slowest_s = 0, [], 0.0
        self.path, self.ended = path, threading.Event()
        broker.ok("mount", path, "kv")
        broker.ok("write", path + "app", "colour=green")
        self.script = Script(broker)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended.is_set():
            began = time.monotonic()
            answer = self.script.ask(f"read {self.path}app")
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.calls += 1
            if not isinstance(answer, dict) or "green" not in json.dumps(answer):
                self.failures.append(str(answer))
                if answer is None or len(self.failures) > 10:
                    return
            time.sleep(0.002)

    def stop(self):
        self.ended.set()
        self.thread.join()
        self.script.close()


class SystemTest(unittest.TestCase):
    """A test with a broker of its own, started and ended around each test."""

    def load(self, mode, *words, **more):
        load = Load(self.broker, mode, *words, **more)
        self.addCleanup(load.close)
        return load

    def settled(self, instances):
        """The broker's counters once so many plugins run and nothing dies any more."""
        until(f"{instances} plugins run and no zombie is left",
              lambda: Counters(self.broker.pid).zombies == 0 and
              len(processes_of(self.broker.plugins)) == instances, 20)
        time.sleep(0.5)
        return Counters(self.broker.pid)

    def assert_nothing_grew(self, before, after):
        """The counters are where they were; memory is, within `growth_kib_max`."""
        self.assertEqual((after.fds, after.threads, after.zombies),
                         (before.fds, before.threads, 0))
        if settings.sanitized:
            print("  memory is not compared: a sanitizer keeps what is freed", flush=True)
        else:
            self.assertLess(after.rss_kib - before.rss_kib, growth_kib_max)

    def setUp(self):
        self.broker = Broker()
        self.addCleanup(self.broker.close)
        self.start_broker()

    def start_broker(self):
        self.broker.start()

    def confine(self):
        """Before the start: plugins are confined as by default. What a sanitizer is built into
        cannot be."""
        if not settings.sanitized:
            self.broker.confinement = []

    def assert_nothing_is_left(self):
        """The broker has ended: so have its plugins, and its socket is gone."""
        until("no plugin is left", lambda: not processes_of(self.broker.plugins), 2)
        self.assertFalse(self.broker.socket.exists(), "the socket is gone")

    def assert_says(self, answer, code, *texts):
        """The command failed with `code`, said each of `texts`, and what, why or try in shape."""
        self.assertEqual(answer.code, code, repr(answer))
        self.assertEqual(answer.out, "", "an error leaves nothing on stdout")
        self.assertTrue(answer.err.startswith("error: "), repr(answer))
        for text in texts:
            self.assertIn(text, answer.err, repr(answer))
        for byte in answer.err:
            self.assertTrue(byte == "\n" or byte >= " ", f"unescaped: {answer.err!r}")


class NeighbourTest(unittest.TestCase):
    """Tests that share one broker, and a neighbour who must not notice any of it."""

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker()
        cls.addClassCleanup(cls.broker.close)
        cls.broker.start()
        cls.neighbour = Neighbour(cls.broker)
        cls.addClassCleanup(cls.neighbour.stop)

    assert_says = SystemTest.assert_says


def test_each(where, names, check, pattern):
    """Gives the class `where` a test for each of `names`: `check(self, name)`, called by `pattern`,
    in which {} is the name."""
    for name in names:
        def test(self, name=name):
            check(self, name)
        setattr(where, pattern.format(name.replace("-", "_")), test)


class counting_result(unittest.TextTestResult):
    """Prints how long each test took."""

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        self.stream.writeln(f"    {time.monotonic() - self.began:.1f} s")


def main():
    """Runs the tests of the calling program. Its last line is Catch2's, which tools/check sums."""
    parser = argparse.ArgumentParser(add_help=False)
    for name in ("bulkheadd", "bulkhead", "load", "plugins", "bad-plugins"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--scale", choices=("full", "small"), default="full")
    parser.add_argument("--sanitized", action="store_true")
    rest = parser.parse_known_args(namespace=settings)[1]
    for file in (settings.bulkheadd, settings.bulkhead, settings.load):
        if not os.access(file, os.X_OK):
            sys.exit(f"{file} is not there: build it first")
    program = unittest.main(argv=[sys.argv[0], "-v", *rest], exit=False, testRunner=unittest.
                            TextTestRunner(resultclass=counting_result, verbosity=2))
    result = program.result
    bad = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    sys.stderr.flush()
    if result.testsRun == 0:
        sys.exit("no test has run")
    if bad == 0:
        print(f"All tests passed ({skipped} skipped, in {result.testsRun - skipped} test cases)")
    else:
        print(f"test cases: {result.testsRun} | {result.testsRun - bad} passed | {bad} failed")
    sys.exit(1 if bad else 0)
