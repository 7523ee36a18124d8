// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/trust_desk.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "broker/catalog/trust_record.hpp"
#include "broker/refusal.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

std::optional<std::uint32_t> number(const std::string& text) {
  std::uint32_t value = 0;
  const auto* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  return value;
}

signature_rule rule_of(trust::signature_policy policy) {
  switch (policy) {
    case trust::signature_policy::required:
      return signature_rule::required;
    case trust::signature_policy::optional:
      return signature_rule::optional;
    case trust::signature_policy::automatic:
      break;
  }
  return signature_rule::automatic;
}

trust::signature_policy policy_of(signature_rule rule) {
  switch (rule) {
    case signature_rule::required:
      return trust::signature_policy::required;
    case signature_rule::optional:
      return trust::signature_policy::optional;
    case signature_rule::automatic:
      break;
  }
  return trust::signature_policy::automatic;
}

/// A known key that is given again: what is not said stays as it was, so that nothing is allowed in
/// passing. Who wants a bound away forgets the key first.
trust::trusted_key renewed(const trust::trusted_key& before, trust::trusted_key key,
                           bool plugins_unsaid) {
  if (plugins_unsaid) key.plugins = before.plugins;
  if (key.name.empty()) key.name = before.name;
  if (key.not_before_unix_ms == 0) key.not_before_unix_ms = before.not_before_unix_ms;
  if (key.not_after_unix_ms == 0) key.not_after_unix_ms = before.not_after_unix_ms;
  key.added_unix_ms = before.added_unix_ms;
  return key;
}

/// "ci (3f2a9c01b2d4)", so that both people and logs know which.
std::string shown(const std::string& id, const std::string& name) {
  const auto begin = id.substr(0, 12);
  return name.empty() ? begin : fmt::format("{} ({})", wire::escape_line(name), begin);
}

}  // namespace

trust::candidate candidate_of(const release& what) {
  trust::candidate candidate;
  candidate.kind = what.spec.kind;
  candidate.name = what.spec.name;
  candidate.version = what.spec.version;
  candidate.sha256 = digest_of(what);
  candidate.size_bytes = what.size_bytes;
  candidate.manifest = what.manifest;
  candidate.signatures = what.signatures;
  return candidate;
}

kj::Exception trust_exception(const release_id& id, const trust::verdict& refused) {
  const bool unreadable = refused.refused == trust::ground::bad_manifest ||
                          refused.refused == trust::ground::bad_signature_file ||
                          refused.refused == trust::ground::signatures_alone;
  auto why = refused.what;
  if (!refused.why.empty()) why += fmt::format(": {}", refused.why);
  return exception(unreadable ? error_kind::invalid_argument : error_kind::permission_denied,
                   fmt::format("{}/{}{}{} may not run", id.kind.empty() ? "?" : id.kind, id.name,
                               id.version.empty() ? "" : "@", id.version),
                   why, refused.remedy);
}

trust_desk::trust_desk(async_store& store, event_log& events, kj::Timer& timer,
                       std::string broker_version, wall_clock now)
    : store_(store),
      events_(events),
      broker_version_(std::move(broker_version)),
      os_arch_(trust::this_os_arch()),
      now_(std::move(now)),
      doubts_(store, events, timer,
              [this](const std::string& key, const auto& value) { learn(key, value); }) {}

// -- what is trusted -----------------------------------------------------------------------------

kj::Promise<void> trust_desk::load() {
  state_ = {};
  damaged_keys_.clear();
  return load_page({}).then([this] { changed(); });
}

kj::Promise<void> trust_desk::load_page(std::string after) {
  range_request request;
  request.keys = key_range::prefix(trust_prefix);
  request.after = std::move(after);
  return store_.range(std::move(request)).then([this](range_result&& page) -> kj::Promise<void> {
    for (const auto& row : page.rows) take_row(row.key, row.value);
    if (!page.more) return kj::READY_NOW;
    return load_page(page.rows.back().key);
  });
}

