// SPDX-License-Identifier: Apache-2.0
#pragma once

// A plugin "ledger" whose storage has layouts, as releases of the catalog, for tests of upgrades.
// Layout 1 has a number under each key; layout 2 a text, one key less and one more.

#include "tests/unit/test_broker.hpp"

namespace bulkhead::test {

using migration = std::function<kj::Promise<void>(sdk::mount_context, std::uint32_t)>;

/// Rewrites what comes after `after`, so many keys at a time.
inline kj::Promise<void> rewrite(sdk::mount_context mount, std::string after) {
  constexpr std::uint32_t step = 100;
  return mount.view()
      .list("", after, step)
      .then([mount](sdk::key_page&& page) mutable -> kj::Promise<void> {
        if (page.keys.empty()) return kj::READY_NOW;
        std::vector<sdk::change> changes;
        for (const auto& key : page.keys)
          changes.push_back(sdk::change::put(key, sdk::to_bytes("layout 2 of " + key)));
        return mount.view().transact(changes).then(
            [mount, last = page.keys.back()](std::uint64_t) mutable {
              return rewrite(std::move(mount), std::move(last));
            });
      });
}

/// The good way from layout 1 to 2.
inline kj::Promise<void> to_layout_2(sdk::mount_context mount, std::uint32_t from) {
  if (from > 1) throw sdk::error(sdk::error_kind::FAILED_PRECONDITION, "that is no layout 1");
  return rewrite(mount, "").then([mount]() mutable {
    return mount.view()
        .transact({sdk::change::remove("k0"), sdk::change::put("new", sdk::to_bytes("2"))})
        .ignoreResult();
  });
}

/// Does half of it first.
inline migration half_and_then(const std::function<kj::Promise<void>()>& end) {
  return [end](sdk::mount_context mount, std::uint32_t) {
    return mount.view()
        .transact({sdk::change::remove("k1"), sdk::change::put("k2", sdk::to_bytes("half"))})
        .then([end](std::uint64_t) { return end(); });
  };
}

struct ledger {
  explicit ledger(std::string version) : version(std::move(version)) {}
  sdk::fields read(const sdk::request&) { return {{"version", version}}; }
  std::string version;
};

inline sdk::plugin ledger_plugin(const std::string& version, std::uint32_t layout) {
  static const auto api = [] {
    sdk::paths<ledger> paths;
    paths.at("{rest*}", "Anything.").read("Says its version.", &ledger::read);
    return paths;
  }();
  return sdk::plugin("ledger", version)
      .storage_version(layout)
      .serves(api, [version](sdk::mount_context) { return std::make_shared<ledger>(version); });
}

/// The file of a release: "ledger-1.0.0".
inline void provide_ledger(test_broker& tb, const std::string& version, const program& what) {
  const auto file = "ledger-" + version;
  tb.plugin(file, what);
  tb.write_file(file, "#!/bin/false " + version + "\n");
  std::filesystem::permissions(tb.directory() / file, std::filesystem::perms::owner_all);
}
inline void provide_ledger(test_broker& tb, const std::string& version, const sdk::plugin& what) {
  provide_ledger(tb, version, program{[what](kj::Own<kj::AsyncIoStream> link) {
                   return what.serve_on(kj::mv(link));
                 }});
}

inline void enter_ledger(test_broker& tb, const std::string& version) {
  release_spec spec;
  spec.name = "ledger";
  spec.command = "ledger-" + version;
  tb.wait(tb.core().register_release(spec));
}

inline void mount_ledger(test_broker& tb) {
  mount_spec spec;
  spec.path = "m";
  spec.plugin = "ledger";
  tb.wait(tb.core().mount(std::move(spec)));
}

/// More keys than a step of the broker takes.
inline void fill_ledger(test_broker& tb, int keys = 300) {
  constexpr int step = 100;
  const auto prefix = view_prefix(tb.status("m").status.uuid);
  for (int i = 0; i < keys; i += step) {
    txn_request request;
    for (int k = i; k < std::min(keys, i + step); ++k)
      request.then.push_back(txn_op::put(fmt::format("{}k{}", prefix, k),
                                         std::string("\0\xff", 2) + std::to_string(k)));
    tb.wait(tb.core().services().store.txn(std::move(request)));
  }
}

/// All keys and values below a prefix of the store, and nothing else of them.
inline std::string rows_text(async_store& store, kj::WaitScope& scope, const std::string& prefix) {
  std::string text;
  range_request request;
  request.keys = key_range::prefix(prefix);
  while (true) {
    auto again = request;
    const auto page = store.range(std::move(again)).wait(scope);
    for (const auto& row : page.rows)
      text += row.key.substr(prefix.size()) + "=" + row.value + "\n";
    if (!page.more) return text;
    request.after = page.rows.back().key;
  }
}

/// As snapshot_bytes_max counts them.
inline std::uint64_t bytes_of_view(test_broker& tb) {
  const auto prefix = view_prefix(tb.status("m").status.uuid);
  range_request request;
  request.keys = key_range::prefix(prefix);
  const auto page = tb.core().services().store.range(std::move(request)).wait(tb.wait_scope());
  REQUIRE(!page.more);
  std::uint64_t bytes = 0;
  for (const auto& row : page.rows) bytes += row.key.size() - prefix.size() + row.value.size();
  return bytes;
}

inline std::string view_of(test_broker& tb) {
  return rows_text(tb.core().services().store, tb.wait_scope(),
                   view_prefix(tb.status("m").status.uuid));
}
inline std::string snapshot_of(test_broker& tb) {
  return rows_text(tb.core().services().store, tb.wait_scope(),
                   snapshot_prefix(tb.status("m").status.uuid));
}

}  // namespace bulkhead::test
