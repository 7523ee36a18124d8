# Supervision: pure parts first, then processes, then actors.
bulkhead_unit_test(restart_window_test bulkhead-actors)
bulkhead_unit_test(backoff_test bulkhead-actors)
bulkhead_unit_test(exit_status_test bulkhead-actors)
bulkhead_unit_test(posix_spawner_test bulkhead-actors)
bulkhead_unit_test(supervisor_core_test bulkhead-actors)
bulkhead_unit_test(supervisor_core_exhaustive_test bulkhead-actors)
bulkhead_unit_test(log_lines_test bulkhead-actors)
bulkhead_unit_test(supervisor_test bulkhead-actors)
