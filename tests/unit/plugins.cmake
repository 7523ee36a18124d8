# Tests of the plugin side: the SDK hosted in memory, the shipped plugins the same way, and serve() in real processes.
include(BulkheadPlugin)

bulkhead_unit_test(sdk_test bulkhead-sdk)

bulkhead_unit_test(kv_test bulkhead-sdk)
set(kv_sources kv.cpp metadata.cpp names.cpp paths.cpp record.cpp versions.cpp)
list(TRANSFORM kv_sources PREPEND "${PROJECT_SOURCE_DIR}/plugins/kv/")
target_sources(kv_test PRIVATE ${kv_sources})
bulkhead_target_schema(kv_test ${PROJECT_SOURCE_DIR}/plugins/kv/record.capnp)

include(bad_plugin.cmake)

bulkhead_unit_test(sdk_process_test bulkhead-sdk)
set(BULKHEAD_PLUGIN_OUTPUT_DIR "${PROJECT_BINARY_DIR}/test-plugins")
bulkhead_add_plugin(sdk_probe unit/sdk_probe.cpp)
target_link_libraries(sdk_probe PRIVATE bulkhead-options)
unset(BULKHEAD_PLUGIN_OUTPUT_DIR)
target_compile_definitions(sdk_process_test PRIVATE SDK_PROBE_PLUGIN="$<TARGET_FILE:sdk_probe>")
add_dependencies(sdk_process_test sdk_probe)

bulkhead_unit_test(calc_test bulkhead-sdk)
target_sources(calc_test PRIVATE ${PROJECT_SOURCE_DIR}/plugins/calc/calculator.cpp
                                 ${PROJECT_SOURCE_DIR}/plugins/calc/expression.cpp)
bulkhead_target_schema(calc_test ${PROJECT_SOURCE_DIR}/plugins/calc/calc.capnp)

bulkhead_unit_test(bad_plugin_test bulkhead-wire)
target_compile_definitions(bad_plugin_test PRIVATE BAD_PLUGIN_DIR="${PROJECT_BINARY_DIR}/bad-plugins")
add_dependencies(bad_plugin_test bad_plugin)
