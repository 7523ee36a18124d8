// SPDX-License-Identifier: Apache-2.0
// The uids of one launcher, by themselves.
#include "actors/launcher/users.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "tests/confinement/confined.hpp"

using bulkhead::launcher::user_range;
using namespace confined;

TEST_CASE("a uid is one instance's until it is given back, and then another's") {
  user_range users;
  CHECK(users.take() == 0);  // without a block
  if (!as_root()) {
    CHECK(users.claim_block() != 0);
    return;
  }
  REQUIRE(users.claim_block() == 0);
  std::set<std::uint32_t> taken;
  for (std::uint32_t n = 0; n < user_range::block_size; ++n) {
    const auto one = users.take();
    CHECK(one >= user_range::first);
    CHECK(taken.insert(one).second);
  }
  CHECK(users.take() == 0);
  const auto some = *std::next(taken.begin(), 1000);
  users.give_back(some);
  users.give_back(*taken.rbegin() + 1);  // another launcher's
  users.give_back(*taken.begin() - 1);
  CHECK(users.take() == some);
  CHECK(users.take() == 0);
}

TEST_CASE("launchers look for their blocks in different places") {
  if (!as_root()) return;  // who has none
  bool far = false;
  for (int n = 0; n < 3; ++n) {
    user_range users;
    REQUIRE(users.claim_block() == 0);
    constexpr std::uint32_t near_the_first = 256;
    far = far || users.take() >= user_range::first + near_the_first * user_range::block_size;
  }
  CHECK(far);
}
