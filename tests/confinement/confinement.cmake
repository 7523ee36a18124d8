# Real confinement, by the real launcher, as root and as nobody. `inside` is what runs confined: static and free of sanitizers.
add_executable(inside confinement/inside.cpp)
target_compile_options(inside PRIVATE -Wall -Wextra -Werror)
target_link_options(inside PRIVATE -static-pie -s)

# bulkhead_confinement_test(NAME SOURCES...): NAME and NAME-nobody.
function(bulkhead_confinement_test name)
  add_executable(${name} confinement/confined.cpp ${ARGN})
  target_link_libraries(${name} PRIVATE test-main bulkhead-options bulkhead-actors)
  target_compile_definitions(${name} PRIVATE
    BULKHEAD_BUILT_LAUNCHER="$<TARGET_FILE:bulkhead-launcher>" BULKHEAD_BUILT_INSIDE="$<TARGET_FILE:inside>")
  add_dependencies(${name} bulkhead-launcher inside)
  add_test(NAME ${name} COMMAND ${name})
  add_test(NAME ${name}-nobody COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/confinement/as-nobody"
    $<TARGET_FILE:${name}> $<TARGET_FILE:bulkhead-launcher> $<TARGET_FILE:inside>)
  set_tests_properties(${name} ${name}-nobody PROPERTIES LABELS confinement TIMEOUT 120)
endfunction()

bulkhead_confinement_test(confinement_walls_test confinement/walls_test.cpp confinement/launched_test.cpp)
