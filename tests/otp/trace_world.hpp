// SPDX-License-Identifier: Apache-2.0
// Our supervisors in a world that a scenario describes: children that do as they are told, under
// CAF's test coordinator, in time that only moves when asked.
//
// It prints what happens as it happens, in the words of README.md, which otp_trace.escript uses
// too. Delays of the backoff are zero, because OTP knows none; all other rules are the product's.
#pragma once

#include <fmt/format.h>

#include <caf/scheduler/test_coordinator.hpp>
#include <deque>
#include <map>

#include "actors/supervisor.hpp"

namespace bulkhead::otp {

using words = std::vector<std::string>;

/// What follows the name in a declaration: "restart=transient" by key; a word alone is "true".
class attributes {
 public:
  attributes() = default;
  attributes(words::const_iterator from, words::const_iterator to);

  std::string get(const std::string& key, const std::string& otherwise) const;
  std::uint64_t number(const std::string& key, std::uint64_t otherwise) const;
  bool has(const std::string& key) const { return values_.count(key) != 0; }

 private:
  std::map<std::string, std::string> values_;
};

/// A child, or a supervisor with those below it.
struct member {
  bool is_supervisor = false;
  attributes given;
  words below;
};

class trace_world {
 public:
  trace_world();
  trace_world(const trace_world&) = delete;
  trace_world& operator=(const trace_world&) = delete;
  ~trace_world();

  /// "top ...", "child NAME ...", "supervisor NAME ...": see README.md.
  void declare(const words& line);
  void start_top();
  /// Carries out one step; throws std::invalid_argument on one that it does not know.
  void step(const words& line);
  /// Ends what is left and says who should not have been there.
  void finish();

 private:
  actor_child_spec spec_of(const std::string& name);
  supervisor_policy policy_of(const std::string& name) const;
  supervisor_options options_of(const std::string& name);
  std::vector<actor_child_spec> specs_below(const std::string& name);
  child_made make(const std::string& declared, const child_ticket& ticket);
  void plan(const std::string& name, const std::string& outcomes);
  std::string next_outcome(const std::string& name);
  void watch(const std::string& name, const caf::actor& actor, bool is_supervisor);

  void leave(const std::string& name, const std::string& reason);
  void start_child(const std::string& name, const attributes& given);
  void request(const std::string& what, const std::string& name, const std::string& where);
  void reconfigure();
  void which(const std::string& where);
  void count(const std::string& where);
  void wait(std::chrono::milliseconds time);
  void stop();

  bool is_alive(const std::string& name) const;
  supervisor_actor supervisor_at(const std::string& name) const;
  template <class Answer, class Message>
  std::optional<Answer> ask(const std::string& whom, Message message);
  bool is_busy();
  bool advance_to_next_timeout(instant limit);
  void settle();

  caf::actor_system_config config_;
  caf::actor_system system_;
  caf::scheduler::test_coordinator& coordinator_;
  std::map<std::string, member> members_;
  std::map<std::string, std::deque<std::string>> plans_;
  std::map<std::string, caf::actor> actors_;       // the newest of each name
  std::map<std::string, bool> alive_;              // by name
  std::map<std::string, std::string> dynamic_id_;  // of an instance, by what it was started with
  std::size_t unanswered_ = 0;
};

}  // namespace bulkhead::otp
