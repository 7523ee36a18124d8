// SPDX-License-Identifier: Apache-2.0
//
// What has to happen to a mount's storage before a plugin may have it: the whole table.

#include "broker/upgrade_rules.hpp"

#include <catch2/catch.hpp>
#include <vector>

using namespace bulkhead;  // NOLINT(google-build-using-namespace)

namespace {

struct row {
  std::uint32_t stored;
  std::uint32_t known;
  bool anything;
  bool beside;
  storage_step step;
};

}  // namespace

TEST_CASE("what is done to storage follows from its number, the plugin's, and who else lives") {
  const std::vector<row> table{
      // the same number: nothing
      {0, 0, false, false, storage_step::none},
      {0, 0, true, false, storage_step::none},
      {0, 0, true, true, storage_step::none},
      {2, 2, true, false, storage_step::none},
      {2, 2, true, true, storage_step::none},
      {2, 2, false, true, storage_step::none},
      // nothing stored: the number is taken over, up and down
      {0, 3, false, false, storage_step::adopt},
      {3, 1, false, false, storage_step::adopt},
      {3, 0, false, false, storage_step::adopt},
      // ... alone
      {0, 3, false, true, storage_step::alone_first},
      {3, 1, false, true, storage_step::alone_first},
      // older storage: migrated, alone
      {0, 1, true, false, storage_step::migrate},
      {1, 4, true, false, storage_step::migrate},
      {1, 2, true, true, storage_step::alone_first},
      // newer storage: refused, whoever else lives, also by a plugin that does not count
      {2, 1, true, false, storage_step::refuse},
      {2, 1, true, true, storage_step::refuse},
      {2, 0, true, false, storage_step::refuse},
  };
  for (const auto& each : table) {
    INFO(each.stored << " " << each.known << " " << each.anything << " " << each.beside);
    storage_facts facts{each.stored, each.known, each.anything, each.beside, {}};
    CHECK(next_storage_step(facts) == each.step);
    facts.snapshot = snapshot_state::kept;
    CHECK(next_storage_step(facts) == each.step);
    for (const auto cut_short :
         {snapshot_state::copying, snapshot_state::migrating, snapshot_state::restoring}) {
      facts.snapshot = cut_short;
      CHECK(next_storage_step(facts) == storage_step::settle_first);
    }
  }
}

TEST_CASE("a view is whole without a snapshot and beside one that is kept") {
  CHECK_FALSE(is_unsettled(std::nullopt));
  CHECK_FALSE(is_unsettled(snapshot_state::kept));
  CHECK(is_unsettled(snapshot_state::copying));
  CHECK(is_unsettled(snapshot_state::migrating));
  CHECK(is_unsettled(snapshot_state::restoring));
}
