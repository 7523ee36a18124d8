// SPDX-License-Identifier: Apache-2.0
#pragma once

// The suite that any engine must pass: seeded random operations done to the engine and to the
// model, answers compared one by one, and the whole map, all leases and all changes compared now
// and then. A failure prints the seed and the step. Keys are few, so that operations meet; values
// are small, but for one in a hundred.
//
// A watcher follows each run as watchers do, from one answer's revision to the next question, and
// what it has heard must be the map. `store_suite_options` say what an engine does not do.
//
// `reopen`, when given, is called at random moments and must close the engine and open it on the
// same state: what was acknowledged must be there. Leases get their full time by it, so both sides
// are kept alive then.

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <random>

#include "store_model.hpp"

namespace bulkhead::test {

/// A clock that stands still until it is told otherwise.
struct hand_clock {
  std::shared_ptr<std::uint64_t> now_ms = std::make_shared<std::uint64_t>(1'000);
  store_clock reader() const {
    return [now = now_ms] { return *now; };
  }
  void advance(std::uint64_t ms) const { *now_ms += ms; }
};

struct store_suite_options {
  bool compares_values = true;  ///< Conditions on values, besides those on revisions and versions.
};

class store_suite {
 public:
  using make = std::function<std::unique_ptr<store>(store_clock)>;
  using reopen = std::function<std::unique_ptr<store>(std::unique_ptr<store>, store_clock)>;

  store_suite(make make_engine, reopen reopen_engine, std::uint32_t seed,
              store_suite_options options = {})
      : options_(options),
        reopen_(std::move(reopen_engine)),
        model_(clock_.reader()),
        engine_(make_engine(clock_.reader())),
        seed_(seed),
        random_(seed) {
    catch_up();
  }

  void run(unsigned steps) {
    for (step_ = 0; step_ < steps; ++step_) {
      INFO("seed " << seed_ << ", step " << step_);
      one_step();
      if (step_ % 97 == 0) compare_everything();
    }
    INFO("seed " << seed_ << ", at the end");
    compare_everything();
  }

 private:
  std::uint64_t below(std::uint64_t end) { return random_() % end; }

  std::string key() {
    static const std::vector<std::string> odd = {
        "a", std::string("a\0", 2), std::string("a\0b", 3), "a/", "a0", "\xff", "\xff\xff", "b"};
    if (below(4) == 0) return odd[below(odd.size())];
    return "k/" + std::to_string(below(12));
  }

  std::string value() {
    if (below(100) == 0) return std::string(below(200'000), static_cast<char>(below(256)));
    std::string bytes(below(20), '\0');
    for (auto& byte : bytes) byte = static_cast<char>(below(256));
    return bytes;
  }

  std::uint64_t lease() { return below(5) == 0 ? below(8) : 0; }

  key_range keys() {
    switch (below(5)) {
      case 0:
        return key_range::all();
      case 1:
        return key_range::one(key());
      case 2:
        return key_range::prefix(below(2) == 0 ? "k/" : "a");
      case 3:
        return key_range::prefix("\xff");
      default:
        return key_range::between(key(), key());
    }
  }

  txn_compare compare() {
    txn_compare compare;
    compare.key = key();
    compare.target = static_cast<compare_target>(below(options_.compares_values ? 5 : 4));
    compare.op = static_cast<compare_op>(below(4));
    auto found = model_.range({key_range::one(compare.key), {}, 0, 0, false}).rows;
    // Half of the compares are about what is there, so that both branches are taken.
    const store_row row = found.empty() ? store_row{} : found.front();
    const bool truth = below(2) == 0;
    compare.bytes = truth ? row.value : value();
    const std::uint64_t numbers[] = {row.version, row.create_revision, row.mod_revision, row.lease,
                                     0};
    compare.number = truth ? numbers[static_cast<int>(compare.target)] : below(50);
    return compare;
  }

  std::vector<txn_op> ops() {
    std::vector<txn_op> ops(below(5));
    for (auto& op : ops) {
      const auto which = below(10);
      if (which < 6)
        op = txn_op::put(key(), value(), lease());
      else if (which < 8)
        op = txn_op::erase(key());
      else
        op = txn_op::get(key());
    }
    return ops;
  }

  /// Does the same to both; either both answer the same or both fail with the same fault.
  template <class F>
  void both(F operation) {
    std::optional<store_fault> expected_fault;
    std::optional<store_fault> fault;
    decltype(operation(static_cast<store&>(model_))) expected{};
    decltype(expected) answer{};
    try {
      expected = operation(model_);
    } catch (const store_error& error) {
      expected_fault = error.fault();
    }
    try {
      answer = operation(*engine_);
    } catch (const store_error& error) {
      fault = error.fault();
    }
    REQUIRE(fault == expected_fault);
    REQUIRE(same(answer, expected));
    REQUIRE(engine_->revision() == model_.revision());
  }

  static bool same(std::uint64_t a, std::uint64_t b) { return a == b; }
  static bool same(const range_result& a, const range_result& b) {
    return a.rows == b.rows && a.more == b.more && a.revision == b.revision;
  }
  static bool same(const changes_result& a, const changes_result& b) {
    return a.compacted == b.compacted && a.changes == b.changes && a.revision == b.revision &&
           a.more == b.more;
  }
  static bool same(const lease_info& a, const lease_info& b) {
    return a.id == b.id && a.ttl_ms == b.ttl_ms && a.remaining_ms == b.remaining_ms;
  }
  static bool same(const std::vector<lease_info>& a, const std::vector<lease_info>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& x, const auto& y) { return same(x, y); });
  }
  static bool same(const txn_result& a, const txn_result& b) {
    return a.succeeded == b.succeeded && a.revision == b.revision &&
           std::equal(a.responses.begin(), a.responses.end(), b.responses.begin(),
                      b.responses.end(), [](const txn_response& x, const txn_response& y) {
                        return x.existed == y.existed && x.row == y.row;
                      });
  }

