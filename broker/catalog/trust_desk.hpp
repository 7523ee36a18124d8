// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whose signature counts: keys, policies and floors, in memory and in the store, and the judgement
// of releases by them (broker/trust/trust_rules.hpp has the rules). Threads: the reactor's.
//
// What is acknowledged is durable, and the memory follows the store, not the other way round; also
// after a write that failed and may have been done (write_doubts.hpp). Changes happen one after
// another, so that a revocation is not undone by what was asked beside it. A floor alone holds from
// the moment at which it is raised, and is written until that succeeds.
// Judgements are remembered until something that is trusted changes, or a moment comes at which
// time itself changes the answer; so a mount that restarts over and over costs no signature checks.
//
// A key's record that cannot be read fails closed: who knows which key it was, or whether it was
// revoked? Its signatures do not count, and every kind of plugin whose policy is automatic needs
// one from then on, until the key is given anew or forgotten. So does a policy that cannot be read.

#include <kj/async.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/catalog/release.hpp"
#include "broker/catalog/write_doubts.hpp"
#include "broker/event_log.hpp"
#include "broker/releases.hpp"
#include "broker/store/async_store.hpp"
#include "broker/trust/trust_rules.hpp"

namespace bulkhead {

/// When there are more, all are forgotten, and made again as they are asked for.
inline constexpr std::size_t judgements_kept = 10'000;

class trust_desk {
 public:
  using wall_clock = std::function<std::int64_t()>;

  /// `store`, `events` and `timer` outlive it. `broker_version` is semantic.
  trust_desk(async_store& store, event_log& events, kj::Timer& timer, std::string broker_version,
             wall_clock now = unix_ms_now);

  kj::Promise<void> load();

  /// Takes a key, or changes what is known of one: what is not given stays as it was. Fails with
  /// invalid_argument, overloaded (trusted_keys_max), and failed_precondition for a revoked one.
  kj::Promise<trusted_key_info> trust_key(trusted_key_info key);
  /// Forgets a key, or revokes it for good. Fails with not_found.
  kj::Promise<void> untrust(std::string id, bool revoke, std::string reason);
  /// Fails with invalid_argument for an unknown kind.
  kj::Promise<void> set_policy(std::string kind, signature_rule policy);

  /// All but `development`.
  trust_report report() const;

  /// The judgement of this moment, of exactly this object: its namesake, vouched for anew, has one
  /// of its own. The reference is good until anything else is asked.
  const trust::verdict& judge(const std::shared_ptr<const release>& what);
  /// The same of what is no release yet; not remembered.
  trust::verdict judge(const trust::candidate& what) const;
  /// Whether an unsigned plugin of this kind would be refused; of any kind when it is empty.
  bool signature_required(std::string_view kind) const;

  /// The release runs: raises the floor, when there is one to raise. Resolves when that is durable.
  kj::Promise<void> started(const std::shared_ptr<const release>& what);

 private:
  struct judged {
    trust::verdict answer;
    std::int64_t from_unix_ms = 0;
    std::int64_t until_unix_ms = 0;  // the first moment at which it may be another one
  };

  kj::Promise<void> load_page(std::string after);
  void take_row(const std::string& key, const std::string& value);
  kj::Promise<trusted_key_info> take_key(trusted_key_info info);
  kj::Promise<void> drop_key(const std::string& id, bool revoke, const std::string& reason);
  kj::Promise<void> drop_damaged(const std::string& id, bool revoke);
  void unreadable(const std::string& key, const char* consequence);
  void changed();
  void learn(const std::string& key, const std::optional<std::string>& value);
  kj::Promise<void> write_floor(const trust::floor_key& floor);
  trust::circumstances circumstances() const;
  std::int64_t next_turn(const trust::verdict& answer, std::int64_t now) const;

  async_store& store_;
  event_log& events_;
  const std::string broker_version_;
  const std::string os_arch_;
  wall_clock now_;
  trust::trust_state state_;
  trust::trust_state effective_;        // what is judged by: `state_`, closed where it is damaged
  std::set<std::string> damaged_keys_;  // their ids
  std::map<std::weak_ptr<const release>, judged, std::owner_less<>> judged_;
  std::set<trust::floor_key> raising_;  // floors that are not durable yet
  write_doubts doubts_;
  // What fails there is in doubt again, and said by that.
  struct : kj::TaskSet::ErrorHandler {
    void taskFailed(kj::Exception&&) override {}
  } unheard_;
  kj::TaskSet rewriting_{unheard_};
};

/// The candidate that a release is. It refers to `what`.
trust::candidate candidate_of(const release& what);

/// A refusal of trust as it travels: permission_denied, or invalid_argument where the manifest or
/// the signatures are no such thing.
kj::Exception trust_exception(const release_id& id, const trust::verdict& refused);

}  // namespace bulkhead
