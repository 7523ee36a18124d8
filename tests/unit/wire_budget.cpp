// SPDX-License-Identifier: Apache-2.0
//
// The budgets of a link: each at its limit and one above, what brings a count down again, and the
// rate. At the end guard and counter are given what is nearly right, by the ten thousand: messages
// of the protocol with their structure broken.
#include <capnp/message.h>
#include <capnp/serialize.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "schema/wire/link_budget.hpp"
#include "tests/unit/wire_testing.hpp"

using namespace bulkhead;
using namespace bulkhead::wire;
using namespace bulkhead::wire::testing;
namespace rpc = capnp::rpc;

namespace {

constexpr budget_limits small{.calls_open = 3,
                              .calls_unanswered = 3,
                              .capabilities_held = 10,
                              .message_capabilities = 8,
                              .capabilities_given = 10,
                              .pipeline_steps = 4,
                              .tail_calls = 2,
                              .frames_per_s = 1000};

/// "LIMIT COUNT/ALLOWED" of a breach; empty when there is none.
std::string text_of(const link_budget::verdict& verdict) {
  KJ_IF_MAYBE (breach, verdict) {
    return std::string(breach->limit) + " " + std::to_string(breach->count) + "/" +
           std::to_string(breach->allowed);
  }
  return {};
}

void fill(rpc::Payload::Builder payload, unsigned hosted, unsigned others) {
  auto entries = payload.initCapTable(hosted + others);
  for (unsigned i = 0; i < hosted; ++i) entries[i].setSenderHosted(i);
  for (unsigned i = hosted; i < hosted + others; ++i) entries[i].setReceiverHosted(i);
}

struct peer {
  explicit peer(const budget_limits& limits = small) : budget(limits) {}

  std::string call(unsigned id, unsigned hosted = 0, unsigned others = 0, unsigned steps = 0) {
    message sent;
    auto made = sent.root.initCall();
    made.setQuestionId(id);
    if (steps > 0) made.initTarget().initPromisedAnswer().initTransform(steps);
    fill(made.initParams(), hosted, others);
    return text_of(budget.received(sent));
  }
  std::string answer(unsigned id, unsigned hosted = 0, bool release = false) {
    message sent;
    auto made = sent.root.initReturn();
    made.setAnswerId(id);
    made.setReleaseParamCaps(release);
    fill(made.initResults(), hosted, 0);
    return text_of(budget.received(sent));
  }
  /// Calls, and asks that the answer is kept here.
  std::string passed_on(unsigned id) {
    message sent;
    auto made = sent.root.initCall();
    made.setQuestionId(id);
    made.getSendResultsTo().setYourself();
    return text_of(budget.received(sent));
  }
  std::string finish(unsigned id, bool release = false) {
    message sent;
    auto made = sent.root.initFinish();
    made.setQuestionId(id);
    made.setReleaseResultCaps(release);
    return text_of(budget.received(sent));
  }
  std::string release(unsigned count) {
    message sent;
    sent.root.initRelease().setReferenceCount(count);
    return text_of(budget.received(sent));
  }
  std::string called(unsigned id, unsigned given = 0) {
    message sent;
    auto made = sent.root.initCall();
    made.setQuestionId(id);
    fill(made.initParams(), given, 0);
    return text_of(budget.sent(sent));
  }
  std::string answered(unsigned id, unsigned given = 0) {
    message sent;
    auto made = sent.root.initReturn();
    made.setAnswerId(id);
    fill(made.initResults(), given, 0);
    return text_of(budget.sent(sent));
  }
  void finished(unsigned id, bool given_up) {
    message sent;
    auto made = sent.root.initFinish();
    made.setQuestionId(id);
    made.setReleaseResultCaps(given_up);
    budget.sent(sent);
  }
  void released(unsigned count) {
    message sent;
    sent.root.initRelease().setReferenceCount(count);
    budget.sent(sent);
  }

  link_budget budget;
};

kj::TimePoint at(kj::Duration since) {
  return kj::origin<kj::TimePoint>() + since;
}

}  // namespace

TEST_CASE("a plugin may have as many calls open as the limit says and not one more") {
  peer plugin;
  for (unsigned id = 0; id < 3; ++id) REQUIRE(plugin.call(id).empty());
  CHECK(plugin.call(3) == "plugin_calls_open_max 4/3");
}

