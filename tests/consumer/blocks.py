#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes the tested code out of README.md, so that what it shows is what is built and run.

Usage: blocks.py README NAME
Prints the fence that follows `<!-- NAME -->`; of a console fence, the commands without "$ ".

Exits 1 when there is no such fence: a mark that was renamed must not make a test pass by testing
nothing.
"""

import re
import sys


def block(text, name):
    """The language and the text of the named fence, or None."""
    fence = rf"^<!-- {re.escape(name)} -->\n```(\w+)\n(.*?)^```$"
    match = re.search(fence, text, re.DOTALL | re.MULTILINE)
    return match.groups() if match else None


def main(path, name):
    with open(path, encoding="utf-8") as file:
        found = block(file.read(), name)
    if not found or not found[1].strip():
        sys.exit(f"{path}: no fence marked '{name}'")
    language, text = found
    if language == "console":
        lines = [line[2:] for line in text.split("\n") if line.startswith("$ ")]
        text = "\n".join(lines) + "\n"
    sys.stdout.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
