# The conformance list against the tests: every row that claims to hold has a test, and no test has a row that is not there.
add_test(NAME conformance COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/conformance/coverage.py")
add_test(NAME conformance-rules COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/conformance/coverage_test.py")
set_tests_properties(conformance conformance-rules PROPERTIES LABELS lint TIMEOUT 60)
