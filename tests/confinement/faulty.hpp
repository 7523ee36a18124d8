// SPDX-License-Identifier: Apache-2.0
// Launchers to which the kernel refuses one kind of call, says that it was made when it was not, or
// gives another answer.
//
// A filter, raised before the launcher is executed, answers in the kernel's stead, to the launcher
// and to all that it makes: most calls nothing else here can make fail.
#pragma once

#include <sys/syscall.h>

#include <cerrno>
#include <cstdint>
#include <functional>

#include "tests/confinement/confined.hpp"

namespace confined {

inline constexpr int no_error = 0;
/// Which the kernel gives to none of these calls.
inline constexpr int our_error = EDOM;

/// Of one kind: by number, and, where `argument` is not below 0, by the lower half of that one.
struct call {
  const char* name;
  long number;
  int argument = -1;
  std::uint32_t value = 0;
};
call prctl_of(const char* name, int option);
call limit_of(const char* name, int resource);

/// From here on it returns -1 and `error`; or, without one, 0, and does nothing. Of this process,
/// which ends if that cannot be had.
void let_fail(const call& which, int error);

/// From here on its answer is `value`: a child of this process gives it, and ends with this one.
void let_answer(const call& which, std::int64_t value);

/// Has a launcher for which that holds, and knows what it held before anybody asked it for
/// anything.
class faulty_launcher {
 public:
  explicit faulty_launcher(const call& which, int error = our_error,
                           const std::function<void()>& before_it = {});

  bulkhead::spawn_error refusal(const bulkhead::process_spec& spec = inside({"wait"}));
  bulkhead::spawned_process start(const bulkhead::confinement& how);
  /// No more than when nobody had asked it for anything: no process, no descriptor (but of a
  /// group), no group. Waits a while for it.
  bool holds_nothing() const;

 private:
  bulkhead::launched_spawner by_;
  pid_t process_ = -1;
  // Before anybody asked it for anything.
  std::ptrdiff_t descriptors_ = 0;
  std::size_t groups_ = 0;
};

}  // namespace confined
