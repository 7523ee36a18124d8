// SPDX-License-Identifier: Apache-2.0
// The supervisor as an actor, on CAF's test coordinator: nothing runs and no time passes unless the
// test says so.
#pragma once

#include <caf/scheduler/test_coordinator.hpp>
#include <catch2/catch.hpp>
#include <map>

#include "actors/supervisor.hpp"

namespace bulkhead::testing {

struct child_say {
  enum class what { crash, leave, ready, permanent, leave_shut, detach } what;
};

}  // namespace bulkhead::testing

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::testing::child_say)

namespace bulkhead::testing {

using texts = std::vector<std::string>;

struct journal {
  texts lines;
  std::map<std::string, int> alive;
};

/// A child that does as it is told, and writes down what happened to it.
class puppet final : public caf::event_based_actor {
 public:
  puppet(caf::actor_config& config, std::shared_ptr<journal> log, child_ticket ticket,
         bool stubborn)
      : caf::event_based_actor(config), log_{std::move(log)}, ticket_{std::move(ticket)} {
    ticket_.arguments.reset();
    ++log_->alive[ticket_.id];
    log_->lines.push_back("made " + ticket_.id);
    set_exit_handler([this, stubborn](caf::exit_msg& order) {
      log_->lines.push_back("asked " + ticket_.id);
      if (!stubborn) quit(order.reason);
    });
  }

  const char* name() const override { return "puppet"; }

  caf::behavior make_behavior() override {
    return {[this](child_say order) {
      switch (order.what) {
        case child_say::what::crash:
          quit(caf::make_error(caf::sec::runtime_error, "crash"));
          break;
        case child_say::what::leave:
          quit();
          break;
        case child_say::what::ready:
          report_ready(ticket_);
          break;
        case child_say::what::permanent:
          quit(make_exit(actor_exit::permanent_failure, "the wrong version"));
          break;
        case child_say::what::leave_shut:
          quit(caf::exit_reason::user_shutdown);
          break;
        case child_say::what::detach:
          unlink_from(caf::actor_cast<caf::actor>(ticket_.supervisor));
          break;
      }
    }};
  }

  void on_exit() override {
    --log_->alive[ticket_.id];
    log_->lines.push_back("gone " + ticket_.id);
  }

 private:
  std::shared_ptr<journal> log_;
  child_ticket ticket_;
};

inline caf::actor_system_config& with_testing(caf::actor_system_config& config) {
  config.set("scheduler.policy", caf::atom("testing"));
  return config;
}

struct fixture {
  caf::actor_system_config config;
  caf::actor_system system{with_testing(config)};
  caf::scheduler::test_coordinator& coordinator =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  caf::scoped_actor self{system, true};
  std::shared_ptr<journal> log = std::make_shared<journal>();
  texts transitions;
  supervisor_options options;
  supervisor_actor top;

  fixture() {
    options.name = "top";
    options.policy.backoff.jitter = 0;
    options.observer = [this](const action::report& report) {
      transitions.push_back(report.id + " " + std::string{to_string(report.to)});
    };
  }
  fixture(const fixture&) = delete;
  fixture& operator=(const fixture&) = delete;
  ~fixture() {
    if (top) self->send_exit(top, caf::exit_reason::kill);
    run();
    coordinator.trigger_timeouts();
    run();
  }

  void run() { coordinator.run(); }
  void advance(std::chrono::nanoseconds step) {
    coordinator.advance_time(step);
    run();
  }

  actor_child_spec puppet_spec(const std::string& id, bool stubborn = false, bool ready = true) {
    actor_child_spec spec;
    spec.rules.id = id;
    spec.ready_when_made = ready;
    spec.make = [this, stubborn](const child_ticket& ticket) {
      auto actor = system.spawn<puppet>(log, ticket, stubborn);
      return child_made{caf::actor_cast<caf::strong_actor_ptr>(actor), {}, false};
    };
    return spec;
  }

  /// A child that is a supervisor of `options`.
  actor_child_spec supervisor_child(const std::string& id, supervisor_options inner_options) {
    actor_child_spec spec;
    spec.rules = supervisor_spec(id);
    spec.kind = "supervisor";
    spec.ready_when_made = false;
    inner_options.name = id;
    spec.make = [this, inner_options](const child_ticket& ticket) {
      auto made = inner_options;
      made.ticket = ticket;
      const auto actor = system.spawn<supervisor>(std::move(made));
      return child_made{caf::actor_cast<caf::strong_actor_ptr>(actor), {}, false};
    };
    return spec;
  }
  /// Options like those of the top, without its observers.
  supervisor_options inner_options() const {
    supervisor_options made;
    made.policy = options.policy;
    return made;
  }

  void start() {
    top = system.spawn<supervisor>(options);
    self->monitor(top);
    run();
  }
  void start_with(const texts& ids) {
    for (const auto& id : ids) options.children.push_back(puppet_spec(id));
    start();
  }

  template <class Message>
  supervisor_reply ask(Message message) {
    return ask_at(top, std::move(message));
  }
  template <class Message>
  supervisor_reply ask_at(const supervisor_actor& whom, Message message) {
    auto handle = self->request(whom, caf::infinite, std::move(message));
    run();
    supervisor_reply answer;
    bool answered = false;
    handle.receive(
        [&](const supervisor_reply& reply) {
          answer = reply;
          answered = true;
        },
        [](const caf::error&) {});
    REQUIRE(answered);
    return answer;
  }
  supervisor_snapshot look() {
    auto handle = self->request(top, caf::infinite, supervisor_query{});
    run();
    supervisor_snapshot answer;
    handle.receive([&](const supervisor_snapshot& reply) { answer = reply; },
                   [](const caf::error&) { FAIL("no snapshot"); });
    return answer;
  }
  child_count count(const supervisor_actor& whom) {
    auto handle = self->request(whom, caf::infinite, supervisor_count{});
    run();
    child_count answer;
    handle.receive([&](const child_count& reply) { answer = reply; },
                   [](const caf::error&) { FAIL("no count"); });
    return answer;
  }
  child_count count() { return count(top); }
  /// The instance of a child that is a supervisor.
  supervisor_actor inner(const supervisor_actor& whom, const std::string& id) {
    const auto reply = ask_at(whom, supervisor_find{id});
    REQUIRE(reply.actor != nullptr);
    return caf::actor_cast<supervisor_actor>(reply.actor);
  }
  supervisor_actor inner(const std::string& id) { return inner(top, id); }
  void tell(const std::string& id, enum child_say::what what) { tell_at(top, id, what); }
  void tell_at(const supervisor_actor& whom, const std::string& id, enum child_say::what what) {
    const auto reply = ask_at(whom, supervisor_find{id});
    REQUIRE(reply.actor != nullptr);
    self->send(caf::actor_cast<caf::actor>(reply.actor), child_say{what});
    run();
  }
  child_status status(const std::string& id) { return ask(supervisor_find{id}).child; }

  /// The exit reason of the supervisor, which must have ended.
  caf::error end() {
    caf::error reason;
    bool ended = false;
    self->receive(
        [&](const caf::down_msg& news) {
          reason = news.reason;
          ended = true;
        },
        caf::after(std::chrono::seconds{0}) >> [] {});
    REQUIRE(ended);
    top = nullptr;
    return reason;
  }
};

}  // namespace bulkhead::testing
