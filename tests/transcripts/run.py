#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden transcripts: what a person sees of `bulkhead`, line by line.

A transcript is a text file. A line `> COMMAND` is typed; the lines below it are what it prints, up
to the next one; `. MORE` goes on with the command before it. A line `? WORDS :: TEXT` waits until
`bulkhead WORDS` prints TEXT, for what takes its own time (a restart). Lines before the first
command are remarks. A NAME.toml beside NAME.txt is the daemon's configuration. A remark
`Daemon: FLAGS` says how plugins are confined, which they are not without it; on a machine that
cannot, such a transcript is skipped, by the exit status 77 and with the reason.

Each transcript runs twice against a broker of its own: from a pipe, and on a pseudo-terminal as a
person would type it. Both must print the same; only the prompt, the echo, and what a script says of
its lines (`stdin:N: `) differ. Process ids, times, sizes and identities are normalised. `--update`
rewrites the file from the piped run. The standard library is all it needs."""

import argparse
import difflib
import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

step_seconds_max = 20
skipped = 77  # the exit status that ctest is told of
window_columns = 400  # so that no line wraps
prompt = re.compile(r"bulkhead (?:no broker|[0-9][^>\n]*)> $")

normal_forms = [
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID"),
    (r"\b([a-z0-9]+)_[0-9a-f]{8}\b", r"\1_ID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{3}Z?|Z)", "TIME"),
    (r"\b[0-9a-f]{64}\b", "SHA256"),
    (r"\bpid \d+", "pid PID"),
    (r"(\b(?:starting|ready|draining) +)\d+( )", r"\1PID\2"),
    (r"\b\d+ m \d+ s\b|\b\d+ (?:ms|s)\b(?! allowed)", "SPAN"),
    (r"\b[0-9.]+ (?:B|KiB|MiB)\b", "SIZE"),
    (r'"((?:pid|unix_ms|at_unix_ms|uptime_ms|bytes_in|bytes_out|oldest_call_ms|backoff_ms))":-?\d+',
     r'"\1":N'),
    (r"(?<=\S)  +", "  "),
    # What a process uses is there once a sample has been taken.
    (r"(?m)^  uses  .*\n", ""),
    (r'"usage":\{[^{}]*\},?', ""),
]


# What a confined broker tells of the machine beneath it. What a profile requires stands on every
# machine, or there is no transcript; all else is the machine's. An own uid is required of root.
wall_row = re.compile(r"(?m)^([a-z.-]+)  (enforced|unavailable|failed)\b.*  (yes|no|waived)$")
of_the_machine = [
    (r"(?m)^  walls  .*$", "  walls  WALLS"),
    (r"(?m)^(\S+/  ready  PID)  .*$", r"\1  NUMBERS"),  # top
    (r"(?m)^TIME  \d+  \d+\.\d  SIZE.*$", "TIME  NUMBERS"),  # usage
    (r"(?m)^(.+): (?:good|weak|unknown)\n  found  .*$", r"\1: VERDICT\n  found  FOUND"),
    (r"(?m)^  try  .*\n", ""),
    (r"(?m)^\d+ (of \d+ are as they should be)(; \d+ cannot be told from here)?$", r"N \1"),
]


def shown_wall(row):
    name, state, needed = row.groups()
    if name == "uid":
        return "uid  STATE  NEEDED"
    return f"{name}  {state if needed == 'yes' else 'STATE'}  {needed}"


def normalise_machine(text):
    text = wall_row.sub(shown_wall, text)
    for pattern, replacement in of_the_machine:
        text = re.sub(pattern, replacement, text)
    return text


def normalise(text, directory, plugins):
    text = text.replace("\r", "").replace(str(directory), "DIR").replace(str(plugins), "PLUGINS")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    for pattern, replacement in normal_forms:
        text = re.sub(pattern, replacement, text)
    return text


class step:
    def __init__(self, kind, text):
        self.kind = kind  # ">" or "?"
        self.text = text
        self.output = []

    def typed(self):
        return [f"{self.kind} " + self.text.replace("\n", "\n. ")]


def read_transcript(path):
    remarks, steps = [], []
    for line in path.read_text().splitlines():
        if line.startswith(("> ", "? ")):
            steps.append(step(line[0], line[2:]))
        elif line.startswith(". ") and steps and not steps[-1].output:
            steps[-1].text += "\n" + line[2:]
        elif steps:
            steps[-1].output.append(line)
        else:
            remarks.append(line)
    return remarks, steps


def flags_in(remarks):
    """How the daemon confines: what a remark says, else not at all."""
    for line in remarks:
        if line.startswith("Daemon: "):
            return line.split()[1:]
    return ["--unconfined"]


def write_transcript(path, remarks, steps):
    lines = list(remarks)
    for each in steps:
        lines += each.typed() + each.output
    path.write_text("\n".join(lines) + "\n")


class broker:
    """A daemon of its own, with state and socket in a new directory."""

    def __init__(self, bin_directory, plugin_directory, directory, config=None,
                 confinement=("--unconfined",)):
        self.bulkhead = str(bin_directory / "bulkhead")
        # What the sanitizers are told goes along; nothing else of the caller does.
        self.environment = {key: os.environ[key] for key in ("ASAN_OPTIONS", "LSAN_OPTIONS")
                            if key in os.environ}
        self.environment |= {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8", "TERM": "dumb",
                            "NO_COLOR": "1", "HOME": str(directory),
                            "BULKHEAD_ADDRESS": f"unix:{directory}/s"}
        self.log = open(directory / "log", "w")
        self.process = subprocess.Popen(
            [str(bin_directory / "bulkheadd"), "--socket", f"{directory}/s",
             "--state", f"{directory}/state", "--plugins", str(plugin_directory), "--unregistered",
             *confinement, *self.config_flags(directory, config)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.until("status", "plugins  ")

    @staticmethod
    def config_flags(directory, config):
        if config is None or not config.exists():
            return []
        shutil.copy(config, directory / "bulkhead.toml")
        return ["--config", f"{directory}/bulkhead.toml"]

    def until(self, words, text):
        """Waits until `bulkhead WORDS` prints `text`."""
        give_up = time.monotonic() + step_seconds_max
        while True:
            done = subprocess.run([self.bulkhead] + words.split(), env=self.environment,
                                  capture_output=True, text=True, timeout=step_seconds_max)
            if text in done.stdout + done.stderr:
                return
            if time.monotonic() > give_up:
                raise SystemExit(f"`bulkhead {words}` never printed '{text}', but:\n{done.stdout}"
                                 f"{done.stderr}")
            time.sleep(0.02)

    def wait_for(self, each):
        words, text = each.text.split(" :: ")
        self.until(words, text)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(step_seconds_max)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def read_until_quiet(descriptor, finished, text=""):
    """Reads until `finished(text)`, or the end."""
    give_up = time.monotonic() + step_seconds_max
    while not finished(text):
        ready, _, _ = select.select([descriptor], [], [], max(0, give_up - time.monotonic()))
        if not ready:
            raise SystemExit(f"no more output within {step_seconds_max} s after:\n{text}")
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # the other side of a terminal is gone
            chunk = b""
        if not chunk:
            break
        text += chunk.decode(errors="replace")
    return text


def run_piped(daemon, steps, directory):
    """The outputs of a script, one per step. Each command is followed by one whose output marks the
    end of the command's own."""
    script = subprocess.Popen([daemon.bulkhead, "--keep-going"], env=daemon.environment,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, cwd=directory)
    mark = "stdin:{}: error: unknown command 'end-of-step'\n  try: bulkhead help\n"
    outputs, line = [], 0
    for each in steps:
        if each.kind == "?":
            daemon.wait_for(each)
            outputs.append("")
            continue
        begin = line + 1
        line += 2 + each.text.count("\n")
        end = mark.format(line)
        script.stdin.write(f"{each.text}\nend-of-step\n".encode())
        script.stdin.flush()
        text = read_until_quiet(script.stdout.fileno(), lambda seen: seen.endswith(end))
        if not text.endswith(end):
            raise SystemExit(f"the script ended in `{each.text}`:\n{text}")
        text = text[:-len(end)]
        text = text.replace(f"stdin:{begin}: error: ", "error: ")
        outputs.append(re.sub(rf"stdin:{begin}: the command ended with \d+\n", "", text))
    script.stdin.close()
    script.wait(step_seconds_max)
    script.stdout.close()
    return outputs


