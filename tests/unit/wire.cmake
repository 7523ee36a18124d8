# Tests of schema/wire.
bulkhead_unit_test(wire_connection bulkhead-wire)
