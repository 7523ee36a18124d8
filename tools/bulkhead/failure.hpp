// SPDX-License-Identifier: Apache-2.0
//
// What ends a command: an exit code and an error in three parts.
//
//     error: plugin 'kv' is not ready
//       why: it failed to start 3 times in 30 s
//       try: bulkhead logs kv/
//
// Exit codes are a promise to scripts: 0 done, 1 the command failed at the broker or in the plugin,
// 2 bad usage, 3 the target exists but is not running, 4 there is no such target, 5 the broker
// cannot be reached, 6 not permitted, 7 timed out, 130 interrupted.
#pragma once

#include <kj/exception.h>

#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "schema/wire/error_text.hpp"

namespace bulkhead::cli {

enum class exit_code : int {
  done = 0,
  failed = 1,
  usage = 2,
  not_running = 3,
  no_target = 4,
  unreachable = 5,
  not_permitted = 6,
  timed_out = 7,
  interrupted = 130,
};

class failure : public std::exception {
 public:
  failure(exit_code code, std::string what, std::string why = {}, std::string remedy = {});

  /// What a call ended with, as the broker or the plugin said it.
  explicit failure(const kj::Exception& exception);

  const char* what() const noexcept override { return what_.c_str(); }

  exit_code code = exit_code::failed;
  std::string why;
  std::string remedy;
  bool from_plugin = false;

  /// The text for stderr, with a newline at its end. The first line begins with `prefix`, as in
  /// "stdin:3: ".
  std::string text(const std::string& prefix = {}) const;

 private:
  std::string what_;
};

/// A mistake in what the user typed.
failure usage(std::string what, std::string remedy = {});

/// The exit code that belongs to an error.
exit_code code_of(const wire::error_info& info);

}  // namespace bulkhead::cli
