// SPDX-License-Identifier: Apache-2.0
//
// Upgrades of what a mount stores, and the way back, in a whole broker in memory: every end that a
// migration can have, and the broker's own death at every write.

#include "broker/store/encrypted_store.hpp"
#include "tests/unit/crash_points.hpp"
#include "tests/unit/ledger_plugin.hpp"

using namespace bulkhead;              // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;        // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

namespace {

sdk::plugin layout_2(const migration& how = to_layout_2) {
  return ledger_plugin("2.0.0", 2).migrate(how);
}

bool has_happened(test_broker& tb, const std::string& name) {
  for (const auto& each : tb.events().after(0, 1000))
    if (each.name == name) return true;
  return false;
}

void until_it_migrates(test_broker& tb) {
  constexpr int steps_max = 100;
  for (int i = 0; i < steps_max && !has_happened(tb, "migrating"); ++i) tb.advance(100ms);
  REQUIRE(has_happened(tb, "migrating"));
  tb.settle();
}

/// Release 1.0.0 is mounted at "m" with 300 keys.
struct fixture {
  explicit fixture(test_state state = {}) : tb({}, std::move(state)) {
    tb.services().config.allow_unregistered = false;
    provide_ledger(tb, "1.0.0", ledger_plugin("1.0.0", 1));
    enter_ledger(tb, "1.0.0");
    mount_ledger(tb);
    fill_ledger(tb);
    before = view_of(tb);
  }
  void enter_2(const sdk::plugin& what = layout_2()) {
    provide_ledger(tb, "2.0.0", what);
    enter_ledger(tb, "2.0.0");
  }
  kj::Promise<std::vector<reload_result>> begin_reload() {
    return tb.core().reload("m", {}).eagerlyEvaluate(nullptr);
  }
  reload_result reload() { return tb.finish(begin_reload()).front(); }
  mount_status status() { return tb.status("m").status; }
  const mount_entry& entry() { return *tb.core().require("m").entry; }
  error failure_of(kj::Promise<mount_snapshot> work) {
    const auto problem = kj::runCatchingExceptions([&] { tb.finish(kj::mv(work)); });
    KJ_IF_MAYBE (why, problem) {
      return to_error(*why);
    }
    return {error_kind::unknown, "it succeeded", {}, {}};
  }
  bool happened(const std::string& name) { return has_happened(tb, name); }
  /// Nothing has happened to the mount, and the old release serves.
  void check_all_is_as_before() {
    CHECK(view_of(tb) == before);
    CHECK(snapshot_of(tb).empty());
    CHECK(status().state == mount_state::ready);
    CHECK(status().plugin_version == "1.0.0");
    CHECK(status().storage_version == 1);
    CHECK(status().snapshot.empty());
    CHECK(entry().version_running == "1.0.0");
  }

  test_broker tb;
  std::string before;
};

}  // namespace

TEST_CASE_METHOD(fixture, "a plugin that stores nothing yet is not asked to migrate") {
  CHECK(status().storage_version == 1);
  CHECK(status().snapshot.empty());
}

TEST_CASE_METHOD(fixture, "a newer release migrates the storage, alone, beside a snapshot") {
  bool alone = false;
  enter_2(layout_2([&](sdk::mount_context mount, std::uint32_t from) {
    alone = tb.living().size() == 1;
    CHECK(from == 1);
    return to_layout_2(std::move(mount), from);
  }));
  const auto result = reload();
  CHECK(result.reason.empty());
  CHECK(result.outcome == reload_outcome::restarted);
  CHECK(result.version_after == "2.0.0");
  CHECK(alone);
  CHECK(status().state == mount_state::ready);
  CHECK(status().storage_version == 2);
  CHECK(status().snapshot.starts_with("1.0.0, 20"));
  CHECK(snapshot_of(tb) == before);
  const auto after = view_of(tb);
  CHECK(after.find("k299=layout 2 of k299\n") != std::string::npos);
  CHECK(after.find("new=2\n") != std::string::npos);
  CHECK(after.find("k0=") == std::string::npos);
  CHECK(happened("migrating"));
  CHECK(happened("migrated"));
}

