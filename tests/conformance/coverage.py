#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the conformance list against the tests, and prints the coverage.

A test carries a row's id when its name begins with it; several ids may stand there: `C05 C06 ...`
in Catch2, `test_C05_C06_...` in Python, `scenario C05 C06 ...` in the scripts that run on OTP too.
A Catch2 case that is hidden, or allowed to fail, carries nothing.

It fails when a row claims to be held or to deviate and no test carries it, when a test carries an
id that the list does not know or calls absent, and when the list itself is out of form. That a
test is built and passes is the business of lint and ctest.

    coverage.py [--root DIR] [--rows]     --rows: every row with its tests"""

import argparse
import dataclasses
import pathlib
import re
import sys

statuses = ("held", "deviates", "absent")
ids_in_front = r"((?:[A-Z]\d{2}[ _])+)"
catch_case = re.compile(
    r'\b(?:(?:TEMPLATE_)?TEST_CASE(?:_METHOD)?|SCENARIO(?:_METHOD)?)\(\s*(?:[\w:]+\s*,\s*)?'
    r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
    r'(?:,\s*("[^"]*"))?')
python_case = re.compile(rf"^\s*def (test_{ids_in_front}\w*)\(", re.MULTILINE)
scenario = re.compile(rf"^scenario ({ids_in_front}.*)$", re.MULTILINE)


@dataclasses.dataclass
class Row:
    name: str
    status: str
    text: str
    why: str = ""
    tests: list = dataclasses.field(default_factory=list)
    on_otp: bool = False


def read_rows(path):
    """The rows by id, the titles of the groups by letter, and what is wrong with the form."""
    rows, titles, faults = {}, {}, []
    row, in_why = None, False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("== "):
            titles[line[3]] = line[3:]
        elif line.startswith(" ") and row:
            in_why = in_why or line.strip().startswith("why:")
            if in_why:
                row.why = f"{row.why} {line.strip().removeprefix('why:').strip()}".strip()
            else:
                row.text += " " + line.strip()
        elif match := re.fullmatch(r"([A-Z]\d{2}) +(\w+) +(\S.*)", line):
            row, in_why = Row(*match.groups()), False
            if row.status not in statuses:
                faults.append(f"{path.name}:{number}: {row.name} is '{row.status}', "
                              f"not one of {', '.join(statuses)}")
            if row.name in rows:
                faults.append(f"{path.name}:{number}: {row.name} is there twice")
            rows[row.name] = row
        else:
            faults.append(f"{path.name}:{number}: neither a row nor part of one")
    faults += [f"{path.name}: {row.name} {row.status} without a reason (why:)"
               for row in rows.values() if row.status != "held" and not row.why]
    return rows, titles, faults


def catch_names(text):
    for match in catch_case.finditer(text):
        tags = match.group(2) or ""
        if not re.search(r"\[(\.|!shouldfail|!mayfail|hide)", tags):
            yield "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', match.group(1)))


def tests_of(root):
    """Yields (ids, name, file, runs on OTP) for every test whose name begins with ids."""
    for path in sorted((root / "tests").rglob("*")):
        file = path.relative_to(root)
        if path.suffix == ".cpp":
            names = [(re.match(ids_in_front, name), name) for name in catch_names(path.read_text())]
        elif path.suffix == ".py" and "conformance" not in file.parts:
            names = [(re.match("test_" + ids_in_front, match.group(1)), match.group(1))
                     for match in python_case.finditer(path.read_text())]
        elif path.suffix == ".scenario":
            names = [(re.match(ids_in_front, match.group(1)), match.group(1))
                     for match in scenario.finditer(path.read_text())]
        else:
            continue
        for match, name in names:
            if match:
                ids = re.findall(r"[A-Z]\d{2}", match.group(1))
                yield ids, name, file, path.suffix == ".scenario"


def compare(rows, tests):
    """Gives the rows their tests; returns what does not fit."""
    faults = []
    for ids, name, file, on_otp in tests:
        for each in ids:
            row = rows.get(each)
            if row is None:
                faults.append(f"{file}: the list has no {each}: {name}")
            elif row.status == "absent":
                faults.append(f"{file}: the list says that {each} is absent: {name}")
            else:
                row.tests.append(name)
                row.on_otp = row.on_otp or on_otp
    faults += [f"{row.name} {row.status}, but no test carries it: {row.text}"
               for row in rows.values() if row.status != "absent" and not row.tests]
    return faults


def print_coverage(rows, titles, every_row):
    for letter, title in titles.items():
        group = [row for row in rows.values()
                 if row.name[0] == letter or letter == "M" and row.name[0] == "N"]
        counts = [sum(row.status == status for row in group) for status in statuses]
        print(f"{title:<36} {counts[0]:>3} held {counts[1]:>3} deviate {counts[2]:>3} absent")
        for row in group:
            if every_row or row.status == "deviates":
                print(f"  {row.name} {row.status}: {row.text}")
                if row.why:
                    print(f"      why: {row.why}")
            for name in row.tests if every_row else ():
                print(f"      {name}")
    carried = sum(len(row.tests) for row in rows.values())
    on_otp = sum(row.on_otp for row in rows.values())
    print(f"{carried} times a test carries a row; {on_otp} rows run on Erlang/OTP as well")
    held, deviate, absent = (sum(row.status == status for row in rows.values())
                             for status in statuses)
    print(f"{len(rows)} rows: {held} held, {deviate} deviate, {absent} absent")


def main(arguments):
    parser = argparse.ArgumentParser(description="the coverage of the conformance list")
    here = pathlib.Path(__file__).resolve()
    parser.add_argument("--root", type=pathlib.Path, default=here.parents[2])
    parser.add_argument("--rows", action="store_true", help="print every row with its tests")
    options = parser.parse_args(arguments)
    rows, titles, faults = read_rows(options.root / "tests/conformance/list.txt")
    faults += compare(rows, tests_of(options.root))
    print_coverage(rows, titles, options.rows)
    for fault in faults:
        print(f"WRONG {fault}")
    return 1 if faults or not rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
