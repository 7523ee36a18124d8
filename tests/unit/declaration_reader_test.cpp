// SPDX-License-Identifier: Apache-2.0
//
// Reading what is declared beside the loop: one thread at a time, and nobody is held up by one that
// hangs.

#include "broker/declaration_reader.hpp"

#include <catch2/catch.hpp>
#include <future>

#include "tests/unit/test_broker.hpp"

using namespace bulkhead;              // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

namespace {

/// A disk that answers when it is told to. Shared with the thread, which may outlive the test.
struct slow_disk {
  std::atomic<int> readings{0};
  std::promise<void> may_end;
  std::shared_future<void> end = may_end.get_future().share();
};

struct reader_fixture {
  declared_state read_now() { return tb.wait(reader->read()); }

  std::shared_ptr<slow_disk> disk = std::make_shared<slow_disk>();
  test::test_broker tb;
  std::unique_ptr<declaration_reader> reader =
      std::make_unique<declaration_reader>(tb.services().reactor, [disk = disk] {
        ++disk->readings;
        disk->end.wait();
        declared_state state;
        state.fixed["readings"] = std::to_string(disk->readings);
        return state;
      });
};

error failure_of(test::test_broker& tb, kj::Promise<declared_state> what) {
  auto problem = kj::runCatchingExceptions([&] { tb.wait(kj::mv(what)); });
  return to_error(KJ_REQUIRE_NONNULL(problem));
}

}  // namespace

TEST_CASE_METHOD(reader_fixture, "each reading is a new one") {
  disk->may_end.set_value();
  CHECK(read_now().fixed.at("readings") == "1");
  CHECK(read_now().fixed.at("readings") == "2");
}

TEST_CASE_METHOD(reader_fixture, "who asks during a reading shares the next one") {
  auto first = reader->read();
  auto second = reader->read();
  auto third = reader->read();
  tb.settle();
  CHECK(disk->readings <= 1);
  disk->may_end.set_value();
  CHECK(tb.wait(kj::mv(first)).fixed.at("readings") == "1");
  CHECK(tb.wait(kj::mv(second)).fixed.at("readings") == "2");
  CHECK(tb.wait(kj::mv(third)).fixed.at("readings") == "2");
}

TEST_CASE_METHOD(reader_fixture, "a reading that hangs fails in time, and a later one is served") {
  auto first = reader->read();
  tb.settle();
  tb.advance(declaration_read_max - 1ms);
  CHECK_FALSE(first.poll(tb.wait_scope()));
  tb.advance(1ms);
  CHECK(failure_of(tb, kj::mv(first)).kind() == error_kind::deadline_exceeded);
  auto second = reader->read();
  tb.advance(declaration_read_max);
  CHECK(failure_of(tb, kj::mv(second)).kind() == error_kind::deadline_exceeded);
  CHECK(disk->readings <= 1);
  disk->may_end.set_value();
  CHECK(read_now().fixed.size() == 1);
}

TEST_CASE_METHOD(reader_fixture, "the end of the reader does not wait for a reading that hangs") {
  auto reading = reader->read();
  reader.reset();
  CHECK(reading.poll(tb.wait_scope()));
  CHECK_THROWS(reading.wait(tb.wait_scope()));
  disk->may_end.set_value();  // the thread finds nobody
  tb.settle();
}

TEST_CASE("a declaration that fails, fails in its own words") {
  test::test_broker tb;
  declaration_reader refused(tb.services().reactor, []() -> declared_state {
    throw error(error_kind::invalid_argument, "b.toml:3: no", "because", "");
  });
  const auto said = failure_of(tb, refused.read());
  CHECK(said.kind() == error_kind::invalid_argument);
  CHECK(said.why() == "because");
  declaration_reader broken(tb.services().reactor,
                            []() -> declared_state { throw std::runtime_error("x"); });
  CHECK(failure_of(tb, broken.read()).kind() == error_kind::internal);
}