TEST_CASE("a call is open until it is both answered and finished, in either order") {
  peer plugin;
  for (unsigned id = 0; id < 3; ++id) REQUIRE(plugin.call(id).empty());
  plugin.answered(0);
  CHECK(plugin.budget.calls_open() == 3);
  plugin.finish(0);
  CHECK(plugin.budget.calls_open() == 2);
  plugin.finish(1);
  CHECK(plugin.budget.calls_open() == 2);
  plugin.answered(1);
  CHECK(plugin.budget.calls_open() == 1);
}

namespace {

/// A call of `Backend.handle` that answers a hundred times its `data_bytes`, on the backend that
/// the answer to question 1 brings. The answer is kept by who is asked.
kj::Array<capnp::word> tail_call(unsigned id, unsigned data_bytes) {
  message sent;
  auto made = sent.root.initCall();
  made.setQuestionId(id);
  made.setInterfaceId(capnp::typeId<schema::Backend>());
  made.getSendResultsTo().setYourself();
  auto on_answer = made.initTarget().initPromisedAnswer();
  on_answer.setQuestionId(1);
  on_answer.initTransform(1)[0].setGetPointerField(0);
  auto request =
      made.initParams().getContent().initAs<schema::Backend::HandleParams>().initRequest();
  request.setPath("grow");
  request.initFields(1)[0].initValue().initData(data_bytes);
  return capnp::messageToFlatArray(sent.builder);
}

/// Asks for the bootstrap capability, and for a backend of it: questions 0 and 1.
std::vector<kj::byte> first_questions() {
  message bootstrap;
  bootstrap.root.initBootstrap().setQuestionId(0);
  message mount;
  auto made = mount.root.initCall();
  made.setQuestionId(1);
  made.setInterfaceId(capnp::typeId<schema::Plugin>());
  made.setMethodId(1);
  made.initTarget().initPromisedAnswer().setQuestionId(0);
  made.initParams().getContent().initAs<schema::Plugin::MountParams>();
  const auto first = capnp::messageToFlatArray(bootstrap.builder);
  const auto second = capnp::messageToFlatArray(mount.builder);
  std::vector<kj::byte> both(first.asBytes().begin(), first.asBytes().end());
  both.insert(both.end(), second.asBytes().begin(), second.asBytes().end());
  return both;
}

}  // namespace

TEST_CASE("so many answers may be kept for a plugin's tail calls, and Finish takes one off") {
  peer plugin;
  CHECK(plugin.passed_on(0).empty());
  CHECK(plugin.passed_on(1).empty());
  plugin.answered(0);
  plugin.finish(0);
  CHECK(plugin.passed_on(2).empty());
  plugin.answered(1);  // its answer is not sent, and not gone either
  plugin.finish(1);
  CHECK(plugin.passed_on(3).empty());
  CHECK(plugin.call(4).empty());
}

TEST_CASE("one answer too many that a plugin has kept here ends the link, by its name") {
  peer plugin;
  for (unsigned id = 0; id < 2; ++id) {
    REQUIRE(plugin.passed_on(id).empty());
    plugin.answered(id);
  }
  CHECK(plugin.passed_on(2) == "plugin_tail_calls_max 3/2");
}

TEST_CASE("an answer kept here does not count while it is that of an open call of ours") {
  peer plugin;
  const auto takes = [&](unsigned own, unsigned id) {
    message sent;
    auto made = sent.root.initReturn();
    made.setAnswerId(own);
    made.setTakeFromOtherQuestion(id);
    plugin.budget.received(sent);
  };
  const auto ended = [&](unsigned own) {
    message sent;
    sent.root.initFinish().setQuestionId(own);
    return text_of(plugin.budget.sent(sent));
  };
  for (unsigned id = 0; id < 3; ++id) {
    REQUIRE(plugin.called(id).empty());
    REQUIRE(plugin.passed_on(id).empty());
    takes(id, id);
    takes(id, id);  // libcapnp ends the connection for the second
    plugin.answered(id);
    CHECK(plugin.budget.tail_calls() == 0);
  }
  CHECK(ended(0).empty());
  CHECK(plugin.budget.tail_calls() == 1);
  plugin.finish(0);
  CHECK(plugin.budget.tail_calls() == 0);

  plugin.finish(1);
  REQUIRE(plugin.call(1).empty());  // another one of that number
  CHECK(ended(1).empty());
  CHECK(plugin.budget.tail_calls() == 0);

  CHECK(ended(2).empty());
  plugin.answered(1);
  plugin.finish(1);
  CHECK(plugin.passed_on(3).empty());
  CHECK(plugin.passed_on(4) == "plugin_tail_calls_max 3/2");
}

