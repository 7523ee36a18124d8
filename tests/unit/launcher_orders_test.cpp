// SPDX-License-Identifier: Apache-2.0
// The launcher's look at its orders: what is valid, what is one step beside it, and garbage.
#include "actors/launcher/orders.hpp"

#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>

using namespace bulkhead::launcher;

namespace {

constexpr order_kind none{};

void add_text(start_order& order, const std::string& text) {
  std::memcpy(order.text.data() + order.text_bytes, text.c_str(), text.size() + 1);
  order.text_bytes += static_cast<std::uint32_t>(text.size()) + 1;
}

std::unique_ptr<start_order> good_start() {
  auto order = std::make_unique<start_order>();
  order->head.kind = static_cast<std::uint16_t>(order_kind::start);
  order->head.number = 7;
  order->wanted = 0xff;
  order->required = 0x0f;
  order->arguments = 2;
  order->environment = 1;
  for (const auto* const text : {"plugin", "", "A=b"}) add_text(*order, text);
  return order;
}

order_kind look(const start_order& order, std::size_t descriptors = start_fds) {
  return valid_order(reinterpret_cast<const std::byte*>(&order), size_of(order), descriptors);
}

/// What becomes of a good start that was changed in one way.
order_kind changed(const std::function<void(start_order&)>& change,
                   std::size_t descriptors = start_fds) {
  auto order = good_start();
  change(*order);
  return look(*order, descriptors);
}

template <class Order>
order_kind look_at(const Order& order, std::size_t descriptors = 0) {
  return valid_order(reinterpret_cast<const std::byte*>(&order), sizeof order, descriptors);
}

/// A start with one placement.
order_kind placed(placement_kind kind, const std::string& where, std::size_t descriptors = 6) {
  return changed(
      [&](start_order& order) {
        order.placements = 1;
        order.placed[0] = kind;
        add_text(order, where);
      },
      descriptors);
}

}  // namespace

TEST_CASE("a good start is one") {
  const auto order = good_start();
  CHECK(look(*order) == order_kind::start);
  CHECK(text_of(*order, 0) == std::string{"plugin"});
  CHECK(text_of(*order, 1) == std::string{});
  CHECK(text_of(*order, 2) == std::string{"A=b"});
}

