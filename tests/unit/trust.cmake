# broker/trust: keys and formats, the grammar of manifests, the rules, and the attacks that they are for.
bulkhead_unit_test(trust_keys_test bulkhead-trust)
bulkhead_unit_test(trust_memory_test bulkhead-trust)
bulkhead_unit_test(trust_manifest_test bulkhead-trust)
bulkhead_unit_test(trust_rules_test bulkhead-trust)
target_sources(trust_rules_test PRIVATE unit/trust_attacks_test.cpp)