void trust_desk::take_row(const std::string& key, const std::string& value) {
  if (key.starts_with(trust_keys_prefix)) {
    const auto id = key.substr(trust_keys_prefix.size());
    auto read = decode_trusted_key(value);
    if (read && trust::key_id(read->key.key) == id) {
      state_.keys.emplace(id, std::move(*read));
    } else {
      damaged_keys_.insert(id);
      unreadable(key, "its signatures do not count, and automatic policies require one");
    }
  } else if (key.starts_with(trust_policies_prefix)) {
    const auto policy = trust::policy_from_text(value);
    if (!policy) unreadable(key, "a signature is required");
    state_.policies[key.substr(trust_policies_prefix.size())] =
        policy.value_or(trust::signature_policy::required);
  } else if (const auto floor = floor_of_key(key)) {
    const auto height = number(value);
    if (!height)
      unreadable(key, "there is no floor until the next start");
    else
      state_.floors[*floor] = *height;
  }
}

void trust_desk::unreadable(const std::string& key, const char* consequence) {
  const auto shown_key = wire::escape_line(key);
  events_.record({}, 0, "unreadable", fmt::format("{}: {}", shown_key, consequence));
  KJ_LOG(ERROR, "a record of trust cannot be read", shown_key, consequence);
}

/// What a key holds of which that was in doubt.
void trust_desk::learn(const std::string& key, const std::optional<std::string>& value) {
  if (key.starts_with(trust_keys_prefix)) {
    const auto id = key.substr(trust_keys_prefix.size());
    state_.keys.erase(id);
    damaged_keys_.erase(id);
  } else if (key.starts_with(trust_policies_prefix)) {
    state_.policies.erase(key.substr(trust_policies_prefix.size()));
  } else if (const auto floor = floor_of_key(key)) {
    if (raising_.contains(*floor)) {
      // That it is written is what is asked for, whatever is there.
      rewriting_.add(write_floor(*floor));
      return;
    }
    state_.floors.erase(*floor);
  }
  if (value) take_row(key, *value);
  changed();
}

void trust_desk::changed() {
  judged_.clear();
  effective_ = state_;
  if (damaged_keys_.empty()) return;
  for (const auto kind : trust::plugin_kinds()) {
    auto& policy = effective_.policies[std::string(kind)];
    if (policy == trust::signature_policy::automatic) policy = trust::signature_policy::required;
  }
}

kj::Promise<trusted_key_info> trust_desk::trust_key(trusted_key_info info) {
  return doubts_.change([this, info = std::move(info)] { return take_key(info); });
}

kj::Promise<trusted_key_info> trust_desk::take_key(trusted_key_info info) {
  trust::trusted_key key;
  info.revoked = false;
  info.reason.clear();
  info.added_unix_ms = now_();
  try {
    key = read_trusted_key(info);
  } catch (const trust::refusal& problem) {
    refuse(error_kind::invalid_argument, problem.what(), problem.why(), problem.remedy());
  }
  const auto id = trust::key_id(key.key.key);
  if (const auto known = state_.keys.find(id); known != state_.keys.end()) {
    if (known->second.revoked)
      refuse(error_kind::failed_precondition,
             fmt::format("the key {} was revoked", shown(id, known->second.name)),
             wire::escape_line(known->second.reason), "sign with a new key, and trust that");
    key = renewed(known->second, std::move(key), info.plugins.empty());
  } else if (state_.keys.size() >= trust::trusted_keys_max) {
    refuse(error_kind::overloaded, "no further key can be trusted",
           fmt::format("there are {}, the limit trusted_keys_max", trust::trusted_keys_max),
           "bulkhead key list");
  }
  txn_request request;
  request.then.push_back(txn_op::put(trust_key_key(id), encode_trusted_key(key)));
  return doubts_.txn(std::move(request)).then([this, id, key = std::move(key)](txn_result&&) {
    state_.keys[id] = key;
    damaged_keys_.erase(id);
    changed();
    events_.record({}, 0, "key_trusted",
                   fmt::format("{} for {}", shown(id, key.name), key.plugins));
    return describe(state_.keys[id]);
  });
}

