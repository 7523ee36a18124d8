// SPDX-License-Identifier: Apache-2.0
#pragma once

// Why a file of the plugin directory may not run, by name. Each name has a text of its own: what,
// why, and what to do. The texts name the file and the rule, never what the file holds.

#include <stdexcept>
#include <string>
#include <string_view>

namespace bulkhead {

enum class image_failure {
  // The plugin directory.
  directory_not_absolute,  // its path is no absolute one, or holds ".", ".." or a control character
  directory_missing,       // it, or one above it, is not there
  directory_is_link,       // it, or one above it, is a symbolic link
  not_a_directory,         // it, or one above it, is something else
  directory_owner,         // it, or one above it, belongs to neither root nor the broker's user
  directory_writable,      // others may write to it, or replace something on the way to it
  // The file in it.
  bad_command,   // no plain path beneath the directory: empty, absolute, "..", a control character,
                 // too long
  file_missing,  // there is no such file
  file_is_link,  // it is a symbolic link, or reached through one
  not_a_file,    // a directory, device, FIFO or socket
  file_owner,    // it belongs to neither root nor the broker's user
  file_writable,   // others may write to it
  file_setid,      // it is setuid or setgid
  not_executable,  // nobody may execute it
  not_readable,    // the broker's user may not read it, or not enter a directory on the way
  file_empty,      // it holds nothing
  file_too_large,  // above plugin_file_bytes_max
  file_changed,    // somebody wrote to it while it was read; trying again can help
  // What it holds.
  wrong_machine,    // an ELF file for another machine, word size or system
  not_a_program,    // neither an ELF program nor a script
  truncated,        // an ELF file that ends before its own headers say
  bad_script,       // a first line that names no interpreter by an absolute path
  digest_mismatch,  // not the bytes that were asked for
  // The machine.
  no_memory,          // no memory for the copy; trying again can help
  memory_not_sealed,  // the kernel makes no sealed executable memory, or forbids it
  system,             // anything else, by errno; trying again can help
};

/// As in "digest_mismatch".
std::string_view to_string(image_failure failure);

/// what() is the first line: which file could not be used. No part holds content of a file.
class image_error final : public std::runtime_error {
 public:
  image_error(image_failure failure, const std::string& what, std::string why, std::string remedy)
      : std::runtime_error(what),
        failure_(failure),
        why_(std::move(why)),
        remedy_(std::move(remedy)) {}

  image_failure failure() const noexcept { return failure_; }
  const std::string& why() const noexcept { return why_; }
  const std::string& remedy() const noexcept { return remedy_; }

  /// Trying again cannot help: somebody must change a file or the machine first.
  bool permanent() const noexcept;

 private:
  image_failure failure_;
  std::string why_;
  std::string remedy_;
};

}  // namespace bulkhead
