#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same scenarios on OTP's supervisor and on ours: their traces must be the same.

    compare.py --ours PROGRAM [--only WORD] [--show]

Prints a line per scenario: `same`, `differs as documented` where the scenario says so and why, or
`DIFFERS` with both traces side by side. Only the last is a failure, and a documented difference
that is none. README.md has the words of the scenarios."""

import argparse
import difflib
import itertools
import pathlib
import shutil
import subprocess
import sys
import tempfile

here = pathlib.Path(__file__).resolve().parent
run_seconds_max = 180


class Scenario:
    """Title, documented difference, and lines; `each` lines have been spelled out."""

    def __init__(self, title, lines):
        self.title = title
        self.differs = next((line[8:] for line in lines if line.startswith("differs ")), "")
        self.lines = [line for line in lines if not line.startswith("differs ")]

    def text(self):
        return "\n".join([f"scenario {self.title}", *self.lines]) + "\n"


def spelled_out(title, lines):
    """One scenario for every combination of what the `each` lines name."""
    choices = [line[5:].split("=", 1) for line in lines if line.startswith("each ")]
    rest = [line for line in lines if not line.startswith("each ")]
    for values in itertools.product(*(value.split(",") for _, value in choices)):
        text, names = "\n".join(rest), []
        for (key, _), value in zip(choices, values):
            text = text.replace("$" + key, value)
            names.append(f"{key}={value}")
        suffix = f" [{' '.join(names)}]" if names else ""
        yield Scenario(title + suffix, text.split("\n") if text else [])


def read_scenarios(folder):
    for path in sorted(folder.glob("*.scenario")):
        title, lines = None, []
        for line in [*path.read_text().splitlines(), "scenario "]:
            if line.startswith("scenario "):
                if title:
                    yield from spelled_out(title, lines)
                title, lines = line[9:], []
            elif line.strip() and not line.startswith("#"):
                lines.append(line)


def traces(command, scenarios, folder):
    """Runs all scenarios; their traces by title."""
    file = pathlib.Path(folder) / "all.scenario"
    file.write_text("".join(each.text() for each in scenarios))
    try:
        done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=False,
                              timeout=run_seconds_max)
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"").decode()
        sys.exit(f"{command[-1]} did not end within {run_seconds_max} s; its last lines:\n"
                 + "\n".join(output.splitlines()[-20:]))
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}; its last lines:\n"
                 + "\n".join(done.stdout.splitlines()[-20:]) + f"\n{done.stderr}")
    found, lines = {}, None
    for line in done.stdout.splitlines():
        if line.startswith("scenario "):
            lines = found.setdefault(line[9:], [])
        else:
            lines.append(line.rstrip())
    return found


def without_chance(scenario, trace):
    """The trace with what no rule orders sorted: dynamic children stop all at once."""
    if trace is None or not any("simple_one_for_one" in line for line in scenario.lines):
        return trace
    ordered = []
    for together, lines in itertools.groupby(trace, lambda line: line.startswith(("asked", "end"))):
        ordered += sorted(lines) if together else lines
    return ordered


def verdict(scenario, otp, ours):
    """(passes, line): what the comparison of one scenario came to."""
    if otp == ours and otp is not None:
        if scenario.differs:
            return False, f"DIFFERS in that it does not differ: {scenario.title}"
        return True, f"same: {scenario.title}"
    if scenario.differs and otp is not None and ours is not None:
        return True, f"differs as documented: {scenario.title}: {scenario.differs}"
    return False, f"DIFFERS: {scenario.title}"


def print_both(otp, ours):
    for line in difflib.unified_diff(otp or [], ours or [], "OTP", "ours", n=100, lineterm=""):
        print(f"    {line}")


def main():
    parser = argparse.ArgumentParser(description="our supervisor against OTP's")
    parser.add_argument("--ours", required=True, help="the program supervisor_trace")
    parser.add_argument("--only", default="", help="scenarios whose title has this word")
    parser.add_argument("--show", action="store_true", help="print the traces of all scenarios")
    options = parser.parse_args()
    if not shutil.which("escript"):
        sys.exit("escript is missing: install Debian's erlang-base")
    scenarios = [each for each in read_scenarios(here / "scenarios") if options.only in each.title]
    with tempfile.TemporaryDirectory() as folder:
        ours = traces([options.ours], scenarios, folder)
        otp = traces(["escript", str(here / "otp_trace.escript")], scenarios, folder)
    passed = documented = 0
    for scenario in scenarios:
        both = [without_chance(scenario, each.get(scenario.title)) for each in (otp, ours)]
        good, line = verdict(scenario, *both)
        print(line)
        if not good or options.show:
            print_both(*both)
        passed += good
        documented += good and bool(scenario.differs)
    failed = len(scenarios) - passed
    print(f"{len(scenarios)} scenarios: {passed - documented} same, {documented} differ as "
          f"documented, {failed} differ")
    if failed or not scenarios:
        print(f"test cases: {len(scenarios)} | {passed} passed | {failed} failed")
        return 1
    print(f"All tests passed ({len(scenarios)} scenarios in {passed} test cases)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
