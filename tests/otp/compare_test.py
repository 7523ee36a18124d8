#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py finds a difference when there is one."""

import pathlib
import tempfile
import unittest

import compare


def scenario(*lines):
    return compare.Scenario("E12 a title", list(lines))


class Compare(unittest.TestCase):
    def test_equal_traces_are_the_same_and_others_are_not(self):
        self.assertEqual(compare.verdict(scenario(), ["a"], ["a"]), (True, "same: E12 a title"))
        for otp, ours in ((["a"], ["b"]), (["a"], None), (None, ["a"]), (None, None)):
            self.assertEqual(compare.verdict(scenario(), otp, ours),
                             (False, "DIFFERS: E12 a title"))

    def test_a_documented_difference_must_be_one(self):
        documented = scenario("differs E12 why")
        self.assertTrue(compare.verdict(documented, ["a"], ["b"])[0])
        self.assertFalse(compare.verdict(documented, ["a"], ["a"])[0])
        self.assertFalse(compare.verdict(documented, ["a"], None)[0])

    def test_each_makes_a_scenario_of_every_combination(self):
        made = list(compare.spelled_out("T", ["each x=1,2", "each y=a,b", "child $x$y"]))
        self.assertEqual([each.title for each in made],
                         ["T [x=1 y=a]", "T [x=1 y=b]", "T [x=2 y=a]", "T [x=2 y=b]"])
        self.assertEqual(made[3].text(), "scenario T [x=2 y=b]\nchild 2b\n")

    def test_only_dynamic_children_may_stop_in_any_order(self):
        trace = ["start x", "end y", "asked x", "start y", "end x"]
        self.assertEqual(compare.without_chance(scenario("child x"), trace), trace)
        dynamic = scenario("top strategy=simple_one_for_one")
        self.assertEqual(compare.without_chance(dynamic, trace),
                         ["start x", "asked x", "end y", "start y", "end x"])

    def test_files_are_read_scenario_by_scenario(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "x.scenario").write_text(
                "# words\n\nscenario A01 one\nchild a\n\nscenario A02 two\nstop\n")
            found = [each.text() for each in compare.read_scenarios(pathlib.Path(folder))]
        self.assertEqual(found, ["scenario A01 one\nchild a\n", "scenario A02 two\nstop\n"])


if __name__ == "__main__":
    unittest.main()
