#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy 14 over the project's sources, in parallel, and remembers what was clean.

Usage: clang_tidy.py --build DIR --cache DIR [--jobs N] [SOURCE...]

The sources are those of DIR/compile_commands.json that lie in the project and were not generated.
A source is clean as long as nothing that its result depends on has changed: its text, the project
headers that it includes, directly or not, the contracts (generated headers come of them), its
compile command, .clang-tidy, and clang-tidy itself. The SHA-256 of all that names an empty file in
the cache; a source whose file is there is not run again. Only clean results are kept. Removing the
cache is always safe.

Most of the time goes into headers that all sources share, so sources that are compiled alike are
looked at together: a file that includes up to batch_max of them, which takes a quarter of the time
that they take one by one. A batch with findings, or whose sources do not go together (the same name
in two anonymous namespaces), is halved until each source that is at fault stands alone; only what a
source alone has is a finding.

Prints one line per tenth of the work, the findings of each source as they come, and exits 1 when
there were any."""

import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parents[2]
tidy_program = "clang-tidy-14"
include_line = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
# g++ options that clang 14 does not know, and warnings that g++ gives already.
extra_arguments = ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-everything"]
batch_max = 8
# In a batch the sources are included, so they must pass the filter of headers; see
# HeaderFilterRegex.
batch_arguments = [
    "--checks=-bugprone-suspicious-include",
    r"--header-filter=/(schema/wire|actors|broker|plugins|tools|tests)/[^.]*\.[ch]pp$"]


def read(path):
    """The bytes of a file; empty when there is none (a generated header stands for itself by its
contract)."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def closure(source):
    """The project files that `source` includes by quotes, directly or not, with itself, sorted."""
    seen, waiting = set(), [source]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in include_line.findall(read(path).decode("utf-8", "replace")):
            for candidate in (root / name, path.parent / name):
                if candidate.is_file():
                    waiting.append(candidate.resolve())
                    break
    return sorted(seen)


def common_key():
    """What every result depends on."""
    key = hashlib.sha256()
    version = subprocess.run([tidy_program, "--version"], capture_output=True, check=True).stdout
    # The line that names the host's processor does not change findings.
    key.update(b"\n".join(line for line in version.splitlines() if b"CPU" not in line))
    contracts = sorted((root / "schema").glob("*.capnp"))
    for path in [root / ".clang-tidy", pathlib.Path(__file__), *contracts]:
        key.update(read(path))
    return key.hexdigest()


def key_of(source, command, common):
    """The name of a clean result."""
    key = hashlib.sha256(common.encode())
    key.update(command.encode())
    for path in closure(source):
        key.update(str(path.relative_to(root) if path.is_relative_to(root) else path).encode())
        key.update(hashlib.sha256(read(path)).digest())
    return key.hexdigest()


def project_sources(build):
    """Maps each of the project's own sources to its compile command."""
    sources = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if path.is_relative_to(root) and not path.is_relative_to(build) and path.suffix == ".cpp":
            sources[path] = entry["command"]
    return sources


def flags_of(command):
    """The arguments of a compile command without the compiler, the source and the output."""
    words = iter(shlex.split(command)[1:])
    return tuple(word for word in words
                 if word not in ("-c",) and not word.endswith(".cpp")
                 and not (word == "-o" and next(words)))


def batches_of(sources):
    """Lists of sources that are compiled with the same flags, each in order of path."""
    alike = {}
    for path in sorted(sources):
        alike.setdefault(flags_of(sources[path]), []).append(path)
    for flags, paths in alike.items():
        # Even sizes: 9 sources are 5 and 4.
        count = -(-len(paths) // batch_max)
        size = -(-len(paths) // count)
        for first in range(0, len(paths), size):
            yield flags, paths[first:first + size]


def run_tidy(arguments):
    """Returns what clang-tidy has to say; empty when it is content."""
    done = subprocess.run([tidy_program, "--quiet", *extra_arguments, *arguments],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    text = done.stdout.strip()
    if done.returncode != 0 and not text:
        text = done.stderr.strip() or "clang-tidy failed"
    return text


def run(flags, paths, build):
    """Yields (source, findings) for each of `paths`; no findings: an empty text."""
    if len(paths) == 1:
        yield paths[0], run_tidy(["-p", str(build), str(paths[0])])
        return
    # Inside the project, for its .clang-tidy.
    with tempfile.NamedTemporaryFile("w", suffix=".cpp", dir=build, prefix="tidy-") as batch:
        batch.writelines(f'#include "{path}"\n' for path in paths)
        batch.flush()
        if not run_tidy([*batch_arguments, batch.name, "--", *flags]):
            yield from ((path, "") for path in paths)
            return
    middle = len(paths) // 2
    yield from run(flags, paths[:middle], build)
    yield from run(flags, paths[middle:], build)


def main():
    parser = argparse.ArgumentParser(description="clang-tidy over the project, with a memory")
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("sources", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    build = options.build.resolve()
    options.cache.mkdir(parents=True, exist_ok=True)

    sources = project_sources(build)
    if options.sources:
        wanted = {path.resolve() for path in options.sources}
        sources = {path: command for path, command in sources.items() if path in wanted}
    if not sources:
        sys.exit(f"clang_tidy.py: no sources in {build}/compile_commands.json")
    common = common_key()
    keys = {path: key_of(path, command, common) for path, command in sources.items()}
    waiting = [path for path in sources if not (options.cache / keys[path]).exists()]
    known = len(sources) - len(waiting)
    print(f"    clang-tidy: {len(sources)} sources, {known} known to be clean", flush=True)

    dirty, tenth, number = 0, 0, 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        work = batches_of({path: sources[path] for path in waiting})
        jobs = [pool.submit(lambda batch=batch: list(run(*batch, build))) for batch in work]
        for job in concurrent.futures.as_completed(jobs):
            for path, findings in job.result():
                number += 1
                if findings:
                    dirty += 1
                    print(findings, flush=True)
                else:
                    (options.cache / keys[path]).touch()
            if number * 10 // len(waiting) != tenth:
                tenth = number * 10 // len(waiting)
                print(f"    checked {number} of {len(waiting)}", flush=True)
    if dirty:
        print(f"    {dirty} of {len(sources)} sources have findings", flush=True)
    sys.exit(1 if dirty else 0)


if __name__ == "__main__":
    main()