TEST_CASE("a start with anything out of its bounds is none") {
  CHECK(changed([](auto& order) { order.head.magic ^= 1; }) == none);
  CHECK(changed([](auto& order) { order.head.version += 1; }) == none);
  CHECK(changed([](auto& order) { order.head.kind = 99; }) == none);
  CHECK(changed([](auto& order) { order.head.number = 0; }) == none);
  CHECK(changed([](auto& order) { order.wanted |= std::uint64_t{1} << bulkhead::wall_count; }) ==
        none);
  CHECK(changed([](auto& order) { order.required |= 0x100; }) == none);  // and not wanted
  CHECK(changed([](auto& order) { order.form = program_form{0}; }) == none);
  CHECK(changed([](auto& order) { order.form = program_form{4}; }) == none);
  CHECK(changed([](auto& order) { order.reserved = 1; }) == none);
  CHECK(changed([](auto& order) { order.limits.cpu_weight = 0; }) == none);
  CHECK(changed([](auto& order) { order.limits.cpu_weight = 10'001; }) == none);
  CHECK(changed([](auto& order) { order.limits.io_weight = 0; }) == none);
  CHECK(changed([](auto& order) { order.limits.io_weight = 1001; }) == none);
  CHECK(changed([](auto& order) { order.arguments = 0; }) == none);
  CHECK(changed([](auto& order) { order.arguments = 3; }) == none);
  CHECK(changed([](auto& order) { order.arguments = 0xffff; }) == none);
  CHECK(changed([](auto& order) { order.environment = 0xffff; }) == none);
  CHECK(changed([](auto& order) { order.placements = 0xffff; }) == none);
  CHECK(changed([](auto& order) { order.text[order.text_bytes - 1] = 'x'; }) == none);
  CHECK(changed([](auto& order) { order.text_bytes -= 1; }) == none);
  CHECK(changed([](auto&) {}, start_fds - 1) == none);
  CHECK(changed([](auto&) {}, start_fds + 1) == none);
  auto order = good_start();
  order->text_bytes = text_bytes_max + 1;
  CHECK(valid_order(reinterpret_cast<const std::byte*>(order.get()), sizeof *order, start_fds) ==
        none);
}

TEST_CASE("a start with as many texts as it says, and more than there is room for, is none") {
  const auto with = [](std::uint16_t arguments, std::uint16_t environment,
                       std::uint16_t placements) {
    const auto order = std::make_unique<start_order>();
    order->head.kind = static_cast<std::uint16_t>(order_kind::start);
    order->head.number = 7;
    order->arguments = arguments;
    order->environment = environment;
    order->placements = placements;
    for (int n = 0; n < arguments + environment; ++n) add_text(*order, "");
    for (int n = 0; n < placements; ++n) add_text(*order, "/x");
    order->placed.fill(placement_kind::file);
    return look(*order, std::size_t{start_fds} + placements);
  };
  CHECK(with(1, 0, 0) == order_kind::start);
  CHECK(with(0, 1, 0) == none);
  CHECK(with(arguments_max, environment_max, placements_max) == order_kind::start);
  CHECK(with(arguments_max + 1, 0, 0) == none);
  CHECK(with(1, environment_max + 1, 0) == none);
}

TEST_CASE("a start whose length is not what it says is none") {
  const auto order = good_start();
  const auto* const bytes = reinterpret_cast<const std::byte*>(order.get());
  for (std::size_t size = 0; size < size_of(*order) + 8; ++size) {
    const auto wanted = size == size_of(*order) ? order_kind::start : none;
    CHECK(valid_order(bytes, size, start_fds) == wanted);
  }
}

TEST_CASE("a place is one path beneath the root") {
  CHECK(placed(placement_kind::file, "/lib/x.so") == order_kind::start);
  CHECK(placed(placement_kind::read_directory, "/data") == order_kind::start);
  CHECK(placed(placement_kind::descriptor, "") == order_kind::start);
  for (const auto* const bad : {"", "lib", "/", "//x", "/x/", "/..", "/x/../y", "/./x", "/x/."})
    CHECK(placed(placement_kind::file, bad) == none);
  CHECK(placed(placement_kind::file, "/...") == order_kind::start);
  CHECK(placed(placement_kind::descriptor, "/x") == none);
  CHECK(placed(placement_kind{0}, "/x") == none);
  CHECK(placed(placement_kind{6}, "/x") == none);
  CHECK(placed(placement_kind::file, "/lib/x.so", 5) == none);
}

TEST_CASE("nothing is placed beneath a directory or a device of the host") {
  using places = std::vector<std::pair<placement_kind, std::string>>;
  const auto all_placed = [](const places& all) {
    return changed(
        [&](start_order& order) {
          for (const auto& [kind, where] : all) {
            order.placed[order.placements++] = kind;
            add_text(order, where);
          }
        },
        start_fds + all.size());
  };
  for (const auto outer :
       {placement_kind::read_directory, placement_kind::write_directory, placement_kind::device})
    for (const auto inner : {placement_kind::file, placement_kind::read_directory,
                             placement_kind::write_directory, placement_kind::device}) {
      CHECK(all_placed({{outer, "/d"}, {inner, "/d/x"}}) == none);
      CHECK(all_placed({{outer, "/d"}, {placement_kind::file, "/f"}, {inner, "/d/x/y"}}) == none);
      for (const auto* const beside : {"/d", "/dx", "/dx/y", "/e", "/e/d/x"})
        CHECK(all_placed({{outer, "/d"}, {inner, beside}}) == order_kind::start);
    }
  // What covers another thing leads nowhere.
  CHECK(all_placed({{placement_kind::file, "/d/x"}, {placement_kind::read_directory, "/d"}}) ==
        order_kind::start);
  CHECK(all_placed({{placement_kind::file, "/d"}, {placement_kind::file, "/d/x"}}) ==
        order_kind::start);
  CHECK(all_placed({{placement_kind::descriptor, ""}, {placement_kind::file, "/x"}}) ==
        order_kind::start);
}

TEST_CASE("greetings, signals and limits are checked too") {
  hello_order hello;
  hello.head.kind = static_cast<std::uint16_t>(order_kind::hello);
  hello.head.number = 1;
  CHECK(look_at(hello, 1) == order_kind::hello);
  CHECK(look_at(hello, 0) == none);
  CHECK(look_at(hello, 2) == none);
  hello.head.version = 99;  // is told which one we speak
  CHECK(look_at(hello, 1) == order_kind::hello);

  signal_order signal;
  signal.head.kind = static_cast<std::uint16_t>(order_kind::signal);
  signal.head.number = signal.instance = 3;
  const auto of = [&](int number, std::uint32_t all) {
    signal.number = number, signal.all = all;
    return look_at(signal);
  };
  CHECK(of(SIGTERM, 0) == order_kind::signal);
  CHECK(of(SIGKILL, 1) == order_kind::signal);
  CHECK(of(SIGTERM, 1) == none);
  CHECK(of(SIGKILL, 2) == none);
  CHECK(of(0, 0) == none);
  CHECK(of(65, 0) == none);
  CHECK(of(-1, 0) == none);
  of(SIGTERM, 0);
  CHECK(look_at(signal, 1) == none);
  signal.instance = 0;
  CHECK(look_at(signal) == none);

  limits_order limits;
  limits.head.kind = static_cast<std::uint16_t>(order_kind::limits);
  limits.head.number = limits.instance = 3;
  CHECK(look_at(limits) == order_kind::limits);
  limits.limits.cpu_weight = 0;
  CHECK(look_at(limits) == none);
}

TEST_CASE("garbage is looked at and never read beyond its end") {
  std::mt19937 random{20261123};
  std::size_t starts = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto order = good_start();
    const auto size = size_of(*order);
    auto* const bytes = reinterpret_cast<std::byte*>(order.get());
    for (unsigned n = random() % 4; n > 0; --n)
      bytes[random() % size] ^= static_cast<std::byte>(1U << (random() % 8));
    // In memory of just that size, so that a sanitizer sees a step too far.
    const auto length = random() % 8 == 0 ? random() % size : size;
    const auto exact = std::make_unique<std::uint64_t[]>(length / 8 + 1);
    std::memcpy(exact.get(), bytes, length);
    const auto kind =
        valid_order(reinterpret_cast<const std::byte*>(exact.get()), length, start_fds);
    if (kind == order_kind::start) ++starts;
  }
  CHECK(starts > 0);
  CHECK(starts < 20'000);
}
