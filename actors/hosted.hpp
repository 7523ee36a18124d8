// SPDX-License-Identifier: Apache-2.0
#pragma once

// hosted<Base> pins a CAF actor class to a reactor, so that the actor can own KJ objects.
//
// Base is any scheduled actor class (caf::event_based_actor, or `svc::base` of a typed interface).
// Three CAF virtuals are overridden (enqueue, launch, subtype), as CAF's own network actors do;
// they, with reactor::exec_later, are all that a port to another CAF version has to touch.
//
// Rules for a derived class
//   * KJ members are dropped in on_loop_exit(), which runs on the loop; after it no promise of the
//   actor runs. The destructor may
//     run on any thread and finds nothing of KJ left. Declare it `~X() noexcept override {}`: KJ's
//     destructors may throw, CAF's not.
//   * Promises that belong to the actor go through run(): cancelled when the actor ends; a failure
//   fails the actor.
//   * A KJ continuation may send and deliver. It must not call quit() or become(), which only work
//   inside a message handler: stop()
//     does the same through the mailbox.
//   * An exception that leaves a message handler ends the actor with sec::runtime_error (CAF
//   catches it).

#include <kj/debug.h>

#include <string>
#include <utility>

#include "actors/reactor.hpp"

namespace bulkhead {

template <class Base>
class hosted : public Base, private kj::TaskSet::ErrorHandler {
 public:
  template <class... Args>
  hosted(caf::actor_config& config, bulkhead::reactor& loop, Args&&... args)
      : Base(config, std::forward<Args>(args)...), loop_(loop) {}
  ~hosted() noexcept override = default;

  using Base::enqueue;
  void enqueue(caf::mailbox_element_ptr mail, caf::execution_unit*) override {
    Base::enqueue(std::move(mail), &loop_);
  }
  void launch(caf::execution_unit*, bool lazy, bool hide) override {
    Base::launch(&loop_, lazy, hide);
  }
  caf::resumable::subtype_t subtype() const override { return caf::resumable::io_actor; }

  void initialize() override {
    loop_.retain(caf::strong_actor_ptr{this->ctrl()});
    tasks_ = kj::heap<kj::TaskSet>(static_cast<kj::TaskSet::ErrorHandler&>(*this));
    Base::initialize();
  }
  void on_exit() override {
    on_loop_exit();
    tasks_ = nullptr;
    Base::on_exit();
    loop_.release_later(this->id());
  }

 protected:
  bulkhead::reactor& loop() { return loop_; }

  /// Makes a promise part of this actor.
  void run(kj::Promise<void> task) { KJ_ASSERT_NONNULL(tasks_)->add(kj::mv(task)); }

  /// Drop KJ members here. Runs on the loop, once, also when the actor fails.
  virtual void on_loop_exit() {}

  /// A promise of this actor failed. The default ends the actor.
  virtual void on_task_failed(kj::Exception&& error) {
    stop(caf::make_error(caf::sec::runtime_error, std::string(error.getDescription().cStr())));
  }

  /// Ends the actor through its mailbox. Not with exit_reason::normal, which CAF ignores.
  void stop(caf::error reason) {
    this->send_exit(caf::strong_actor_ptr{this->ctrl()}, std::move(reason));
  }

 private:
  void taskFailed(kj::Exception&& error) override { on_task_failed(kj::mv(error)); }

  bulkhead::reactor& loop_;
  kj::Maybe<kj::Own<kj::TaskSet>> tasks_;
};

}  // namespace bulkhead
