// SPDX-License-Identifier: Apache-2.0
#include "broker/store/encrypted_store.hpp"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "broker/store/key_check.hpp"

namespace bulkhead {
namespace {

void random_nonce(seal_nonce& nonce) {
  if (RAND_bytes(nonce.data(), static_cast<int>(nonce.size())) != 1) {
    throw store_error(store_fault::internal, "a value cannot be encrypted",
                      "OpenSSL has no randomness");
  }
}

[[noreturn]] void refuse_key(std::string why, std::string remedy) {
  throw store_error(store_fault::wrong_key, "the state cannot be opened with this key",
                    std::move(why), std::move(remedy));
}

[[noreturn]] void fail_damaged_check() {
  throw store_error(store_fault::corrupt, "the state is damaged",
                    "its key check was changed outside of the broker",
                    "restore a backup; keep the damaged file for inspection");
}

[[noreturn]] void fail_damaged_value() {
  throw store_error(store_fault::corrupt, "a value in the state is damaged",
                    "it does not decrypt: it was changed outside of the broker, or moved",
                    "write it anew, or restore a backup; other keys are not affected");
}

std::optional<std::string> read_check(store& engine) {
  auto found = engine.range({key_range::one(key_check_key), {}, 1, 0, false});
  if (found.rows.empty()) return std::nullopt;
  return std::move(found.rows.front().value);
}

class encrypted_store final : public store {
 public:
  encrypted_store(std::unique_ptr<store> engine, encryption how, state_keys keys)
      : engine_(std::move(engine)), how_(std::move(how)), keys_(std::move(keys)) {
    if (!how_.make_nonce) how_.make_nonce = random_nonce;
  }

  /// Takes the state as it is, or makes it an encrypted one.
  void begin();

  std::uint64_t revision() const override { return engine_->revision(); }
  store_status status() override;
  range_result range(const range_request& request) override;
  txn_result txn(const txn_request& request) override;
  lease_info grant(std::uint64_t ttl_ms) override { return engine_->grant(ttl_ms); }
  lease_info keep_alive(std::uint64_t lease) override { return engine_->keep_alive(lease); }
  std::uint64_t revoke(std::uint64_t lease) override { return engine_->revoke(lease); }
  std::size_t expire() override { return engine_->expire(); }
  std::vector<lease_info> leases() override { return engine_->leases(); }
  changes_result changes_since(const changes_request& request) override;
  void compact(std::uint64_t revision) override { engine_->compact(revision); }
  bool maintain() override;
  std::uint64_t rewrite(std::uint64_t after, std::uint64_t until,
                        const value_rewriter& change) override;
  void rotate_key() override;
  std::unique_ptr<state_copy> begin_backup(const std::string& file) override {
    return engine_->begin_backup(file);
  }
  void begin_group() override { engine_->begin_group(); }
  void commit_group() override { engine_->commit_group(); }
  void abandon_group() noexcept override { engine_->abandon_group(); }

 private:
  /// What is left to encrypt anew: revisions after `done` up to `until`.
  struct remainder {
    std::uint64_t done = 0;
    std::uint64_t until = 0;
  };

  bool concerns(std::string_view key) const;
  std::string seal(std::string_view key, std::string_view value);
  void open(store_row& row);
  txn_op sealed(const txn_op& op);
  void adopt(state_keys keys, key_check check);
  void save(const key_check& check);
  key_check loaded_check();
  void step();
  std::optional<std::string> renewed(const store_row& row, std::uint64_t& count);

