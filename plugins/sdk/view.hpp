// SPDX-License-Identifier: Apache-2.0
//
// The mount's storage, as a plugin author uses it: a map from key to bytes, ordered by key. What is
// acknowledged is durable, survives restarts of the plugin and of the broker, and is gone when the
// mount is removed. Contract: `View` in schema/plugin.capnp.
//
// Every change can name what it expects to find (`expect`). Where a lost race is an ordinary
// outcome, use try_transact(): it answers nothing instead of failing. Keys are 1 to 1,024 bytes of
// UTF-8, values at most 1 MiB, a transaction at most 128 changes.
#pragma once

#include <kj/async.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/sdk/value.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead::sdk {

/// Most changes in one transact().
inline constexpr std::size_t view_changes_max = 128;

/// The condition of a change.
class expect {
 public:
  static expect anything() { return {kind::anything, 0}; }
  static expect absent() { return {kind::absent, 0}; }
  /// The key's last change must be this revision. 0 means that it must be absent.
  static expect revision(std::uint64_t revision) {
    return {revision == 0 ? kind::absent : kind::revision, revision};
  }
  void write(schema::Expect::Builder to) const;

 private:
  enum class kind { anything, absent, revision };
  expect(kind what, std::uint64_t revision) : what_(what), revision_(revision) {}
  kind what_;
  std::uint64_t revision_;
};

/// One of the changes of a transaction.
class change {
 public:
  static change put(std::string key, bytes content, expect when = expect::anything());
  static change remove(std::string key, expect when = expect::anything());
  /// Changes nothing; only the condition counts.
  static change check(std::string key, expect when);
  void write(schema::Change::Builder to) const;

 private:
  enum class kind { put, remove, check };
  change(kind what, std::string key, bytes content, expect when)
      : what_(what), key_(std::move(key)), content_(std::move(content)), when_(when) {}
  kind what_;
  std::string key_;
  bytes content_;
  expect when_;
};

/// What get() found. revision is that of the key's last change.
struct stored {
  bytes content;
  std::uint64_t revision = 0;
};

struct key_page {
  std::vector<std::string> keys;
  bool more = false;
};

/// A handle; copies name the same storage. Belongs to the thread of serve().
class view {
 public:
  explicit view(schema::View::Client client) : client_(kj::mv(client)) {}

  kj::Promise<std::optional<stored>> get(std::string_view key);
  /// The new revision. Fails with kind `conflict` when `when` does not hold.
  kj::Promise<std::uint64_t> put(std::string_view key, bytes content,
                                 expect when = expect::anything());
  /// Whether it was there.
  kj::Promise<bool> remove(std::string_view key, expect when = expect::anything());
  /// Keys that begin with `prefix` and sort after `after`, in order; `limit` 0 is the most that the
  /// broker allows in a page, 1,000.
  kj::Promise<key_page> list(std::string_view prefix, std::string_view after = "",
                             std::uint32_t limit = 0);
  /// All or nothing; the new revision.
  kj::Promise<std::uint64_t> transact(const std::vector<change>& changes);
  /// As transact(), but answers nothing when a condition did not hold.
  kj::Promise<std::optional<std::uint64_t>> try_transact(const std::vector<change>& changes);

  schema::View::Client& client() { return client_; }

 private:
  schema::View::Client client_;
};

/// Text as bytes, and bytes as text, for values that are text.
inline bytes to_bytes(std::string_view text) {
  return {text.begin(), text.end()};
}
inline std::string to_text(const bytes& content) {
  return {content.begin(), content.end()};
}

}  // namespace bulkhead::sdk
