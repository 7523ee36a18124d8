// SPDX-License-Identifier: Apache-2.0
#pragma once

// From KJ to actors: ask<R>() sends a request to an actor and answers with a promise.
//
// KJ code has no mailbox, so an actor of the same reactor asks in its place. All on the reactor's
// thread; the actor asked may live anywhere. Dropping the promise abandons the answer, not the
// request.
//
// Guarantee: the promise never hangs on an actor that ended. CAF answers only those requests that
// an actor never took out of its mailbox; one that it took and kept open would wait for ever. So
// the asker watches everyone that it has asked, from the first question on until they end, and the
// end of an actor fails the questions that it left open:
//
//   not_found        it ended in good order: what was asked for is gone
//   internal         it failed
//   broker_stopping  it ended, well or badly, after stopping() was called; and every question that
//                    is open when the asker itself ends
//
// An answer that was sent before the end is delivered: the news of an end do not overtake it.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "actors/hosted.hpp"

namespace bulkhead {

class asker final : public hosted<caf::event_based_actor> {
 public:
  asker(caf::actor_config& config, bulkhead::reactor& loop) : hosted(config, loop) {}
  ~asker() noexcept override = default;

  const char* name() const override { return "asker"; }
  caf::behavior make_behavior() override;

  template <class Answer, class Handle, class Message>
  kj::Promise<Answer> ask(const Handle& whom, Message message);

  /// Tells an actor, in the order of what it is asked. No answer.
  template <class Handle, class Message>
  void tell(const Handle& whom, Message message) {
    this->send(whom, std::move(message));
  }

  /// Resolves when the actor has ended, also when it has already. One promise per actor at a time.
  kj::Promise<void> ended(const caf::actor& whom);

  /// From now on an actor that ends does so because everything does.
  void stopping() { stopping_ = true; }

 private:
  /// A question without an answer yet. Fulfillers stay here, on the loop, and not in CAF's
  /// handlers, which may die on any thread.
  struct open_question {
    explicit open_question(caf::actor_addr whom) : whom(std::move(whom)) {}
    open_question(const open_question&) = delete;
    open_question& operator=(const open_question&) = delete;
    virtual ~open_question() noexcept(false) = default;
    virtual void fail(kj::Exception&& why) = 0;
    caf::actor_addr whom;
  };
  template <class Answer>
  struct question final : open_question {
    question(caf::actor_addr whom, kj::Own<kj::PromiseFulfiller<Answer>> fulfiller)
        : open_question(std::move(whom)), fulfiller(kj::mv(fulfiller)) {}
    void fail(kj::Exception&& why) override { fulfiller->reject(kj::mv(why)); }
    kj::Own<kj::PromiseFulfiller<Answer>> fulfiller;
  };

  static kj::Exception stopped();
  void on_loop_exit() override;
  void watch(const caf::strong_actor_ptr& whom);
  void someone_ended(const caf::down_msg& news);
  void refused(std::uint64_t number, const caf::error& why);
  kj::Exception reason_of(const caf::error& end) const;
  std::unique_ptr<open_question> take(std::uint64_t number);

  std::map<std::uint64_t, std::unique_ptr<open_question>> open_;
  std::uint64_t next_question_ = 1;
  std::set<caf::actor_addr> watched_;
  std::map<caf::actor_addr, kj::Own<kj::PromiseFulfiller<void>>> awaited_ends_;
  bool stopping_ = false;
  bool over_ = false;  // it has ended itself: a question would never be answered
};

template <class Answer, class Handle, class Message>
kj::Promise<Answer> asker::ask(const Handle& whom, Message message) {
  if (over_) return stopped();
  auto paf = kj::newPromiseAndFulfiller<Answer>();
  const auto number = next_question_++;
  open_.emplace(number, std::make_unique<question<Answer>>(caf::actor_cast<caf::actor_addr>(whom),
                                                           kj::mv(paf.fulfiller)));
  this->request(whom, caf::infinite, std::move(message))
      .then(
          [this, number](const Answer& answer) {
            if (auto asked = take(number))
              static_cast<question<Answer>&>(*asked).fulfiller->fulfill(Answer(answer));
          },
          [this, number](const caf::error& why) { refused(number, why); });
  watch(caf::actor_cast<caf::strong_actor_ptr>(whom));
  return kj::mv(paf.promise);
}

}  // namespace bulkhead
