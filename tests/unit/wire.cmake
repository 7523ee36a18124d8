# Tests of schema/wire.
bulkhead_unit_test(wire_guard bulkhead-wire)
bulkhead_unit_test(wire_error bulkhead-wire)
bulkhead_unit_test(wire_stream bulkhead-wire)
bulkhead_unit_test(wire_connection bulkhead-wire)
bulkhead_unit_test(wire_hostile bulkhead-wire)
