// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a store should do, in the plainest way: a std::map, and the list of all changes. It is the
// oracle of the random suite, so it shares nothing with an engine but the rules of requests
// (store.cpp). Slow, and right on sight.

#include <map>
#include <optional>
#include <utility>

#include "broker/store/store.hpp"

namespace bulkhead::test {

class store_model final : public store {
 public:
  explicit store_model(store_clock clock) : clock_(std::move(clock)) {}

  std::uint64_t revision() const override { return revision_; }

  store_status status() override {
    store_status status;
    status.revision = revision_;
    status.compacted_revision = compacted_;
    status.leases = leases_.size();
    return status;
  }

  range_result range(const range_request& request) override {
    check_request(request);
    if (request.revision != 0) check_revision(request.revision);
    const auto map = map_at(request.revision == 0 ? revision_ : request.revision);
    range_result result;
    result.revision = revision_;
    std::size_t bytes = 0;
    for (const auto& [key, row] : map) {
      if (!request.keys.contains(key) || (!request.after.empty() && key <= request.after)) continue;
      if (result.rows.size() == page_limit(request.limit) ||
          bytes >= store_limits::page_bytes_max) {
        result.more = true;
        break;
      }
      result.rows.push_back(row);
      if (request.keys_only) result.rows.back().value.clear();
      bytes += key.size() + result.rows.back().value.size();
    }
    return result;
  }

  txn_result txn(const txn_request& request) override {
    check_request(request);
    txn_result result;
    result.succeeded = true;
    for (const auto& compare : request.compares) {
      auto found = now_.find(compare.key);
      if (!holds(compare, found == now_.end() ? store_row{} : found->second)) {
        result.succeeded = false;
      }
    }
    const auto& branch = result.succeeded ? request.then : request.otherwise;
    for (const auto& op : branch) {
      if (op.kind == txn_op_kind::put && op.lease != 0 && leases_.count(op.lease) == 0) {
        throw store_error(store_fault::lease_not_found, "no such lease");
      }
    }
    std::vector<store_change> changes;
    for (const auto& op : branch) result.responses.push_back(apply(op, changes));
    record(std::move(changes));
    result.revision = revision_;
    return result;
  }

  lease_info grant(std::uint64_t ttl_ms) override {
    check_ttl(ttl_ms);
    leases_[++last_lease_] = {ttl_ms, clock_() + ttl_ms};
    return {last_lease_, ttl_ms, ttl_ms};
  }

  lease_info keep_alive(std::uint64_t lease) override {
    auto& state = find_lease(lease);
    state.second = clock_() + state.first;
    return {lease, state.first, state.first};
  }

  std::uint64_t revoke(std::uint64_t lease) override {
    find_lease(lease);
    std::vector<store_change> changes;
    for (const auto& [key, row] : std::map(now_)) {
      if (row.lease == lease) apply(txn_op::erase(key), changes);
    }
    record(std::move(changes));
    leases_.erase(lease);
    return revision_;
  }

  std::size_t expire() override {
    std::size_t ended = 0;
    for (const auto& [id, state] : std::map(leases_)) {
      if (state.second > clock_()) continue;
      revoke(id);
      ++ended;
    }
    return ended;
  }

  std::vector<lease_info> leases() override {
    std::vector<lease_info> all;
    for (const auto& [id, state] : leases_) {
      all.push_back({id, state.first, state.second > clock_() ? state.second - clock_() : 0});
    }
    return all;
  }

  changes_result changes_since(const changes_request& request) override {
    check_request(request);
    changes_result result;
    if (request.revision < compacted_) {
      result.compacted = true;
      result.revision = compacted_;
      return result;
    }
    check_revision(request.revision);
    result.revision = revision_;
    for (const auto& change : history_) {
      if (change.row.mod_revision <= request.revision || !request.keys.contains(change.row.key)) {
        continue;
      }
      if (result.changes.size() >= page_limit(request.limit) &&
          result.changes.back().row.mod_revision != change.row.mod_revision) {
        result.more = true;
        result.revision = result.changes.back().row.mod_revision;
        break;
      }
      result.changes.push_back(change);
    }
    return result;
  }

  void compact(std::uint64_t revision) override {
    if (revision <= compacted_) return;
    check_revision(revision);
    compacted_ = revision;
  }

  bool maintain() override { return false; }
  std::uint64_t rewrite(std::uint64_t, std::uint64_t until, const value_rewriter&) override {
    return until;
  }
  std::unique_ptr<state_copy> begin_backup(const std::string&) override { return nullptr; }
  void begin_group() override {}
  void commit_group() override {}
  void abandon_group() noexcept override {}

 private:
  using lease_state = std::pair<std::uint64_t, std::uint64_t>;  // time to live, end

  lease_state& find_lease(std::uint64_t lease) {
    auto found = leases_.find(lease);
    if (found == leases_.end()) throw store_error(store_fault::lease_not_found, "no such lease");
    return found->second;
  }

  void check_revision(std::uint64_t revision) const {
    if (revision > revision_) throw store_error(store_fault::future_revision, "not there yet");
    if (revision < compacted_) throw store_error(store_fault::compacted, "gone");
  }

  std::map<std::string, store_row> map_at(std::uint64_t revision) const {
    std::map<std::string, store_row> map;
    for (const auto& change : history_) {
      if (change.row.mod_revision > revision) break;
      if (change.kind == change_kind::put) {
        map[change.row.key] = change.row;
      } else {
        map.erase(change.row.key);
      }
    }
    return map;
  }

  txn_response apply(const txn_op& op, std::vector<store_change>& changes) {
    txn_response response;
    auto found = now_.find(op.key);
    response.existed = found != now_.end();
    store_row row;
    row.key = op.key;
    row.mod_revision = revision_ + 1;
    switch (op.kind) {
      case txn_op_kind::get:
        if (response.existed) response.row = found->second;
        break;
      case txn_op_kind::erase:
        if (!response.existed) break;
        now_.erase(found);
        changes.push_back({change_kind::erase, row});
        break;
      case txn_op_kind::put:
        row.value = op.value;
        row.lease = op.lease;
        row.create_revision = response.existed ? found->second.create_revision : revision_ + 1;
        row.version = response.existed ? found->second.version + 1 : 1;
        now_[op.key] = row;
        changes.push_back({change_kind::put, row});
        break;
    }
    return response;
  }

  void record(std::vector<store_change> changes) {
    if (changes.empty()) return;
    ++revision_;
    for (auto& change : changes) history_.push_back(std::move(change));
  }

  store_clock clock_;
  std::uint64_t revision_ = 1;
  std::uint64_t compacted_ = 0;
  std::uint64_t last_lease_ = 0;
  std::map<std::string, store_row> now_;
  std::vector<store_change> history_;
  std::map<std::uint64_t, lease_state> leases_;
};

}  // namespace bulkhead::test
