#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""coverage.py finds what it is there to find, on trees that are wrong in one way each."""

import contextlib
import io
import pathlib
import tempfile
import unittest

import coverage

rows = """# words
== A. Starts
A01 held      It starts.
A02 deviates  It starts
    twice.
    why: once is
    enough
A03 absent    It never starts.
    why: it does
"""
case = ('TEST_CASE("A01 it starts") {}\n'
        'TEST_CASE(\n    "A02 it starts "\n    "once", "[quick]") {}\n')


class Coverage(unittest.TestCase):
    def run_on(self, text, **files):
        with tempfile.TemporaryDirectory() as folder:
            tests = pathlib.Path(folder) / "tests"
            (tests / "conformance").mkdir(parents=True)
            (tests / "conformance/list.txt").write_text(text)
            for name, content in files.items():
                (tests / name.replace("_dot_", ".")).write_text(content)
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                status = coverage.main(["--root", folder, "--rows"])
            return status, output.getvalue()

    def assert_wrong(self, result, text):
        self.assertEqual(result[0], 1, result[1])
        self.assertIn(text, result[1])

    def test_a_list_that_agrees_with_the_tests_is_counted(self):
        status, output = self.run_on(rows, a_dot_cpp=case)
        self.assertEqual(status, 0, output)
        self.assertIn("A02 deviates: It starts twice.\n      why: once is enough\n"
                      "      A02 it starts once\n", output)
        self.assertTrue(output.endswith("3 rows: 1 held, 1 deviate, 1 absent\n"), output)

    def test_a_case_with_a_fixture_carries_rows_too(self):
        cases = ('TEST_CASE_METHOD(fixture, "A01 it starts") {}\n'
                 'TEMPLATE_TEST_CASE_METHOD(a::b,\n    "A02 it starts once", "[x]", int) {}\n')
        status, output = self.run_on(rows, a_dot_cpp=cases)
        self.assertEqual(status, 0, output)

    def test_python_and_scenarios_carry_rows_too(self):
        status, output = self.run_on(rows, a_dot_py="    def test_A01_it_starts(self):\n",
                                     b_dot_scenario="scenario A02 A01 both\n")
        self.assertEqual(status, 0, output)
        self.assertIn("3 times a test carries a row; 2 rows run on Erlang/OTP", output)

    def test_a_claim_without_a_test_is_wrong(self):
        self.assert_wrong(self.run_on(rows, a_dot_cpp='TEST_CASE("A02 once") {}'),
                          "A01 held, but no test carries it")
        self.assert_wrong(self.run_on(rows, a_dot_cpp='TEST_CASE("A01 it starts") {}'),
                          "A02 deviates, but no test carries it")

    def test_a_hidden_case_carries_nothing(self):
        hidden = case.replace('"A01 it starts"', '"A01 it starts", "[.slow]"')
        self.assert_wrong(self.run_on(rows, a_dot_cpp=hidden), "A01 held, but no test carries it")

    def test_an_id_that_is_unknown_or_absent_is_wrong(self):
        self.assert_wrong(self.run_on(rows, a_dot_cpp=case + 'TEST_CASE("B77 x") {}'),
                          "the list has no B77")
        self.assert_wrong(self.run_on(rows, a_dot_cpp=case + 'TEST_CASE("A01 A03 x") {}'),
                          "the list says that A03 is absent")

    def test_a_list_out_of_form_is_wrong(self):
        for line, finding in (("A04 hold  x", "is 'hold'"), ("A01 held  x", "A01 is there twice"),
                              ("A04 absent  x", "A04 absent without a reason"),
                              ("some words", "neither a row nor part of one")):
            self.assert_wrong(self.run_on(rows + line + "\n", a_dot_cpp=case), finding)
        self.assertEqual(self.run_on("# nothing\n")[0], 1)


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(Coverage)
    result = unittest.TextTestRunner(verbosity=1).run(suite)
    raise SystemExit(0 if result.wasSuccessful() else 1)
