// SPDX-License-Identifier: Apache-2.0
#include "broker/upgrade_rules.hpp"

namespace bulkhead {

bool is_unsettled(const std::optional<snapshot_state>& snapshot) {
  return snapshot && *snapshot != snapshot_state::kept;
}

storage_step next_storage_step(const storage_facts& facts) {
  if (is_unsettled(facts.snapshot)) return storage_step::settle_first;
  if (facts.known == facts.stored) return storage_step::none;
  if (facts.anything_stored && facts.known < facts.stored) return storage_step::refuse;
  // What the other instance stores meanwhile is of the old layout.
  if (facts.beside) return storage_step::alone_first;
  return facts.anything_stored ? storage_step::migrate : storage_step::adopt;
}

}  // namespace bulkhead
