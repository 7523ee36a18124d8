#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""sum_tests.py against what ctest and Catch2 really write."""

import pathlib
import tempfile
import unittest

import sum_tests

suite = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="x" tests="6">
  <testcase name="catch-good" status="run"><system-out>===
All tests passed (12 assertions in 5 test cases)
</system-out></testcase>
  <testcase name="catch-bad" status="fail"><failure message=""/><system-out>
test cases: 7 | 4 passed | 2 failed | 1 failed as expected
assertions: 30 | 27 passed | 3 failed
</system-out></testcase>
  <testcase name="crashed" status="fail"><failure message=""/>
  <system-out>half a line</system-out></testcase>
  <testcase name="plain" status="run"><system-out>fine</system-out></testcase>
  <testcase name="skipped" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase>
  <testcase name="absent" status="notrun"><skipped message="Unable to find executable"/></testcase>
</testsuite>
"""


class sum_tests_test(unittest.TestCase):
    def sums(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "results.xml"
            if text is not None:
                path.write_text(text, encoding="utf-8")
            return sum_tests.sum_file(path)

    def test_cases_of_catch_programs_are_counted_and_others_count_once(self):
        passed, failed, skipped, names = self.sums(suite)
        self.assertEqual((passed, failed, skipped), (5 + 4 + 1, 2 + 1 + 1, 1))
        self.assertEqual(names, ["catch-bad", "crashed", "absent"])

    def test_no_results_are_a_failure(self):
        self.assertEqual(self.sums(None)[:3], (0, 1, 0))
        self.assertEqual(self.sums("")[:3], (0, 1, 0))

    def test_a_passing_program_that_says_nothing_counts_once(self):
        text = '<testsuite><testcase name="a" status="run"/></testsuite>'
        self.assertEqual(self.sums(text), (1, 0, 0, []))


if __name__ == "__main__":
    unittest.main()
