// SPDX-License-Identifier: Apache-2.0
#pragma once

// From KJ to actors: ask<R>() sends a request to an actor and answers with a promise.
//
// KJ code has no mailbox, so an actor of the same reactor asks in its place. All on the reactor's
// thread; the actor asked may live anywhere. The promise fails when the actor is gone or answers
// with an error; it never hangs on an actor that ended. Dropping the promise abandons the answer,
// not the request.

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "actors/hosted.hpp"

namespace bulkhead {

class asker final : public hosted<caf::event_based_actor> {
 public:
  asker(caf::actor_config& config, bulkhead::reactor& loop) : hosted(config, loop) {}
  ~asker() noexcept override = default;

  const char* name() const override { return "asker"; }
  caf::behavior make_behavior() override {
    set_down_handler([this](caf::down_msg& news) {
      auto waiting = watched_.find(news.source);
      if (waiting == watched_.end()) return;
      waiting->second->fulfill();
      watched_.erase(waiting);
    });
    // It has no messages of its own; the handler keeps it alive until its exit message.
    return {[](caf::unit_t) {}};
  }

  template <class Answer, class Handle, class Message>
  kj::Promise<Answer> ask(const Handle& whom, Message message) {
    auto paf = kj::newPromiseAndFulfiller<Answer>();
    // CAF copies handlers: the fulfiller needs an owner that can be copied.
    auto fulfiller = std::make_shared<kj::Own<kj::PromiseFulfiller<Answer>>>(kj::mv(paf.fulfiller));
    this->request(whom, caf::infinite, std::move(message))
        .then([fulfiller](const Answer& answer) { (*fulfiller)->fulfill(Answer(answer)); },
              [fulfiller](const caf::error& problem) {
                (*fulfiller)
                    ->reject(KJ_EXCEPTION(DISCONNECTED, "an actor of the broker is gone",
                                          problem.code()));
              });
    return kj::mv(paf.promise);
  }

  /// Resolves when the actor has ended, also when it has already. One promise per actor at a time.
  kj::Promise<void> ended(const caf::actor& whom) {
    auto paf = kj::newPromiseAndFulfiller<void>();
    watched_[whom.address()] = kj::mv(paf.fulfiller);
    this->monitor(whom);
    return kj::mv(paf.promise);
  }

 private:
  void on_loop_exit() override { watched_.clear(); }

  std::map<caf::actor_addr, kj::Own<kj::PromiseFulfiller<void>>> watched_;
};

}  // namespace bulkhead
