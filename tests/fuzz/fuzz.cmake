# Fuzz targets of what reads bytes that nobody vouches for. Each is tests/fuzz/NAME.cpp with one function, LLVMFuzzerTestOneInput,
# and a corpus in tests/fuzz/corpus/NAME. Built by the preset "fuzz" (clang, libFuzzer, AddressSanitizer, UBSan), the test of label
# "fuzz" looks for new inputs for BULKHEAD_FUZZ_SECONDS. In any other build the test runs the corpus, file by file (replay.cpp).
# An input that breaks a target belongs into the corpus, under a name that says what it broke.
set(BULKHEAD_FUZZ_SECONDS 20 CACHE STRING "How long each fuzz target runs as a test, in seconds")

# bulkhead_fuzz_target(NAME [SOURCES file...] [LIBRARIES target...])
function(bulkhead_fuzz_target name)
  cmake_parse_arguments(PARSE_ARGV 1 fuzz "" "" "SOURCES;LIBRARIES")
  add_executable(fuzz_${name} fuzz/${name}.cpp ${fuzz_SOURCES})
  target_include_directories(fuzz_${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(fuzz_${name} PRIVATE bulkhead-options ${fuzz_LIBRARIES})
  set(corpus "${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name}")
  if(BULKHEAD_BUILD_FUZZERS)
    set(found "${PROJECT_BINARY_DIR}/fuzz-corpus/${name}")
    file(MAKE_DIRECTORY "${found}")
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} -max_total_time=${BULKHEAD_FUZZ_SECONDS} -timeout=5 -rss_limit_mb=1024
             -print_final_stats=1 -artifact_prefix=${found}- "${found}" "${corpus}")
    math(EXPR most "${BULKHEAD_FUZZ_SECONDS} + 60")
    set_tests_properties(fuzz_${name} PROPERTIES LABELS fuzz TIMEOUT ${most})
    add_dependencies(fuzzers fuzz_${name})
  else()
    target_sources(fuzz_${name} PRIVATE fuzz/replay.cpp)
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} "${corpus}")
    set_tests_properties(fuzz_${name} PROPERTIES LABELS unit TIMEOUT 60)
  endif()
endfunction()

add_custom_target(fuzzers)
bulkhead_fuzz_target(frame_guard LIBRARIES bulkhead-wire)
bulkhead_fuzz_target(rpc_message LIBRARIES bulkhead-wire)
bulkhead_fuzz_target(error_text LIBRARIES bulkhead-wire)
bulkhead_fuzz_target(launcher_orders SOURCES "${PROJECT_SOURCE_DIR}/actors/launcher/orders.cpp")
bulkhead_fuzz_target(log_lines SOURCES "${PROJECT_SOURCE_DIR}/actors/log_lines.cpp" LIBRARIES fmt::fmt)
bulkhead_fuzz_target(manifest LIBRARIES bulkhead-trust)
bulkhead_fuzz_target(signatures LIBRARIES bulkhead-trust)
bulkhead_fuzz_target(program_file SOURCES "${PROJECT_SOURCE_DIR}/actors/confinement/elf_file.cpp"
                     "${PROJECT_SOURCE_DIR}/broker/images/image_error.cpp" "${PROJECT_SOURCE_DIR}/broker/images/program_kind.cpp"
                     LIBRARIES fmt::fmt)
