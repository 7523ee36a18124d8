// SPDX-License-Identifier: Apache-2.0
#pragma once

// Administrative operations, cut short at every write that they make.
//
//     crash_points points;
//     points.plugins = [](test_broker& tb) { ... };
//     points.prepare = [](test_broker& tb) { tb.mount("m", "p"); };
//     points.operate = [](test_broker& tb) { return tb.core().unmount("m"); };
//     CHECK(points.run() >= 3);
//
// run() does the operation once undisturbed, which gives the old and the new state, and then once
// for each write and each way in which that can go wrong:
//
//   fails       the write is not done and says so; the broker lives. Its mounts are as before or,
//               where the operation cannot go back, the operation goes on when it is repeated:
//               repeating it always succeeds.
//   dies_before the broker is gone before the write is done
//   dies_after  ... when it is done, and nobody has heard
//   lies        (where `lies` is set) the write is done and says that it was not, and the next ones
//               are refused, as by a store whose disk was gone for a moment; the broker lives,
//               or (where `lies_and_dies` is set) dies at one of the writes with which it goes on
//
// After each, another broker on the same state must show the old state or the new one, the new one
// if the operation was acknowledged, and nothing may be left over: each record is a mount, each
// view and snapshot is one's. With `cut_short_twice` the second broker dies too, at each write that
// it makes at its start.
//
// A state is text: what `describe` says of each mount, and how many keys its view has; and what
// `describe_more` says of the rest. What `in_memory` says of the living broker must be what
// `in_store` says of its state, some seconds after any fault that it survives.

#include <set>

#include "broker/mount_record.hpp"
#include "broker/store/async_store.hpp"
#include "broker/view.hpp"
#include "tests/unit/test_broker.hpp"

namespace bulkhead::test {

enum class write_fault : std::uint8_t { none, fails, dies_before, dies_after, lies };

/// A store that goes wrong at the `at`th write from arm() on. A dead one answers nothing any more.
class crashing_store : public async_store {
 public:
  explicit crashing_store(store& engine) : inner_(engine) {}

  void arm(write_fault how, std::uint64_t at) {
    how_ = how;
    at_ = at;
    dies_at_ = 0;
    writes_ = 0;
  }
  /// Also dies after this write, counted as arm() does.
  void die_later(std::uint64_t at) { dies_at_ = at; }
  bool reached() const { return writes_ >= at_; }
  bool dead() const { return dead_; }
  std::uint64_t writes() const { return writes_; }

  kj::Promise<range_result> range(range_request request) override {
    if (dead_) return kj::NEVER_DONE;
    return inner_.range(std::move(request));
  }
  kj::Promise<txn_result> txn(txn_request request) override {
    if (dead_) return kj::NEVER_DONE;
    ++writes_;
    const bool last = writes_ == dies_at_;
    if (how_ == write_fault::lies && writes_ > at_ && writes_ <= at_ + refused_after_lie) {
      dead_ = last;
      return failure();
    }
    const bool hit = writes_ == at_ && how_ != write_fault::none;
    if (!hit && !last) return inner_.txn(std::move(request));
    if (hit && how_ == write_fault::fails) return failure();
    if (hit && how_ == write_fault::lies)
      return inner_.txn(std::move(request)).then([](txn_result&&) -> kj::Promise<txn_result> {
        return failure();
      });
    dead_ = true;
    if (hit && how_ == write_fault::dies_before) return kj::NEVER_DONE;
    return inner_.txn(std::move(request)).then([](txn_result&&) -> kj::Promise<txn_result> {
      return kj::NEVER_DONE;
    });
  }
  kj::Promise<lease_info> grant(std::uint64_t ttl_ms) override { return inner_.grant(ttl_ms); }
  kj::Promise<lease_info> keep_alive(std::uint64_t id) override { return inner_.keep_alive(id); }
  kj::Promise<std::uint64_t> revoke(std::uint64_t id) override { return inner_.revoke(id); }
  kj::Promise<changes_result> changes_since(changes_request request) override {
    return inner_.changes_since(std::move(request));
  }
  kj::Promise<changes_result> await_changes(changes_request request) override {
    return inner_.await_changes(std::move(request));
  }
  kj::Promise<void> compact(std::uint64_t revision) override { return inner_.compact(revision); }
  kj::Promise<store_status> status() override { return inner_.status(); }
  kj::Promise<backup_result> backup(std::string file) override {
    return inner_.backup(std::move(file));
  }
  kj::Promise<std::uint64_t> rotate_key() override { return inner_.rotate_key(); }

