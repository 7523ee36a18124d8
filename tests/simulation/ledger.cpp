// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/ledger.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tests/simulation/model.hpp"

namespace bulkhead::simulation {
namespace {

constexpr std::string_view window_words = "; more than ";
constexpr std::string_view permanent_words = "; starting it again cannot help";

void require(bool holds, const std::string& path, const std::string& id, const char* what) {
  if (!holds) throw violation{fmt::format("{}/{}: {}", path, id, what)};
}

std::size_t occurrences(const std::string& text, std::string_view words) {
  std::size_t count = 0;
  for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++count;
  return count;
}

bool calls_for_restart(restart_type type, exit_kind kind) {
  if (type == restart_type::transient) {
    return kind == exit_kind::abnormal || kind == exit_kind::killed;
  }
  return type == restart_type::permanent;
}

bool shares_window(const supervisor_policy& policy) {
  return policy.when_spent == give_up::escalate ||
         policy.strategy == restart_strategy::one_for_all ||
         policy.strategy == restart_strategy::rest_for_one;
}

/// The claim is a decision to start again that counts. A child that waits for its group, or whose
/// delay is over, was counted when that was decided.
bool counts(const action::report& claim) {
  const bool was_up = claim.from == child_state::ready || claim.from == child_state::starting ||
                      claim.from == child_state::stopping;
  return was_up &&
         (claim.to == child_state::backoff ||
          (claim.to == child_state::starting && claim.reason.rfind("restarted: ", 0) == 0));
}

}  // namespace

// The reason of a supervisor that gave up quotes what it said of its child, after "gave up: ".
giving_up giving_up_of(const std::string& reason) {
  if (reason.rfind("given up with child ", 0) == 0) return giving_up::no;
  const auto said = occurrences(reason, window_words) + occurrences(reason, permanent_words);
  if (said <= occurrences(reason, "gave up: ")) return giving_up::no;
  const auto last_window = reason.rfind(window_words);
  const auto last_permanent = reason.rfind(permanent_words);
  if (last_window == std::string::npos) return giving_up::permanent;
  const bool permanent = last_permanent != std::string::npos && last_permanent > last_window;
  return permanent ? giving_up::permanent : giving_up::window_spent;
}

// -- facts --------------------------------------------------------------------------------------

incarnation ledger::supervisor_made(std::string path, const supervisor_policy& policy) {
  supervisors_.emplace(++last_incarnation_, supervisor_entry{std::move(path), policy});
  return last_incarnation_;
}

void ledger::supervisor_ended(incarnation which) {
  supervisors_.at(which).alive = false;
}

instance_key ledger::born(incarnation owner, const child_spec& spec, std::uint64_t generation,
                          instant now) {
  auto& entry = supervisors_.at(owner);
  auto& c = entry.children[spec.id];
  require(c.newest == 0 || !instances_.at(c.newest).alive, entry.path, spec.id,
          "two instances at a time");
  require(c.state == child_state::starting && c.highest == generation, entry.path, spec.id,
          "an instance is made that was not announced");
  instance fresh;
  fresh.owner = owner;
  fresh.id = spec.id;
  fresh.generation = generation;
  fresh.spec = spec;
  fresh.born = now;
  instances_.emplace(++last_instance_, fresh);
  c.newest = last_instance_;
  living_.insert(last_instance_);
  return last_instance_;
}

void ledger::was_killed(instance_key which, bool is_held) {
  auto& one = instances_.at(which);
  one.killed = true;
  one.is_held = is_held;
}

void ledger::ended(instance_key which, exit_kind kind, bool permanent) {
  auto& one = instances_.at(which);
  one.alive = false;
  living_.erase(which);
  one.ended = kind;
  one.permanent = permanent;
}

void ledger::not_made(incarnation owner, const std::string& id, bool permanent) {
  supervisors_.at(owner).children[id].permanent_failure = permanent;
}

std::vector<std::string> ledger::ids_of(incarnation which) const {
  std::vector<std::string> ids;
  for (const auto& [id, c] : supervisors_.at(which).children) ids.push_back(id);
  return ids;
}

// -- claims -------------------------------------------------------------------------------------

void ledger::reported(incarnation by, const action::report& claim, instant now) {
  auto& owner = supervisors_.at(by);
  auto& c = owner.children[claim.id];
  require(owner.alive, owner.path, claim.id, "a supervisor reports after its end");
  const bool may_be_new = owner.forgets || claim.reason == "first start";
  if (may_be_new && claim.from == child_state::stopped) {
    if (c.state == child_state::quarantined || c.state == child_state::backoff)
      c.state = claim.from;
  }
  require(claim.from == c.state, owner.path, claim.id, "a state that it was not in");
  check_transition(owner, c, claim);
  count_restart(owner, claim, now);
  check_giving_up(owner, c, claim, now);
  if (claim.to == child_state::starting) c.highest = claim.generation;
  if (claim.to != c.state) c.since = now;
  c.state = claim.to;
  c.reason = claim.reason;
}

bool ledger::is_owed_restart(incarnation owner, const std::string& id) const {
  const auto& c = supervisors_.at(owner).children.at(id);
  if (c.newest == 0) return false;
  const auto& newest = instances_.at(c.newest);
  return newest.generation == c.highest && !newest.alive &&
         calls_for_restart(newest.spec.restart, newest.ended);
}

void ledger::count_restart(supervisor_entry& owner, const action::report& claim, instant now) {
  auto& restarts = owner.restarts[window_of(owner, claim.id)];
  const bool is_reset = claim.reason == "reset by an operator";
  if (claim.from == child_state::quarantined && is_reset) restarts.clear();
  if (!counts(claim)) return;
  restarts.push_back(now);
  require(
      !has_exact_windows(owner) || in_window(restarts, owner.policy, now) <= owner.policy.intensity,
      owner.path, claim.id, "one restart more than the window allows");
}

void ledger::check_transition(const supervisor_entry& owner, const child& c,
                              const action::report& claim) const {
  const auto* newest = c.newest == 0 ? nullptr : &instances_.at(c.newest);
  const bool has_ended = newest == nullptr || !newest->alive || newest->generation != c.highest;
  if (claim.to == child_state::starting) {
    require(claim.generation > c.highest, owner.path, claim.id, "a generation that is not new");
    require(has_ended, owner.path, claim.id, "a start while an instance lives");
    const bool is_group_start = owner.policy.strategy == restart_strategy::one_for_all &&
                                claim.reason.rfind("restarted: ", 0) == 0;
    for (const auto& [id, sibling] : owner.children) {
      require(!is_group_start || sibling.state != child_state::stopping ||
                  sibling.reason != "its group restarts",
              owner.path, claim.id, "a start while its group is still on its way down");
    }
  }
  if (claim.to == child_state::ready) {
    require(newest != nullptr && newest->generation == claim.generation && newest->ready,
            owner.path, claim.id, "ready, but its instance has not said so");
  }
  const bool was_ready = claim.from == child_state::ready;
  const bool is_restarted = claim.to == child_state::starting || claim.to == child_state::backoff;
  if (was_ready && (is_restarted || claim.to == child_state::stopped)) {
    require(newest != nullptr && !newest->alive, owner.path, claim.id,
            "an end of an instance that lives");
  }
  if (was_ready && is_restarted) {
    require(calls_for_restart(newest->spec.restart, newest->ended), owner.path, claim.id,
            "a restart that its restart type does not call for");
  }
}

void ledger::check_giving_up(supervisor_entry& owner, const child& c, const action::report& claim,
                             instant now) {
  const bool is_down = claim.to == child_state::stopped || claim.to == child_state::quarantined;
  if (!is_down) return;
  const auto why = giving_up_of(claim.reason);
  if (why == giving_up::window_spent && has_exact_windows(owner)) {
    auto& restarts = owner.restarts[window_of(owner, claim.id)];
    require(in_window(restarts, owner.policy, now) >= owner.policy.intensity, owner.path, claim.id,
            "given up before the window is spent");
    // The failure that was one too many counts too, for a child that is started by hand after it.
    restarts.push_back(now);
  }
  if (why == giving_up::permanent) {
    const bool ended_for_good = c.newest != 0 && instances_.at(c.newest).permanent;
    require(c.permanent_failure || ended_for_good, owner.path, claim.id,
            "given up for good after a failure that may pass");
  }
}

void ledger::check_at_rest(instant now) const {
  for (const auto& [which, entry] : supervisors_) {
    if (!entry.alive) continue;
    for (const auto& [id, c] : entry.children) {
      require(c.state != child_state::ready || instances_.at(c.newest).alive, entry.path, id,
              "ready, and its instance has ended");
    }
  }
  for (const auto key : living_) {
    const auto& one = instances_.at(key);
    const auto& owner = supervisors_.at(one.owner);
    if (!owner.alive) {
      require(one.killed && one.is_held, owner.path, one.id, "outlived its supervisor");
      continue;
    }
    const auto& c = owner.children.at(one.id);
    const auto waited = now - c.since;
    if (c.state == child_state::starting && one.spec.start_max.count() > 0) {
      require(one.killed || now - one.born < one.spec.start_max, owner.path, one.id,
              "not ready in time, and not killed");
    }
    if (c.state != child_state::stopping || one.killed) continue;
    require(one.spec.shutdown.how != shutdown_rule::kind::brutal, owner.path, one.id,
            "to be killed at once, and not killed");
    require(one.spec.shutdown.how == shutdown_rule::kind::infinity ||
                waited < one.spec.shutdown.timeout,
            owner.path, one.id, "not ended in time, and not killed");
  }
}

std::size_t ledger::in_window(std::deque<instant>& restarts, const supervisor_policy& policy,
                              instant now) {
  while (!restarts.empty() && now - restarts.front() >= policy.period) restarts.pop_front();
  return restarts.size();
}

/// The window of a child goes with the child, and nobody reports that.
bool ledger::has_exact_windows(const supervisor_entry& owner) {
  return shares_window(owner.policy) || !owner.forgets;
}

std::string ledger::window_of(const supervisor_entry& owner, const std::string& id) {
  return shares_window(owner.policy) ? std::string{} : id;
}

}  // namespace bulkhead::simulation
