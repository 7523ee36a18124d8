// SPDX-License-Identifier: Apache-2.0
// The program of a confined start: what form it has, and a copy that can be executed and not read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "actors/confinement/extension_libraries.hpp"
#include "actors/confinement/root_contents.hpp"
#include "actors/spawner.hpp"

namespace bulkhead {

struct confined_program {
  std::shared_ptr<const unique_fd> file;
  launcher::program_form form = launcher::program_form::static_program;
  std::vector<std::string> arguments;  // all, with argument zero
  std::vector<placement> contents;     // of its root
};

/// Of spec.program, or of the file at spec.executable; of a script it is the interpreter. What is
/// not memory of mode 0111 already is copied into such memory, sealed: a process of a program that
/// it cannot read is one that cannot be traced or dumped. Throws std::system_error, or
/// missing_content. `extensions` finds what the modules of an interpreter need.
confined_program program_of(const process_spec& spec, extension_libraries& extensions);

}  // namespace bulkhead
