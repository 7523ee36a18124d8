// SPDX-License-Identifier: Apache-2.0
#pragma once

// The limits of a view, as schema/plugin.capnp promises them to plugins. Outcome at each of the
// first three: `invalidArgument`, and nothing changes. Outcome at the last: the page ends and says
// `more`.

#include <cstddef>
#include <cstdint>

#include "broker/store/store_limits.hpp"

namespace bulkhead {

/// Longest key, in bytes of UTF-8; the shortest has 1.
constexpr std::size_t view_key_bytes_max = 1024;
/// Longest value, in bytes.
constexpr std::size_t view_value_bytes_max = std::size_t{1} << 20;
/// Most changes of one transaction.
constexpr std::size_t view_changes_max = 128;
/// Most keys of one page of a list.
constexpr std::uint32_t view_page_keys_max = 1000;

static_assert(view_value_bytes_max <= store_limits::value_bytes_max);
static_assert(view_changes_max <= store_limits::txn_ops_max);
static_assert(view_page_keys_max <= store_limits::page_rows_max);

}  // namespace bulkhead