kj::Promise<void> trust_desk::untrust(std::string id, bool revoke, std::string reason) {
  return doubts_.change([this, id = std::move(id), revoke, reason = std::move(reason)] {
    return drop_key(id, revoke, reason);
  });
}

kj::Promise<void> trust_desk::drop_key(const std::string& id, bool revoke,
                                       const std::string& reason) {
  if (damaged_keys_.contains(id)) return drop_damaged(id, revoke);
  const auto known = state_.keys.find(id);
  if (known == state_.keys.end())
    refuse(error_kind::not_found, fmt::format("no key '{}' is trusted", wire::escape_line(id)), {},
           "bulkhead key list");
  auto key = known->second;
  if (key.revoked && !revoke)
    refuse(error_kind::failed_precondition,
           fmt::format("the key {} was revoked", shown(id, key.name)),
           "a revocation is remembered, so that the key is never taken again");
  if (key.revoked) return kj::READY_NOW;
  txn_request request;
  std::vector<trust::floor_key> idle;
  if (revoke) {
    key.revoked = true;
    key.reason = reason;
    try {
      trust::check_trusted_key(key);
    } catch (const trust::refusal& problem) {
      refuse(error_kind::invalid_argument, problem.what(), problem.why(), problem.remedy());
    }
    request.then.push_back(txn_op::put(trust_key_key(id), encode_trusted_key(key)));
    // Floors that only revoked keys have left hold nobody any more. Those above what one
    // transaction takes stay, and are as idle in the store.
    auto later = state_;
    later.keys[id] = key;
    idle = trust::idle_floors(later);
    idle.resize(std::min(idle.size(), store_limits::txn_ops_max - 1));
    for (const auto& floor : idle) request.then.push_back(txn_op::erase(trust_floor_key(floor)));
  } else {
    request.then.push_back(txn_op::erase(trust_key_key(id)));
  }
  return doubts_.txn(std::move(request))
      .then([this, id, revoke, key = std::move(key), idle = std::move(idle)](txn_result&&) {
        if (revoke)
          state_.keys[id] = key;
        else
          state_.keys.erase(id);
        for (const auto& floor : idle)  // one that was raised meanwhile is in the store again
          if (!raising_.contains(floor)) state_.floors.erase(floor);
        changed();
        events_.record({}, 0, revoke ? "key_revoked" : "key_forgotten",
                       revoke && !key.reason.empty() ? fmt::format("{}: {}", shown(id, key.name),
                                                                   wire::escape_line(key.reason))
                                                     : shown(id, key.name));
      });
}

/// Which key it was its record does not say any more; only that one was there.
kj::Promise<void> trust_desk::drop_damaged(const std::string& id, bool revoke) {
  if (revoke)
    refuse(error_kind::failed_precondition,
           fmt::format("the record of the key {} cannot be read", shown(id, {})),
           "a revocation has to be remembered with the key", "trust the key, and revoke it then");
  txn_request request;
  request.then.push_back(txn_op::erase(trust_key_key(id)));
  return doubts_.txn(std::move(request)).then([this, id](txn_result&&) {
    damaged_keys_.erase(id);
    changed();
    events_.record({}, 0, "key_forgotten", shown(id, {}));
  });
}

kj::Promise<void> trust_desk::set_policy(std::string kind, signature_rule rule) {
  return doubts_.change([this, kind = std::move(kind), rule]() -> kj::Promise<void> {
    if (!trust::is_plugin_kind(kind))
      refuse(error_kind::invalid_argument,
             fmt::format("'{}' is no kind of plugin", wire::escape_line(kind)),
             "it is secrets, auth, database or generic");
    if (rule > signature_rule::optional)
      refuse(error_kind::invalid_argument, "the policy is unknown",
             "it is automatic, required or optional");
    const auto policy = policy_of(rule);
    txn_request request;
    request.then.push_back(
        txn_op::put(trust_policy_key(kind), std::string(trust::to_text(policy))));
    return doubts_.txn(std::move(request)).then([this, kind, policy](txn_result&&) {
      state_.policies[kind] = policy;
      changed();
      events_.record({}, 0, "policy_changed",
                     fmt::format("signatures of {} plugins: {}", kind, trust::to_text(policy)));
    });
  });
}

