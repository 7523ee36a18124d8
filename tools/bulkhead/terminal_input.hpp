// SPDX-License-Identifier: Apache-2.0
//
// Bytes of a descriptor, read while the event loop turns: so that a lost connection is noticed and
// Ctrl-C works at the prompt too (SIGINT is blocked outside the loop). What the loop cannot watch,
// a regular file say, is read as it is.
#pragma once

#include <kj/async-unix.h>

#include <functional>
#include <optional>
#include <string>

namespace bulkhead::cli {

class terminal_input {
 public:
  terminal_input(kj::UnixEventPort& port, kj::WaitScope& scope, int descriptor,
                 std::function<kj::Promise<void>()> interrupted);

  enum class result { byte, end, interrupted };

  /// Waits for a byte.
  result read_byte(char& byte);

  /// A line without its newline; nothing at the end. Throws `failure` at Ctrl-C, and above
  /// `input_bytes_max`.
  std::optional<std::string> read_line();

  /// All that is left, on the same terms.
  std::string read_all();

 private:
  bool fill();
  bool append_byte(std::string& text);

  kj::WaitScope& scope_;
  int descriptor_;
  std::function<kj::Promise<void>()> interrupted_;
  kj::Maybe<kj::Own<kj::UnixEventPort::FdObserver>> observer_;
  std::string buffer_;
  std::size_t at_ = 0;
};

}  // namespace bulkhead::cli
