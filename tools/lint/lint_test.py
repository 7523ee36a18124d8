#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rules.py against samples: each rule catches its bad sample, and the good tree passes all."""

import unittest

import rules

licence = "// SPDX-License-Identifier: Apache-2.0\n"
header = licence + "#pragma once\n"
install = "set(bulkhead_public_headers\n  broker/broker.hpp broker/typed.hpp schema/wire/*.hpp)\n"
readme = "# x\none\ntwo\nthree\nfour\n"

good = {
    "README.md": readme,
    "actors/README.md": readme,
    "actors/clock.hpp": header + "#include <caf/all.hpp>\n",
    "broker/README.md": readme,
    "broker/broker.hpp": header + "#include <string>\n",
    "broker/broker.cpp": licence + '#include "actors/clock.hpp"\n#include <caf/all.hpp>\n',
    "broker/typed.hpp": header + '#include "broker/broker.hpp"\n#include <kj/async.h>\n',
    "plugins/README.md": readme,
    "plugins/kv/README.md": readme,
    "plugins/kv/kv.cpp": licence + '#include "schema/plugin.capnp.h"\n',
    "schema/README.md": readme,
    "schema/wire/README.md": readme,
    "schema/wire/guard.hpp": header + '#include "schema/plugin.capnp.h"\n',
    "tests/README.md": readme,
    "tools/README.md": readme,
    "tools/cmake/README.md": readme,
    "tools/cmake/BulkheadInstall.cmake": install,
}
long_function = licence + "void long_one(int n) {\n" + "  n += 1;\n" * 69 + "}\n"

# A rule, and the file that breaks it (None: the file is taken away).
bad = [
    ("licence-line", "broker/slot.cpp", "int x;\n"),
    ("licence-line", "tools/run", "#!/bin/sh\necho\n"),
    ("line-length", "broker/slot.cpp", licence + "//" + "x" * 99 + "\n"),
    ("blanks", "broker/slot.cpp", licence + "int x; \n"),
    ("blanks", "broker/slot.cpp", licence + "\tint x;\n"),
    ("blanks", "broker/slot.cpp", licence + "int x;"),
    ("file-length", "broker/slot.cpp", licence + "int x;\n" * 800),
    ("function-length", "broker/slot.cpp", long_function),
    ("pragma-once", "broker/slot.hpp", licence + "int x;\n"),
    ("using-namespace", "broker/slot.hpp", header + "using namespace kj;\n"),
    ("unit-tests-wait-for-nothing", "tests/unit/slot.cpp", licence + "x::sleep_for(1s);\n"),
    ("loose-ends", "broker/slot.cpp", licence + "// TO" "DO: later\n"),
    ("layering", "schema/wire/guard.hpp", header + '#include "actors/clock.hpp"\n'),
    ("layering", "plugins/kv/kv.cpp", licence + '#include "broker/broker.hpp"\n'),
    ("layering", "broker/client/client.cpp", licence + '#include "broker/broker.hpp"\n'),
    ("layering", "actors/clock.hpp", header + '#include "broker/broker.hpp"\n'),
    ("layering", "broker/slot.cpp", licence + '#include "tests/helper.hpp"\n'),
    ("linking", "plugins/kv/CMakeLists.txt", "target_link_libraries(kv bulkhead-broker)\n"),
    ("linking", "broker/client/CMakeLists.txt", "target_link_libraries(client CAF::core)\n"),
    ("framework-stays-inside", "broker/slot.hpp", header + "#include <caf/actor.hpp>\n"),
    ("framework-stays-inside", "plugins/kv/kv.cpp", licence + "#include <caf/actor.hpp>\n"),
    ("public-headers", "broker/broker.hpp", header + "#include <kj/async.h>\n"),
    ("public-headers", "broker/typed.hpp", header + "#include <caf/actor.hpp>\n"),
    ("public-headers", "broker/typed.hpp", header + '#include "broker/slot.hpp"\n'),
    ("machine-paths", "broker/slot.cpp", licence + 'auto f = "/tm' 'p/x";\n'),
    ("machine-paths", "tests/README.md", readme + "see /wo" "rk/main\n"),
    ("every-source-is-built", "broker/slot.cpp", licence),
    ("secrets", "broker/slot.cpp", licence + 'auto pass' 'word = "hunter2hunter2";\n'),
    ("secrets", "tests/key.txt", "-----BEGIN PRIVATE" " KEY-----\n"),
    ("top-folder", "scratch.md", "x\n"),
    ("folder-readme", "schema/README.md", None),
    ("folder-readme", "schema/README.md", "# short\n"),
]


def findings(files, built=None):
    """The names of the rules that a tree breaks."""
    files = rules.tree([rules.source_file(path, text) for path, text in files.items()], built)
    return {name for name, check in rules.all_rules.items() if list(check(files))}


class lint_test(unittest.TestCase):
    def test_a_good_tree_breaks_no_rule(self):
        built = {path for path in good if path.endswith(".cpp")}
        self.assertEqual(findings(good, built), set())

    def test_each_bad_sample_is_caught_by_its_rule(self):
        for name, path, text in bad:
            with self.subTest(rule=name, path=path):
                files = dict(good, **{path: text}) if text is not None else dict(good)
                # The helper header that some samples include.
                files.setdefault("broker/slot.hpp", header)
                built = {p for p in files if p.endswith(".cpp") and p != "broker/slot.cpp"}
                if name != "every-source-is-built":
                    built.add("broker/slot.cpp")
                if text is None:
                    del files[path]
                self.assertIn(name, findings(files, built))

    def test_a_bad_sample_breaks_no_other_rule_of_style(self):
        # A rule that fires on everything would pass the test above.
        for name in ("blanks", "line-length", "loose-ends", "secrets", "top-folder", "pragma-once"):
            for other, path, text in bad:
                if other == name or text is None:
                    continue
                with self.subTest(rule=name, sample=other, path=path):
                    self.assertNotIn(name, findings(dict(good, **{path: text})))

    def test_every_rule_has_a_bad_sample(self):
        self.assertEqual({name for name, _, _ in bad}, set(rules.all_rules))

    def test_limits_hold_to_the_line(self):
        exact = long_function.replace("  n += 1;\n", "", 1)
        self.assertNotIn("function-length", findings(dict(good, **{"broker/slot.cpp": exact})))
        wide = licence + "//" + "x" * 98 + "\n"
        self.assertNotIn("line-length", findings(dict(good, **{"broker/slot.cpp": wide})))


if __name__ == "__main__":
    unittest.main()
