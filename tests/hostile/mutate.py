#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Deletes one statement of the launcher, or of the broker's side of it, at a time, and asks the
tests whether they see it.

Usage: mutate.py --source TREE --build DIR --every N [--first K] [--seconds S] [FILE...]

Works on TREE, which must be a copy made for this (a git worktree that holds no changes): each
statement is commented out in place, the launcher built, the tests run, and the file put back. A
mutant is a line that ends a statement by itself: it ends in a semicolon, opens no block, declares
nothing and returns no value. A conditional above it, without braces, goes with it.

A mutant that does not compile is not counted. One that a test fails on is killed; the others are
printed: each is either a wall that is not tested, or a line that is not needed. With --every N only
each N-th mutant is tried, from the K-th on, and none is begun after S seconds."""

import argparse
import contextlib
import ctypes
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

folders = ["actors/launcher", "actors/confinement"]
# Fast first. Each is a program of the build and its arguments.
tests = [["tests/filter_test"],
         ["tests/confinement_test"],
         ["tests/launched_spawner_test"],
         ["tests/confinement_walls_test"],
         ["tests/hostile_test", "strict: nothing*"],
         ["tests/hostile_test", "--user", "strict-unprivileged*"],
         ["tests/hostile_test", "with all namespaces*"]]
targets = ["bulkhead-launcher", "filter_test", "confinement_test", "launched_spawner_test",
           "confinement_walls_test", "hostile_test"]
test_s_max = 300
kept = re.compile(r"^\s*(return\b.+;|using |static_assert|constexpr |const |auto |struct |enum |"
                  r"inline |public:|private:|break;|namespace |extern |template|#|//|\}|case )")
declaration = re.compile(r"^\s*(?:std::)?[\w:<>,]+(?: const)?[ &*]+\w+(?:\{.*\}| = .*|\[.*\])?;$")


def mutants(text):
    """Yields (first line, last line) of what can go."""
    lines = text.split("\n")
    depth = 0
    for number, line in enumerate(lines):
        inside = line.startswith("  ")
        depth = max(0, depth + line.count("{") - line.count("}"))
        if not (inside and line.endswith(";")) or kept.match(line) or declaration.match(line):
            continue
        first = number
        # The head of a statement that spans lines: back to what ends the one before.
        while first > 0 and not re.search(r"([;{}:]|^\s*//.*|^)$", lines[first - 1]):
            first -= 1
        if any(kept.match(each) for each in lines[first:number + 1]):
            continue
        if "{" in "".join(lines[first:number + 1]) and "add(" not in lines[first]:
            continue
        yield first, number


def adopt_orphans():
    """What a mutant leaves behind, a launcher that never ends for one, becomes a child of this."""
    set_child_subreaper = 36  # of prctl(2)
    if ctypes.CDLL(None, use_errno=True).prctl(set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def end_orphans():
    while True:
        text = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        if not text.split():
            return
        for child in text.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(int(child), 0)


def run(command, folder_of_run, limit_s=test_s_max):
    """True when it ended well and in time."""
    try:
        return subprocess.run(command, cwd=folder_of_run, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=limit_s,
                              check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        end_orphans()


def verdict(build):
    """"no program", the test that failed, or "" for a survivor."""
    if not run(["ninja", "-C", str(build), *targets], build, 600):
        return "no program"
    for test in tests:
        if not run([str(build / test[0]), *test[1:]], build):
            return " ".join(test)
    return ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True, type=pathlib.Path)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("files", nargs="*", help="below TREE; all of " + ", ".join(folders))
    given = parser.parse_args()
    adopt_orphans()
    if verdict(given.build) != "":
        sys.exit("the tests fail on what is not mutated")
    began = time.monotonic()
    killed, survivors, chosen = 0, [], []
    files = [given.source / name for name in given.files] or [
        file for folder in folders for file in sorted((given.source / folder).glob("*.cpp"))]
    for path in files:
        chosen += [(path, *lines) for lines in mutants(path.read_text())]
    for path, first, last in chosen[given.first::given.every]:
        if time.monotonic() - began > given.seconds:
            break
        text = path.read_text()
        lines = text.split("\n")
        place = f"{path.name}:{first + 1}: {' '.join(' '.join(lines[first:last + 1]).split())}"
        lines[first:last + 1] = [";" if n == first else "" for n in range(first, last + 1)]
        try:
            path.write_text("\n".join(lines))
            found = verdict(given.build)
        finally:
            path.write_text(text)
        if found == "no program":
            continue
        killed += found != ""
        if not found:
            survivors.append(place)
        print(f"{'killed by ' + found if found else 'SURVIVES'}: {place}", flush=True)
    print(f"{killed} of {killed + len(survivors)} mutants killed, of {len(chosen)} there are")
    for place in survivors:
        print(f"  {place}")


if __name__ == "__main__":
    main()