// Why there is such a limit: nothing of this passes the queue, where answers are counted.
TEST_CASE("what tail calls make the host keep is bounded by their number") {
  constexpr unsigned data_bytes = 10'000;  // a hundred times as much is answered
  constexpr unsigned calls = 16;
  const auto kept_bytes = [&](std::uint64_t allowed) {
    loop on;
    socket_pair sockets(on);
    connection_options options;
    options.budget = budget_limits{.tail_calls = allowed};
    connection host(kj::mv(sockets.left), connection::side::SERVER,
                    capnp::Capability::Client(kj::heap<echo_plugin>()), options);
    const auto send = [&](kj::ArrayPtr<const kj::byte> raw) {
      sockets.right->write(raw.begin(), raw.size()).wait(on.io.waitScope);
      on.settle();
    };
    const auto first = first_questions();
    send(kj::arrayPtr(first.data(), first.size()));
    const auto before = allocated_bytes();
    for (unsigned i = 0; i < calls; ++i) send(tail_call(2 + i, data_bytes).asBytes());
    CHECK(host.meter().bytes_queued_peak < data_bytes);
    return allocated_bytes() - before;
  };
  CHECK(kept_bytes(calls) > std::size_t{calls} * data_bytes * 90);
  CHECK(kept_bytes(4) < std::size_t{5} * data_bytes * 110);
}

TEST_CASE("a bootstrap is a call") {
  peer plugin;
  for (unsigned id = 0; id < 3; ++id) {
    message sent;
    sent.root.initBootstrap().setQuestionId(id);
    REQUIRE(text_of(plugin.budget.received(sent)).empty());
  }
  CHECK(plugin.call(3) == "plugin_calls_open_max 4/3");
}

TEST_CASE("so many calls to a plugin may be unanswered, also when they were given up") {
  peer plugin;
  for (unsigned id = 0; id < 3; ++id) {
    CHECK_FALSE(plugin.budget.full());
    REQUIRE(plugin.called(id).empty());
    plugin.finished(id, true);
  }
  CHECK(plugin.budget.full());
  plugin.answer(0);
  CHECK_FALSE(plugin.budget.full());
}

TEST_CASE("calls that are finished and run on do not make room for calls that are answered") {
  peer plugin;
  REQUIRE(plugin.call(0).empty());
  plugin.finish(0);  // not cancelled: whoever serves it goes on
  REQUIRE(plugin.call(1).empty());
  plugin.answered(1);
  CHECK(plugin.budget.calls_open() == 2);
  REQUIRE(plugin.call(2).empty());
  CHECK(plugin.call(3) == "plugin_calls_open_max 4/3");
}

// libcapnp takes a second Finish of a call that is not answered yet.
TEST_CASE("a second Finish of the same call makes no room for another one") {
  peer plugin;
  REQUIRE(plugin.call(0).empty());
  for (unsigned id = 1; id < 3; ++id) {
    plugin.finish(0);
    REQUIRE(plugin.call(id).empty());
    plugin.answered(id);
  }
  plugin.finish(0);
  CHECK(plugin.call(3) == "plugin_calls_open_max 4/3");
}

TEST_CASE("a plugin's capabilities count once each time they are sent, until they are released") {
  peer plugin;
  REQUIRE(plugin.call(0, 5).empty());
  plugin.called(7);
  REQUIRE(plugin.answer(7, 5).empty());
  CHECK(plugin.budget.capabilities_held() == 10);
  plugin.released(1);
  REQUIRE(plugin.call(1, 1).empty());
  CHECK(plugin.call(2, 1) == "plugin_capabilities_max 11/10");
}

TEST_CASE("a resolution with a capability counts as one") {
  peer plugin;
  message sent;
  sent.root.initResolve().initCap().setSenderHosted(1);
  for (int i = 0; i < 10; ++i) REQUIRE(text_of(plugin.budget.received(sent)).empty());
  CHECK(text_of(plugin.budget.received(sent)) == "plugin_capabilities_max 11/10");
}