TEST_CASE_METHOD(fixture, "a restart of the new release migrates nothing again") {
  enter_2();
  reload();
  const auto after = view_of(tb);
  tb.crash("ledger-2.0.0");
  tb.advance(5s);
  CHECK(status().state == mount_state::ready);
  CHECK(status().plugin_version == "2.0.0");
  CHECK(view_of(tb) == after);
  CHECK(snapshot_of(tb) == before);
}

TEST_CASE_METHOD(fixture, "a migration that fails is taken back, and the release before serves") {
  enter_2(layout_2(half_and_then([]() -> kj::Promise<void> {
    throw sdk::error(sdk::error_kind::FAILED_PRECONDITION, "the books do not balance");
  })));
  const auto result = reload();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason.find("the books do not balance") != std::string::npos);
  CHECK(result.version_after == "1.0.0");
  check_all_is_as_before();
  CHECK(happened("upgrade_failed"));
  CHECK(happened("storage_restored"));
}

TEST_CASE_METHOD(fixture, "a process that dies in migrate leaves the storage as it was") {
  enter_2(layout_2(half_and_then([this]() -> kj::Promise<void> {
    tb.detach(kj::evalLater(
        [this] { tb.process("ledger-2.0.0")->end(exit_status::signaled(SIGSEGV, false)); }));
    return kj::NEVER_DONE;
  })));
  const auto result = reload();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason.find("SIGSEGV") != std::string::npos);
  check_all_is_as_before();
}

TEST_CASE_METHOD(fixture, "migrate has migrate_ms_max, which is not the time of a start") {
  tb.services().limits.migrate_ms_max = 30s;
  bool slow = true;
  enter_2(layout_2([&](sdk::mount_context mount, std::uint32_t from) -> kj::Promise<void> {
    if (slow) return kj::NEVER_DONE;
    return tb.timer().afterDelay(20 * kj::SECONDS).then([mount, from] {
      return to_layout_2(mount, from);
    });
  }));
  const auto result = reload();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason.find("did not migrate its storage in time") != std::string::npos);
  CHECK(result.reason.find("30000 ms (migrate_ms_max)") != std::string::npos);
  check_all_is_as_before();
  slow = false;
  CHECK(reload().version_after == "2.0.0");
  CHECK(status().storage_version == 2);
}

TEST_CASE_METHOD(fixture, "what a plugin writes after its migration has failed is not stored") {
  std::optional<sdk::mount_context> kept;
  enter_2(layout_2([&](sdk::mount_context mount, std::uint32_t) -> kj::Promise<void> {
    // Far more than is in the store at once: the rest is queued when the migration fails.
    kept = mount;
    for (int i = 0; i < 100; ++i)
      tb.detach(mount.view()
                    .put("late" + std::to_string(i), sdk::to_bytes("x"))
                    .ignoreResult()
                    .catch_([](kj::Exception&&) {}));
    throw sdk::error(sdk::error_kind::FAILED_PRECONDITION, "no");
  }));
  CHECK(reload().outcome == reload_outcome::failed);
  kept.reset();
  check_all_is_as_before();
}

TEST_CASE_METHOD(fixture, "a migration that fails at a restart is a permanent failure") {
  int asked = 0;
  enter_2(layout_2(half_and_then([&]() -> kj::Promise<void> {
    ++asked;
    throw sdk::error(sdk::error_kind::FAILED_PRECONDITION, "the books do not balance");
  })));
  tb.finish(tb.core().restart("m"));
  tb.advance(60s);
  for (const auto& each : tb.events().after(0, 1000))
    UNSCOPED_INFO(each.name << ": " << each.reason);
  CHECK(asked == 1);
  CHECK(status().state == mount_state::quarantined);
  CHECK(status().reason.find("the books do not balance") != std::string::npos);
  CHECK(view_of(tb) == before);
  CHECK(snapshot_of(tb).empty());
  CHECK(status().storage_version == 1);
}

TEST_CASE_METHOD(fixture, "a plugin without a way from the old layout is refused") {
  enter_2(ledger_plugin("2.0.0", 2));
  const auto result = reload();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason.find("cannot migrate storage of version 1") != std::string::npos);
  check_all_is_as_before();
}