  std::unique_ptr<store> engine_;
  encryption how_;
  state_keys keys_;
  value_seal seal_;
  key_check check_;  // as it is in the state
  std::optional<remainder> left_;
  std::uint64_t rewritten_ = 0;
  std::optional<store_failure> step_failure_;
};

bool encrypted_store::concerns(std::string_view key) const {
  return std::any_of(how_.prefixes.begin(), how_.prefixes.end(),
                     [key](const auto& prefix) { return key.substr(0, prefix.size()) == prefix; });
}

std::string encrypted_store::seal(std::string_view key, std::string_view value) {
  seal_nonce nonce{};
  how_.make_nonce(nonce);
  return seal_.seal(keys_.newest(), nonce, key, value);
}

/// Makes a row that the engine gave into one that the caller may see.
void encrypted_store::open(store_row& row) {
  if (row.create_revision == 0 || !concerns(row.key) || check_.is_plain(row.mod_revision)) return;
  const auto id = sealed_with(row.value);
  const auto* key = id ? keys_.find(*id) : nullptr;
  auto value = key != nullptr ? seal_.open(*key, row.key, row.value) : std::nullopt;
  if (!value) fail_damaged_value();
  row.value = std::move(*value);
}

// -- opening and keys
// ------------------------------------------------------------------------------

void encrypted_store::begin() {
  if (!read_check(*engine_)) {
    key_check check;
    check.plain_until = engine_->revision();
    adopt(keys_, check);
    return;
  }
  check_ = loaded_check();
  if (check_ == key_check{0, 0, {keys_.newest().id}}) return;
  adopt(keys_, check_);
}

/// The check record of the state. Throws when it does not fit the keys.
key_check encrypted_store::loaded_check() {
  const auto record = read_check(*engine_);
  const auto id = record ? sealed_with(*record) : std::nullopt;
  if (!id) fail_damaged_check();
  const auto* key = keys_.find(*id);
  if (key == nullptr) {
    refuse_key(fmt::format("the state is encrypted with the key {}, which {} does not hold",
                           key_id_text(*id), keys_.file()),
               "name the file that holds it");
  }
  const auto text = seal_.open(*key, key_check_key, *record);
  const auto check = text ? parse_key_check(*text) : std::nullopt;
  if (!check) fail_damaged_check();
  return *check;
}

/// From now on writes with the newest of `keys`; what is in the state is encrypted with it step by
/// step.
void encrypted_store::adopt(state_keys keys, key_check check) {
  for (const auto id : check.keys) {
    if (keys.find(id) != nullptr) continue;
    refuse_key(fmt::format("some values are encrypted with the key {}, which {} does not hold",
                           key_id_text(id), keys.file()),
               "put it back; only when `bulkhead rotate-state-key` has ended is it of no use but "
               "for older backups");
  }
  const auto newest = keys.newest().id;
  std::erase(check.keys, newest);
  check.keys.push_back(newest);
  auto before = std::exchange(keys_, std::move(keys));
  try {
    if (check != check_) save(check);
  } catch (...) {
    keys_ = std::move(before);
    throw;
  }
  check_ = std::move(check);
  left_ = remainder{0, engine_->revision()};
  rewritten_ = 0;
  step_failure_.reset();
}

/// Writes the check record, sealed with the newest key.
void encrypted_store::save(const key_check& check) {
  const std::string key(key_check_key);
  engine_->txn({{}, {txn_op::put(key, seal(key, print_key_check(check)))}, {}});
}

void encrypted_store::rotate_key() {
  auto keys = how_.load_keys();
  adopt(std::move(keys), check_);
}

// -- encrypting anew
// -------------------------------------------------------------------------------

/// The value sealed with the newest key; nothing when it is already, or is damaged: then it stays
/// as it is, and whoever reads it is told.
std::optional<std::string> encrypted_store::renewed(const store_row& row, std::uint64_t& count) {
  if (!concerns(row.key)) return std::nullopt;
  std::optional<std::string> value;
  if (check_.is_plain(row.mod_revision)) {
    value = row.value;
  } else {
    const auto id = sealed_with(row.value);
    if (!id || *id == keys_.newest().id) return std::nullopt;
    const auto* key = keys_.find(*id);
    if (key != nullptr) value = seal_.open(*key, row.key, row.value);
  }
  if (!value) return std::nullopt;
  ++count;
  return seal(row.key, *value);
}

/// A bounded number of values, and the check record with them, in one durable step.
void encrypted_store::step() {
  auto next = check_;
  std::uint64_t count = 0;
  engine_->begin_group();
  const auto done = engine_->rewrite(left_->done, left_->until,
                                     [&](const store_row& row) { return renewed(row, count); });
  const bool finished = done >= left_->until;
  if (done > next.plain_after) next.plain_after = done;
  if (next.plain_after >= next.plain_until) next.plain_after = next.plain_until = 0;
  if (finished) next.keys = {keys_.newest().id};
  if (next != check_) save(next);
  engine_->commit_group();
  check_ = std::move(next);
  rewritten_ += count;
  left_->done = done;
  if (finished) left_.reset();
}

bool encrypted_store::maintain() {
  const bool was_writable = engine_->status().writable;
  const bool more = engine_->maintain();
  try {
    if (!was_writable && engine_->status().writable) {
      // Opened anew: a step whose outcome was unknown may have happened.
      check_ = loaded_check();
      left_ = remainder{0, engine_->revision()};
    }
    if (!left_) return more;
    step();
    step_failure_.reset();
  } catch (const store_error& error) {
    engine_->abandon_group();
    step_failure_ = error.failure();
    return false;
  } catch (...) {
    engine_->abandon_group();
    throw;
  }
  return more || left_.has_value();
}

std::uint64_t encrypted_store::rewrite(std::uint64_t after, std::uint64_t until,
                                       const value_rewriter& change) {
  return engine_->rewrite(after, until, [&](const store_row& row) -> std::optional<std::string> {
    store_row clear = row;
    open(clear);
    auto changed = change(clear);
    if (changed && concerns(row.key)) return seal(row.key, *changed);
    return changed;
  });
}

store_status encrypted_store::status() {
  auto status = engine_->status();
  status.encrypted = true;
  status.rewriting = left_.has_value();
  status.rewritten = rewritten_;
  status.rewrite_failure = step_failure_;
  return status;
}

// -- reading and writing
// ---------------------------------------------------------------------------

range_result encrypted_store::range(const range_request& request) {
  auto result = engine_->range(request);
  if (request.keys_only) return result;
  for (auto& row : result.rows) open(row);
  return result;
}

changes_result encrypted_store::changes_since(const changes_request& request) {
  auto result = engine_->changes_since(request);
  for (auto& change : result.changes) open(change.row);
  return result;
}

txn_op encrypted_store::sealed(const txn_op& op) {
  if (op.kind != txn_op_kind::put || !concerns(op.key)) return op;
  constexpr auto most = store_limits::value_bytes_max - seal_overhead_bytes;
  if (op.value.size() > most) {
    throw store_error(store_fault::invalid, "the store refused a value",
                      fmt::format("it has {} bytes, the limit of one that is encrypted is {}",
                                  op.value.size(), most));
  }
  return txn_op::put(op.key, seal(op.key, op.value), op.lease);
}

txn_result encrypted_store::txn(const txn_request& request) {
  txn_request inner;
  inner.compares = request.compares;
  for (const auto& compare : request.compares) {
    if (compare.target != compare_target::value || !concerns(compare.key)) continue;
    throw store_error(store_fault::invalid, "the store refused a transaction",
                      "it compares a value that is encrypted", "compare its revision");
  }
  for (const auto& op : request.then) inner.then.push_back(sealed(op));
  for (const auto& op : request.otherwise) inner.otherwise.push_back(sealed(op));
  auto result = engine_->txn(inner);
  for (auto& response : result.responses) {
    if (response.row) open(*response.row);
  }
  return result;
}

}  // namespace

std::optional<std::uint64_t> key_of_state(store& engine) {
  const auto record = read_check(engine);
  if (!record) return std::nullopt;
  const auto id = sealed_with(*record);
  if (!id) fail_damaged_check();
  return id;
}

std::unique_ptr<store> with_encryption(std::unique_ptr<store> engine, encryption how) {
  if (!how.load_keys) {
    if (const auto id = key_of_state(*engine)) {
      refuse_key(
          fmt::format("it is encrypted with the key {}, and none was given", key_id_text(*id)),
          "start the broker with --state-key FILE");
    }
    return engine;
  }
  auto keys = how.load_keys();
  auto guarded =
      std::make_unique<encrypted_store>(std::move(engine), std::move(how), std::move(keys));
  guarded->begin();
  return guarded;
}

}  // namespace bulkhead
