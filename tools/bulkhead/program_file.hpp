// SPDX-License-Identifier: Apache-2.0
//
// What a manifest says of a program: its hash, its size, the machine that it is for, and how it
// finds its code. Of an ELF file the headers tell; a script begins with "#!".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "broker/trust/manifest.hpp"

namespace bulkhead::cli {

struct program_file {
  trust::digest sha256;
  std::uint64_t size_bytes = 0;
  trust::link_kind link = trust::link_kind::static_link;
  std::string os_arch;  ///< empty: a script, or a machine without a name here
};

/// Reads all of it. Throws `failure` when it cannot, or it is no program.
program_file inspect_program(const std::string& path);

/// What its first bytes tell; nothing when they are of no program for Linux. Sets `os_arch` and
/// `link` only. Pure.
std::optional<program_file> inspect_head(std::string_view head);

}  // namespace bulkhead::cli
