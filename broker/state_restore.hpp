// SPDX-License-Identifier: Apache-2.0
#pragma once

// A state without its broker: judged, and put back from a backup. Blocking; for tools.
//
// A restored state lives a second time from an older point on, and must not be taken for the first
// life. So, by the time of the restore:
//   * its revisions go on far above any that the first life can have made, and history before is
//   compacted: whoever watched learns that there is a gap;
//   * the generations of its mounts go on above any that were used (`restored_key`), so that a name
//   of an instance never means two.
// Leases have their full time again.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "broker/store/encrypted_store.hpp"

namespace bulkhead {

/// The state's file within its directory.
inline constexpr std::string_view state_file_name = "bulkhead.db";

/// What a restored state says of itself: the generation above which its mounts go on, in decimal.
/// It is the time of the restore in milliseconds, as no mount starts a thousand instances a second.
inline constexpr std::string_view restored_key = "state/restored";

/// 0 when it says nothing that makes sense.
std::uint64_t restored_generation(std::string_view value);

struct state_report {
  std::uint64_t revision = 0;
  std::uint64_t compacted_revision = 0;
  std::uint64_t keys = 0;
  std::uint64_t leases = 0;
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> key;  ///< The newest key that it is encrypted with; nothing: plain.
  bool values_opened = false;        ///< Every encrypted value was decrypted.
};

/// Judges the state in a file that no broker uses: its structure, every row, and with keys every
/// encrypted value. The file itself is only read: a copy beside it, which goes again, is opened.
/// Throws `store_error`.
state_report check_state(const std::string& file, std::function<state_keys()> load_keys);

/// Makes the backup the state of `directory`. The backup is judged first, and only read. Throws
/// `store_error`: `exists` when there is a state and not `force`, `locked` when a broker uses it,
/// and what is wrong with the backup; then nothing has changed. With `force` the state that was
/// there is kept as bulkhead.db.before-restore-<number>.
state_report restore_state(const std::string& backup, const std::string& directory, bool force,
                           std::uint64_t now_unix_ms);

}  // namespace bulkhead