TEST_CASE_METHOD(fixture, "storage that is newer than the plugin is not handed to it") {
  enter_2();
  reload();
  const auto after = view_of(tb);
  tune_request back{"m"};
  back.version = "1.0.0";
  tb.wait(tb.core().tune(back));
  const auto result = reload();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason.find("the storage is version 2, this plugin knows 1") != std::string::npos);
  CHECK(status().plugin_version == "2.0.0");  // it serves on
  tb.finish(tb.core().restart("m"));
  CHECK(status().state == mount_state::quarantined);
  CHECK(status().reason.find("the storage is version 2, this plugin knows 1") != std::string::npos);
  CHECK(status().reason.find("bulkhead rollback m/ returns to 1.0.0, 20") != std::string::npos);
  CHECK(view_of(tb) == after);
  tb.finish(tb.core().rollback("m"));
  check_all_is_as_before();
}

TEST_CASE_METHOD(fixture, "a view above snapshot_bytes_max is not upgraded") {
  const auto bytes = bytes_of_view(tb);
  int asked = 0;
  enter_2(layout_2([&](sdk::mount_context mount, std::uint32_t from) {
    ++asked;
    return to_layout_2(std::move(mount), from);
  }));
  tb.services().limits.snapshot_bytes_max = bytes - 1;
  const auto result = reload();
  CHECK(result.outcome == reload_outcome::failed);
  CHECK(result.reason.find(fmt::format("the limit is {} bytes (snapshot_bytes_max)", bytes - 1)) !=
        std::string::npos);
  CHECK(asked == 0);
  check_all_is_as_before();
  tb.services().limits.snapshot_bytes_max = bytes;
  CHECK(reload().version_after == "2.0.0");
  CHECK(snapshot_of(tb) == before);
}

TEST_CASE_METHOD(fixture, "a crash in a migration that nothing restarts leaves the old storage") {
  tune_request once{"m"};
  once.restart = restart_rule::temporary;
  tb.wait(tb.core().tune(once));
  enter_2(layout_2(half_and_then([this]() -> kj::Promise<void> {
    tb.detach(kj::evalLater(
        [this] { tb.process("ledger-2.0.0")->end(exit_status::signaled(SIGSEGV, false)); }));
    return kj::NEVER_DONE;
  })));
  tb.finish(tb.core().restart("m"));
  tb.settle();
  CHECK(status().state != mount_state::ready);
  CHECK(view_of(tb) == before);
  CHECK(snapshot_of(tb).empty());
  CHECK(status().storage_version == 1);
  CHECK(entry().version_running == "1.0.0");
}

TEST_CASE_METHOD(fixture, "an unmount in the middle of a migration leaves nothing") {
  enter_2(layout_2(half_and_then([]() -> kj::Promise<void> { return kj::NEVER_DONE; })));
  const auto uuid = status().uuid;
  auto reloading = begin_reload();
  until_it_migrates(tb);
  tb.finish(tb.core().unmount("m"));
  auto& store = tb.core().services().store;
  CHECK(rows_text(store, tb.wait_scope(), view_prefix(uuid)).empty());
  CHECK(rows_text(store, tb.wait_scope(), snapshot_prefix(uuid)).empty());
  CHECK(tb.finish(kj::mv(reloading)).front().outcome == reload_outcome::failed);
}

TEST_CASE_METHOD(fixture, "an operator who stops a mount in its migration gets the storage back") {
  enter_2(layout_2(half_and_then([]() -> kj::Promise<void> { return kj::NEVER_DONE; })));
  auto reloading = begin_reload();
  until_it_migrates(tb);
  tb.finish(tb.core().stop("m"));
  tb.settle();
  CHECK(status().state == mount_state::stopped);
  CHECK(view_of(tb) == before);
  CHECK(snapshot_of(tb).empty());
}

// -- rollback ------------------------------------------------------------------------------------

