// SPDX-License-Identifier: Apache-2.0
// The program of a confined start: what form it has, and a copy that can be executed and not read.
#pragma once

#include <memory>

#include "actors/launcher/protocol.hpp"
#include "actors/spawner.hpp"

namespace bulkhead {

struct confined_program {
  std::shared_ptr<const unique_fd> file;
  launcher::program_form form = launcher::program_form::static_program;
  bool script = false;
};

/// Of spec.program, or of the file at spec.executable. What is not memory of mode 0111 already is
/// copied into such memory, sealed: a process of a program that it cannot read is one that cannot
/// be traced or dumped. Throws std::system_error.
confined_program program_of(const process_spec& spec);

}  // namespace bulkhead
