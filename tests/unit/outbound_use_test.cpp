// SPDX-License-Identifier: Apache-2.0
//
// Places of a broker-wide limit: who may have one more.
#include "broker/outbound_use.hpp"

#include <catch2/catch.hpp>
#include <vector>

using bulkhead::fair_places;

namespace {

constexpr std::size_t most = 64;

/// All that the owner gets.
std::vector<fair_places::place> take_all(fair_places& places, const std::string& owner) {
  std::vector<fair_places::place> taken;
  while (places.has_room(owner, most)) taken.push_back(places.take(owner));
  return taken;
}

}  // namespace

TEST_CASE("who takes all there is gets half, and the next one half of the rest") {
  fair_places places;
  const auto greedy = take_all(places, "a");
  CHECK(greedy.size() == most / 2);
  const auto second = take_all(places, "b");
  CHECK(second.size() == most / 4);
  CHECK_FALSE(places.has_room("a", most));
  CHECK(places.has_room("c", most));
  CHECK(places.taken() == most / 2 + most / 4);
}

TEST_CASE("two that ask by turns end with a third each") {
  fair_places places;
  std::vector<fair_places::place> a;
  std::vector<fair_places::place> b;
  while (places.has_room("a", most) || places.has_room("b", most)) {
    if (places.has_room("a", most)) a.push_back(places.take("a"));
    if (places.has_room("b", most)) b.push_back(places.take("b"));
  }
  CHECK(a.size() == 22);  // of 64: the third, and the one that made it so
  CHECK(b.size() == 21);
}

TEST_CASE("everybody gets a first place until the last is gone, and then nobody") {
  fair_places places;
  std::vector<fair_places::place> taken = take_all(places, "greedy");
  std::size_t newcomers = 0;
  while (places.taken() < most) {
    const auto name = std::to_string(++newcomers);
    REQUIRE(places.has_room(name, most));
    taken.push_back(places.take(name));
  }
  CHECK(newcomers == most / 2);
  CHECK_FALSE(places.has_room("late", most));
}

TEST_CASE("a place comes back when it ends, whoever has moved it, and counts once") {
  fair_places places;
  {
    auto first = places.take("a");
    const auto moved = std::move(first);
    CHECK(places.taken() == 1);
    CHECK_FALSE(places.has_room("b", 1));
    CHECK_FALSE(places.has_room("a", 2));  // the other one is for others
    CHECK(places.has_room("b", 2));
  }
  CHECK(places.taken() == 0);
  CHECK(places.has_room("a", 1));
}

TEST_CASE("a limit that was lowered below what is taken refuses everybody") {
  fair_places places;
  const auto taken = take_all(places, "a");
  CHECK_FALSE(places.has_room("b", most / 4));
}

TEST_CASE("a place may outlive where it was taken") {
  auto places = std::make_unique<fair_places>();
  const auto place = places->take("a");
  CHECK_NOTHROW(places.reset());
}