TEST_CASE_METHOD(fixture, "a rollback puts the view and the version before back") {
  enter_2();
  reload();
  const auto now = tb.finish(tb.core().rollback("m")).status;
  CHECK(now.state == mount_state::ready);
  CHECK(now.version == "1.0.0");
  check_all_is_as_before();
  tb.crash("ledger-1.0.0");
  tb.advance(5s);
  check_all_is_as_before();  // and stays
  CHECK(reload().version_after == "1.0.0");
}

TEST_CASE_METHOD(fixture, "a rollback without a snapshot changes nothing") {
  const auto why = failure_of(tb.core().rollback("m"));
  CHECK(why.kind() == error_kind::failed_precondition);
  CHECK(why.why().find("there is no snapshot") != std::string::npos);
  enter_2();
  reload();
  tb.finish(tb.core().rollback("m"));
  CHECK(failure_of(tb.core().rollback("m")).kind() == error_kind::failed_precondition);
}

TEST_CASE_METHOD(fixture, "a rollback to a release that is gone changes nothing") {
  enter_2();
  reload();
  tb.wait(tb.catalog().remove({"generic", "ledger", "1.0.0"}));
  const auto why = failure_of(tb.core().rollback("m"));
  CHECK(why.kind() == error_kind::failed_precondition);
  CHECK(status().plugin_version == "2.0.0");
  CHECK(status().storage_version == 2);
}

TEST_CASE_METHOD(fixture, "a rollback to a release that could not start changes nothing") {
  enter_2();
  reload();
  const auto second = view_of(tb);
  const auto is_refused = [&](const std::string& why) {
    const auto said = failure_of(tb.core().rollback("m"));
    CHECK(said.kind() == error_kind::failed_precondition);
    CHECK(std::string(said.what()) == "'m/' cannot be rolled back");
    CHECK(said.why().find("the release 1.0.0 that ran before could not start") == 0);
    CHECK(said.why().find(why) != std::string::npos);
    CHECK(status().plugin_version == "2.0.0");
    CHECK(status().state == mount_state::ready);
    CHECK(view_of(tb) == second);
  };
  SECTION("its file is another by now") {
    tb.write_file("ledger-1.0.0", "#!/bin/false other\n");
    std::filesystem::permissions(tb.directory() / "ledger-1.0.0",
                                 std::filesystem::perms::owner_all);
    tb.forget_images();
    is_refused("SHA-256");
  }
  SECTION("it may not run any more") {
    tb.wait(tb.trust().set_policy("generic", signature_rule::required));
    is_refused("may not run");
  }
}

TEST_CASE_METHOD(fixture, "a mount in quarantine is rolled back and serves") {
  enter_2();
  reload();
  tb.forget("ledger-2.0.0");
  tb.crash("ledger-2.0.0");
  tb.advance(5s);
  CHECK(status().state == mount_state::quarantined);
  tb.finish(tb.core().rollback("m"));
  check_all_is_as_before();
}

TEST_CASE_METHOD(fixture, "only the newest snapshot is kept") {
  enter_2();
  reload();
  const auto second = view_of(tb);
  provide_ledger(
      tb, "3.0.0",
      ledger_plugin("3.0.0", 3).migrate([](sdk::mount_context mount, std::uint32_t from) {
        CHECK(from == 2);
        return mount.view().put("third", sdk::to_bytes("3")).ignoreResult();
      }));
  enter_ledger(tb, "3.0.0");
  CHECK(reload().version_after == "3.0.0");
  CHECK(snapshot_of(tb) == second);
  tb.finish(tb.core().rollback("m"));
  CHECK(view_of(tb) == second);
  CHECK(status().plugin_version == "2.0.0");
  CHECK(status().storage_version == 2);
}

TEST_CASE_METHOD(fixture, "an upgrade whose snapshot does not fit costs not the one before") {
  enter_2();
  reload();
  provide_ledger(tb, "3.0.0", ledger_plugin("3.0.0", 3));
  enter_ledger(tb, "3.0.0");
  tb.services().limits.snapshot_bytes_max = bytes_of_view(tb) - 1;
  CHECK(reload().outcome == reload_outcome::failed);
  CHECK(snapshot_of(tb) == before);
  tb.finish(tb.core().rollback("m"));
  check_all_is_as_before();
}

