bulkhead_unit_test(broker_parts_test bulkhead-broker)
bulkhead_unit_test(slot_test bulkhead-broker)
bulkhead_unit_test(broker_test bulkhead-broker bulkhead-sdk CapnProto::capnpc)
