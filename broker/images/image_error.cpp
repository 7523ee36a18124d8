// SPDX-License-Identifier: Apache-2.0
#include "broker/images/image_error.hpp"

#include <array>

namespace bulkhead {
namespace {

constexpr std::array names = {
    std::string_view{"directory_not_absolute"},
    std::string_view{"directory_missing"},
    std::string_view{"directory_is_link"},
    std::string_view{"not_a_directory"},
    std::string_view{"directory_owner"},
    std::string_view{"directory_writable"},
    std::string_view{"bad_command"},
    std::string_view{"file_missing"},
    std::string_view{"file_is_link"},
    std::string_view{"not_a_file"},
    std::string_view{"file_owner"},
    std::string_view{"file_writable"},
    std::string_view{"file_setid"},
    std::string_view{"not_executable"},
    std::string_view{"not_readable"},
    std::string_view{"file_empty"},
    std::string_view{"file_too_large"},
    std::string_view{"file_changed"},
    std::string_view{"wrong_machine"},
    std::string_view{"not_a_program"},
    std::string_view{"truncated"},
    std::string_view{"bad_script"},
    std::string_view{"digest_mismatch"},
    std::string_view{"no_memory"},
    std::string_view{"memory_not_sealed"},
    std::string_view{"system"},
};
static_assert(names.size() == static_cast<std::size_t>(image_failure::system) + 1);

}  // namespace

std::string_view to_string(image_failure failure) {
  return names.at(static_cast<std::size_t>(failure));
}

bool image_error::permanent() const noexcept {
  return failure_ != image_failure::file_changed && failure_ != image_failure::no_memory &&
         failure_ != image_failure::system;
}

}  // namespace bulkhead
