// SPDX-License-Identifier: Apache-2.0
// Finds the libraries that a program needs, all the way down.
//
// They are looked for where the file says, and where Debian keeps them. It is the plugin that names
// its loader, its libraries and their folders, and the broker, often root, that opens them: a name
// in its file must not read a key of the host's into its root. So nothing is opened for it but
// regular files, and nothing taken but shared objects that everybody on the machine may read,
// wherever links lead, beneath a folder of the machine's libraries or a granted directory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "actors/confinement/confinement.hpp"
#include "actors/confinement/elf_file.hpp"
#include "actors/unique_fd.hpp"

namespace bulkhead {

/// Something that a start needs is not there: what() says it in a sentence.
class missing_content : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file to read, and no other thing that has a path: opening a FIFO may take for ever, and a
/// device may take it as an order. Empty, with errno (EACCES for such a thing), when there is none.
unique_fd open_regular_file(const std::string& path);

/// A name out of a plugin's file, fit to be printed.
std::string printable(std::string_view name);

/// Where the machine keeps libraries, in the order in which they are looked for.
std::span<const char* const> folders_of_libraries();

struct found_library {
  unique_fd file;
  std::string path;   // that led to it
  std::string where;  // inside, where its loader looks without a cache
};

class library_finder {
 public:
  /// Takes libraries from the machine's folders and from the directories of `grants`, and stops
  /// looking when it has more than `libraries_max`.
  library_finder(const std::vector<grant>& grants, std::size_t libraries_max);

  /// Both throw missing_content.
  void add_loader(const std::string& name);
  void add(const elf_needs& needs);

  /// The same, without what is not there.
  void add_if_there(const elf_needs& needs);

  std::vector<found_library> take() { return std::move(found_); }

 private:
  enum class absence { refused, passed_over };

  void add(const elf_needs& needs, absence when_absent);
  found_library find(const std::string& name, const std::vector<std::string>& first);
  unique_fd library_at(const std::filesystem::path& path);
  [[noreturn]] void refuse(std::string_view what, const std::string& name) const;

  std::vector<std::filesystem::path> roots_;
  std::size_t libraries_max_;
  std::set<std::string> known_;
  std::vector<found_library> found_;
  bool refused_ = false;  // something of a name was there
};

}  // namespace bulkhead