trust_report trust_desk::report() const {
  trust_report report;
  for (const auto& [id, key] : state_.keys) report.keys.push_back(describe(key));
  for (const auto kind : trust::plugin_kinds()) {
    const auto set = state_.policies.find(std::string(kind));
    report.policies.push_back(
        {std::string(kind),
         set == state_.policies.end() ? signature_rule::automatic : rule_of(set->second),
         signature_required(kind)});
  }
  for (const auto& [floor, height] : state_.floors)
    report.floors.push_back({floor.kind, floor.name, floor.signers, height});
  return report;
}

// -- judgement -----------------------------------------------------------------------------------

trust::circumstances trust_desk::circumstances() const {
  return {now_(), broker_version_, os_arch_};
}

trust::verdict trust_desk::judge(const trust::candidate& what) const {
  return trust::judge(effective_, what, circumstances());
}

const trust::verdict& trust_desk::judge(const std::shared_ptr<const release>& what) {
  const auto now = now_();
  const auto known = judged_.find(what);
  if (known != judged_.end() && known->second.from_unix_ms <= now &&
      now < known->second.until_unix_ms)
    return known->second.answer;
  if (judged_.size() >= judgements_kept) judged_.clear();
  auto answer = judge(candidate_of(*what));
  const auto until = next_turn(answer, now);
  auto& kept = judged_[what];
  kept = {std::move(answer), now, until};
  return kept.answer;
}

/// The first moment after `now` at which a time that the judgement looked at is passed.
std::int64_t trust_desk::next_turn(const trust::verdict& answer, std::int64_t now) const {
  auto first = std::numeric_limits<std::int64_t>::max();
  const auto look = [&](std::int64_t moment) {
    if (moment > now) first = std::min(first, moment);
    // A bound may be the last moment that counts, or the first that does not.
    if (moment != 0 && moment == now) first = std::min(first, moment + 1);
  };
  for (const auto& [id, key] : effective_.keys) {
    look(key.not_before_unix_ms);
    look(key.not_after_unix_ms);
    if (key.not_after_unix_ms > 0) look(key.not_after_unix_ms + 1);
  }
  if (answer.manifest) {
    look(answer.manifest->not_before_unix_ms);
    look(answer.manifest->expires_unix_ms);
    if (answer.manifest->expires_unix_ms > 0) look(answer.manifest->expires_unix_ms + 1);
  }
  return first;
}

bool trust_desk::signature_required(std::string_view kind) const {
  if (!kind.empty()) return trust::signature_required(effective_, kind);
  const auto& kinds = trust::plugin_kinds();
  return std::any_of(kinds.begin(), kinds.end(), [this](std::string_view each) {
    return trust::signature_required(effective_, each);
  });
}

kj::Promise<void> trust_desk::started(const std::shared_ptr<const release>& what) {
  const auto& answer = judge(what);
  if (!answer.accepted()) return kj::READY_NOW;  // it was, when it started
  const auto raised = trust::next_floor(effective_, candidate_of(*what), answer);
  if (!raised) return kj::READY_NOW;
  // In memory at once: whoever starts now must find it.
  state_.floors[raised->first] = raised->second;
  changed();
  return write_floor(raised->first)
      .then([this, id = to_string(what->id()), height = raised->second] {
        events_.record({}, 0, "floor_raised",
                       fmt::format("{} runs: security versions below {} of its signers do not "
                                   "start any more",
                                   id, height));
      });
}

/// Writes a floor that is in memory. What fails is in doubt, and written again when that is looked
/// up.
kj::Promise<void> trust_desk::write_floor(const trust::floor_key& floor) {
  const auto height = state_.floors[floor];
  raising_.insert(floor);
  txn_request request;
  request.then.push_back(txn_op::put(trust_floor_key(floor), std::to_string(height)));
  return doubts_.txn(std::move(request)).then([this, floor, height](txn_result&&) {
    const auto now = state_.floors.find(floor);
    if (now == state_.floors.end() || now->second <= height) raising_.erase(floor);
  });
}

}  // namespace bulkhead