// -- at the same time ---------------------------------------------------------------------------

namespace {

/// A store that does what it is asked, and says so when the test lets it.
class held_store final : public crashing_store {
 public:
  explicit held_store(store& engine) : crashing_store(engine), engine_(engine) {}

  void hold() { holding_ = true; }
  /// The value of a key; empty: it is not there.
  std::string value_now(const std::string& key) {
    range_request request;
    request.keys = key_range::one(key);
    auto rows = engine_.range(request).rows;
    return rows.empty() ? std::string() : rows.front().value;
  }
  void let_go() {
    holding_ = false;
    for (auto& each : std::exchange(held_, {})) each->fulfill();
  }
  kj::Promise<txn_result> txn(txn_request request) override {
    auto done = crashing_store::txn(std::move(request));
    if (!holding_) return done;
    auto gate = kj::newPromiseAndFulfiller<void>();
    held_.push_back(kj::mv(gate.fulfiller));
    return gate.promise.then([done = kj::mv(done)]() mutable { return kj::mv(done); });
  }

 private:
  store& engine_;
  bool holding_ = false;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> held_;
};

struct held_disk {
  std::shared_ptr<store> engine = test_state{}.engine;
  std::shared_ptr<held_store> disk = std::make_shared<held_store>(*engine);
};

/// The mount has been upgraded to 2.0.0; its snapshot is of 1.0.0.
struct upgraded : held_disk, fixture {
  upgraded() : fixture(test_state{engine, disk}) {
    enter_2();
    reload();
    second = view_of(tb);
  }
  void enter(const std::string& version, const sdk::plugin& what) {
    provide_ledger(tb, version, what);
    enter_ledger(tb, version);
  }
  void enter_3() {
    enter("3.0.0", ledger_plugin("3.0.0", 3).migrate([](sdk::mount_context mount, std::uint32_t) {
      return mount.view().put("third", sdk::to_bytes("3")).ignoreResult();
    }));
  }
  /// For an instance to stop, and the next to start.
  void pass_time() {
    for (int i = 0; i < 30; ++i) tb.advance(100ms);
  }
  /// What the next broker would find.
  mount_record stored() {
    mount_record record;
    REQUIRE(decode_record(disk->value_now(mount_key("m/")), record));
    return record;
  }
  /// The view is that of the layout that the record names, and of the release that runs.
  void check_is_whole() {
    for (int i = 0; i < 10; ++i) tb.advance(1s);
    const auto now = status();
    CHECK(now.state == mount_state::ready);
    const auto view = view_of(tb);
    INFO("release " << now.plugin_version << ", layout " << now.storage_version);
    CHECK(now.plugin_version.substr(0, 1) == std::to_string(now.storage_version));
    if (now.storage_version == 1) CHECK(view == before);
    if (now.storage_version == 2) CHECK(view == second);
    if (now.storage_version == 3) CHECK(view == second + "third=3\n");
    CHECK(stored().storage_version == now.storage_version);
    CHECK(stored().version_running == now.plugin_version);
  }
  /// The mount restarts while a rollback has begun.
  void check_rollback_wins() {
    disk->hold();
    auto back = tb.core().rollback("m").eagerlyEvaluate(nullptr);
    tb.settle();
    auto restarting = tb.core().restart("m").eagerlyEvaluate(nullptr);
    pass_time();
    disk->let_go();
    CHECK(tb.finish(kj::mv(back)).status.plugin_version == "1.0.0");
    check_is_whole();
    CHECK(status().storage_version == 1);
  }

  std::string second;
};

}  // namespace

TEST_CASE_METHOD(upgraded, "a rollback that meets the beginning of an upgrade is refused") {
  enter_3();
  disk->hold();
  auto reloading = begin_reload();
  pass_time();
  CHECK(stored().snapshot->state == snapshot_state::copying);
  CHECK(entry().snapshot->state == snapshot_state::kept);
  auto back = tb.core().rollback("m").eagerlyEvaluate(nullptr);
  tb.settle();
  disk->let_go();
  CHECK(failure_of(kj::mv(back)).kind() == error_kind::failed_precondition);
  CHECK(tb.finish(kj::mv(reloading)).front().version_after == "3.0.0");
  check_is_whole();
}

