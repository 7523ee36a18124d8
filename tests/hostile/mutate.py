#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes one statement of the launcher, or of the broker's side of it, away at a time, and asks the
tests whether they see it.

Usage: mutate.py --source TREE --build DIR [--every N] [--first K] [--seconds S] [FILE[:LINE]...]

Works on TREE, a copy made for this (a git worktree that holds no changes), and on DIR, its build,
which is best configured with CMAKE_CXX_FLAGS=-w: what is missing makes warnings.

A mutant is a statement that ends its line: it opens no block, declares nothing, and is no return by
itself; a conditional above it, without braces, goes with it. Or it is an item of a table that has a
line to itself. All statements are compiled at once, each behind `if (chosen != its number)`. The
number is in the programs, and this writes it there: an environment would not get to where most of
it runs. What does not compile like that is deleted, and built, one by one.

A mutant that does not compile by itself either is not counted. One that a test fails on is killed.
Of the others those in mutants_excused.txt, beside this, have their reasons there; the rest are
printed: each is a wall that is not tested, or a line that is not needed. First all mutants meet the
fast tests, then what survived those the slow ones; now and then no mutant does, which must pass.

With --every N only each N-th mutant is tried, from the K-th on, and none is begun after S seconds.
It takes root, and a machine on which nobody else's plugins run: some mutants kill those too."""

import argparse
import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

folders = ["actors/launcher", "actors/confinement"]
launcher = "bin/bulkhead-launcher"
# What is built, from where the build is, and what is run with it. Fast first.
walls = "tests/confinement_walls_test"
lifetime = "tests/confinement_cost_test"
hostile = "tests/hostile_test"
# Each call of a start refused in turn: much of the time of all of them.
refused = "a call that fails*"
fast_tests = [("tests/confinement_test",), ("tests/launched_spawner_test",),
              ("tests/secret_memory_test",),
              (walls, "--abort", "~" + refused), (walls, "--abort", refused), (walls, "--nobody"),
              (hostile, "--abort", "strict: nothing*")]
# A daemon that gives root up, whose launchers a keeper starts.
daemon = "bin/bulkheadd"
by_keeper = (daemon, "tests/system/confinement_test.py", "--failfast", "GivesRootUp")
beside_daemon = {"--bulkhead": "bin/bulkhead", "--load": "tests/system-load",
                 "--plugins": "plugin-dir/kv", "--bad-plugins": "bad-plugins/bad_plugin"}
slow_tests = [by_keeper,
              (lifetime, "--abort", "starts and kills*,a broker*,a launcher*"),
              (hostile, "--abort", "no-userns*"),
              (hostile, "--user", "--abort", "strict-unprivileged*"),
              (hostile, "--abort", "with all namespaces*"), (lifetime, "--abort", "a start*")]
filter_test = ("tests/filter_test",)  # of what the generator of the filters has made
generator = "actors/launcher/make_filters.cpp"
test_s_max = 30
patience_ms = 6000  # of a test for what never comes
build_s_max = 600
mutants_between_checks = 50
checks_max = 3  # on a machine that does something else too

kept = re.compile(r"\s*(return\b|using |static_assert|constexpr |const |auto |struct |enum |"
                  r"inline |static |public:|private:|break;|continue;|namespace |extern |"
                  r"template|#|//|\}|case |default:|__builtin_unreachable)")
declaration = re.compile(r"(alignas.*|.* = (delete|default)|(?!else |throw )[\w:]+(?:<.*>)?[ &*]+"
                         r"(?:const )?\w+(\{.*\}| = .*|\[.*\]|\(.*\)(?: const)?)?(, \w+.*)?);$")
comment = re.compile(r"\s*///? [^\"]*$")
item = re.compile(r"\s+(\{.*\}|SCMP_SYS\(\w+\)(, SCMP_SYS\(\w+\))*),$")
mark = b"mutant number: \0"  # in front of the number, in each program
# The compiler must not conclude that what does not come back is always called.
head = """#define noreturn maybe_unused
#define __builtin_unreachable() void()
namespace { struct { char mark[16]; int number; } volatile const mutant_chosen{"mutant number: "}; }
#line 2"""


class mutant:
    """Lines `first` to `last` of a file; `body`: the first of what a condition or an else that
    something depends on lets happen."""

    def __init__(self, path, lines, first, last, number):
        self.path, self.first, self.last, self.number = path, first, last, number
        self.statement = " ".join(" ".join(lines[first:last + 1]).split())
        self.by_switch = not item.match(lines[last])
        self.body = first
        followed = last + 1 < len(lines) and re.match(r"\s*else\b", lines[last + 1])
        if followed or re.match(r"\s*else\b", lines[first]):
            deeper = indent(lines[first]) + 2
            self.body = max(n for n in range(first, last + 1)
                            if n == first or indent(lines[n]) == deeper)

    def key(self):
        """As the list of excuses has it."""
        return f"{self.path.name}: {self.statement}"

    def __str__(self):
        return f"{self.path.name}:{self.first + 1}: {self.statement}"