 private:
  static constexpr std::uint64_t refused_after_lie = 2;
  static kj::Exception failure() {
    return store_exception({store_fault::io_error, "a test has failed this write", {}, {}});
  }

  inline_async_store inner_;
  write_fault how_ = write_fault::none;
  std::uint64_t at_ = 0;
  std::uint64_t dies_at_ = 0;
  std::uint64_t writes_ = 0;
  bool dead_ = false;
};

/// A broker on a state that outlives it, with a store that can be made to go wrong.
struct mortal_broker {
  mortal_broker(std::shared_ptr<store> state, const std::function<void(test_broker&)>& plugins,
                write_fault at_start = write_fault::none, std::uint64_t at = 0)
      : engine(std::move(state)), disk(std::make_shared<crashing_store>(*engine)) {
    disk->arm(at_start, at);
    broker.emplace(std::vector<group_spec>{}, test_state{engine, disk, plugins});
  }

  /// Lets an operation end, or come to a stand; true when it has ended well.
  bool acknowledges(kj::Promise<void> operation) {
    constexpr int steps_max = 200;
    bool well = false;
    auto done =
        operation.then([&well] { well = true; }, [](kj::Exception&&) { /* not acknowledged */ })
            .eagerlyEvaluate(nullptr);
    for (int i = 0; i < steps_max && !disk->dead() && !done.poll(broker->wait_scope()); ++i)
      broker->advance(std::chrono::milliseconds(100));
    broker->settle();
    return well;
  }

  std::vector<store_row> rows(std::string_view prefix) {
    std::vector<store_row> all;
    range_request request;
    request.keys = key_range::prefix(std::string(prefix));
    while (true) {
      const auto page = engine->range(request);
      all.insert(all.end(), page.rows.begin(), page.rows.end());
      if (!page.more) return all;
      request.after = page.rows.back().key;
    }
  }

  /// "m/ p ready; a=b; note; 12 keys" for each mount.
  std::string describe() {
    std::string text;
    for (const auto& each : broker->wait(broker->core().query_all())) {
      const auto& status = each.status;
      const auto& spec = broker->core().require(status.path).entry->spec;
      text += fmt::format("{} {} {};", status.path, status.plugin, to_string(status.state));
      for (const auto& option : spec.options)
        text += fmt::format(" {}={}", option.name, option.value);
      text +=
          fmt::format("; {}; {} keys\n", spec.description, rows(view_prefix(status.uuid)).size());
    }
    return text;
  }

  /// Nothing in the store that is not some mount's.
  void check_nothing_is_left() {
    std::set<std::string> paths;
    std::set<std::string> uuids;
    for (const auto& each : broker->wait(broker->core().query_all())) {
      paths.insert(each.status.path);
      uuids.insert(each.status.uuid);
    }
    for (const auto& row : rows(mounts_prefix))
      CHECK(paths.erase(row.key.substr(mounts_prefix.size())) == 1);
    CHECK(paths.empty());  // each mount has a record
    for (const std::string root : {"view/", "snapshot/"})
      for (const auto& row : rows(root))
        CHECK(uuids.contains(
            row.key.substr(root.size(), row.key.find('/', root.size()) - root.size())));
  }

