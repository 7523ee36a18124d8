// SPDX-License-Identifier: Apache-2.0
#pragma once

// What kind of program a file is, by its first bytes; and so, what of it a hash of the file covers.
//
// static: an ELF program that names no loader, static-pie included. The file is all that runs.
// dynamic: an ELF program with a loader. The loader and the shared libraries are the machine's; a
//   hash of the file says nothing about them.
// script: "#!" and an interpreter. The interpreter, and all that it loads, are the machine's.
//
// The look is only as deep as it takes to say that, and to refuse with a name what the kernel would
// refuse with a number: another machine, no program at all, a file cut short. Kinds that a kernel
// is taught to run otherwise (binfmt_misc) are refused.

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead {

enum class link_kind : std::uint8_t { static_program, dynamic_program, script };

/// "static", "dynamic" or "script".
std::string_view to_string(link_kind kind);

struct program_kind {
  link_kind link = link_kind::static_program;
  std::string interpreter;  // the loader's or the interpreter's path; empty when static
};

/// Looks at a descriptor that can be read at offsets and holds `size` bytes. `name` is for the
/// text of an image_error: wrong_machine, not_a_program, truncated, bad_script.
program_kind inspect_program(int fd, std::uint64_t size, const std::string& name);

}  // namespace bulkhead
