// SPDX-License-Identifier: Apache-2.0
// What the modules of an interpreter need that are written in C: Python's `ssl` is a file of the
// interpreter's own library, and loads one of the machine's.
//
// Those files are in folders that are bound into the root; the libraries that they name, all the
// way down, are copied into it like those of the interpreter itself. A module whose library is not
// on the machine cannot be imported inside either, which refuses no start. Only the library that
// the interpreter comes with is looked through: what is installed beside it may be anything, of any
// size.
//
// To look takes reading some fifty files, so what was found is kept, by interpreter, as long as
// none of it has changed: neither a folder of modules nor one of libraries, as by an upgrade, nor a
// library that was found.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "actors/confinement/library_finder.hpp"

namespace bulkhead {

struct extension_bounds {
  std::size_t files_max = 512;        // modules looked at, in the order of their names
  std::size_t libraries_max = 64;     // and libraries taken
  std::size_t interpreters_max = 16;  // remembered
};

/// Any thread may use it.
class extension_libraries {
 public:
  explicit extension_libraries(extension_bounds bounds = {}) : bounds_{bounds} {}

  /// Of the modules beneath the interpreter's `folders`.
  std::vector<found_library> of(const std::string& interpreter,
                                const std::vector<std::string>& folders);

  /// How often modules were looked through, as nothing was known.
  std::uint64_t searches() const;

 private:
  struct identity {
    std::uint64_t device = 0, inode = 0;
    std::int64_t size = 0, changed_s = 0, changed_ns = 0;
    bool operator==(const identity&) const = default;
  };
  struct known_path {
    std::string path;
    identity was;
  };
  struct known_libraries {
    std::vector<known_path> folders;
    std::vector<std::pair<known_path, std::string>> libraries;  // and where they go
  };

  static identity identity_of(const struct stat& found);
  static void note_folder(const std::string& path, known_libraries& known);
  static bool open_all(const known_libraries& known, std::vector<found_library>& opened);
  std::vector<found_library> search(const std::vector<std::string>& folders,
                                    known_libraries& known) const;

  const extension_bounds bounds_;
  mutable std::mutex mutex_;  // of what follows
  std::map<std::string, std::shared_ptr<const known_libraries>> known_;
  std::uint64_t searches_ = 0;
};

}  // namespace bulkhead
