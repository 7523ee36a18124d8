// SPDX-License-Identifier: Apache-2.0
#pragma once

// Files of a state: small steps that are either done and durable, or a `store_error` that names the
// file.

#include <string>
#include <string_view>

#include "broker/store/store_failure.hpp"

namespace bulkhead {

/// A descriptor that is closed with the object.
class descriptor {
 public:
  explicit descriptor(int fd = -1) : fd_(fd) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

/// By errno: `disk_full`, `read_only`, else `io_error`.
[[noreturn]] void fail_errno(int error, std::string what, std::string remedy);

/// The directory that a file is in; "." when it names none.
std::string directory_of(const std::string& file);

/// Brings a file, or with O_DIRECTORY the names in a directory, to the disk.
void sync_path(const std::string& path, int flags);

/// A new empty file beside `file`, 0600, for what is to be at that name later.
std::string make_draft(const std::string& file);

/// Gives a synced draft its name, durably. Fails with `exists` rather than replace what is there.
void name_draft(const std::string& draft, const std::string& file);

/// Puts `text` where `file` is, or makes it, mode 0600: at any moment the old or the new one.
void replace_file(const std::string& file, std::string_view text);

}  // namespace bulkhead