TEST_CASE_METHOD(upgraded, "an upgrade that begins during a rollback is refused") {
  enter_3();
  check_rollback_wins();
}

TEST_CASE_METHOD(upgraded,
                 "a release of the same layout that starts during a rollback is refused") {
  enter("2.1.0", ledger_plugin("2.1.0", 2).migrate(to_layout_2));
  check_rollback_wins();
}

TEST_CASE_METHOD(upgraded, "a reload that would take over during a rollback does not") {
  auto gate = kj::newPromiseAndFulfiller<void>();
  auto opened = gate.promise.fork();
  const auto what = ledger_plugin("2.1.0", 2).migrate(to_layout_2);
  provide_ledger(tb, "2.1.0", program{[what, &opened](kj::Own<kj::AsyncIoStream> link) {
                   return opened.addBranch().then([what, link = kj::mv(link)]() mutable {
                     return what.serve_on(kj::mv(link));
                   });
                 }});
  gate.fulfiller->fulfill();
  enter_ledger(tb, "2.1.0");  // a registration asks it who it is
  gate = kj::newPromiseAndFulfiller<void>();
  opened = gate.promise.fork();
  auto reloading = begin_reload();
  pass_time();
  disk->hold();
  auto back = tb.core().rollback("m").eagerlyEvaluate(nullptr);
  tb.settle();
  gate.fulfiller->fulfill();
  tb.settle();
  disk->let_go();
  CHECK(tb.finish(kj::mv(back)).status.plugin_version == "1.0.0");
  tb.finish(kj::mv(reloading));
  check_is_whole();
  CHECK(status().storage_version == 1);
}

TEST_CASE_METHOD(upgraded, "what is stored counts, also when who asked for it has ended") {
  tb.wait(delete_keys_below(*disk, view_prefix(status().uuid)));
  enter("3.0.0", ledger_plugin("3.0.0", 3));
  disk->hold();
  auto restarting = tb.core().restart("m").eagerlyEvaluate(nullptr);
  pass_time();
  CHECK(stored().storage_version == 3);
  tb.forget("ledger-3.0.0");
  tb.process("ledger-3.0.0")->end(exit_status::signaled(SIGSEGV, false));
  tb.settle();
  disk->let_go();
  tb.settle();
  CHECK(entry().storage_version == stored().storage_version);
  CHECK(entry().version_running == stored().version_running);
}

// -- the broker's death --------------------------------------------------------------------------

namespace {

void two_releases(test_broker& tb) {
  tb.services().config.allow_unregistered = false;
  provide_ledger(tb, "1.0.0", ledger_plugin("1.0.0", 1));
  provide_ledger(tb, "2.0.0", layout_2());
}

void mounted(test_broker& tb) {
  enter_ledger(tb, "1.0.0");
  mount_ledger(tb);
  fill_ledger(tb);
  enter_ledger(tb, "2.0.0");
}

kj::Promise<void> upgrade(test_broker& tb) {
  return tb.core().reload("m", {}).then([](std::vector<reload_result>&& results) {
    if (results.front().outcome == reload_outcome::failed)
      throw std::runtime_error(results.front().reason);
  });
}

crash_points points() {
  crash_points all;
  all.lies = all.lies_and_dies = true;
  all.plugins = two_releases;
  all.prepare = mounted;
  all.operate = upgrade;
  all.describe_more = [](test_broker& tb) {
    const auto now = tb.status("m").status;
    return fmt::format("{} {} {} {}\n{}{}", now.plugin_version, now.storage_version, now.version,
                       now.snapshot.empty(), view_of(tb), snapshot_of(tb));
  };
  return all;
}

}  // namespace

TEST_CASE("an upgrade has happened or not, at whichever write the broker ends, more than once") {
  auto all = points();
  all.cut_short_twice = true;
  // copying, three times some keys, migrating, the plugin's four, the new number
  CHECK(all.run() == 10);
}

