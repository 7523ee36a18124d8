# Tests of the plugin side: the SDK hosted in memory, the shipped plugins the same way, and serve() in real processes.
include(BulkheadPlugin)

bulkhead_unit_test(sdk_test bulkhead-sdk)

bulkhead_unit_test(kv_test bulkhead-sdk)
target_sources(kv_test PRIVATE ${PROJECT_SOURCE_DIR}/plugins/kv/kv.cpp ${PROJECT_SOURCE_DIR}/plugins/kv/paths.cpp
                               ${PROJECT_SOURCE_DIR}/plugins/kv/record.cpp)
bulkhead_target_schema(kv_test ${PROJECT_SOURCE_DIR}/plugins/kv/record.capnp)