class terminal:
    """`bulkhead` on a pseudo-terminal."""

    def __init__(self, daemon, directory):
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            os.chdir(directory)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, window_columns, 0, 0))
            os.execve(daemon.bulkhead, [daemon.bulkhead], daemon.environment)
        self.to_prompt()

    def to_prompt(self):
        """What was printed up to the next prompt."""
        text = read_until_quiet(self.descriptor, lambda seen: prompt.search(plain(seen)))
        self.until_raw()
        return prompt.sub("", plain(text))

    def until_raw(self):
        """libedit shows its prompt a moment before it takes the terminal's own echo away."""
        give_up = time.monotonic() + step_seconds_max
        while termios.tcgetattr(self.descriptor)[3] & termios.ICANON:
            if time.monotonic() > give_up:
                raise SystemExit("the terminal never became raw")
            time.sleep(0.001)

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def run(self, command):
        *first, last = command.split("\n")
        for line in first:
            self.type(line + "\n")
            read_until_quiet(self.descriptor, lambda seen: plain(seen).endswith("\n... "))
            self.until_raw()
        self.type(last + "\n")
        text = self.to_prompt()
        return text[text.index("\n") + 1:] if "\n" in text else text

    def end(self):
        self.type("exit\n")
        read_until_quiet(self.descriptor, lambda _: False)
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    def kill(self):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")


