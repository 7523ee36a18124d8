// SPDX-License-Identifier: Apache-2.0
//
// Garbage through a real connection. Whatever bytes arrive, the connection that they arrive on ends
// with a named reason, a neighbour in the same process keeps working, and (under ASan) no byte out
// of bounds is touched. Mutations are seeded: a failure repeats, and its seed is in the message.
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "schema/wire/error_text.hpp"
#include "tests/unit/wire_testing.hpp"

using namespace bulkhead;
using namespace bulkhead::wire;
using namespace bulkhead::wire::testing;

namespace {

using side = connection::side;
using bytes = std::vector<kj::byte>;

/// A broker in small: two connections to servants in one loop, one of them attacked.
struct host {
  explicit host(loop& on) : on(on), attacked_sockets(on), good_sockets(on) {
    connection_options options;
    options.limits.frame_bytes = 1 << 20;
    attacked = kj::heap<connection>(kj::mv(attacked_sockets.left), side::SERVER,
                                    capnp::Capability::Client(kj::heap<echo_plugin>()), options);
    good = kj::heap<connection>(kj::mv(good_sockets.left), side::SERVER,
                                capnp::Capability::Client(kj::heap<echo_plugin>()), options);
    neighbour = kj::heap<connection>(kj::mv(good_sockets.right), side::CLIENT, nullptr, options);
  }

  /// Sends `raw` and the end, and answers the text with which the connection ended.
  std::string attack(const bytes& raw) {
    auto& attacker = attacked_sockets.right;
    auto sent = attacker->write(raw.data(), raw.size())
                    .then([&]() { attacker->shutdownWrite(); }, [](kj::Exception&&) {})
                    .eagerlyEvaluate(nullptr);
    // The attacker must read, or the answers fill the socket.
    auto drained = kj::evalLater([&]() { return attacker->readAllBytes(); })
                       .ignoreResult()
                       .catch_([](kj::Exception&&) {})
                       .eagerlyEvaluate(nullptr);
    attacked->on_disconnect().wait(on.io.waitScope);
    std::string text;
    KJ_IF_MAYBE (reason, attacked->close_reason()) text = reason->getDescription().cStr();
    return text;
  }

  bool neighbour_works() {
    auto plugin = neighbour->bootstrap().castAs<schema::Plugin>();
    auto backend = plugin.mountRequest().send().getBackend();
    return echoed_bytes(echo(backend, "x", 64).wait(on.io.waitScope)) == 64;
  }

  loop& on;
  socket_pair attacked_sockets;
  socket_pair good_sockets;
  kj::Own<connection> attacked;
  kj::Own<connection> good;
  kj::Own<connection> neighbour;
};

/// What an honest client writes: bootstrap, a pipelined mount and two pipelined calls.
bytes honest_session(loop& on) {
  socket_pair sockets(on);
  connection client(kj::mv(sockets.right), side::CLIENT, nullptr);
  auto plugin = client.bootstrap().castAs<schema::Plugin>();
  auto backend = plugin.mountRequest().send().getBackend();
  auto first = echo(backend, "x", 100);
  auto second = echo(backend, "y", 300);
  on.settle();
  bytes raw(65536);
  raw.resize(sockets.left->tryRead(raw.data(), 1, raw.size()).wait(on.io.waitScope));
  return raw;
}

/// xorshift64*: small, seeded, the same everywhere.
struct dice {
  std::uint64_t state;
  std::uint64_t next() {
    state ^= state >> 12U;
    state ^= state << 25U;
    state ^= state >> 27U;
    return state * 0x2545f4914f6cdd1dULL;
  }
  std::size_t below(std::size_t n) { return next() % n; }
};

bytes mutate(const bytes& honest, dice& roll) {
  bytes raw = honest;
  const std::size_t times = 1 + roll.below(4);
  for (std::size_t i = 0; i < times && !raw.empty(); ++i) {
    const auto at = static_cast<std::ptrdiff_t>(roll.below(raw.size()));
    const auto word = at / 8 * 8;
    switch (roll.below(8)) {
      case 0:
        raw[at] ^= static_cast<kj::byte>(1U << roll.below(8));
        break;
      case 1:
        raw[at] = static_cast<kj::byte>(roll.next());
        break;
      case 2:
        raw.resize(static_cast<std::size_t>(at));
        break;
      case 3:
        raw.insert(raw.begin() + at, static_cast<kj::byte>(roll.next()));
        break;
      case 4:
        raw.erase(raw.begin() + at);
        break;
      case 5: {  // a word of the values that break things
        const std::uint64_t values[] = {0, ~0ULL, 0xffffffffULL, 0x7fffffffULL, 1ULL << 63U};
        const auto value = values[roll.below(5)];
        const auto n = std::min<std::size_t>(8, raw.size() - static_cast<std::size_t>(word));
        std::memcpy(raw.data() + word, &value, n);
        break;
      }
      case 6: {  // repeat a piece
        const auto n = static_cast<std::ptrdiff_t>(roll.below(raw.size() - at)) + 1;
        const bytes piece(raw.begin() + at, raw.begin() + at + n);
        raw.insert(raw.begin() + word, piece.begin(), piece.end());
        break;
      }
      default:
        raw.insert(raw.begin() + word, honest.begin(), honest.end());
        break;
    }
  }
  return raw;
}

/// Noise of libcapnp about hostile bytes is expected; the tests' own output is not to drown in it.
class quiet final : public kj::ExceptionCallback {
 public:
  void logMessage(kj::LogSeverity, const char*, int, int, kj::String&&) override {}
};

}  // namespace

