# Finds the C++ Actor Framework 0.17, for which Debian ships neither a CMake package nor pkg-config data.
# Defines CAF::core, CAF_FOUND and CAF_VERSION.
find_path(CAF_INCLUDE_DIR caf/config.hpp)
find_library(CAF_CORE_LIBRARY caf_core)
if(CAF_INCLUDE_DIR)
  foreach(header caf/detail/build_config.hpp caf/config.hpp)
    if(EXISTS "${CAF_INCLUDE_DIR}/${header}")
      file(STRINGS "${CAF_INCLUDE_DIR}/${header}" line REGEX "#define CAF_VERSION [0-9]+")
      if(line MATCHES "CAF_VERSION ([0-9]+)")
        # Written as major * 10000 + minor * 100 + patch.
        math(EXPR major "${CMAKE_MATCH_1} / 10000")
        math(EXPR minor "(${CMAKE_MATCH_1} / 100) % 100")
        math(EXPR patch "${CMAKE_MATCH_1} % 100")
        set(CAF_VERSION "${major}.${minor}.${patch}")
      endif()
    endif()
  endforeach()
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CAF REQUIRED_VARS CAF_CORE_LIBRARY CAF_INCLUDE_DIR VERSION_VAR CAF_VERSION)
if(CAF_FOUND AND NOT TARGET CAF::core)
  add_library(CAF::core UNKNOWN IMPORTED)
  set_target_properties(CAF::core PROPERTIES
    IMPORTED_LOCATION "${CAF_CORE_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${CAF_INCLUDE_DIR}")
endif()
mark_as_advanced(CAF_INCLUDE_DIR CAF_CORE_LIBRARY)
