#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the tree against the project's own rules (rules.py). A test of its own: ctest -R lint.

Usage: lint.py [--root DIR] [--build DIR] [--explain RULE]

With --build, the compile commands there tell which sources are built. Prints `path:line: text
[rule]` for each finding and exits 1 when there was one."""

import argparse
import json
import pathlib
import subprocess
import sys

import rules

project = pathlib.Path(__file__).resolve().parents[2]


def text_files(root):
    """Every file that git knows or would take, that is there and is UTF-8 text."""
    command = ["git", "-C", str(root), "ls-files", "-z"]
    command += ["--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=False)
    if listed.returncode == 0:
        names = sorted({name for name in listed.stdout.decode().split("\0") if name})
    else:  # an unpacked archive
        paths = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
        names = sorted(str(path) for path in paths if path.parts[0] not in ("build", ".git"))
    for name in names:
        if name.startswith("tests/fuzz/corpus/"):
            continue  # inputs of programs: any bytes
        try:
            yield rules.source_file(name, (root / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            continue


def built_sources(root, build):
    """The project's sources in a build's compile commands, as paths from the root."""
    entries = json.loads((build / "compile_commands.json").read_text())
    paths = [(pathlib.Path(entry["directory"]) / entry["file"]).resolve() for entry in entries]
    return {str(path.relative_to(root)) for path in paths if path.is_relative_to(root)}


def main():
    parser = argparse.ArgumentParser(description="the project's own rules")
    parser.add_argument("--root", type=pathlib.Path, default=project)
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("--explain", choices=sorted(rules.all_rules))
    options = parser.parse_args()
    if options.explain:
        print(rules.all_rules[options.explain].__doc__)
        return 0
    root = options.root.resolve()
    built = built_sources(root, options.build) if options.build else None
    files = rules.tree(text_files(root), built)
    count = 0
    for name, check in rules.all_rules.items():
        for path, line, text in check(files):
            print(f"{path}:{line}: {text} [{name}]")
            count += 1
    print(f"{len(files.files)} files, {len(rules.all_rules)} rules, {count} findings")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
