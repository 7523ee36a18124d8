// SPDX-License-Identifier: Apache-2.0
#pragma once

// The bytes of a program, as they will run.
//
// A path that was checked and is then executed runs whatever lies there by then; a descriptor that
// was checked runs whatever was written into the file since. An image is therefore a copy in memory
// that the kernel seals: from then on nobody, root and this process included, can write, grow or
// shrink it, or (from Linux 6.3 on) take its permission to execute away. Only what is sealed is
// hashed, and only what
// was hashed is executed (process_spec::program). No moment is left at which the bytes could change
// between the check and the run.
//
// What the hash covers: the bytes of the file. Of a dynamic program or a script it does not cover
// the loader, the libraries or the interpreter, which are the machine's; see program_kind.hpp.
// Permissions beyond the execute bit (file capabilities) are not carried over.
//
// A program's mode is 0111: for the broker's user as for anybody it can be executed and not read,
// which the kernel takes as a sign to make the process undumpable (no core file, no ptrace by a
// process of the same user). As root, to whom modes mean nothing, that last effect is absent. A
// script must be readable to its interpreter: 0555.
//
// A program that looks for files beside itself ($ORIGIN, dirname of argv[0] or of /proc/self/exe,
// a script's $0) does not find them: it has no place in the file system.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "actors/unique_fd.hpp"
#include "broker/images/image_error.hpp"
#include "broker/images/plugin_directory.hpp"
#include "broker/images/program_kind.hpp"
#include "broker/images/sha256.hpp"

namespace bulkhead {

/// Immutable; any thread may use it.
class image : public std::enable_shared_from_this<image> {
 public:
  image(const image&) = delete;
  image& operator=(const image&) = delete;
  ~image() = default;

  const trust::digest& digest() const { return digest_; }
  std::uint64_t size() const { return size_; }
  link_kind link() const { return kind_.link; }
  /// The loader or the interpreter that the machine must have; empty for a static program.
  const std::string& interpreter() const { return kind_.interpreter; }
  int fd() const { return fd_.get(); }

  /// For process_spec::program. Keeps the image in use for as long as it is held.
  std::shared_ptr<const unique_fd> program() const { return {shared_from_this(), &fd_}; }

 private:
  friend std::shared_ptr<const image> make_image(plugin_file, const std::optional<trust::digest>&,
                                                 std::uint64_t);
  image() = default;

  unique_fd fd_;
  trust::digest digest_{};
  std::uint64_t size_ = 0;
  program_kind kind_;
};

/// Copies, seals, hashes, compares and inspects. Reads at most `file_bytes_max` bytes, however fast
/// the file grows. Blocks for as long as that takes (a few milliseconds for a few megabytes).
/// Throws image_error.
std::shared_ptr<const image> make_image(plugin_file file,
                                        const std::optional<trust::digest>& expected,
                                        std::uint64_t file_bytes_max);

}  // namespace bulkhead
