// SPDX-License-Identifier: Apache-2.0
#pragma once

// The directory whose files may become plugins, and the rules for it and for them.
//
// The rules keep others than root and the broker's user ("us") from deciding what runs:
//
// - The directory's path is absolute and holds no symbolic link: a link says less than it seems to,
//   because whoever owns it may turn it. It is walked from the root, a component at a time; each
//   directory on it belongs to root or to us, and nobody else (group or others; an ACL shows up in
//   the group's bits) may write to it. One exception: a directory above it may be writable when it
//   is sticky, as /tmp is, because there nobody else can rename or remove what belongs to us, which
//   the next component does. The directory itself may not, sticky or not.
// - A command is a path beneath it: relative, no ".", "..", empty component or control character
//   (neither in the directory's path: texts name them, on one line). Directories
//   within it keep the rules of the directory itself. No symbolic link is followed anywhere, not
//   even one that stays beneath: with releases named by their bytes nobody needs them, and what
//   `ls` shows is what runs. The kernel enforces all that (openat2 with RESOLVE_BENEATH |
//   RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS), not a look at the text.
// - The file is a regular file of root's or ours that nobody else may write to, executable,
//   readable to us, neither setuid nor setgid, not empty, at most `plugin_file_bytes_max` long.
// - Hard links are not counted. Owner and mode belong to the file and not to its name, so another
//   name, wherever it is, lets nobody write who could not write here; and nobody but root and us
//   can put a name into the directory.
//
// What the rules do not see: a descriptor that somebody opened for writing before the file became
// ours. Therefore nothing runs from the file itself: see image.hpp.

#include <cstdint>
#include <string>

#include "actors/unique_fd.hpp"
#include "broker/images/image_error.hpp"

namespace bulkhead {

/// A file that kept the rules when it was opened.
struct plugin_file {
  unique_fd fd;  // for reading; close-on-exec
  std::uint64_t size = 0;
  std::string name;  // its whole path, for texts
};

class plugin_directory {
 public:
  /// Walks to the directory and checks it. Throws image_error.
  explicit plugin_directory(const std::string& path);

  /// Opens and checks a file beneath it. Never waits for a FIFO or a device. Throws image_error.
  plugin_file open(const std::string& command, std::uint64_t file_bytes_max) const;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  unique_fd fd_;
};

}  // namespace bulkhead
