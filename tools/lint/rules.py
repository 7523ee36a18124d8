# SPDX-License-Identifier: Apache-2.0
"""The project's own rules, each a function from a tree of files to findings.

A rule is decorated with @rule and yields (path, line, text). Its docstring is what a person reads
who broke it. `lint_test.py` holds a bad sample for each; a rule without one fails that test. The
rules read text, not syntax: they rely on clang-format having laid out the code. What needs a
compiler (public headers standing alone) is checked by tests/consumer."""

import pathlib
import re

line_columns_max = 100
wide_line_columns_max = 160  # contracts, CMake and prose
function_lines_max = 70
file_lines_max = 800
readme_lines_min = 5

code_suffixes = {".cpp", ".hpp"}
script_suffixes = {".py", ".sh"}
top_level = {"CMakeLists.txt", "CMakePresets.json", "README.md", "NEWS.md", "LICENSE", ".ci",
             "broker", "actors", "schema", "plugins", "tests", "tools"}
product_folders = ("schema", "actors", "broker", "plugins", "tools")

# What the sources of a folder may include. The longest folder that fits decides.
layers = {
    "schema": ["schema"],
    "actors": ["schema", "actors"],
    "broker": ["schema", "actors", "broker"],
    "broker/client": ["schema", "broker/client"],
    "broker/trust": ["broker/trust"],
    "plugins": ["schema", "plugins"],
    "plugins/examples": ["schema", "plugins", "broker"],
    "tools": ["schema", "actors", "broker", "plugins", "tools"],
    "tools/bulkhead": ["schema", "broker/client", "broker/trust", "tools"],
    "tools/demo": ["schema", "broker/client", "plugins", "tools"],
    "tests": ["schema", "actors", "broker", "plugins", "tools", "tests"],
}
# Libraries that a folder's CMakeLists.txt must not name.
forbidden_links = {
    "schema": ["bulkhead-actors", "bulkhead-broker", "bulkhead-client", "bulkhead-sdk", "CAF::"],
    "actors": ["bulkhead-broker", "bulkhead-client", "bulkhead-sdk"],
    "broker": ["bulkhead-sdk"],
    "broker/client": ["bulkhead-actors", "bulkhead-broker", "bulkhead-sdk", "CAF::"],
    "broker/trust": ["bulkhead-actors", "bulkhead-broker", "bulkhead-wire", "CAF::", "CapnProto::"],
    "plugins/sdk": ["bulkhead-actors", "bulkhead-broker", "bulkhead-client", "CAF::"],
    "plugins/kv": ["bulkhead-actors", "bulkhead-broker", "bulkhead-client", "CAF::"],
    "plugins/calc": ["bulkhead-actors", "bulkhead-broker", "bulkhead-client", "CAF::"],
    "tools/bulkhead": ["bulkhead-actors", "bulkhead-broker", "CAF::"],
}
embedding_headers = ["broker/broker.hpp"]  # with all they include: free of caf/, kj/ and capnp/

include_line = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
all_rules = {}


def rule(function):
    """Registers a rule under its name with hyphens."""
    all_rules[function.__name__.replace("_", "-")] = function
    return function


