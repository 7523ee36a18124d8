# System tests: real processes, sockets and SQLite, driven from outside by Python (its standard library is all they need).
# The same programs run in every build; under sanitizers with smaller counts and longer deadlines. See harness.py.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_executable(system-load system/load.cpp)
target_link_libraries(system-load PRIVATE bulkhead-client bulkhead-options fmt::fmt)
set(system_test_arguments
  --bulkheadd "$<TARGET_FILE:bulkheadd>" --bulkhead "$<TARGET_FILE:bulkhead>"
  --plugins "${PROJECT_BINARY_DIR}/plugin-dir" --bad-plugins "${PROJECT_BINARY_DIR}/bad-plugins"
  --load "$<TARGET_FILE:system-load>")
if(BULKHEAD_SANITIZE)
  list(APPEND system_test_arguments --scale small --sanitized)
endif()

# bulkhead_system_test(NAME SECONDS): tests/system/NAME_test.py, which must end within SECONDS (four times that under sanitizers).
function(bulkhead_system_test name seconds)
  if(BULKHEAD_SANITIZE)
    math(EXPR seconds "${seconds} * 4")
  endif()
  add_test(NAME system-${name}
           COMMAND Python3::Interpreter "${CMAKE_CURRENT_SOURCE_DIR}/system/${name}_test.py" ${system_test_arguments})
  set_tests_properties(system-${name} PROPERTIES LABELS system TIMEOUT ${seconds})
endfunction()

bulkhead_system_test(misuse_start 180)
bulkhead_system_test(misuse_call 240)
bulkhead_system_test(link_attacks 240)
bulkhead_system_test(catalog 180)
# What is built with a sanitizer cannot run confined, and has the sanitizer's heap.
if(NOT BULKHEAD_SANITIZE)
  bulkhead_system_test(memory 60)
  bulkhead_system_test(confinement 180)
  bulkhead_system_test(outbound 120)
endif()
bulkhead_system_test(declared 120)
bulkhead_system_test(daemon 180)
bulkhead_system_test(groups 240)
bulkhead_system_test(stop 180)
bulkhead_system_test(life 180)
bulkhead_system_test(upgrade 180)
bulkhead_system_test(status 180)
bulkhead_system_test(reload 300)
bulkhead_system_test(minisign 60)
bulkhead_system_test(storm 300)
bulkhead_system_test(durability 600)
bulkhead_system_test(churn 1800)
bulkhead_system_test(state 180)
set_tests_properties(system-churn system-durability system-link_attacks system-reload system-storm system-status
  PROPERTIES RUN_SERIAL ON)
