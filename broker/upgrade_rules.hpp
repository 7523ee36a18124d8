// SPDX-License-Identifier: Apache-2.0
#pragma once

// What has to happen to a mount's storage before a plugin may have it. Pure.
//
// A plugin counts the layouts of what it stores (PluginInfo.storageVersion); the mount's record
// says which of them lies in its view. Storage that is older than the plugin is migrated by the
// plugin itself, alone, and with a snapshot beside it; storage that is newer is not handed to it. A
// view without a key has no layout: it takes whatever number the plugin says.

#include <cstdint>
#include <optional>

#include "broker/mount_record.hpp"

namespace bulkhead {

enum class storage_step : std::uint8_t {
  none,          // it has the layout that the plugin knows
  adopt,         // nothing is stored: the record takes the plugin's number
  migrate,       // it is older
  alone_first,   // the above, when no other instance of the mount lives
  refuse,        // it is newer
  settle_first,  // an upgrade or a rollback was cut short
};

struct storage_facts {
  std::uint32_t stored = 0;      // the record's number
  std::uint32_t known = 0;       // the plugin's
  bool anything_stored = false;  // the view has a key; counts only where the numbers differ
  bool beside = false;           // another instance serves the mount
  std::optional<snapshot_state> snapshot{};
};

storage_step next_storage_step(const storage_facts& facts);

/// The view is not what an instance may see: see settle_storage.
bool is_unsettled(const std::optional<snapshot_state>& snapshot);

}  // namespace bulkhead
