// SPDX-License-Identifier: Apache-2.0
#pragma once

// The declared state, carried out: what broker_config::declared says, and what makes the broker so.
//
// Guarantees
//   * The declaration is read anew each time, elsewhere than on the loop (declaration_reader.hpp).
//     One that cannot be read changes nothing.
//   * One apply at a time: a second waits, and finds what the first has left. Of those that nobody
//     waits for (apply_soon) at most one is queued.
//   * A plan is old by the time of its last steps. Each step looks again whether what it changes is
//     still the file's: a mount by its uuid, a release and a pin by their marks. What an operator
//     has made meanwhile is refused, not touched; and once a step has failed nothing is pruned.
//   * Each change has its own outcome; one that fails stops no other. They are done one after
//     another, in the order of plan().
//   * Nothing here is durable: what was brought is marked where it lies, so an apply that was cut
//     short is gone on with by the next one, and one that is repeated does nothing.
// A mount whose version or options change is reloaded with the change, all or nothing, once its
// first start has ended; so a plugin that hangs while it starts holds up the rest for its start
// limit. Threads: the reactor's.

#include <kj/async.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "broker/broker_core.hpp"
#include "broker/declared_state.hpp"
#include "broker/turns.hpp"

namespace bulkhead {

class config_desk final : private kj::TaskSet::ErrorHandler {
 public:
  using reading = std::function<kj::Promise<declared_state>()>;

  /// `read` null: nothing is declared. The core outlives it.
  config_desk(broker_core& core, reading read) : core_(core), read_(std::move(read)) {}

  /// What apply() would do now. Fails with failed_precondition when nothing is declared, and as
  /// the reading does.
  kj::Promise<std::vector<config_change>> diff(bool prune);
  kj::Promise<std::vector<config_change>> apply(bool prune);
  /// Applies; what becomes of it is events. One that has not begun to read stands for all.
  void apply_soon();

 private:
  struct work;

  kj::Promise<declared_state> read();
  actual_state actual() const;
  kj::Promise<std::vector<config_change>> apply_now(bool prune);
  kj::Promise<void> do_next(std::shared_ptr<work> job);
  kj::Promise<void> carry_out(const config_step& step);
  kj::Promise<void> tune(const config_step& step);
  void tell(work& job, const config_step& step, const config_change& change);
  void require_declared(const std::string& path, const std::string& uuid);
  void taskFailed(kj::Exception&& problem) override;

  broker_core& core_;
  reading read_;
  turns applying_;
  bool soon_ = false;           // an apply_soon() waits for its turn
  std::set<std::string> told_;  // of the last apply: what is only told
  kj::TaskSet tasks_{*this};
};

}  // namespace bulkhead
