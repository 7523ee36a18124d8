# The exported package: an outside project says find_package(Bulkhead) and links Bulkhead::broker, Bulkhead::client or
# Bulkhead::sdk. tests/consumer is such a project, and is built and run against an installed tree by the tests.
#
# Installed headers keep their place below include/bulkhead, so that `#include "broker/broker.hpp"` reads the same inside and
# outside of this repository. What is listed here is the public API: tools/lint checks that none of it shows CAF, and that all
# that it includes is listed too.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(bulkhead_public_headers
  broker/broker.hpp
  broker/error.hpp
  broker/limits.hpp
  broker/confinement_words.hpp
  broker/releases.hpp
  broker/typed.hpp
  broker/value.hpp
  broker/client/*.hpp
  plugins/sdk/*.hpp
  schema/wire/*.hpp)

set(bulkhead_include_dir ${CMAKE_INSTALL_INCLUDEDIR}/bulkhead)
set(bulkhead_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Bulkhead)

foreach(pattern ${bulkhead_public_headers})
  file(GLOB headers RELATIVE "${PROJECT_SOURCE_DIR}" CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${pattern}")
  foreach(header ${headers})
    cmake_path(GET header PARENT_PATH folder)
    install(FILES "${PROJECT_SOURCE_DIR}/${header}" DESTINATION ${bulkhead_include_dir}/${folder})
  endforeach()
endforeach()

# The contracts, for other languages and for plugins that import them, with the C++ that was generated of them.
file(GLOB contracts CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/schema/*.capnp")
list(FILTER contracts EXCLUDE REGEX "/state.capnp$")  # how the broker keeps its own state is nobody's contract
install(FILES ${contracts} DESTINATION ${bulkhead_include_dir}/schema)
install(DIRECTORY "${PROJECT_BINARY_DIR}/generated/schema/" DESTINATION ${bulkhead_include_dir}/schema
        FILES_MATCHING PATTERN "*.capnp.h" PATTERN "state.capnp.h" EXCLUDE)

configure_package_config_file(
  "${CMAKE_CURRENT_LIST_DIR}/BulkheadConfig.cmake.in" "${PROJECT_BINARY_DIR}/BulkheadConfig.cmake"
  INSTALL_DESTINATION ${bulkhead_package_dir} PATH_VARS bulkhead_include_dir)
# Before 1.0 a minor version may break what stood before.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/BulkheadConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/BulkheadConfig.cmake" "${PROJECT_BINARY_DIR}/BulkheadConfigVersion.cmake"
              "${CMAKE_CURRENT_LIST_DIR}/FindCAF.cmake" DESTINATION ${bulkhead_package_dir})
if(EXISTS "${CMAKE_CURRENT_LIST_DIR}/BulkheadPlugin.cmake")
  install(FILES "${CMAKE_CURRENT_LIST_DIR}/BulkheadPlugin.cmake" DESTINATION ${bulkhead_package_dir})
endif()
install(EXPORT BulkheadTargets NAMESPACE Bulkhead:: DESTINATION ${bulkhead_package_dir})

# The programs, where they are built, and the shipped plugins beside them.
foreach(program bulkheadd bulkhead)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
