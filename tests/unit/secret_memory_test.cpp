// SPDX-License-Identifier: Apache-2.0
// Options of a mount and granted variables are zeroed where they are let go. This program's heap
// looks at each block that is given back to it: none may still hold the secret. What Cap'n Proto
// takes from malloc itself is not seen; its segments are what process_protection.hpp leaves out.
#include <malloc.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <new>

#include "actors/confinement/launched_spawner.hpp"
#include "actors/launcher/messages.hpp"
#include "actors/wipe.hpp"
#include "broker/confinement_rules.hpp"
#include "broker/mount_record.hpp"

using namespace bulkhead;

namespace {

constexpr std::size_t secret_bytes = 40;
std::array<char, secret_bytes + 1> secret{};  // longer than what a string holds within itself
std::atomic<int> blocks_with_it{0};
std::atomic<bool> watching{false};

/// Made here, so that it stands nowhere else in this program.
const char* the_secret() {
  for (std::size_t n = 0; n < secret_bytes; ++n)
    secret[n] = static_cast<char>('a' + (n * 7 + 3) % 26);
  return secret.data();
}

void look_into(void* block) {
  if (!watching) return;
  if (::memmem(block, ::malloc_usable_size(block), secret.data(), secret_bytes) != nullptr)
    ++blocks_with_it;
}

/// How many blocks were given back with the secret in them while `what` was done.
template <class What>
int left_behind_by(const What& what) {
  the_secret();
  blocks_with_it = 0;
  watching = true;
  what();
  watching = false;
  return blocks_with_it;
}

mount_spec spec_with_secret() {
  mount_spec spec;
  spec.path = "kv/";
  spec.plugin = "kv";
  spec.options.push_back({"first", the_secret()});
  spec.options.push_back({"second", the_secret()});
  return spec;
}

/// A process that refuses every start, as the launcher would an order that is none.
launcher_process refusing_launcher() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  if (::fork() == 0) {
    ::close(ends[0]);  // whose end is to be seen
    static launcher::start_order order;
    for (;;) {
      std::array<int, 64> fds{};
      const auto got = launcher::receive_message(ends[1], &order, sizeof order, fds);
      if (got.size <= 0) ::_exit(0);
      launcher::hello_answer greeting;
      launcher::start_answer refusal;
      greeting.head = refusal.head = order.head;
      refusal.stopped_at = launcher::stage::order;
      const bool hello = order.head.kind == static_cast<std::uint16_t>(launcher::order_kind::hello);
      launcher::send_message(ends[1], hello ? static_cast<void*>(&greeting) : &refusal,
                             hello ? sizeof greeting : sizeof refusal);
    }
  }
  ::close(ends[1]);
  return {unique_fd{ends[0]}, nullptr};
}

}  // namespace

void* operator new(std::size_t size) {
  void* const block = std::malloc(size == 0 ? 1 : size);
  if (block == nullptr) throw std::bad_alloc{};
  return block;
}

void operator delete(void* block) noexcept {
  if (block == nullptr) return;
  look_into(block);
  std::free(block);
}

void operator delete(void* block, std::size_t) noexcept {
  operator delete(block);
}

TEST_CASE("the heap of this program sees what is left in it") {
  CHECK(left_behind_by([] { const std::string copy{the_secret()}; }) == 1);
}

TEST_CASE("an option leaves nothing behind, in whatever copy, and be it short") {
  const int left = left_behind_by([] {
    auto spec = spec_with_secret();
    auto copy = spec;
    const auto moved = std::move(spec);
    copy.options = {};
  });
  CHECK(left == 0);
  alignas(option) std::array<char, sizeof(option)> place{};
  auto* const made = new (place.data()) option{"name", "geheim"};
  made->~option();
  CHECK(::memmem(place.data(), place.size(), "geheim", 6) == nullptr);
}

TEST_CASE("a record of a mount is made and read without leaving an option behind") {
  mount_record record;
  record.spec = spec_with_secret();
  record.spec.confinement.grants.push_back("env:TOKEN=" + std::string(the_secret()));
  record.uuid = "u";
  auto bytes = encode_record(record);
  const int left = left_behind_by([&] {
    auto again = encode_record(record);
    wipe(again);
    mount_record read;
    CHECK(decode_record(bytes, read));
    CHECK(read.spec.options == record.spec.options);
  });
  CHECK(left == 0);
}

TEST_CASE("a granted variable leaves nothing behind on its way into a confinement") {
  confinement_rules of_broker;
  of_broker.profile = "strict";
  mount_spec spec;
  spec.confinement.grants.push_back("env:TOKEN=" + std::string(the_secret()));
  const int left = left_behind_by([&] {
    const auto how = effective_confinement(of_broker, {}, spec.confinement, {}, {});
    CHECK(how.grants.size() == 1);
    CHECK(grant_shown(how.grants.front()) == "env:TOKEN");
    CHECK(rules_shown(spec.confinement).grants.front() == "env:TOKEN");
    check_confinement(spec.confinement);
  });
  CHECK(left == 0);
}

TEST_CASE("an order to the launcher leaves no variable behind") {
  launched_spawner by{{.launcher = "fake", .starts = refusing_launcher}};
  REQUIRE(by.prepare());
  process_spec spec;
  spec.executable = "/bin/true";
  auto how = std::make_shared<confinement>();
  how->grants.push_back({grant_kind::environment, "TOKEN=" + std::string(the_secret()), ""});
  spec.confined = how;
  how = nullptr;
  const int left = left_behind_by([&] {
    const auto result = by.spawn(spec);
    const auto* const refused = std::get_if<spawn_error>(&result);
    REQUIRE(refused != nullptr);
    CHECK(refused->why.find("refused the order") != std::string::npos);
    spec.confined = nullptr;
  });
  CHECK(left == 0);
}
