# Real confinement, by the real launcher, as root and as nobody. `inside` is what runs confined: static and free of sanitizers.
add_executable(inside confinement/inside.cpp)
target_compile_options(inside PRIVATE -Wall -Wextra -Werror)
target_link_options(inside PRIVATE -static-pie -s)
add_executable(inside-dynamic confinement/inside.cpp)
target_compile_options(inside-dynamic PRIVATE -Wall -Wextra -Werror)

# A plugin with a sanitizer is dynamic, and its run time does what no filter lets through: in such a build the tests of confinement
# run no plugin of ours, and say so.
set(confined_plugin)
if(NOT BULKHEAD_SANITIZE AND BULKHEAD_STATIC_PLUGINS)
  set(confined_plugin $<TARGET_FILE:calc>)
endif()

# bulkhead_confinement_test(NAME SOURCES...): NAME and NAME-nobody.
function(bulkhead_confinement_test name)
  add_executable(${name} confinement/confined.cpp ${ARGN})
  target_link_libraries(${name} PRIVATE test-main bulkhead-options bulkhead-actors)
  target_compile_definitions(${name} PRIVATE
    BULKHEAD_BUILT_LAUNCHER="$<TARGET_FILE:bulkhead-launcher>" BULKHEAD_BUILT_INSIDE="$<TARGET_FILE:inside>"
    BULKHEAD_BUILT_PLUGIN="${confined_plugin}")
  add_dependencies(${name} bulkhead-launcher inside inside-dynamic)
  if(confined_plugin)
    add_dependencies(${name} calc)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  add_test(NAME ${name}-nobody COMMAND "${CMAKE_CURRENT_SOURCE_DIR}/confinement/as-nobody"
    $<TARGET_FILE:${name}> $<TARGET_FILE:bulkhead-launcher> $<TARGET_FILE:inside> ${confined_plugin})
  set_tests_properties(${name} ${name}-nobody PROPERTIES LABELS confinement TIMEOUT 120)
endfunction()

bulkhead_confinement_test(confinement_walls_test confinement/walls_test.cpp confinement/launched_test.cpp
  confinement/contents_test.cpp confinement/grants_test.cpp confinement/interpreters_test.cpp confinement/groups_test.cpp
  confinement/launcher_test.cpp confinement/number_reuse_test.cpp
  confinement/faulty.cpp confinement/faults_test.cpp confinement/root_test.cpp confinement/spares_test.cpp
  confinement/launcher_process_test.cpp confinement/users_test.cpp "${PROJECT_SOURCE_DIR}/actors/launcher/users.cpp"
  confinement/limit_files_test.cpp "${PROJECT_SOURCE_DIR}/actors/launcher/limit_files.cpp"
  confinement/elf_file_test.cpp confinement/group_base_test.cpp "${PROJECT_SOURCE_DIR}/actors/launcher/group_base.cpp")
bulkhead_confinement_test(confinement_cost_test confinement/cost_test.cpp confinement/lifetime_test.cpp)
# Every launcher sweeps what dead ones have left, that of the tests of sweeping too.
set_tests_properties(confinement_walls_test PROPERTIES RUN_SERIAL ON)
# Its figures mean something when nothing else runs.
set_tests_properties(confinement_cost_test confinement_cost_test-nobody PROPERTIES RUN_SERIAL ON TIMEOUT 600)
