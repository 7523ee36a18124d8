// SPDX-License-Identifier: Apache-2.0
#include "actors/spawner.hpp"

#include <fmt/format.h>

namespace bulkhead {

std::vector<std::string> process_spec::plugin_environment() {
  return {fmt::format("BULKHEAD_FD={}", plugin_link_fd), "BULKHEAD_PROTOCOL=1", "LANG=C.UTF-8"};
}

std::string_view to_string(spawn_failure failure) {
  switch (failure) {
    case spawn_failure::not_found:
      return "not_found";
    case spawn_failure::not_executable:
      return "not_executable";
    case spawn_failure::no_interpreter:
      return "no_interpreter";
    case spawn_failure::bad_format:
      return "bad_format";
    case spawn_failure::no_working_directory:
      return "no_working_directory";
    case spawn_failure::arguments_too_long:
      return "arguments_too_long";
    case spawn_failure::busy:
      return "busy";
    case spawn_failure::too_many_processes:
      return "too_many_processes";
    case spawn_failure::too_many_descriptors:
      return "too_many_descriptors";
    case spawn_failure::no_memory:
      return "no_memory";
    case spawn_failure::no_wall:
      return "no_wall";
    case spawn_failure::no_launcher:
      return "no_launcher";
    case spawn_failure::other:
      break;
  }
  return "other";
}

}  // namespace bulkhead
