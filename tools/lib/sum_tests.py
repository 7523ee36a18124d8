#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up the results that ctest wrote with --output-junit.

Usage: sum_tests.py FILE...   prints one line: PASSED FAILED SKIPPED, then a line per test program
that failed.

A Catch2 program is one test to ctest but holds many cases: its own closing line is read and its
cases are counted. A program that failed counts at least one failure, also when it crashed before
its closing line. Anything else counts as one. A file that is not there or empty counts as one
failure: silence is no success."""

import re
import sys
import xml.etree.ElementTree as ElementTree

all_passed = re.compile(r"^All tests passed \(.* in (\d+) test cases?\)\s*$", re.MULTILINE)
some_failed = re.compile(r"^test cases:\s*(\d+) \|(.*)$", re.MULTILINE)
failed_part = re.compile(r"(\d+) failed(?! as expected)")
passed_part = re.compile(r"(\d+) passed")


def cases_of(output):
    """The (passed, failed) cases that a Catch2 program reported, or None."""
    match = None
    for match in all_passed.finditer(output):
        pass
    if match:
        return int(match.group(1)), 0
    for match in some_failed.finditer(output):
        pass
    if not match:
        return None
    failed = sum(int(n) for n in failed_part.findall(match.group(2)))
    passed = sum(int(n) for n in passed_part.findall(match.group(2)))
    return passed, failed


def sum_file(path):
    """Returns passed, failed, skipped and the names of what failed."""
    try:
        suite = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError) as error:
        return 0, 1, 0, [f"{path}: {error}"]
    passed = failed = skipped = 0
    names = []
    for case in suite.iter("testcase"):
        status = case.get("status", "run")
        output = case.findtext("system-out") or ""
        broken = case.find("failure") is not None or status == "fail"
        reason = case.find("skipped")
        if status == "disabled" or (reason is not None and
                                    reason.get("message", "").startswith(("SKIP_", "Disabled"))):
            skipped += 1
            continue
        # As when its program is missing.
        broken = broken or status == "notrun" or reason is not None
        counted = cases_of(output)
        good, bad = counted if counted else (0 if broken else 1, 0)
        if broken:
            bad = max(bad, 1)
            names.append(case.get("name", "?"))
        passed += good
        failed += bad
    return passed, failed, skipped, names


def main(paths):
    passed = failed = skipped = 0
    names = []
    for path in paths:
        more = sum_file(path)
        passed, failed, skipped = passed + more[0], failed + more[1], skipped + more[2]
        names += more[3]
    print(passed, failed, skipped)
    for name in names:
        print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