class source_file:
    """A text file of the project: its path from the root, and its lines."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")
        self.suffix = pathlib.PurePosixPath(path).suffix
        self.is_code = self.suffix in code_suffixes
        first = self.lines[0]
        self.is_script = self.suffix in script_suffixes or first.startswith("#!")
        self.is_cmake = path.endswith("CMakeLists.txt") or self.suffix == ".cmake"

    def numbered(self):
        return enumerate(self.lines, 1)


class tree:
    """All text files by path, and the sources that the build knows (None: not asked)."""

    def __init__(self, files, built=None):
        self.files = {file.path: file for file in files}
        self.built = built

    def __iter__(self):
        return iter(self.files.values())

    def includes(self, path):
        """Yields (line number, is quoted, name) of what a file includes."""
        file = self.files.get(path)
        for number, line in file.numbered() if file else ():
            match = include_line.match(line)
            if match:
                yield number, match.group(1) == '"', match.group(2)

    def closure(self, roots):
        """The project files that `roots` include by quotes, directly or not."""
        seen, waiting = set(), list(roots)
        while waiting:
            path = waiting.pop()
            if path in seen or path not in self.files:
                continue
            seen.add(path)
            waiting += [name for _, quoted, name in self.includes(path) if quoted]
        return sorted(seen)

    def public_headers(self):
        """What BulkheadInstall.cmake installs: its list bulkhead_public_headers, resolved."""
        install = self.files.get("tools/cmake/BulkheadInstall.cmake")
        match = install and re.search(r"set\(bulkhead_public_headers\s([^)]*)\)", install.text)
        patterns = match.group(1).split() if match else []
        return sorted(path for path in self.files
                      if any(pathlib.PurePosixPath("/" + path).match("/" + p) for p in patterns))


def in_folder(path, folder):
    return path.startswith(folder + "/")


def folder_of(path, table):
    """The longest key of `table` that `path` lies in, or None."""
    found = [folder for folder in table if in_folder(path, folder)]
    return max(found, key=len) if found else None


@rule
def licence_line(files):
    """A source begins with its SPDX line (a script: after its #! line)."""
    for file in files:
        if not (file.is_code or file.is_script):
            continue
        mark = "//" if file.is_code else "%%" if file.suffix == ".escript" else "#"
        wanted = f"{mark} SPDX-License-Identifier: Apache-2.0"
        head = file.lines[:2] if file.is_script else file.lines[:1]
        sourced = file.suffix == ".sh" and file.lines[0].startswith("# shellcheck shell=")
        if wanted not in head and not sourced:
            yield file.path, 1, f"the first line must be: {wanted}"


@rule
def line_length(files):
    """Code keeps to 100 columns; contracts, CMake, shell and prose to 160; a URL may be longer."""
    for file in files:
        most = line_columns_max if file.is_code or file.suffix == ".py" else wide_line_columns_max
        if file.path == "LICENSE" or file.suffix in {".txt", ".json"}:
            continue
        for number, line in file.numbered():
            if len(line) > most and "://" not in line:
                yield file.path, number, f"{len(line)} columns, {most} are allowed"


@rule
def blanks(files):
    """No blanks at the end of a line, no tabs in code, one newline at the end of a file."""
    for file in files:
        for number, line in file.numbered():
            if line != line.rstrip() and file.suffix != ".txt":
                yield file.path, number, "blanks at the end of the line"
            if "\t" in line and (file.is_code or file.suffix == ".py"):
                yield file.path, number, "a tab"
        if file.text and (not file.text.endswith("\n") or file.text.endswith("\n\n")):
            yield file.path, len(file.lines), "must end with exactly one newline"


@rule
def file_length(files):
    """A file holds one concept: 800 lines at most."""
    for file in files:
        if len(file.lines) > file_lines_max + 1 and (file.is_code or file.is_script):
            yield file.path, 1, f"{len(file.lines) - 1} lines, {file_lines_max} are allowed"


def head_of(lines, index):
    """The index of the line where the statement begins whose last line is lines[index]."""
    depth = 0
    while index >= 0:
        code = re.sub(r'"(\\.|[^"\\])*"', "", lines[index])
        depth += code.count(")") - code.count("(")
        if depth <= 0:
            return index
        index -= 1
    return 0


@rule
def function_length(files):
    """A function fits a screen: 70 lines at most. Catch2 test cases may be longer."""
    exempt = r"namespace|class|struct|enum|union|extern|template|TEST_CASE|TEMPLATE_TEST|\}"
    opening = re.compile(r"^ *\S.*\)[^;=]*\{$")
    for file in files:
        end = 0
        for number, line in file.numbered() if file.is_code else ():
            if number <= end or not opening.match(line):
                continue
            head = file.lines[head_of(file.lines, number - 1)]
            if re.match(rf"\s*({exempt})", head):
                continue
            indent = head[:len(head) - len(head.lstrip())]
            # A constructor's initialisers stand four columns in.
            closing = (indent[4:] if head.lstrip().startswith(":") else indent) + "}"
            end = next((n for n, text in enumerate(file.lines[number:], number + 1)
                        if text.startswith(closing)), number)
            long = end - number + 1
            if long > function_lines_max:
                yield file.path, number, f"{long} lines, {function_lines_max} are allowed"


@rule
def pragma_once(files):
    """Every header has #pragma once."""
    for file in files:
        if file.suffix == ".hpp" and "#pragma once" not in file.lines:
            yield file.path, 1, "#pragma once is missing"


@rule
def using_namespace(files):
    """A header opens no namespace for those who include it."""
    for file in files:
        for number, line in file.numbered() if file.suffix == ".hpp" else ():
            if re.match(r"\s*using namespace ", line):
                yield file.path, number, "using namespace in a header"


@rule
def unit_tests_wait_for_nothing(files):
    """Unit tests do not sleep: time is injected."""
    pattern = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep|::sleep)\b")
    for file in files:
        for number, line in file.numbered() if in_folder(file.path, "tests/unit") else ():
            if pattern.search(line):
                yield file.path, number, "a unit test sleeps"