TEST_CASE("other entries of a call's table count until it is answered") {
  peer plugin;
  REQUIRE(plugin.call(0, 2, 6).empty());
  CHECK(plugin.call(1, 0, 3) == "plugin_capabilities_max 11/10");
  plugin.answered(0);
  CHECK(plugin.budget.capabilities_held() == 5);
}

TEST_CASE("the answer to a call that was given up brings no capabilities") {
  peer plugin;
  plugin.called(0);
  plugin.finished(0, true);
  plugin.answer(0, 8);
  CHECK(plugin.budget.capabilities_held() == 0);
  plugin.called(0);
  plugin.answer(0, 8);
  CHECK(plugin.budget.capabilities_held() == 8);
}

// A message is counted as it is read, and libcapnp handles it a few turns of the loop later. In
// between its caller may give the call up, or whoever serves one may answer it.
TEST_CASE("an answer that was read as its call was given up brings no capabilities either") {
  peer plugin;
  plugin.called(0);
  plugin.answer(0, 8);
  plugin.finished(0, true);
  CHECK(plugin.budget.capabilities_held() == 0);
  plugin.called(0);
  plugin.answer(0, 8);
  CHECK(plugin.budget.capabilities_held() == 8);
  plugin.finished(0, false);
  CHECK(plugin.budget.capabilities_held() == 8);
}

TEST_CASE("an answer that was given as its Finish was read leaves what that Finish leaves") {
  for (const bool releases : {true, false}) {
    peer plugin;
    plugin.call(0);
    plugin.finish(0, releases);
    plugin.answered(0, 5);
    CHECK(plugin.budget.capabilities_given() == (releases ? 0 : 5));
    CHECK(plugin.budget.calls_open() == 0);
  }
}

TEST_CASE("a plugin that knows no Resolve has not taken what came with it") {
  peer plugin;
  message sent;
  sent.root.initResolve().initCap().setSenderHosted(1);
  plugin.budget.sent(sent);
  REQUIRE(plugin.budget.capabilities_given() == 1);
  message refused;
  refused.root.initUnimplemented().initResolve().initCap().setSenderHosted(1);
  CHECK(text_of(plugin.budget.received(refused)).empty());
  CHECK(plugin.budget.capabilities_given() == 0);
}

TEST_CASE("numbers of calls are counted alike, small or large, as their owner chooses them") {
  peer plugin;
  for (const unsigned id : {0U, 1023U, 1024U, 0xffffffffU}) {
    REQUIRE(plugin.call(id, 0, 2).empty());
    CHECK(plugin.budget.capabilities_held() == 2);
    plugin.answered(id, 3);
    CHECK(plugin.budget.capabilities_given() == 3);
    plugin.finish(id, true);
    CHECK(plugin.budget.capabilities_given() == 0);
    CHECK(plugin.budget.calls_open() == 0);
  }
}

TEST_CASE("a message may list so many capabilities and not one more, whatever their kind") {
  CHECK(peer().call(0, 8).empty());
  CHECK(peer().call(0, 0, 8).empty());
  CHECK(peer().call(0, 9) == "plugin_message_capabilities_max 9/8");
  CHECK(peer().call(0, 0, 9) == "plugin_message_capabilities_max 9/8");
  peer asked;
  asked.called(0);
  CHECK(asked.answer(0, 9) == "plugin_message_capabilities_max 9/8");
}

TEST_CASE("a table that claims a million entries in no bytes is refused unread") {
  message sent;
  auto made = sent.root.initCall();
  made.setQuestionId(1);
  fill(made.initParams(), 1, 0);
  auto words = capnp::messageToFlatArray(sent.builder);
  // The tag of the list, of struct elements: their number, then their size. Only it has both.
  const std::uint64_t tag = (1U << 2U) | (std::uint64_t{1} << 32U) | (std::uint64_t{1} << 48U);
  std::size_t found = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    auto* word = words.asBytes().begin() + i * sizeof tag;
    if (std::memcmp(word, &tag, sizeof tag) != 0) continue;
    const std::uint64_t evil = 1'000'000ULL << 2U;
    std::memcpy(word, &evil, sizeof evil);
    ++found;
  }
  REQUIRE(found == 1);
  capnp::FlatArrayMessageReader reader(words);
  link_budget budget(small);
  CHECK(text_of(budget.received(reader.getRoot<rpc::Message>())) ==
        "plugin_message_capabilities_max 1000000/8");
}

