// SPDX-License-Identifier: Apache-2.0
//
// Versioned secrets on the mount's view, in the shape that users of Vault's kv version 2 know.
// README.md has the paths and their fields.
//
// Guarantees: what a write acknowledged is durable and has a version number of its own; two writers
// never lose a version, whatever their order (each change is a transaction on the condition that
// the secret's record is the one that was read, tried again when somebody was faster); a
// check-and-set that compares unequal changes nothing. There is no state outside the view but the
// configuration, which is read at the start of the mount and after `invalidate`.
//
// Limits: secret_path_bytes_max, secret_bytes_max, list_keys_max, max_versions_limit (record.hpp),
// write_attempts_max.
#pragma once

#include <functional>
#include <optional>

#include "plugins/kv/record.hpp"
#include "plugins/sdk/plugin.hpp"

namespace bulkhead::kv {

/// Longest path of a secret, in bytes; a longer one is `invalidArgument`. A key of the view is at
/// most 1,024.
inline constexpr std::size_t secret_path_bytes_max = 960;
/// Largest secret, encoded, in bytes; a larger one is `invalidArgument`. A value of the view is at
/// most 1 MiB.
inline constexpr std::size_t secret_bytes_max = 1'000'000;
/// Most names in the answer to one `list`; the rest is announced by a warning and is read with
/// `after`.
inline constexpr std::size_t list_keys_max = 10'000;
/// How often a change that lost a race is tried again before it fails as `overloaded`.
inline constexpr unsigned write_attempts_max = 16;

class kv {
 public:
  explicit kv(sdk::mount_context mount) : mount_(std::move(mount)) {}
  /// Reads the configuration. Before the first request.
  kj::Promise<void> start();
  void invalidate(const std::string& key);

  /// The paths, for plugin::serves().
  static sdk::paths<kv> paths();
  /// The whole plugin.
  static sdk::plugin plugin();

 private:
  using promise = kj::Promise<sdk::response>;
  struct loaded;
  /// Changes a record and says what else must change with it; the answer is what the caller gets.
  /// Throws to refuse.
  struct outcome {
    sdk::response answer;
    std::vector<sdk::change> changes;
    bool write_key = true;    ///< false: leave the record as it is
    bool forget_key = false;  ///< true: remove it
  };
  using edit = std::function<outcome(key_record& key, bool exists, std::int64_t now_ms)>;

  promise read_plain(const sdk::request& what);
  promise write_plain(const sdk::request& what);
  promise read_data(const sdk::request& what);
  promise write_data(const sdk::request& what);
  promise delete_latest(const sdk::request& what);
  promise delete_some(const sdk::request& what);
  promise undelete_some(const sdk::request& what);
  promise destroy_some(const sdk::request& what);
  promise list(const sdk::request& what);
  promise read_metadata(const sdk::request& what);
  promise write_metadata(const sdk::request& what);
  promise delete_metadata(const sdk::request& what);
  sdk::response read_config(const sdk::request& what);
  promise write_config(const sdk::request& what);

  promise store(const std::string& path, const sdk::fields& secret,
                std::optional<std::int64_t> cas);
  kj::Promise<loaded> load(const sdk::request& what);
  promise change_key(const std::string& path, edit how, unsigned attempt = 1);
  kj::Promise<std::vector<std::string>> collect(std::string prefix, std::string after,
                                                std::size_t limit, std::vector<std::string> found);
  unsigned keep(const key_record& key) const;

  sdk::mount_context mount_;
  config_record config_;
};

}  // namespace bulkhead::kv
