# Programs as sealed memory. marked_program is static and free of sanitizers, as a plugin is.
add_executable(marked_program unit/marked_program.cpp)
target_link_options(marked_program PRIVATE -static -s)

bulkhead_unit_test(image_test bulkhead-images)
target_sources(image_test PRIVATE
  unit/image_directory_test.cpp
  unit/image_race_test.cpp
  unit/image_vault_test.cpp)
target_compile_definitions(image_test PRIVATE BULKHEAD_MARKED_PROGRAM="$<TARGET_FILE:marked_program>")
add_dependencies(image_test marked_program)

bulkhead_unit_test(image_actor_test bulkhead-image-actor)
target_compile_definitions(image_actor_test PRIVATE BULKHEAD_MARKED_PROGRAM="$<TARGET_FILE:marked_program>")
add_dependencies(image_actor_test marked_program)