TEST_CASE("what a plugin has of ours counts until its Release, Finish or Return releases it") {
  peer plugin;
  plugin.call(0);
  REQUIRE(plugin.answered(0, 5).empty());
  REQUIRE(plugin.called(0, 5).empty());
  CHECK(plugin.called(1, 1) == "plugin_capabilities_given_max 11/10");
  plugin.release(1);
  CHECK(plugin.budget.capabilities_given() == 10);
  plugin.finish(0, true);
  CHECK(plugin.budget.capabilities_given() == 5);
  plugin.answer(0, 0, true);
  CHECK(plugin.budget.capabilities_given() == 0);
}

TEST_CASE("a Finish or Return that releases nothing leaves what was given") {
  peer plugin;
  plugin.call(0);
  plugin.answered(0, 5);
  plugin.called(0, 4);
  plugin.finish(0);
  plugin.answer(0);
  CHECK(plugin.budget.capabilities_given() == 9);
  plugin.finish(0, true);  // too late
  CHECK(plugin.budget.capabilities_given() == 9);
}

TEST_CASE("a path into an answer may have so many steps and not one more") {
  CHECK(peer().call(0, 0, 0, 4).empty());
  CHECK(peer().call(0, 0, 0, 5) == "plugin_pipeline_steps_max 5/4");
  for (unsigned steps : {4U, 5U}) {
    INFO("in a table, " << steps << " steps");
    message sent;
    auto entry = sent.root.initCall().initParams().initCapTable(1)[0];
    entry.initReceiverAnswer().initTransform(steps);
    CHECK(text_of(peer().budget.received(sent)).empty() == (steps == 4));
  }
}

TEST_CASE("a second's worth of frames may come at once, the next one waits its turn") {
  peer plugin;
  for (int i = 0; i < 1000; ++i) plugin.release(0);
  CHECK(plugin.budget.pause(at(0 * kj::SECONDS)) == 0 * kj::SECONDS);
  plugin.release(0);
  CHECK(plugin.budget.pause(at(0 * kj::SECONDS)) == 1 * kj::MILLISECONDS);
  CHECK(plugin.budget.pause(at(1 * kj::MILLISECONDS)) == 0 * kj::SECONDS);
  for (int i = 0; i < 500; ++i) plugin.release(0);
  CHECK(plugin.budget.pause(at(1 * kj::MILLISECONDS)) == 500 * kj::MILLISECONDS);
  CHECK(plugin.budget.pause(at(10 * kj::SECONDS)) == 0 * kj::SECONDS);
}

TEST_CASE("answers cost nothing of the rate, and a rate of zero is none") {
  peer plugin;
  for (int i = 0; i < 5000; ++i) plugin.answer(0);
  CHECK(plugin.budget.pause(at(0 * kj::SECONDS)) == 0 * kj::SECONDS);
  auto limits = small;
  limits.frames_per_s = 0;
  peer free(limits);
  for (int i = 0; i < 5000; ++i) free.release(0);
  CHECK(free.budget.pause(at(0 * kj::SECONDS)) == 0 * kj::SECONDS);
}

// -- mutants -------------------------------------------------------------------------------------