@rule
def loose_ends(files):
    """No notes to oneself: do it, or write an issue."""
    pattern = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
    for file in files:
        for number, line in file.numbered():
            if pattern.search(line):
                yield file.path, number, "a loose end"


@rule
def layering(files):
    """schema <- actors <- broker <- tools, and schema <- plugins: an include points down only."""
    for file in files:
        folder = folder_of(file.path, layers)
        if not file.is_code or folder is None:
            continue
        for number, quoted, name in files.includes(file.path):
            if not quoted or "/" not in name:
                continue
            if not any(in_folder(name, allowed) for allowed in layers[folder]):
                yield file.path, number, f"{folder}/ must not include {name}"


@rule
def linking(files):
    """The layers hold for libraries too: neither a plugin nor the client links the broker."""
    for file in files:
        folder = folder_of(file.path, forbidden_links)
        if not file.is_cmake or folder is None:
            continue
        for number, line in file.numbered():
            code = line.split("#")[0]
            for library in forbidden_links[folder]:
                end = "" if library.endswith("::") else r"(?![\w-])"
                if re.search(rf"(?<![\w-]){re.escape(library)}{end}", code):
                    yield file.path, number, f"{folder}/ must not link {library}"


@rule
def framework_stays_inside(files):
    """CAF is known to actors/, and in broker/ to sources and *_actor headers only."""
    for file in files:
        allowed = (in_folder(file.path, "actors") or in_folder(file.path, "tests") or
                   in_folder(file.path, "broker") and not in_folder(file.path, "broker/client") and
                   (file.suffix == ".cpp" or "actor" in file.path.rsplit("/", 1)[-1]))
        for number, _, name in files.includes(file.path) if file.is_code and not allowed else ():
            if name.startswith("caf/"):
                yield file.path, number, f"includes {name}"


@rule
def public_headers(files):
    """No installed header shows CAF, all it needs is installed, broker.hpp is free of KJ too."""
    public = files.public_headers()
    for path in files.closure(public):
        if path not in public:
            yield path, 1, "an installed header includes this one, which is not installed"
        for number, _, name in files.includes(path):
            if name.startswith("caf/") or in_folder(name, "actors"):
                yield path, number, f"an installed header includes {name}"
    for path in files.closure(embedding_headers):
        for number, _, name in files.includes(path):
            if name.startswith(("kj/", "capnp/")) or name.endswith(".capnp.h"):
                yield path, number, f"the embedding API includes {name}"


@rule
def machine_paths(files):
    """Nothing names a place of one machine; product code makes no file in a fixed place."""
    for file in files:
        product = file.is_code and file.path.startswith(product_folders)
        for number, line in file.numbered():
            if re.search(r"(?<![\w./-])/wo" r"rk/|\.\./sha" r"red\b|/home/\w", line):
                yield file.path, number, "a path of one machine"
            if product and re.search(r"\"[^\"]*/tm" r"p/", line):
                yield file.path, number, "a fixed path in the temporary directory"


@rule
def every_source_is_built(files):
    """A source that no target compiles is dead."""
    for file in files if files.built is not None else ():
        if file.suffix == ".cpp" and not in_folder(file.path, "tests/consumer"):
            if file.path not in files.built:
                yield file.path, 1, "no target compiles it"


@rule
def secrets(files):
    """No key material and no password in the tree; a test makes its secrets up as it runs."""
    key = re.compile(r"-----BEGIN [A-Z ]*PRIVATE" r" KEY-----|\bAKIA[0-9A-Z]{16}\b")
    named = r"\b(password|passwd|secret_key|api_key)"
    literal = re.compile(named + r"\s*[:=]\s*\"[^\"<{%$]{6,}\"", re.IGNORECASE)
    for file in files:
        for number, line in file.numbered():
            if key.search(line) or literal.search(line) and not in_folder(file.path, "tests"):
                yield file.path, number, "looks like a secret"


@rule
def top_folder(files):
    """The top of the tree holds what README.md lists and nothing else."""
    for name in sorted({path.split("/")[0] for path in files.files}):
        if name not in top_level and not name.startswith("."):
            yield name, 1, "does not belong at the top"


@rule
def folder_readme(files):
    """Each folder says in a few lines what it is for."""
    folders = {"/".join(path.split("/")[:depth]) for path in files.files for depth in (1, 2)
               if path.count("/") >= depth}
    for folder in sorted(folders):
        if folder.split("/")[0] not in top_level or folder.startswith((".", "tests/")):
            continue
        readme = files.files.get(folder + "/README.md")
        if readme is None:
            yield folder, 1, "has no README.md"
        elif len([line for line in readme.lines if line.strip()]) < readme_lines_min:
            yield readme.path, 1, f"says less than {readme_lines_min} lines"
