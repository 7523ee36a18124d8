// SPDX-License-Identifier: Apache-2.0
//
// Long honest use of a link with a budget: what is counted up comes down again, to zero. A count
// that is left behind now and then is no matter for a day, and then ends a plugin that has done
// nothing wrong.
//
// Both ends call each other, all the time and by the seed: calls that bring capabilities, either
// way; calls on answers that are not there yet; promises that are kept later; capabilities that are
// handed back to whoever they came from; tail calls; calls that fail; and calls that are given up
// at any turn of the loop, which is where an answer and its end meet halfway.
#include <capnp/message.h>
#include <kj/vector.h>

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/unit/wire_testing.hpp"

using namespace bulkhead;
using namespace bulkhead::wire;
using namespace bulkhead::wire::testing;

namespace {

/// xorshift64*: small, seeded, the same everywhere.
class dice {
 public:
  explicit dice(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL) {}
  unsigned below(unsigned n) {
    state_ ^= state_ >> 12U;
    state_ ^= state_ << 25U;
    state_ ^= state_ >> 27U;
    return static_cast<unsigned>((state_ * 0x2545f4914f6cdd1dULL) >> 32U) % n;
  }

 private:
  std::uint64_t state_;
};

kj::Promise<void> turns(unsigned count) {
  if (count == 0) return kj::READY_NOW;
  return kj::evalLater([count] { return turns(count - 1); });
}

/// What is sent and answered by any method: two capabilities.
using pair_of = schema::Plugin::MountResults;

enum method : std::uint16_t { give, promise, use, reflect, pass_on, fail, linger, methods, lend };

using call_request = capnp::Request<capnp::AnyPointer, capnp::AnyPointer>;
using call_promise = capnp::RemotePromise<capnp::AnyPointer>;

call_request ask(capnp::Capability::Client whom, method what) {
  return whom.typelessRequest(capnp::typeId<schema::Plugin>(), what, nullptr);
}

capnp::Capability::Client typed_of(call_promise& answer) {
  capnp::AnyPointer::Pipeline& pipeline = answer;
  return capnp::Capability::Client(pipeline.noop().getPointerField(1).asCap());
}

/// An object of either side: what it does is told by the number of the method.
class party final : public capnp::Capability::Server {
 public:
  /// `lent`: where `lend` leaves what it is given.
  explicit party(dice& roll, std::optional<capnp::Capability::Client>* lent = nullptr)
      : roll_(roll), lent_(lent) {}

  DispatchCallResult dispatchCall(
      std::uint64_t /*interface*/, std::uint16_t what,
      capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) override {
    return {act(static_cast<method>(what), context), false};
  }

  kj::Promise<void> act(method what,
                        capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer> context) {
    auto given = context.getParams().getAs<pair_of>().getTyped();
    if (roll_.below(2) == 0) context.allowCancellation();
    const auto wait = roll_.below(4) == 0 ? roll_.below(60) : 0;
    switch (what) {
      case give:
        return turns(wait).then([this, context]() mutable {
          context.getResults().initAs<pair_of>().setTyped(kj::heap<party>(roll_));
        });
      case promise: {
        auto kept = turns(roll_.below(60)).then([this, given]() mutable {
          if (roll_.below(2) == 0) return given;
          return capnp::Capability::Client(kj::heap<party>(roll_));
        });
        context.getResults().initAs<pair_of>().setTyped(kj::mv(kept));
        return kj::READY_NOW;
      }
      case use: {
        auto answer = ask(given, give).send();
        return answer.ignoreResult().attach(kj::mv(given));
      }
      case reflect:
        return turns(wait).then(
            [context, given]() mutable { context.getResults().initAs<pair_of>().setTyped(given); });
      case pass_on:
        return context.tailCall(ask(given, give));
      case linger:
        context.allowCancellation();
        return turns(400);
      case lend:
        *lent_ = given;
        return kj::READY_NOW;
      case fail:
      case methods:
        break;
    }
    return KJ_EXCEPTION(FAILED, "as asked");
  }

 private:
  dice& roll_;
  std::optional<capnp::Capability::Client>* lent_;
};

/// Keeps some calls to one party under way, and gives some of them up.
class caller {
 public:
  caller(dice& roll, capnp::Capability::Client whom) : roll_(roll), whom_(kj::mv(whom)) {}