def indent(line):
    return len(line) - len(line.lstrip())


def mutants(path, lines, number):
    """Numbered on from `number`."""
    found = []
    lines = [comment.sub("", line) for line in lines]
    for last, line in enumerate(lines):
        first = last
        if re.match(r"\s+\}\);$", line):  # the end of a call with a lambda
            while first == last or indent(lines[first]) != indent(line):
                first -= 1
        elif line.startswith("  ") and line.endswith(";"):
            # The head of a statement that spans lines: back to what ends the one before.
            while not re.search(r"([;{}:]|^)$", lines[first - 1]):
                first -= 1
            whole = " ".join(each.strip() for each in lines[first:last + 1])
            if (whole.count("{") != whole.count("}") or whole.count("(") != whole.count(")")
                    or declaration.match(whole)):
                continue
        elif not item.match(line):
            continue
        if kept.match(lines[first]):
            continue
        found.append(mutant(path, lines, first, last, number + len(found)))
    return found


def rendered(lines, of_file, without=None):
    """The file with all its switches, and `without` deleted. Each line stays where it is."""
    lines = list(lines)
    for each in of_file:
        if each.by_switch and each is not without:
            at = indent(lines[each.body])
            lines[each.body] = (" " * at + f"{{ if (mutant_chosen.number != {each.number}) {{ "
                                + lines[each.body][at:])
            code = comment.sub("", lines[each.last])
            lines[each.last] = code + " } }" + lines[each.last][len(code):]
    if without:
        empty = "" if item.match(lines[without.last]) else ";"
        lines[without.body:without.last + 1] = [empty] + [""] * (without.last - without.body)
    lines[0] = head
    return "\n".join(lines)


class tree:
    """The sources with their switches, and what is built of them."""

    def __init__(self, source, build):
        self.source, self.build_folder = source, build
        self.lines, self.mutants = {}, []
        self.stale = False  # a mutant has been built
        for path in (each for name in folders for each in sorted((source / name).glob("*.cpp"))):
            self.lines[path] = path.read_text().split("\n")
            self.mutants += mutants(path, self.lines[path], len(self.mutants) + 1)
        tests = [filter_test, *fast_tests, *slow_tests]
        self.programs = [launcher, *sorted({test[0] for test in tests}), "tests/inside",
                         "tests/inside-dynamic", "plugin-dir/calc", *beside_daemon.values()]

    def put(self, path, without=None):
        of_file = [each for each in self.mutants if each.path == path]
        text = rendered(self.lines[path], of_file, without)
        if path.read_text() != text:
            path.write_text(text)

    def restore(self):
        for path, lines in self.lines.items():
            path.write_text("\n".join(lines))

    def build(self, *targets):
        """What the compiler said, or "" when all went well."""
        names = [pathlib.Path(each).name for each in targets or self.programs]
        done = subprocess.run(["nice", "ninja", "-k", "0", "-C", str(self.build_folder), *names],
                              capture_output=True, text=True, timeout=build_s_max, check=False)
        return done.stdout + done.stderr if done.returncode != 0 else ""

    def build_switches(self):
        """Until all compile that do."""
        for path in self.lines:
            self.put(path)
        while said := self.build():
            places = {(pathlib.Path(name).name, int(line) - 1) for name, line in
                      re.findall(r"([\w./-]+\.cpp):(\d+)", said)}
            refused = [each for each in self.mutants if each.by_switch and any(
                (each.path.name, n) in places for n in range(each.first, each.last + 1))]
            if not refused:
                sys.exit(said)
            for each in refused:
                each.by_switch = False
                self.put(each.path)

    def choose(self, number):
        """In all programs. A new file each, as the old one may still run."""
        for name in [*self.programs, "actors/launcher/make-filters"]:
            program = self.build_folder / name
            bytes_ = bytearray(program.read_bytes())
            at = bytes_.find(mark)
            if at < 0 or struct.unpack_from("<i", bytes_, at + len(mark))[0] == number:
                continue
            while at >= 0:
                struct.pack_into("<i", bytes_, at + len(mark), number)
                at = bytes_.find(mark, at + 1)
            copy = program.with_name("mutant")
            copy.write_bytes(bytes_)
            copy.chmod(0o755)
            copy.replace(program)

    def command(self, test):
        program, *words = [str(self.build_folder / test[0]), *test[1:]]
        if test == by_keeper:
            return [sys.executable, str(self.source / words[0]), "--bulkheadd", program,
                    *self.words_beside_daemon(), *words[1:]]
        if "--nobody" not in words:
            return [program, *words]
        helpers = [self.build_folder / each for each in self.programs if each != test[0]]
        named = {each.name: str(each) for each in helpers}
        return [str(self.source / "tests/confinement/as-nobody"), program,
                named["bulkhead-launcher"], named["inside"], named["calc"]]

    def words_beside_daemon(self):
        for flag, name in beside_daemon.items():
            path = self.build_folder / name
            yield from (flag, str(path.parent if "plugin" in flag else path))

    def verdict(self, which, tests):
        """"no program", the test that failed, or "" for a survivor; of None, which is no mutant."""
        by_building = which and (not which.by_switch or which.path == self.source / generator)
        if self.stale and not (which and not which.by_switch):
            self.build()
        self.stale = by_building
        self.choose(which.number if which and which.by_switch else 0)
        if not by_building:
            return self.first_failure(tests)
        try:
            self.put(which.path, None if which.by_switch else which)
            for test in ([filter_test] if which.path.name == "make_filters.cpp" else []) + tests:
                if self.build(launcher, test[0]):
                    return "no program"
                if self.first_failure([test]):
                    return " ".join(test)
            return ""
        finally:
            self.put(which.path)

    def first_failure(self, tests):
        for test in tests:
            if not passes(self.command(test), self.build_folder):
                return " ".join(test)
        return ""


libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans():
    """What a mutant leaves behind, a launcher that never ends for one, becomes a child of this."""
    set_child_subreaper = 36
    if libc.prctl(set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def take_namespaces():
    """In a test's process, before it: what a mutant mounts, or how it calls the machine, no other
    test is to meet."""
    mounts_and_names, recursive_private = 0x4020000, 0x44000
    if (libc.unshare(mounts_and_names) != 0
            or libc.mount(None, b"/", None, recursive_private, None) != 0):
        raise OSError(ctypes.get_errno(), "it takes root")


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


def passes(command, folder):
    """In time, too. It leaves nothing."""
    scratch = tempfile.mkdtemp()
    os.chmod(scratch, 0o1777)
    try:
        return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                              env={**os.environ, "TMPDIR": scratch, "BULKHEAD_TEST_PATIENCE_MS":
                                   str(patience_ms)}, timeout=test_s_max,
                              preexec_fn=take_namespaces, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        end_orphans()
        shutil.rmtree(scratch, ignore_errors=True)


def excuses():
    """Of mutants_excused.txt: "file: statement" to the reason above it."""
    reasons, reason = {}, ""
    for line in pathlib.Path(__file__).with_name("mutants_excused.txt").read_text().split("\n"):
        if line.startswith("# "):
            reason = line[2:]
        elif line:
            reasons[line] = reason
    return reasons


def chosen_by(given, all_mutants):
    some = [each for name in given.files for each in all_mutants
            if name in (each.path.name, f"{each.path.name}:{each.first + 1}")]
    some = some if given.files else all_mutants
    return some[given.first::given.every]


def try_all(of, todo, tests, deadline):
    """Yields each mutant that was tried, with what was found."""
    for n, each in enumerate(todo):
        if time.monotonic() > deadline:
            break
        if n % mutants_between_checks == 0 and not any(
                not of.verdict(None, tests) for _ in range(checks_max)):
            sys.exit("the tests fail without a mutant")
        yield each, of.verdict(each, tests)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", required=True, type=pathlib.Path)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("files", nargs="*", help="names, as walls.cpp, or places, as walls.cpp:77")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # after putting back the sources
    adopt_orphans()
    deadline = time.monotonic() + given.seconds
    of = tree(given.source, given.build)
    words = {"": "survives so far", "no program": "no program"}
    tried, todo = [], chosen_by(given, of.mutants)
    try:
        of.build_switches()
        for tests in [fast_tests, slow_tests]:
            survivors = []
            for each, found in try_all(of, todo, tests, deadline):
                if found != "no program" and tests is fast_tests:
                    tried.append(each)
                if not found:
                    survivors.append(each)
                print(f"{words.get(found, f'killed by {found}')}: {each}", flush=True)
            todo = survivors
    finally:
        of.restore()
    report(of.mutants, tried, todo)


def report(all_mutants, tried, survivors):
    reasons = excuses()
    excused = [each for each in survivors if each.key() in reasons]
    print(f"{len(tried) - len(survivors)} of {len(tried)} mutants killed, {len(excused)} of the "
          f"others excused, {len(survivors) - len(excused)} survive:")
    for each in survivors:
        if each not in excused:
            print(f"  {each}")
    # A list of excuses is to hold no others.
    known, killed = ({each.key() for each in some} for some in (all_mutants, tried))
    for name in reasons.keys() - known | reasons.keys() & (killed - {m.key() for m in survivors}):
        print(f"  excused for nothing: {name}")


if __name__ == "__main__":
    main()
