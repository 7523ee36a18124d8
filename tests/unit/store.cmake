# The store: its rules, the embedded engine on real files, the actor around it, and the views.
bulkhead_unit_test(store_test bulkhead-store)

add_executable(store_writer unit/store_writer.cpp)
target_link_libraries(store_writer PRIVATE bulkhead-options bulkhead-store)
bulkhead_unit_test(store_log_test bulkhead-store)
bulkhead_unit_test(state_restore_test bulkhead-broker)
bulkhead_unit_test(sqlite_store_test bulkhead-store)
target_compile_definitions(sqlite_store_test PRIVATE
  BULKHEAD_STORE_WRITER="$<TARGET_FILE:store_writer>")
add_dependencies(sqlite_store_test store_writer)

bulkhead_unit_test(state_keys_test bulkhead-store OpenSSL::Crypto)
bulkhead_unit_test(encrypted_store_test bulkhead-store)
bulkhead_unit_test(store_actor_test bulkhead-store-actor)
bulkhead_unit_test(view_test bulkhead-store)