  std::shared_ptr<store> engine;
  std::shared_ptr<crashing_store> disk;
  std::optional<test_broker> broker;
};

struct crash_points {
  std::function<void(test_broker&)> plugins;
  std::function<void(test_broker&)> prepare;
  std::function<kj::Promise<void>(test_broker&)> operate;
  bool succeeds = true;  // undisturbed, the operation does; else it leaves the old state
  /// A state in between that is harmless, of the old and the new one.
  std::function<std::string(const std::string& before, const std::string& after)> also_allowed{};
  bool cut_short_twice = false;  // also the broker after it
  bool lies = false;             // also a write that is done and says otherwise
  bool lies_and_dies = false;    // ... and the broker's death soon after
  std::function<std::string(test_broker&)> describe_more{};
  std::function<std::string(test_broker&)> in_memory{};
  std::function<std::string(test_broker&)> in_store{};

  /// How many writes the operation makes.
  std::uint64_t run() {
    {
      mortal_broker one(new_state(), plugins);
      prepare(*one.broker);
      before_ = describe(one);
      one.disk->arm(write_fault::none, 0);
      REQUIRE(one.acknowledges(operate(*one.broker)) == succeeds);
      writes_ = one.disk->writes();
      after_ = describe(one);
      one.check_nothing_is_left();
    }
    for (std::uint64_t at = 1; at <= writes_; ++at)
      for (const auto how : {write_fault::fails, write_fault::dies_before, write_fault::dies_after,
                             write_fault::lies}) {
        if (how == write_fault::lies && !lies) continue;
        INFO("write " << at << " of " << writes_ << ", fault " << static_cast<int>(how));
        cut_short(how, at);
        for (auto last = at + 1; how == write_fault::lies && lies_and_dies; ++last) {
          INFO("and dies at write " << last);
          if (!cut_short(how, at, last)) break;
        }
      }
    return writes_;
  }

 private:
  static std::shared_ptr<store> new_state() { return test_state{}.engine; }

  std::string describe(mortal_broker& of) const {
    return of.describe() + (describe_more ? describe_more(*of.broker) : std::string());
  }

  /// What the broker goes by is what a later one would find.
  void check_agreement(mortal_broker& of) const {
    constexpr int seconds = 5;
    if (!in_memory || of.disk->dead()) return;
    for (int i = 0; i < seconds; ++i) of.broker->advance(std::chrono::seconds(1));
    CHECK(in_memory(*of.broker) == in_store(*of.broker));
  }

  /// Whether the broker has come to the write `last`, if there is to be one.
  bool cut_short(write_fault how, std::uint64_t at, std::uint64_t last = 0) {
    auto state = new_state();
    bool acknowledged = false;
    bool died = false;
    {
      mortal_broker one(state, plugins);
      prepare(*one.broker);
      one.disk->arm(how, at);
      one.disk->die_later(last);
      acknowledged = one.acknowledges(operate(*one.broker));
      CHECK(one.disk->reached());
      if (last != 0) one.broker->advance(std::chrono::seconds(5));
      check_agreement(one);
      died = one.disk->dead();
    }
    if (cut_short_twice) die_at_start(state);
    check(state, acknowledged);
    if (how == write_fault::fails && succeeds) repeat(at);
    return died;
  }

  /// A broker after it, which dies at each write of its start.
  void die_at_start(const std::shared_ptr<store>& state) const {
    constexpr std::uint64_t most = 64;
    for (std::uint64_t at = 1; at <= most; ++at) {
      mortal_broker next(state, plugins, write_fault::dies_after, at);
      if (!next.disk->reached()) return;
    }
    FAIL("a start makes more writes than that");
  }

  void check(const std::shared_ptr<store>& state, bool acknowledged) const {
    mortal_broker next(state, plugins);
    const auto found = describe(next);
    if (acknowledged)
      CHECK(found == after_);
    else if (found != before_ && found != after_)
      CHECK(found == (also_allowed ? also_allowed(before_, after_) : before_));
    next.check_nothing_is_left();
  }

  void repeat(std::uint64_t at) const {
    mortal_broker one(new_state(), plugins);
    prepare(*one.broker);
    one.disk->arm(write_fault::fails, at);
    if (!one.acknowledges(operate(*one.broker))) CHECK(one.acknowledges(operate(*one.broker)));
    CHECK(describe(one) == after_);
    one.check_nothing_is_left();
  }

  std::string before_;
  std::string after_;
  std::uint64_t writes_ = 0;
};

}  // namespace bulkhead::test