  /// A layer of the engine may keep a record of its own in the state: the model is told of it.
  void catch_up() {
    const auto told = engine_->changes_since({model_.revision(), key_range::all(), 0});
    for (const auto& change : told.changes) {
      REQUIRE(change.row.key.rfind("state/", 0) == 0);
      model_.txn({{}, {txn_op::put(change.row.key, change.row.value)}, {}});
    }
  }

  void one_step() {
    const auto which = below(100);
    if (which < 45) return step_txn();
    if (which < 60) return step_range();
    if (which < 70) return step_changes();
    if (which < 74) return both([ttl = below(500)](store& s) { return s.grant(ttl); });
    if (which < 77) return both([id = below(10)](store& s) { return s.keep_alive(id); });
    if (which < 79) return both([id = below(10)](store& s) { return s.revoke(id); });
    if (which < 84) {
      clock_.advance(below(100));
      return both([](store& s) { return std::uint64_t{s.expire()}; });
    }
    if (which < 86) return step_compact();
    if (which < 92) return step_group();
    if (which < 93) return watch();
    if (which < 94) {
      while (engine_->maintain()) {
      }
      return catch_up();
    }
    if (which < 95 && reopen_) return step_reopen();
  }

  void step_txn() {
    txn_request request;
    request.compares.resize(below(3));
    for (auto& each : request.compares) each = compare();
    request.then = ops();
    request.otherwise = ops();
    both([&](store& s) { return s.txn(request); });
  }

  void step_range() {
    range_request request;
    request.keys = keys();
    if (below(3) == 0) request.after = key();
    request.limit = static_cast<std::uint32_t>(below(6));
    // Mostly what can still be read; now and then what is gone or not there yet.
    const auto oldest = below(4) == 0 ? 0 : model_.status().compacted_revision;
    if (below(2) == 0) request.revision = oldest + below(model_.revision() + 2 - oldest);
    request.keys_only = below(2) == 0;
    both([&](store& s) { return s.range(request); });
  }

  void step_changes() {
    changes_request request;
    request.keys = keys();
    request.limit = static_cast<std::uint32_t>(below(6));
    request.revision = below(model_.revision() + 2);
    both([&](store& s) { return s.changes_since(request); });
  }

  void step_compact() {
    const auto newest = model_.revision();
    const auto revision = newest > 60 ? newest - below(60) : below(newest + 2);
    both([&](store& s) {
      s.compact(revision);
      return std::uint64_t{0};
    });
  }

  /// One question of a watcher, as `changes_if_any` asks it for those who wait.
  void watch() {
    auto told = changes_if_any(*engine_, watching_);
    if (!told) return;
    if (told->compacted) {
      watched_.clear();
      const auto page = engine_->range({watching_.keys, {}, 0, 0, false});
      for (const auto& row : page.rows) watched_[row.key] = row;
      watching_.revision = page.revision;
      return;
    }
    for (auto& change : told->changes) {
      if (change.kind == change_kind::put) {
        watched_[change.row.key] = std::move(change.row);
      } else {
        watched_.erase(change.row.key);
      }
    }
    watching_.revision = told->revision;
  }

  void compare_watched() {
    while (watching_.revision != engine_->revision()) watch();
    std::vector<store_row> rows;
    for (const auto& [key, row] : watched_) rows.push_back(row);
    REQUIRE(rows == model_.range({watching_.keys, {}, 0, 0, false}).rows);
  }

  void step_group() {
    engine_->begin_group();
    if (below(3) == 0) {
      // An abandoned group leaves no trace: the model is not even told.
      const txn_request request{{}, ops(), {}};
      try {
        engine_->txn(request);
      } catch (const store_error&) {
      }
      engine_->abandon_group();
      REQUIRE(engine_->revision() == model_.revision());
      return;
    }
    const auto count = below(6);
    for (std::uint64_t i = 0; i < count; ++i) {
      if (below(6) == 0)
        both([ttl = below(500)](store& s) { return s.grant(ttl); });
      else if (below(6) == 0)
        both([id = below(10)](store& s) { return s.revoke(id); });
      else
        step_txn();
    }
    engine_->commit_group();
  }

  void step_reopen() {
    engine_ = reopen_(std::move(engine_), clock_.reader());
    catch_up();
    for (const auto& lease : model_.leases()) {
      both([&](store& s) { return s.keep_alive(lease.id); });
    }
    compare_everything();
  }

  void compare_everything() {
    both([](store& s) { return s.range({}); });
    both([](store& s) { return s.leases(); });
    both([this](store& s) {
      return s.changes_since({model_.status().compacted_revision, key_range::all(), 0});
    });
    REQUIRE(engine_->status().compacted_revision == model_.status().compacted_revision);
    compare_watched();
  }

  hand_clock clock_;
  store_suite_options options_;
  reopen reopen_;
  store_model model_;
  std::unique_ptr<store> engine_;
  std::uint32_t seed_;
  std::mt19937 random_;
  unsigned step_ = 0;
  changes_request watching_{1, key_range::prefix("k/"), 3};
  std::map<std::string, store_row> watched_;
};

}  // namespace bulkhead::test
