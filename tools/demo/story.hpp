// SPDX-License-Identifier: Apache-2.0
#pragma once

// The order of events and the words: load on two mounts, SIGKILL to one of them, and what their
// callers saw.
//
// Everything that is told was measured in this run. What is measured as "first call served": from
// just before the kill is asked of the broker until a call that began after the broker had sent the
// signal was answered, as this client sees it. A call that ends as plugin_crashed meanwhile is
// repeated at once.

#include <kj/async-io.h>

#include <cstdint>
#include <string>

#include "broker/client/client.hpp"

namespace bulkhead::demo {

struct story_options {
  std::string kv_path = "kv/";
  std::string calc_path = "calc/";
  std::uint32_t calls_per_second = 500;  // on each mount
  std::uint32_t before_ms = 1000;        // load before the kill
  std::uint32_t after_ms = 1000;         // and behind it
  std::uint32_t served_ms_max =
      5000;  // how long the first served call may take; then the story fails
};

/// Runs and tells the story. True when all went as it should: calc/ lost no call, no acknowledged
/// write is missing, kv/ serves again, and its callers were told the truth. Throws kj::Exception
/// when the broker cannot be spoken to.
bool tell_story(remote::client& broker, remote::client& as_operator, kj::Timer& timer,
                kj::WaitScope& loop, const story_options& options);

}  // namespace bulkhead::demo
