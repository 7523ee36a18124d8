# Supervision: pure parts first, then processes, then actors.
bulkhead_unit_test(restart_window_test bulkhead-actors)
bulkhead_unit_test(backoff_test bulkhead-actors)
bulkhead_unit_test(exit_status_test bulkhead-actors)
bulkhead_unit_test(confinement_test bulkhead-actors)
bulkhead_unit_test(launched_spawner_test bulkhead-actors)
target_sources(launched_spawner_test PRIVATE unit/confinement_observation_test.cpp unit/launcher_orders_test.cpp)
bulkhead_unit_test(posix_spawner_test bulkhead-actors)
target_sources(posix_spawner_test PRIVATE unit/posix_spawner_speed_test.cpp)
bulkhead_unit_test(supervision_test bulkhead-actors)
# The conformance list, one file for each of its groups.
bulkhead_unit_test(supervisor_core_test bulkhead-actors)
target_sources(supervisor_core_test PRIVATE
  unit/supervisor_admin_test.cpp
  unit/supervisor_reconfigure_test.cpp
  unit/supervisor_reports_test.cpp
  unit/supervisor_restart_test.cpp
  unit/supervisor_retry_test.cpp
  unit/supervisor_significant_test.cpp
  unit/supervisor_start_test.cpp
  unit/supervisor_stop_test.cpp
  unit/supervisor_strategy_test.cpp
  unit/supervisor_window_test.cpp)
bulkhead_unit_test(supervisor_core_exhaustive_test bulkhead-actors)
bulkhead_unit_test(supervisor_groups_exhaustive_test bulkhead-actors)
bulkhead_unit_test(supervisor_random_test bulkhead-actors)
bulkhead_unit_test(log_lines_test bulkhead-actors)
bulkhead_unit_test(supervisor_test bulkhead-actors)
target_sources(supervisor_test PRIVATE
  unit/supervisor_dynamic_test.cpp
  unit/supervisor_tree_test.cpp)
bulkhead_unit_test(asker_test bulkhead-actors)
