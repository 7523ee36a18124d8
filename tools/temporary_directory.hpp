// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace bulkhead {

/// A new directory of mode 0700 where the system keeps temporary files, removed with all that is in
/// it when the object goes. Throws std::system_error when it cannot be made.
class temporary_directory {
 public:
  /// `name` begins the directory's name; the rest is made up.
  explicit temporary_directory(const std::string& name = "bulkhead")
      : path_((std::filesystem::temp_directory_path() / (name + "-")).string() +
              std::string(6, 'X')) {
    if (::mkdtemp(path_.data()) == nullptr)
      throw std::system_error(errno, std::generic_category(), "no temporary directory can be made");
  }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;
  ~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;  // ends in the six letters that mkdtemp(3) replaces
};

}  // namespace bulkhead