def run_on_terminal(daemon, steps, directory):
    screen = terminal(daemon, directory)
    outputs = []
    for each in steps:
        if each.kind == "?":
            daemon.wait_for(each)
            outputs.append("")
        else:
            outputs.append(screen.run(each.text))
    if screen.end() != 0:
        raise SystemExit("the session did not end with 0")
    return outputs


def reason_not_to_confine(arguments, flags):
    """The refusal of a first start, when it is for a wall; else nothing."""
    if "--unconfined" in flags:
        return None
    with tempfile.TemporaryDirectory(prefix="bulkhead-") as folder:
        daemon = broker(arguments.bin, arguments.plugins, pathlib.Path(folder), None, flags)
        try:
            done = subprocess.run([daemon.bulkhead, "mount", "kv/", "kv"], env=daemon.environment,
                                  capture_output=True, text=True, timeout=step_seconds_max)
        finally:
            daemon.stop()
    return done.stderr if "does not stand" in done.stderr else None


def run_both(arguments, steps, config, flags):
    results = {}
    for name, run in (("piped", run_piped), ("terminal", run_on_terminal)):
        with tempfile.TemporaryDirectory(prefix="bulkhead-") as folder:
            directory = pathlib.Path(folder)
            daemon = broker(arguments.bin, arguments.plugins, directory, config, flags)
            try:
                outputs = run(daemon, steps, directory)
            finally:
                daemon.stop()
            texts = [normalise(text, directory, arguments.plugins) for text in outputs]
            if "--unconfined" not in flags:
                texts = [normalise_machine(text) for text in texts]
            results[name] = [text.splitlines() for text in texts]
    return results


def compare(path, steps, name, outputs):
    expected, seen = [], []
    for each, output in zip(steps, outputs):
        expected += each.typed() + each.output
        seen += each.typed() + output
    difference = list(difflib.unified_diff(expected, seen, str(path), name, lineterm=""))
    print("\n".join(difference), file=sys.stderr)
    return not difference


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True)
    parser.add_argument("--plugins", type=pathlib.Path, required=True)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("transcripts", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    good = True
    for path in arguments.transcripts:
        remarks, steps = read_transcript(path)
        flags = flags_in(remarks)
        if reason := reason_not_to_confine(arguments, flags):
            print(f"SKIPPED {path}: this machine cannot confine.\n{reason}", file=sys.stderr)
            return skipped
        results = run_both(arguments, steps, path.with_suffix(".toml"), flags)
        if arguments.update:
            for each, output in zip(steps, results["piped"]):
                each.output = output
            write_transcript(path, remarks, steps)
        for name, outputs in results.items():
            good = compare(path, steps, name, outputs) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
