# Warnings, sanitizers, ccache, and the two functions that every CMakeLists.txt uses.

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE_PROGRAM}")
endif()

add_library(bulkhead-options INTERFACE)
target_compile_options(bulkhead-options INTERFACE
  -Wall -Wextra -Werror
  # Optimised g++ 12 sees uninitialised members in kj::Maybe and kj::Own where there are none.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
  # ... and an overlapping copy in "text" + std::string (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(BULKHEAD_SANITIZE)
  target_compile_options(bulkhead-options INTERFACE
    -fsanitize=${BULKHEAD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(bulkhead-options INTERFACE -fsanitize=${BULKHEAD_SANITIZE})
  set(BULKHEAD_STATIC_PLUGINS OFF)  # a static program cannot carry a sanitizer's run time
endif()

if(BULKHEAD_BUILD_FUZZERS)
  target_compile_options(bulkhead-options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# bulkhead_library(NAME EXPORT_NAME SOURCES...): a static library of the project, installed and exported as Bulkhead::EXPORT_NAME.
function(bulkhead_library name export_name)
  add_library(${name} STATIC ${ARGN})
  add_library(Bulkhead::${export_name} ALIAS ${name})
  set_target_properties(${name} PROPERTIES EXPORT_NAME ${export_name})
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:bulkhead-options>)
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>
    $<INSTALL_INTERFACE:include/bulkhead>)
  install(TARGETS ${name} EXPORT BulkheadTargets ARCHIVE DESTINATION lib)
endfunction()
