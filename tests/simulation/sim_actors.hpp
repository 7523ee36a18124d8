// SPDX-License-Identifier: Apache-2.0
// The simulated process, and the supervisor with a bug in it.
#pragma once

#include "tests/simulation/life.hpp"

namespace bulkhead::simulation {

/// What a process is told, by itself later or by somebody else.
struct process_order {
  enum class what : std::uint8_t { get_ready, end, stop } what = what::end;
  exit_kind how = exit_kind::abnormal;
};

}  // namespace bulkhead::simulation

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::simulation::process_order)

namespace bulkhead::simulation {

/// Gets ready, ends, and takes a stop or a kill as its fate says.
class process final : public caf::event_based_actor {
 public:
  process(caf::actor_config& config, life& whole, child_ticket ticket, fate what);

  const char* name() const override { return "process"; }
  /// It is known by this key from now on.
  void be(instance_key key) { key_ = key; }

  using caf::event_based_actor::enqueue;
  void enqueue(caf::mailbox_element_ptr mail, caf::execution_unit* host) override;
  caf::behavior make_behavior() override;

 private:
  void take(const process_order& order);
  void asked_to_stop();
  void end(exit_kind how);

  life& life_;
  child_ticket ticket_;
  fate fate_;
  instance_key key_ = 0;
  bool was_held_ = false;
};

/// A supervisor that loses or falsifies what reaches it, by the name of the bug. What a bug in the
/// supervisor would do, done from outside: the product's code is the same in every run.
class planted_supervisor final : public supervisor {
 public:
  planted_supervisor(caf::actor_config& config, supervisor_options options, life& whole)
      : supervisor(config, std::move(options)), life_{whole} {}

  using supervisor::enqueue;
  void enqueue(caf::mailbox_element_ptr mail, caf::execution_unit* host) override;

 private:
  bool is_lost(const caf::mailbox_element& mail);

  life& life_;
};

/// The bugs by name; those that are not in planted_supervisor change options or factories.
std::vector<std::string> plant_names();

}  // namespace bulkhead::simulation
