# The attacks: a static program, free of the project's libraries and of sanitizers, and the runner that starts it in every way.
add_library(hostile-attacks OBJECT hostile/attack.cpp hostile/processes.cpp hostile/foreign.cpp hostile/files.cpp
            hostile/grants.cpp hostile/network.cpp hostile/privilege.cpp hostile/code.cpp hostile/kernel.cpp hostile/recent_kernel.cpp
            hostile/entries.cpp hostile/memory.cpp hostile/tasks.cpp hostile/descriptors.cpp hostile/leaks.cpp)
target_include_directories(hostile-attacks PUBLIC "${PROJECT_SOURCE_DIR}")
target_compile_options(hostile-attacks PRIVATE -Wall -Wextra -Werror -fno-exceptions -fno-rtti)
foreach(program hostile hostile-dynamic)
  add_executable(${program} hostile/hostile.cpp hostile/victim.cpp)
  target_compile_options(${program} PRIVATE -Wall -Wextra -Werror -fno-exceptions -fno-rtti)
  target_link_libraries(${program} PRIVATE hostile-attacks)
endforeach()
target_link_options(hostile PRIVATE -static-pie)

add_executable(hostile_test hostile/hostile_main.cpp hostile/hostile_test.cpp hostile/ablation_test.cpp hostile/walk_test.cpp
               hostile/campaign.cpp hostile/world.cpp hostile/start.cpp hostile/filter_policy.cpp)
target_include_directories(hostile_test PRIVATE "${PROJECT_BINARY_DIR}/launcher-filters")
target_link_libraries(hostile_test PRIVATE hostile-attacks Catch2::Catch2 bulkhead-options bulkhead-actors fmt::fmt)
add_dependencies(hostile_test hostile hostile-dynamic bulkhead-launcher)

# The filters as they are built, without any process. They are made with the launcher.
add_executable(filter_test hostile/filter_test.cpp hostile/filter_policy.cpp hostile/filter_machine.cpp)
target_include_directories(filter_test PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/launcher-filters")
target_link_libraries(filter_test PRIVATE test-main bulkhead-options)
add_dependencies(filter_test bulkhead-launcher)

# hostile-NAME runs as root where the tests do, hostile-NAME-user gives root up first. They take the processor from one another, so
# they run by themselves. In a build with a sanitizer the launcher and the attacks are without it, and so the same: `nosanitize`.
add_test(NAME hostile-filter COMMAND filter_test)
foreach(user "" "-user")
  set(as $<$<STREQUAL:${user},-user>:--user>)
  add_test(NAME hostile-profiles${user} COMMAND hostile_test ${as} "unconfined*,strict*,no-userns*,interpreter*" COMMAND_EXPAND_LISTS)
  add_test(NAME hostile-ablation${user} COMMAND hostile_test ${as} "with*" COMMAND_EXPAND_LISTS)
  set_tests_properties(hostile-profiles${user} hostile-ablation${user} PROPERTIES LABELS "hostile;nosanitize" TIMEOUT 900 RUN_SERIAL ON)
endforeach()
add_test(NAME hostile-walk COMMAND hostile_test "every*")
add_test(NAME hostile-alone COMMAND hostile_test "how*")
set_tests_properties(hostile-filter PROPERTIES LABELS hostile TIMEOUT 600)
set_tests_properties(hostile-walk hostile-alone PROPERTIES LABELS "hostile;nosanitize" TIMEOUT 600)
set_tests_properties(hostile-walk hostile-alone PROPERTIES RUN_SERIAL ON)
# What cannot be had is a failure, but for what the kernel is without.
set_tests_properties(hostile-profiles hostile-profiles-user hostile-ablation hostile-ablation-user hostile-walk hostile-alone
                     PROPERTIES ENVIRONMENT BULKHEAD_SANDBOX_MUST_WORK=1)