  void call() {
    auto what = static_cast<method>(roll_.below(methods));
    auto request = ask(whom_, what);
    request.initAs<pair_of>().setTyped(kj::heap<party>(roll_));
    auto answer = request.send();
    kj::Vector<kj::Promise<void>> all;
    if (roll_.below(3) == 0) {
      auto next = ask(typed_of(answer), roll_.below(2) == 0 ? give : reflect);
      next.initAs<pair_of>().setTyped(kj::heap<party>(roll_));
      all.add(next.send().ignoreResult());
    }
    all.add(answer.ignoreResult());
    auto done = kj::joinPromises(all.releaseAsArray());
    if (what == linger || roll_.below(3) == 0) {
      done = done.exclusiveJoin(turns(roll_.below(120)));
      ++given_up;
    }
    under_way_.push_back(done.catch_([](kj::Exception&&) {}).eagerlyEvaluate(nullptr));
    ++calls;
  }

  /// Waits for the oldest ones until so many are left.
  void keep(std::size_t count, kj::WaitScope& scope) {
    while (under_way_.size() > count) {
      under_way_.front().wait(scope);
      under_way_.pop_front();
    }
  }

  unsigned calls = 0;
  unsigned given_up = 0;

 private:
  dice& roll_;
  capnp::Capability::Client whom_;
  std::deque<kj::Promise<void>> under_way_;
};

}  // namespace

TEST_CASE("after any number of calls both ways every count of a link is zero again") {
  constexpr unsigned rounds = 40'000;
  constexpr budget_limits limits{.calls_open = 300,
                                 .calls_unanswered = 300,
                                 .capabilities_held = 300,
                                 .capabilities_given = 300,
                                 .tail_calls = 300,
                                 .frames_per_s = 0};
  dice roll(7);
  loop on;
  std::optional<capnp::Capability::Client> lent;
  socket_pair sockets(on);
  connection_options options;
  options.budget = limits;
  connection plugin(kj::mv(sockets.left), connection::side::SERVER,
                    capnp::Capability::Client(kj::heap<party>(roll, &lent)));
  connection broker(kj::mv(sockets.right), connection::side::CLIENT, nullptr, options);
  const auto& counted = KJ_ASSERT_NONNULL(broker.budget());
  {
    auto lending = ask(broker.bootstrap(), lend);
    lending.initAs<pair_of>().setTyped(kj::heap<party>(roll));
    lending.send().ignoreResult().wait(on.io.waitScope);
    caller from_broker(roll, broker.bootstrap());
    caller from_plugin(roll, *lent);
    lent.reset();
    for (unsigned round = 0; round < rounds; ++round) {
      (roll.below(2) == 0 ? from_broker : from_plugin).call();
      from_broker.keep(20, on.io.waitScope);
      from_plugin.keep(20, on.io.waitScope);
      KJ_IF_MAYBE (reason, broker.close_reason()) FAIL(reason->getDescription().cStr());
    }
    from_broker.keep(0, on.io.waitScope);
    from_plugin.keep(0, on.io.waitScope);
    CHECK(from_broker.given_up > rounds / 10);
  }
  on.settle();
  CHECK(broker.close_reason() == nullptr);
  CHECK(counted.calls_open() == 0);
  CHECK(counted.calls_unanswered() == 0);
  CHECK(counted.capabilities_held() == 0);
  CHECK(counted.capabilities_given() == 0);
  CHECK(counted.tail_calls() == 0);
}

TEST_CASE("a plugin may answer any number of calls at once with the answers to tail calls") {
  dice roll(11);
  loop on;
  socket_pair sockets(on);
  connection_options options;
  options.budget = budget_limits{.tail_calls = 1};
  connection plugin(kj::mv(sockets.left), connection::side::SERVER,
                    capnp::Capability::Client(kj::heap<party>(roll)));
  connection broker(kj::mv(sockets.right), connection::side::CLIENT, nullptr, options);
  {
    // Each is answered once the promise of its own that it is to ask is kept.
    std::vector<kj::Own<kj::PromiseFulfiller<capnp::Capability::Client>>> held;
    std::vector<call_promise> calls;
    for (int i = 0; i < 50; ++i) {
      auto asked = kj::newPromiseAndFulfiller<capnp::Capability::Client>();
      held.push_back(kj::mv(asked.fulfiller));
      auto request = ask(broker.bootstrap(), pass_on);
      request.initAs<pair_of>().setTyped(kj::mv(asked.promise));
      calls.push_back(request.send());
    }
    on.settle();
    CHECK(KJ_ASSERT_NONNULL(broker.budget()).calls_open() == 50);
    for (std::size_t i = 0; i < calls.size(); ++i) {
      held[i]->fulfill(kj::heap<party>(roll));
      CHECK(calls[i].wait(on.io.waitScope).getAs<pair_of>().hasTyped());
      on.settle();  // its end, and after it that of the tail call
    }
  }
  on.settle();
  CHECK(broker.close_reason() == nullptr);
  CHECK(KJ_ASSERT_NONNULL(broker.budget()).calls_open() == 0);
  CHECK(KJ_ASSERT_NONNULL(broker.budget()).tail_calls() == 0);
}
