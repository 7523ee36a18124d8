// SPDX-License-Identifier: Apache-2.0
#include "broker/store/store.hpp"

#include <fmt/format.h>

#include <set>
#include <utility>

namespace bulkhead {

namespace limits = store_limits;

std::string_view fault_name(store_fault fault) {
  switch (fault) {
    case store_fault::invalid:
      return "invalid";
    case store_fault::compacted:
      return "compacted";
    case store_fault::future_revision:
      return "future_revision";
    case store_fault::lease_not_found:
      return "lease_not_found";
    case store_fault::limit:
      return "limit";
    case store_fault::disk_full:
      return "disk_full";
    case store_fault::io_error:
      return "io_error";
    case store_fault::read_only:
      return "read_only";
    case store_fault::corrupt:
      return "corrupt";
    case store_fault::foreign:
      return "foreign";
    case store_fault::locked:
      return "locked";
    case store_fault::schema_too_new:
      return "schema_too_new";
    case store_fault::exposed:
      return "exposed";
    case store_fault::wrong_key:
      return "wrong_key";
    case store_fault::exists:
      return "exists";
    case store_fault::closed:
      return "closed";
    case store_fault::internal:
      return "internal";
  }
  return "internal";
}

key_range key_range::one(std::string_view key) {
  return {std::string(key), std::string(key) + '\0'};
}

key_range key_range::prefix(std::string_view prefix) {
  key_range range{std::string(prefix), std::nullopt};
  // The first key after all that begin with the prefix: its last byte that can grow, grown, and
  // nothing after it.
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) {
    end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
    range.end = std::move(end);
  }
  return range;
}

key_range key_range::between(std::string_view begin, std::string_view end) {
  return {std::string(begin), std::string(end)};
}

txn_compare txn_compare::absent(std::string key) {
  return {std::move(key), compare_target::create_revision, compare_op::equal, 0, {}};
}

txn_compare txn_compare::present(std::string key) {
  return {std::move(key), compare_target::create_revision, compare_op::greater, 0, {}};
}

txn_compare txn_compare::unchanged(std::string key, std::uint64_t mod_revision) {
  return {std::move(key), compare_target::mod_revision, compare_op::equal, mod_revision, {}};
}

txn_op txn_op::put(std::string key, std::string value, std::uint64_t lease) {
  return {txn_op_kind::put, std::move(key), std::move(value), lease};
}

txn_op txn_op::erase(std::string key) {
  return {txn_op_kind::erase, std::move(key), {}, 0};
}

txn_op txn_op::get(std::string key) {
  return {txn_op_kind::get, std::move(key), {}, 0};
}

namespace {

[[noreturn]] void refuse(std::string what, std::string why) {
  throw store_error(store_fault::invalid, std::move(what), std::move(why));
}

void check_key(std::string_view key) {
  if (key.size() < limits::key_bytes_min) {
    refuse("the store refused a key", "it is empty");
  }
  if (key.size() > limits::key_bytes_max) {
    refuse("the store refused a key",
           fmt::format("it has {} bytes, the limit is {}", key.size(), limits::key_bytes_max));
  }
}

std::size_t check_ops(const std::vector<txn_op>& ops) {
  if (ops.size() > limits::txn_ops_max) {
    refuse("the store refused a transaction",
           fmt::format("it has {} operations, the limit is {}", ops.size(), limits::txn_ops_max));
  }
  std::size_t bytes = 0;
  std::set<std::string_view> changed;
  for (const auto& op : ops) {
    check_key(op.key);
    bytes += op.key.size() + op.value.size();
    if (op.kind == txn_op_kind::get) continue;
    if (op.value.size() > limits::value_bytes_max) {
      refuse("the store refused a value", fmt::format("it has {} bytes, the limit is {}",
                                                      op.value.size(), limits::value_bytes_max));
    }
    if (!changed.insert(op.key).second) {
      refuse("the store refused a transaction", "it changes the same key twice");
    }
  }
  return bytes;
}

void check_range(const key_range& keys) {
  if (keys.begin.size() > limits::key_bytes_max + 1 ||
      (keys.end && keys.end->size() > limits::key_bytes_max + 1)) {
    refuse("the store refused a range",
           fmt::format("an end of it is longer than {} bytes", limits::key_bytes_max));
  }
}

template <class T>
bool compare_values(const T& left, compare_op op, const T& right) {
  switch (op) {
    case compare_op::equal:
      return left == right;
    case compare_op::not_equal:
      return left != right;
    case compare_op::less:
      return left < right;
    case compare_op::greater:
      return left > right;
  }
  return false;
}

}  // namespace

void check_request(const range_request& request) {
  check_range(request.keys);
  if (request.after.size() > limits::key_bytes_max) {
    refuse("the store refused a range",
           fmt::format("`after` is longer than {} bytes", limits::key_bytes_max));
  }
}

void check_request(const txn_request& request) {
  if (request.compares.size() > limits::txn_ops_max) {
    refuse("the store refused a transaction",
           fmt::format("it has {} compares, the limit is {}", request.compares.size(),
                       limits::txn_ops_max));
  }
  std::size_t bytes = 0;
  for (const auto& compare : request.compares) {
    check_key(compare.key);
    bytes += compare.key.size() + compare.bytes.size();
  }
  bytes += check_ops(request.then) + check_ops(request.otherwise);
  if (bytes > limits::txn_bytes_max) {
    refuse("the store refused a transaction",
           fmt::format("it has {} bytes, the limit is {}", bytes, limits::txn_bytes_max));
  }
}

void check_request(const changes_request& request) {
  check_range(request.keys);
}

void check_ttl(std::uint64_t ttl_ms) {
  if (ttl_ms < limits::lease_ttl_ms_min || ttl_ms > limits::lease_ttl_ms_max) {
    refuse("the store refused a lease",
           fmt::format("its time to live is {} ms, the limits are {} and {}", ttl_ms,
                       limits::lease_ttl_ms_min, limits::lease_ttl_ms_max));
  }
}

std::uint32_t page_limit(std::uint32_t limit) {
  return limit == 0 || limit > limits::page_rows_max ? limits::page_rows_max : limit;
}

void store::rotate_key() {
  throw store_error(store_fault::invalid, "the state is not encrypted", "the broker has no key",
                    "start it with --state-key FILE");
}

backup_result backup(store& engine, const std::string& file) {
  const auto copy = engine.begin_backup(file);
  for (;;) {
    if (auto done = copy->step()) return *done;
  }
}

std::optional<changes_result> changes_if_any(store& engine, changes_request& request) {
  // Nothing new: no need to look. (A store that was compacted past the request has gone on since.)
  if (request.revision == engine.revision()) return std::nullopt;
  auto result = engine.changes_since(request);
  if (result.compacted || !result.changes.empty()) return result;
  request.revision = result.revision;
  return std::nullopt;
}

bool holds(const txn_compare& compare, const store_row& row) {
  switch (compare.target) {
    case compare_target::version:
      return compare_values(row.version, compare.op, compare.number);
    case compare_target::create_revision:
      return compare_values(row.create_revision, compare.op, compare.number);
    case compare_target::mod_revision:
      return compare_values(row.mod_revision, compare.op, compare.number);
    case compare_target::lease:
      return compare_values(row.lease, compare.op, compare.number);
    case compare_target::value:
      return compare_values(row.value, compare.op, compare.bytes);
  }
  return false;
}

}  // namespace bulkhead
