// SPDX-License-Identifier: Apache-2.0
//
// Questions to actors that answer, that end with the question open, that fail, and that were gone
// before. One reactor in the test's thread; nothing waits by time.

#include "actors/asker.hpp"

#include <caf/scheduler/test_coordinator.hpp>
#include <catch2/catch.hpp>

#include "schema/wire/error_text.hpp"

using namespace bulkhead;

namespace {

struct testing_config : caf::actor_system_config {
  testing_config() { set("scheduler.policy", caf::atom("testing")); }
};

/// Answers numbers above 0 with their double, fails at numbers below, and keeps 0 open.
class keeper final : public hosted<caf::event_based_actor> {
 public:
  using hosted::hosted;
  ~keeper() noexcept override = default;
  // A promise holds its own actor.
  void on_loop_exit() override { kept_.clear(); }
  caf::behavior make_behavior() override {
    return {[this](int number) -> caf::result<int> {
      if (number < 0) throw std::runtime_error("a secret of the implementation");
      if (number > 0) return 2 * number;
      auto later = make_response_promise<int>();
      kept_.push_back(later);
      return later;
    }};
  }

 private:
  std::vector<caf::typed_response_promise<int>> kept_;
};

class fixture {
 public:
  fixture()
      : io(kj::setupAsyncIo()),
        system(config),
        loop(system, io),
        asking(system.spawn<asker>(loop)),
        kept(system.spawn<keeper>(loop)) {}
  ~fixture() {
    loop.exit_all(caf::exit_reason::user_shutdown);
    loop.when_no_actors().wait(io.waitScope);
  }
  fixture(const fixture&) = delete;
  fixture& operator=(const fixture&) = delete;

  asker& ask() { return *caf::actor_cast<asker*>(asking); }
  kj::Promise<int> ask(int number) { return ask().ask<int>(kept, number); }
  void end(caf::exit_reason why) { caf::anon_send_exit(kept, why); }

  /// The kind and text of a promise that must fail; the test hangs if it never ends.
  wire::error_info failure_of(kj::Promise<int> answer) {
    try {
      answer.wait(io.waitScope);
    } catch (const kj::Exception& problem) {
      return wire::parse_error(problem);
    }
    FAIL("it was answered");
    return {};
  }

  testing_config config;
  kj::AsyncIoContext io;
  caf::actor_system system;
  reactor loop;
  caf::actor asking;
  caf::actor kept;
};

}  // namespace

TEST_CASE("a question is answered") {
  fixture f;
  CHECK(f.ask(21).wait(f.io.waitScope) == 42);
}

TEST_CASE("a question that an actor kept open fails as not_found when it ends in good order") {
  fixture f;
  auto first = f.ask(0);
  auto second = f.ask(0);
  f.end(caf::exit_reason::user_shutdown);
  CHECK(f.failure_of(kj::mv(first)).kind == schema::ErrorKind::NOT_FOUND);
  CHECK(f.failure_of(kj::mv(second)).kind == schema::ErrorKind::NOT_FOUND);
}

TEST_CASE("a question to an actor that fails is internal, and tells nothing of its inside") {
  fixture f;
  auto open = f.ask(0);
  const auto said = f.failure_of(f.ask(-1));
  CHECK(said.kind == schema::ErrorKind::INTERNAL);
  CHECK(said.what == "a part of the broker failed");
  CHECK(said.why.find("secret") == std::string::npos);
  CHECK_FALSE(said.remedy.empty());
  CHECK(f.failure_of(kj::mv(open)).kind == schema::ErrorKind::INTERNAL);
}

TEST_CASE("a question to an actor that ended before is refused at once, by the way it ended") {
  fixture f;
  auto gone = f.ask().ended(f.kept);
  f.end(caf::exit_reason::user_shutdown);
  gone.wait(f.io.waitScope);
  CHECK(f.failure_of(f.ask(1)).kind == schema::ErrorKind::NOT_FOUND);
  CHECK(f.failure_of(f.ask(0)).kind == schema::ErrorKind::NOT_FOUND);
}

TEST_CASE("an answer that was sent before the end is not lost") {
  fixture f;
  auto answer = f.ask(4);
  f.end(caf::exit_reason::user_shutdown);
  CHECK(answer.wait(f.io.waitScope) == 8);
}

TEST_CASE("a question to nobody fails") {
  fixture f;
  CHECK(f.failure_of(f.ask().ask<int>(caf::actor(), 1)).kind == schema::ErrorKind::INTERNAL);
}

TEST_CASE("after stopping() an actor that ends leaves its questions as broker_stopping") {
  fixture f;
  auto open = f.ask(0);
  f.ask().stopping();
  f.end(caf::exit_reason::kill);
  CHECK(f.failure_of(kj::mv(open)).kind == schema::ErrorKind::BROKER_STOPPING);
}

TEST_CASE("questions that are open when the asker ends, or come later, fail as broker_stopping") {
  fixture f;
  auto open = f.ask(0);
  caf::anon_send_exit(f.asking, caf::exit_reason::user_shutdown);
  CHECK(f.failure_of(kj::mv(open)).kind == schema::ErrorKind::BROKER_STOPPING);
  CHECK(f.failure_of(f.ask(1)).kind == schema::ErrorKind::BROKER_STOPPING);
}