TEST_CASE("a rollback has happened or not, at whichever write the broker ends, more than once") {
  auto all = points();
  all.prepare = [](test_broker& tb) {
    mounted(tb);
    tb.finish(upgrade(tb));
  };
  all.operate = [](test_broker& tb) { return tb.core().rollback("m").ignoreResult(); };
  all.cut_short_twice = true;
  // the mark, twice, three times some keys away, three times back, worth nothing, three times away,
  // none
  CHECK(all.run() == 13);
}

TEST_CASE("a migration that fails is taken back, at whichever write the broker ends") {
  auto all = points();
  all.succeeds = false;
  all.plugins = [](test_broker& tb) {
    two_releases(tb);
    provide_ledger(tb, "2.0.0", layout_2(half_and_then([]() -> kj::Promise<void> {
                     throw sdk::error(sdk::error_kind::FAILED_PRECONDITION, "no");
                   })));
  };
  CHECK(all.run() > 10);
}

TEST_CASE("storage that could not be put back at once is put back by the next start") {
  mortal_broker one(test_state{}.engine, [](test_broker& tb) {
    two_releases(tb);
    provide_ledger(tb, "2.0.0",
                   layout_2(half_and_then([]() -> kj::Promise<void> { return kj::NEVER_DONE; })));
  });
  auto& tb = *one.broker;
  mounted(tb);
  const auto before = view_of(tb);
  auto reloading = tb.core().reload("m", {}).eagerlyEvaluate(nullptr);
  until_it_migrates(tb);
  one.disk->arm(write_fault::fails, 1);
  tb.finish(tb.core().stop("m"));
  tb.settle();
  CHECK(has_happened(tb, "storage_not_restored"));
  CHECK(view_of(tb) != before);
  tune_request back{"m"};
  back.version = "1.0.0";
  tb.wait(tb.core().tune(back));
  tb.finish(tb.core().start("m"));
  CHECK(tb.status("m").status.plugin_version == "1.0.0");
  CHECK(view_of(tb) == before);
  CHECK(snapshot_of(tb).empty());
}

TEST_CASE("a big view is copied and put back in bounded steps") {
  test_broker tb;
  two_releases(tb);
  enter_ledger(tb, "1.0.0");
  mount_ledger(tb);
  fill_ledger(tb, 1500);  // more than a page of the store
  const auto before = view_of(tb);
  enter_ledger(tb, "2.0.0");
  tb.finish(upgrade(tb));
  CHECK(snapshot_of(tb) == before);
  tb.finish(tb.core().rollback("m"));
  CHECK(view_of(tb) == before);
  CHECK(snapshot_of(tb).empty());
}

namespace {

/// None of what fill_ledger wrote can be read there.
void check_is_sealed(store& disk, const std::string& prefix) {
  range_request request;
  request.keys = key_range::prefix(prefix);
  const auto page = disk.range(request);
  REQUIRE(page.rows.size() == 300);
  for (const auto& row : page.rows) CHECK(row.value.find(std::string("\0\xff", 2)) != 0);
}

}  // namespace

TEST_CASE("a view that is encrypted can be read after an upgrade, and after the way back") {
  const auto keys =
      std::filesystem::temp_directory_path() / fmt::format("storage-upgrade-keys-{}", ::getpid());
  add_state_key(keys);
  test_state state;
  auto plain = sqlite_store::in_memory([] { return std::uint64_t{0}; });
  auto* disk = plain.get();
  state.engine = with_encryption(std::move(plain), {[keys] { return state_keys::load(keys); }});
  test_broker tb({}, std::move(state));
  two_releases(tb);
  enter_ledger(tb, "1.0.0");
  mount_ledger(tb);
  fill_ledger(tb);
  const auto before = view_of(tb);
  enter_ledger(tb, "2.0.0");
  tb.finish(upgrade(tb));
  CHECK(snapshot_of(tb) == before);
  CHECK(view_of(tb).find("k299=layout 2 of k299\n") != std::string::npos);
  check_is_sealed(*disk, snapshot_prefix(tb.status("m").status.uuid));
  tb.finish(tb.core().rollback("m"));
  CHECK(view_of(tb) == before);
  std::filesystem::remove(keys);
}
