// SPDX-License-Identifier: Apache-2.0
// What an ELF file says that it needs. Reads the program headers and the dynamic section, within
// bounds; a file that says something else than it holds needs nothing, and the kernel or the
// loader will say what is wrong with it. A name of a few bytes can be given thousands of times, so
// no more of them are kept than a sound file has.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "actors/unique_fd.hpp"

namespace bulkhead {

struct elf_needs {
  std::string loader;                  // empty: static, or no ELF file
  std::vector<std::string> libraries;  // names as in "libc.so.6", or paths
  std::vector<std::string> folders;    // where it wants them looked for first
};

inline constexpr std::size_t elf_libraries_max = 256;
inline constexpr std::size_t elf_folders_max = 64;

elf_needs needs_of(const unique_fd& file);

/// A library, or another program that can be loaded anywhere.
bool is_shared_object(const unique_fd& file);

}  // namespace bulkhead
