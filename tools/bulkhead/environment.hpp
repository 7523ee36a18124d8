// SPDX-License-Identifier: Apache-2.0
//
// What a command runs in: the broker, the loop, the way to be interrupted, the output, and the
// capabilities that earlier results of the session held. Everything with an effect is handed in, so
// that tests run commands against a broker in memory.
//
// Commands are written straight down: `wait` turns the event loop until an answer is there, until
// Ctrl-C, or until the command's time is up, and throws `failure` for the latter two and for a call
// that failed. What was waited for is cancelled then.
#pragma once

#include <kj/async.h>
#include <kj/timer.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/client/client.hpp"
#include "tools/bulkhead/command_line.hpp"
#include "tools/bulkhead/datum_value.hpp"
#include "tools/bulkhead/failure.hpp"
#include "tools/bulkhead/output.hpp"
#include "tools/bulkhead/schema_text.hpp"

namespace bulkhead::cli {

inline constexpr std::uint64_t command_ms_default = 30'000;
/// Of a command over all its lines, and of a value from a file or from standard input; a frame
/// takes twice as much.
inline constexpr std::size_t input_bytes_max = 16U << 20U;
inline constexpr std::size_t held_capabilities_max = 10'000;  ///< per session; then `call` refuses

/// What the clock of this machine says.
std::int64_t system_unix_ms();

/// A capability that a result held, kept under "$1", "$2", ...
struct held_capability {
  capnp::Capability::Client capability;
  capnp::InterfaceSchema schema;            ///< empty when the result did not tell
  std::shared_ptr<loaded_interface> owner;  ///< keeps the schema
};

class environment {
 public:
  environment(remote::client& broker, kj::WaitScope& scope, kj::Timer& timer, output& out,
              value_reader& values, std::function<kj::Promise<void>()> interrupted)
      : broker(broker),
        scope(scope),
        timer(timer),
        out(out),
        values(values),
        interrupted(std::move(interrupted)) {}

  remote::client& broker;
  kj::WaitScope& scope;
  kj::Timer& timer;
  output& out;
  value_reader& values;
  std::function<kj::Promise<void>()> interrupted;  ///< done at the next Ctrl-C
  std::uint64_t timeout_ms = command_ms_default;   ///< of each wait; 0: none
  std::string address;                             ///< for texts
  std::function<std::int64_t()> unix_ms = system_unix_ms;
  std::vector<held_capability> held;

  template <typename T>
  T wait(kj::Promise<T> promise);

  /// A pause of a command that follows something. Throws `failure` at Ctrl-C.
  void pause(std::uint64_t ms);

 private:
  template <typename T>
  T wait_for(kj::Promise<T> promise, std::uint64_t limit_ms);
};

/// Runs one command. Throws `failure`.
exit_code run_command(environment& in, const invocation& command);

/// Adds what the broker can tell about a failed command: mounts with a similar name.
void explain(environment& in, const invocation& command, failure& error);

template <typename T>
T environment::wait(kj::Promise<T> promise) {
  return wait_for(kj::mv(promise), timeout_ms);
}

template <typename T>
T environment::wait_for(kj::Promise<T> promise, std::uint64_t limit_ms) {
  bool was_interrupted = false;
  bool was_late = false;
  const auto give_up = [](bool& flag) {
    return [&flag]() -> kj::Promise<T> {
      flag = true;
      return KJ_EXCEPTION(FAILED, "given up");
    };
  };
  try {
    auto joined = promise.exclusiveJoin(interrupted().then(give_up(was_interrupted)));
    if (limit_ms > 0) {
      joined = joined.exclusiveJoin(
          timer.afterDelay(limit_ms * kj::MILLISECONDS).then(give_up(was_late)));
    }
    return joined.wait(scope);
  } catch (const kj::Exception& exception) {
    if (was_interrupted) throw failure(exit_code::interrupted, "interrupted");
    if (was_late) {
      throw failure(exit_code::timed_out, "no answer in " + std::to_string(limit_ms) + " ms",
                    "whether the command took effect is not known",
                    "give it more time with --timeout");
    }
    throw failure(exception);
  }
}

}  // namespace bulkhead::cli
