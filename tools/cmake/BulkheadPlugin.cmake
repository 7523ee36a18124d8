# How plugins are built, in this project and in others after find_package(Bulkhead).
#
#   bulkhead_add_plugin(NAME SOURCES... [SCHEMA FILE.capnp...] [DYNAMIC])
#
# Makes the program NAME in BULKHEAD_PLUGIN_OUTPUT_DIR (default: plugin-dir in the project's build directory), a directory that then
# holds nothing but plugins and can be given to the broker as it is. It links the SDK, and the C++ of each SCHEMA: a file of a typed
# interface, which may import "/schema/annotations.capnp" and is included by its path below the project, as in "plugins/calc/calc.capnp.h".
#
# Plugins are linked as static-pie where BULKHEAD_STATIC_PLUGINS is not off, the archives of Cap'n Proto are installed, and no sanitizer
# is in use: a static program answers its first call about 1 ms after its start, a dynamic one needs about 4. Say DYNAMIC for a plugin
# that needs shared libraries. Release builds are stripped; sections that nothing uses are dropped.
#
#   bulkhead_target_schema(TARGET FILE.capnp...)
#
# Adds the C++ of schema files to any target: a client or a test of a typed interface.

include_guard(GLOBAL)

# The folder that holds schema/, for imports: the installed headers, or this source tree.
if(BULKHEAD_INCLUDE_DIR)
  set_property(GLOBAL PROPERTY BULKHEAD_CONTRACTS "${BULKHEAD_INCLUDE_DIR}")
else()
  set_property(GLOBAL PROPERTY BULKHEAD_CONTRACTS "${Bulkhead_SOURCE_DIR}")
endif()

find_program(CAPNP_PROGRAM capnp REQUIRED)
foreach(library capnp-rpc capnp kj-async kj)
  find_library(BULKHEAD_ARCHIVE_${library} lib${library}.a)
  mark_as_advanced(BULKHEAD_ARCHIVE_${library})
endforeach()

function(bulkhead_target_schema target)
  get_property(contracts GLOBAL PROPERTY BULKHEAD_CONTRACTS)
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/${target}-schema")
  foreach(file ${ARGN})
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" NORMALIZE)
    cmake_path(RELATIVE_PATH file BASE_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE relative)
    cmake_path(GET relative PARENT_PATH folder)
    file(MAKE_DIRECTORY "${generated}/${folder}")
    add_custom_command(
      OUTPUT "${generated}/${relative}.c++" "${generated}/${relative}.h"
      COMMAND ${CAPNP_PROGRAM} compile "--src-prefix=${PROJECT_SOURCE_DIR}" "-I${contracts}" "-oc++:${generated}" "${file}"
      DEPENDS "${file}" COMMENT "Compiling ${relative}" VERBATIM)
    target_sources(${target} PRIVATE "${generated}/${relative}.c++" "${generated}/${relative}.h")
    target_include_directories(${target} PRIVATE "${generated}" "${generated}/${folder}")
  endforeach()
endfunction()

# Links TARGET with the SDK and all below it, without a shared library. The targets of Cap'n Proto name shared libraries, so the
# archives are named here one by one.
function(bulkhead_link_static target)
  foreach(library sdk wire schema)
    foreach(property INCLUDE_DIRECTORIES COMPILE_DEFINITIONS)
      set_property(TARGET ${target} APPEND PROPERTY
        ${property} $<TARGET_PROPERTY:Bulkhead::${library},INTERFACE_${property}>)
    endforeach()
    target_link_libraries(${target} PRIVATE $<TARGET_FILE:Bulkhead::${library}>)
    add_dependencies(${target} Bulkhead::${library})
  endforeach()
  target_link_libraries(${target} PRIVATE
    ${BULKHEAD_ARCHIVE_capnp-rpc} ${BULKHEAD_ARCHIVE_capnp} ${BULKHEAD_ARCHIVE_kj-async} ${BULKHEAD_ARCHIVE_kj})
  # No warnings: each says that getaddrinfo, in a part of KJ that no plugin uses, would need shared libraries.
  target_link_options(${target} PRIVATE -static-pie -Wl,--no-warnings)
endfunction()

function(bulkhead_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "DYNAMIC" "" "SCHEMA")
  if(NOT DEFINED BULKHEAD_STATIC_PLUGINS)
    set(BULKHEAD_STATIC_PLUGINS ON)
  endif()
  if(NOT DEFINED BULKHEAD_PLUGIN_OUTPUT_DIR)
    set(BULKHEAD_PLUGIN_OUTPUT_DIR "${PROJECT_BINARY_DIR}/plugin-dir")
  endif()
  add_executable(${name} ${arg_UNPARSED_ARGUMENTS})
  target_compile_features(${name} PRIVATE cxx_std_20)
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${BULKHEAD_PLUGIN_OUTPUT_DIR}" POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${name} PRIVATE -ffunction-sections -fdata-sections)
  target_link_options(${name} PRIVATE -Wl,--gc-sections $<$<CONFIG:Release,MinSizeRel>:-s>)
  if(arg_SCHEMA)
    bulkhead_target_schema(${name} ${arg_SCHEMA})
  endif()
  string(FIND "${CMAKE_CXX_FLAGS} ${CMAKE_EXE_LINKER_FLAGS}" "-fsanitize" sanitized)
  if(BULKHEAD_STATIC_PLUGINS AND NOT arg_DYNAMIC AND sanitized EQUAL -1 AND BULKHEAD_ARCHIVE_capnp-rpc
     AND BULKHEAD_ARCHIVE_capnp AND BULKHEAD_ARCHIVE_kj-async AND BULKHEAD_ARCHIVE_kj)
    bulkhead_link_static(${name})
  else()
    target_link_libraries(${name} PRIVATE Bulkhead::sdk)
  endif()
endfunction()
