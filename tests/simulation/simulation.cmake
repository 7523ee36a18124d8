# Lives of supervisors from seeds; the canaries are the same program with a bug planted, which it must find.
add_executable(simulation simulation/simulation.cpp simulation/world.cpp simulation/ledger.cpp simulation/life_tree.cpp
               simulation/life_deeds.cpp simulation/sim_actors.cpp simulation/supervision_model.cpp)
target_link_libraries(simulation PRIVATE bulkhead-options bulkhead-actors)
# A sanitizer makes a life twenty times as long; what it looks for shows in few of them.
set(simulation_seeds 40000)
if(BULKHEAD_SANITIZE)
  set(simulation_seeds 1000)
endif()
add_test(NAME simulation COMMAND simulation --seeds ${simulation_seeds})
set_tests_properties(simulation PROPERTIES LABELS unit TIMEOUT 180)
foreach(bug double_restart stale_generation window_off_by_one early_give_up lost_reply lost_end lost_timer)
  add_test(NAME simulation-finds-${bug} COMMAND simulation --plant ${bug} --seeds 1000)
  set_tests_properties(simulation-finds-${bug} PROPERTIES LABELS unit TIMEOUT 60)
endforeach()
