# Tests of schema/wire.
bulkhead_unit_test(wire_guard bulkhead-wire)
bulkhead_unit_test(wire_error bulkhead-wire)
bulkhead_unit_test(wire_stream bulkhead-wire)
bulkhead_unit_test(wire_connection bulkhead-wire)
bulkhead_unit_test(wire_hostile bulkhead-wire)
bulkhead_unit_test(wire_budget bulkhead-wire)
bulkhead_unit_test(wire_budget_use bulkhead-wire)
bulkhead_unit_test(wire_plugin_link bulkhead-wire)

# What the bench makes of its measurements, and that it runs: short rounds say nothing about speed.
bulkhead_unit_test(bench_results)
target_sources(bench_results PRIVATE
  "${PROJECT_SOURCE_DIR}/tools/bench/results.cpp" "${PROJECT_SOURCE_DIR}/tools/bench/samples.cpp")
target_include_directories(bench_results PRIVATE "${PROJECT_SOURCE_DIR}")
if(TARGET bulkhead-bench AND TARGET bulkheadd)
  add_test(NAME bench-smoke COMMAND bulkhead-bench --quick -o json)
  set_tests_properties(bench-smoke PROPERTIES LABELS system TIMEOUT 120 RUN_SERIAL ON
    PASS_REGULAR_EXPRESSION "\"path\":\"broker, request\"")
endif()
