// SPDX-License-Identifier: Apache-2.0
//
// What a plugin holds of one mount: who it is, what the operator asked for, and what the broker
// lends to it. A handle: copies mean the same mount. Belongs to the thread of serve(). There is
// nothing else that a plugin could reach.
#pragma once

#include <fmt/format.h>
#include <kj/async-io.h>

#include <cstdint>
#include <memory>
#include <string>

#include "plugins/sdk/value.hpp"
#include "plugins/sdk/view.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead::sdk {

using log_level = schema::LogLevel;

/// Most log lines under way to the broker; further ones are dropped, and their number is logged
/// when there is room again.
inline constexpr unsigned log_lines_under_way_max = 256;

/// Work under way that a shutdown is to wait for, within its grace. Move-only; ends when destroyed.
/// Attach it to a promise.
class busy_guard;

class mount_context {
 public:
  struct shared;
  explicit mount_context(std::shared_ptr<shared> state) : state_(std::move(state)) {}

  /// Where it is mounted, as in "kv/". For messages only: it can change.
  const std::string& path() const;
  /// The identity of the mount.
  const std::string& uuid() const;
  /// Counts the instances of this mount, from 1.
  std::uint64_t generation() const;
  /// The options of the mount, checked against the plugin's declarations, defaults filled in.
  const fields& options() const;

  /// The mount's storage.
  sdk::view view() const;

  /// Writes one line to the mount's log. Never blocks, never fails.
  template <class... Args>
  void log(log_level level, fmt::format_string<Args...> format, Args&&... args) const {
    log_text(level, fmt::format(format, std::forward<Args>(args)...));
  }
  void log_text(log_level level, const std::string& line) const;

  /// The broker's wall clock, in milliseconds since 1970 (UTC).
  kj::Promise<std::int64_t> now() const;

  /// A connection to an address that an operator granted with `--grant net:ADDRESS`, named exactly
  /// so: "db.example:5432", "unix:/run/db.sock". A confined plugin has no other network. Fails with
  /// permission_denied for what is not granted, and as Host.connect says.
  kj::Promise<kj::Own<kj::AsyncIoStream>> connect(const std::string& address) const;

  /// Declares work under way. Calls of the request style are counted by themselves; a typed method
  /// that a shutdown should not cut off attaches one: `return promise.attach(ctx.busy());`
  busy_guard busy() const;

 private:
  std::shared_ptr<shared> state_;
};

/// Counts work under way for a whole process.
class work_counter {
 public:
  void begin() { ++count_; }
  void end();
  unsigned count() const { return count_; }
  /// Done when nothing is under way.
  kj::Promise<void> when_idle();

 private:
  unsigned count_ = 0;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> idle_;
};

class busy_guard {
 public:
  explicit busy_guard(std::shared_ptr<work_counter> counter) : counter_(std::move(counter)) {
    counter_->begin();
  }
  busy_guard(busy_guard&&) noexcept = default;
  busy_guard& operator=(busy_guard&&) = delete;
  busy_guard(const busy_guard&) = delete;
  busy_guard& operator=(const busy_guard&) = delete;
  ~busy_guard() {
    if (counter_) counter_->end();
  }

 private:
  std::shared_ptr<work_counter> counter_;
};

/// INTERNAL, and for tests: what a mount_context refers to.
struct mount_context::shared {
  std::string path;
  std::string uuid;
  std::uint64_t generation = 0;
  fields options;
  schema::Host::Client host;
  std::shared_ptr<work_counter> work;
  kj::Maybe<schema::View::Client> storage;
  unsigned lines_under_way = 0;
  std::uint64_t lines_dropped = 0;
};

}  // namespace bulkhead::sdk
