bulkhead_unit_test(broker_parts_test bulkhead-broker)
bulkhead_unit_test(slot_test bulkhead-broker)
bulkhead_unit_test(broker_test bulkhead-broker bulkhead-sdk CapnProto::capnpc)
bulkhead_unit_test(embedding_test bulkhead-broker)
set_tests_properties(embedding_test PROPERTIES
  ENVIRONMENT "BULKHEAD_TEST_PLUGINS=${PROJECT_BINARY_DIR}/plugin-dir")
add_dependencies(embedding_test kv)
bulkhead_threads_tests(embedding_test)
