// SPDX-License-Identifier: Apache-2.0
// The walls that a process raises around itself, one function each. They note in the report what
// became of it and go on: whether that will do is decided once, before the program starts.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>

#include "actors/launcher/report.hpp"

namespace bulkhead::launcher {

/// Session, process group, session keyring, umask; every signal at its default and none blocked.
void raise_own_session(birth_report& report);

/// Which limits of a process mean something.
struct countable {
  bool tasks = false;           // the uid, or the user namespace, is this instance's alone
  bool tasks_by_group = false;  // too
  bool space = false;           // no group counts its memory, and it reserves no more than it needs
};
countable countable_of(const birth_report& report, program_form form);

/// As the limits say, but never above what the launcher has: only root could, and not always.
void raise_resource_limits(birth_report& report, const resource_limits& limits,
                           const countable& counted);
/// What the wall above leaves to an operator, of a process that runs: as its start would have it
/// now. 0, or the first errno, beside which all others are changed. EPERM: one would have to be
/// raised, which takes CAP_SYS_RESOURCE (containers often leave it out).
int change_resource_limits(pid_t process, const resource_limits& limits, const countable& counted);

void raise_speculation(birth_report& report);

/// Empties every set; and the bounding set too where there is the right to. Where there is not,
/// what is left in it is the value, and no_new_privileges makes it worthless.
void drop_capabilities(birth_report& report);

void raise_no_writable_code(birth_report& report);

void raise_no_new_privileges(birth_report& report);

/// What Landlock lets through: a file or a directory, and all beneath it.
struct opening {
  enum class kind { read_file, read_directory, write_directory, device };
  int what = -1;
  kind how = kind::read_directory;
};

/// Rules that deny all that this kernel's Landlock knows, but for the openings, and signals to
/// others where `may_signal`: a descriptor. -1, noted, when there can be none.
int make_landlock_rules(birth_report& report, std::span<const opening> openings,
                        bool may_signal = false);

/// From here on they hold.
void raise_landlock(birth_report& report, int rules);

/// What a program may do beyond computing: each has a filter of its own.
enum class filter_kind : std::uint8_t {
  static_program,
  static_reading,  // with files that a grant put there
  static_writing,
  dynamic_program,
  dynamic_writing,
  interpreter,
};

/// `once`: what the sixth argument of execveat must be; `self`: the process's own number.
void raise_seccomp(birth_report& report, filter_kind kind, std::uint64_t once, pid_t self);

/// That of an init.
void raise_init_seccomp(birth_report& report);

}  // namespace bulkhead::launcher