TEST_CASE("the eight bytes that overflow in libcapnp close the connection and nothing else") {
  loop on;
  host here(on);
  const auto text = here.attack({0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0});
  const auto info = parse_error(text.c_str(), kj::Exception::Type::FAILED);
  CHECK(info.kind == schema::ErrorKind::PROTOCOL_VIOLATION);
  CHECK(info.why == "a frame of 4294967296 segments, 512 allowed");
  REQUIRE(info.find("fault") != nullptr);
  CHECK(*info.find("fault") == "too_many_segments");
  CHECK(here.neighbour_works());
}

TEST_CASE("the eight bytes close the connection also in the middle of an honest session") {
  loop on;
  host here(on);
  auto raw = honest_session(on);
  const bytes hostile{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
  raw.insert(raw.end(), hostile.begin(), hostile.end());
  CHECK(here.attack(raw).find("fault=too_many_segments") != std::string::npos);
  CHECK(here.neighbour_works());
}

TEST_CASE("a header that claims a huge frame is refused before a byte of it is read") {
  loop on;
  host here(on);
  const auto text = here.attack({0, 0, 0, 0, 0xff, 0xff, 0xff, 0x0f});
  CHECK(text.find("fault=too_big") != std::string::npos);
  CHECK(here.attacked->meter().bytes_in == 8);
  CHECK(here.neighbour_works());
}

TEST_CASE("an empty frame is refused") {
  loop on;
  host here(on);
  CHECK(here.attack({0, 0, 0, 0, 0, 0, 0, 0}).find("fault=empty") != std::string::npos);
  CHECK(here.neighbour_works());
}

TEST_CASE("an honest session that just ends is no violation") {
  loop on;
  host here(on);
  CHECK(here.attack(honest_session(on)) == "the other side closed the connection");
  CHECK(here.neighbour_works());
}

TEST_CASE("random bytes close the connection with a named reason") {
  loop on;
  quiet hush;
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    INFO("seed " << seed);
    dice roll{seed * 0x9e3779b97f4a7c15ULL};
    bytes raw(1 + roll.below(600));
    for (auto& byte : raw) byte = static_cast<kj::byte>(roll.next());
    host here(on);
    REQUIRE_FALSE(here.attack(raw).empty());
    if (seed % 50 == 0) REQUIRE(here.neighbour_works());
  }
}

TEST_CASE("random words behind an honest table close the connection with a named reason") {
  loop on;
  quiet hush;
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    INFO("seed " << seed);
    dice roll{seed * 0xd1342543de82ef95ULL};
    const auto words = static_cast<kj::byte>(1 + roll.below(60));
    bytes raw{0, 0, 0, 0, words, 0, 0, 0};
    for (int i = 0; i < words * 8; ++i) {
      raw.push_back(static_cast<kj::byte>(roll.below(3) == 0 ? roll.next() : 0));
    }
    host here(on);
    REQUIRE_FALSE(here.attack(raw).empty());
    if (seed % 50 == 0) REQUIRE(here.neighbour_works());
  }
}

TEST_CASE("thousands of mutants of an honest session end with a named reason each") {
  loop on;
  quiet hush;
  const auto honest = honest_session(on);
  REQUIRE(honest.size() > 400);
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    INFO("seed " << seed);
    dice roll{seed * 0xbf58476d1ce4e5b9ULL};
    host here(on);
    REQUIRE_FALSE(here.attack(mutate(honest, roll)).empty());
    if (seed % 100 == 0) REQUIRE(here.neighbour_works());
  }
}