namespace {

/// xorshift64*: small, seeded, the same everywhere.
struct dice {
  std::uint64_t state;
  std::uint64_t next() {
    state ^= state >> 12U;
    state ^= state << 25U;
    state ^= state >> 27U;
    return state * 0x2545f4914f6cdd1dULL;
  }
  unsigned below(unsigned n) { return static_cast<unsigned>(next() % n); }
};

void write_payload(rpc::Payload::Builder payload, dice& roll) {
  payload.initContent().setAs<capnp::Text>("a text");
  auto entries = payload.initCapTable(roll.below(6));
  for (auto entry : entries) {
    switch (roll.below(5)) {
      case 0:
        entry.setSenderHosted(roll.below(9));
        break;
      case 1:
        entry.setSenderPromise(roll.below(9));
        break;
      case 2:
        entry.setReceiverHosted(roll.below(9));
        break;
      case 3:
        entry.initReceiverAnswer().initTransform(roll.below(4));
        break;
      default:
        break;
    }
  }
}

/// Any message that is right by its schema.
kj::Array<capnp::word> honest_message(dice& roll) {
  message made;
  switch (roll.below(6)) {
    case 0: {
      auto call = made.root.initCall();
      call.setQuestionId(roll.below(9));
      if (roll.below(2) == 0) call.initTarget().initPromisedAnswer().initTransform(roll.below(4));
      write_payload(call.initParams(), roll);
      break;
    }
    case 1:
      made.root.initReturn().setAnswerId(roll.below(9));
      write_payload(made.root.getReturn().initResults(), roll);
      break;
    case 2:
      made.root.initFinish().setQuestionId(roll.below(9));
      break;
    case 3:
      made.root.initResolve().initCap().setSenderHosted(roll.below(9));
      break;
    case 4:
      made.root.initRelease().setReferenceCount(roll.below(4));
      break;
    default:
      made.root.initDisembargo().initTarget().initPromisedAnswer().initTransform(roll.below(4));
      break;
  }
  return capnp::messageToFlatArray(made.builder);
}

/// Breaks a word as a pointer, a size, or a discriminant is broken; or a length, or nothing.
kj::Array<capnp::word> broken(kj::Array<capnp::word> words, dice& roll) {
  for (unsigned times = roll.below(4); times > 0; --times) {
    auto at = words.asBytes().begin() + std::size_t{roll.below(words.size())} * 8;
    std::uint64_t value = 0;
    std::memcpy(&value, at, sizeof value);
    switch (roll.below(7)) {
      case 0:
        value ^= 1ULL << roll.below(64);
        break;
      case 1:  // another offset
        value = (value & ~0xfffffffcULL) | (roll.next() & 0xfffffffcULL);
        break;
      case 2:  // another size
        value = (value & 0xffffffffULL) | (roll.next() << 32U);
        break;
      case 3:  // a list that claims elements without a body
        value = (roll.next() & 0xfffffffcULL);
        break;
      case 4:  // to itself, or far away
        value = 0xfffffffcULL | (roll.next() << 48U);
        break;
      case 5:
        value = roll.next();
        break;
      default:
        value = ~0ULL;
        break;
    }
    std::memcpy(at, &value, sizeof value);
  }
  return words;
}

}  // namespace

TEST_CASE("guard and counter take whatever is nearly a message: passed, refused or broken") {
  unsigned passed = 0;
  unsigned refused = 0;
  unsigned damaged = 0;
  unsigned stopped = 0;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    INFO("seed " << seed);
    dice roll{seed * 0x9e3779b97f4a7c15ULL};
    link_budget budget(small);
    for (int i = 0; i < 60; ++i) {
      auto words = honest_message(roll);
      if (roll.below(8) == 0) words = broken(kj::mv(words), roll);
      const auto check = check_frame(words.asBytes(), {});
      if (check.result != frame_check::verdict::frame || check.amount > words.asBytes().size()) {
        ++stopped;
        continue;
      }
      auto frame = kj::heapArray<capnp::word>(check.amount / sizeof(capnp::word));
      std::memcpy(frame.begin(), words.begin(), check.amount);
      capnp::ReaderOptions options;
      options.traversalLimitInWords = frame.size() * 16 + 512;
      try {
        capnp::FlatArrayMessageReader reader(frame, options);
        const auto verdict = roll.below(4) == 0 && !budget.full()
                                 ? budget.sent(reader.getRoot<rpc::Message>())
                                 : budget.received(reader.getRoot<rpc::Message>());
        KJ_IF_MAYBE (breach, verdict) {
          REQUIRE(breach->count > breach->allowed);
          ++refused;
          break;  // the link is gone
        }
        REQUIRE(budget.calls_open() <= small.calls_open);
        REQUIRE(budget.calls_unanswered() <= small.calls_unanswered);
        REQUIRE(budget.capabilities_held() <= small.capabilities_held);
        REQUIRE(budget.capabilities_given() <= small.capabilities_given);
        ++passed;
      } catch (const kj::Exception&) {
        ++damaged;
        break;  // here too
      }
    }
  }
  CHECK(passed > 1000);
  CHECK(refused > 500);
  CHECK(damaged > 100);
  CHECK(stopped > 100);
}
