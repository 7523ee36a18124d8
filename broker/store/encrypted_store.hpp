// SPDX-License-Identifier: Apache-2.0
#pragma once

// Encryption at rest: a store around another one that encrypts the values of some keys (those of
// views and their snapshots) on the way in and decrypts them on the way out. It lives where the
// engine lives, on the store's thread: no loop waits for it.
//
// What it guarantees
//   * The engine, its file, its log and its backups hold no value of such a key in the clear. How:
//   value_seal.hpp.
//   * A value that was changed, cut, or moved to another key is a failure `corrupt` of what reads
//   it; others are read as before. (A page of a range that holds one fails as a whole.)
//   * A state says by itself that it is encrypted, and with which keys: a check record, sealed like
//   a value. Without a key, or with another one, it does not open, and nothing is changed.
//   * A state that was plain is encrypted in steps after its first opening with a key, while it is
//   in use; a state whose key file has a newer key, likewise. Killed in between, it goes on. What
//   is written meanwhile is encrypted at once with the newest key. Revisions do not change by it.
// What it does not hide or prevent: keys, sizes, times and the number of changes are in the clear;
// whoever can write the file can take keys away, put older values of a key back, or replace the
// whole by an older or a plain state. While a plain state is being encrypted, and until the log was
// written back and the file system has used the blocks again, plain values are on the disk.
//
// Values of encrypted keys cannot be compared in a transaction (`invalid`); revisions can.

#include <functional>
#include <memory>

#include "broker/store/state_keys.hpp"
#include "broker/store/store.hpp"

namespace bulkhead {

/// The key of the check record.
inline constexpr std::string_view key_check_key = "state/key-check";

struct encryption {
  /// Reads the key file; called at the opening and at each rotation. Throws `store_error`. Null:
  /// there is none.
  std::function<state_keys()> load_keys{};
  /// What begins like one of these is encrypted.
  std::vector<std::string> prefixes{"view/", "snapshot/"};
  /// Fills a nonce. Null: OpenSSL's generator.
  std::function<void(seal_nonce&)> make_nonce{};
};

/// The engine as it may be used: around it an encrypting layer when there are keys, itself when
/// there are none and the state is plain. Throws `store_error`: `wrong_key` when the state and the
/// keys do not fit, `corrupt` when the check record is damaged, and what a write can fail with.
std::unique_ptr<store> with_encryption(std::unique_ptr<store> engine, encryption how);

/// The newest key that a state says it is encrypted with; nothing: it is plain.
std::optional<std::uint64_t> key_of_state(store& engine);

}  // namespace bulkhead
