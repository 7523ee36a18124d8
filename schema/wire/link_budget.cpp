// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/link_budget.hpp"

#include <algorithm>

namespace bulkhead::wire {

namespace {

namespace rpc = capnp::rpc;

void lower(std::uint64_t& level, std::uint64_t by) {
  level -= std::min(level, by);
}

kj::Maybe<budget_breach> above(const char* limit, const char* unit, std::uint64_t count,
                               std::uint64_t allowed) {
  if (count <= allowed) return nullptr;
  return budget_breach{limit, unit, count, allowed};
}

}  // namespace

link_budget::link_budget(const budget_limits& limits) : limits_(limits) {}

std::uint64_t link_budget::calls_open() const {
  return std::max(unreturned_, unfinished_);
}

// ---------------------------------------------------------------------------------------------
// From the peer

link_budget::verdict link_budget::received(message from_peer) {
  const auto which = from_peer.which();
  if (which != rpc::Message::RETURN) ++frames_to_charge_;
  switch (which) {
    case rpc::Message::BOOTSTRAP:
      return open_call();
    case rpc::Message::CALL:
      return call_received(from_peer.getCall());
    case rpc::Message::RETURN:
      return return_received(from_peer.getReturn());
    case rpc::Message::FINISH:
      return finish_received(from_peer.getFinish());
    case rpc::Message::RESOLVE:
      return resolve_received(from_peer.getResolve());
    case rpc::Message::RELEASE:
      lower(given_, from_peer.getRelease().getReferenceCount());
      return nullptr;
    case rpc::Message::DISEMBARGO: {
      const auto target = from_peer.getDisembargo().getTarget();
      return target.isPromisedAnswer() ? check_path(target.getPromisedAnswer()) : nullptr;
    }
    default:
      return nullptr;  // libcapnp keeps nothing for the others
  }
}

link_budget::verdict link_budget::call_received(rpc::Call::Reader call) {
  const auto entries = call.getParams().getCapTable();
  KJ_IF_MAYBE (breach, open_call()) return *breach;
  KJ_IF_MAYBE (breach, check_table(entries)) return *breach;
  if (call.getSendResultsTo().isYourself()) {
    kept_here_.insert(call.getQuestionId());
    KJ_IF_MAYBE (breach, above("plugin_tail_calls_max", "answers kept", kept_here_.size(),
                               limits_.tail_calls)) {
      return *breach;
    }
  }
  const auto target = call.getTarget();
  if (target.isPromisedAnswer()) {
    KJ_IF_MAYBE (breach, check_path(target.getPromisedAnswer())) return *breach;
  }
  if (entries.size() == 0) return nullptr;
  const auto counted = count(entries);
  references_held_ += counted.references;
  if (counted.others > 0) {
    entries_held_ += counted.others;
    entries_of_call_[call.getQuestionId()] += counted.others;
  }
  return check_held();
}

link_budget::verdict link_budget::return_received(rpc::Return::Reader answer) {
  lower(calls_unanswered_, 1);
  const auto question = answer.getAnswerId();
  const auto given = take(given_with_call_, question);
  if (answer.getReleaseParamCaps()) lower(given_, given);
  // libcapnp does not look at the answer to a question that it has given up.
  if (!given_up_.empty() && given_up_.erase(question) > 0) return nullptr;
  if (!answer.isResults()) return nullptr;
  const auto entries = answer.getResults().getCapTable();
  KJ_IF_MAYBE (breach, check_table(entries)) return *breach;
  if (entries.size() == 0) return nullptr;
  references_held_ += count(entries).references;
  return check_held();
}

link_budget::verdict link_budget::finish_received(rpc::Finish::Reader finish) {
  lower(unfinished_, 1);
  if (!kept_here_.empty()) kept_here_.erase(finish.getQuestionId());
  const auto given = take(given_with_answer_, finish.getQuestionId());
  if (finish.getReleaseResultCaps()) lower(given_, given);
  return nullptr;
}

link_budget::verdict link_budget::resolve_received(rpc::Resolve::Reader resolve) {
  if (!resolve.isCap()) return nullptr;
  const auto entry = resolve.getCap();
  if (entry.isReceiverAnswer()) return check_path(entry.getReceiverAnswer());
  if (is_reference(entry)) ++references_held_;
  return check_held();
}

link_budget::verdict link_budget::open_call() {
  ++unreturned_;
  ++unfinished_;
  return above("plugin_calls_open_max", "calls", calls_open(), limits_.calls_open);
}

// A list of structs without a body claims any number of entries in no bytes, hence the limit on
// their number before anything walks the list.
link_budget::verdict link_budget::check_table(table entries) const {
  KJ_IF_MAYBE (breach, above("plugin_message_capabilities_max", "capabilities in a message",
                             entries.size(), limits_.message_capabilities)) {
    return *breach;
  }
  for (auto entry : entries) {
    if (!entry.isReceiverAnswer()) continue;
    KJ_IF_MAYBE (breach, check_path(entry.getReceiverAnswer())) return *breach;
  }
  return nullptr;
}

link_budget::verdict link_budget::check_path(rpc::PromisedAnswer::Reader path) const {
  return above("plugin_pipeline_steps_max", "steps into an answer", path.getTransform().size(),
               limits_.pipeline_steps);
}

link_budget::verdict link_budget::check_held() const {
  return above("plugin_capabilities_max", "capabilities", capabilities_held(),
               limits_.capabilities_held);
}

link_budget::verdict link_budget::check_given() const {
  return above("plugin_capabilities_given_max", "capabilities", given_, limits_.capabilities_given);
}

// ---------------------------------------------------------------------------------------------
// To the peer

link_budget::verdict link_budget::sent(message to_peer) {
  switch (to_peer.which()) {
    case rpc::Message::BOOTSTRAP:
      ++calls_unanswered_;
      break;
    case rpc::Message::CALL:
      call_sent(to_peer.getCall());
      break;
    case rpc::Message::RETURN:
      return_sent(to_peer.getReturn());
      break;
    case rpc::Message::FINISH: {
      // libcapnp asks for the release of results only when it has not seen them.
      const auto finish = to_peer.getFinish();
      if (finish.getReleaseResultCaps()) given_up_.insert(finish.getQuestionId());
      return nullptr;
    }
    case rpc::Message::RESOLVE: {
      const auto resolve = to_peer.getResolve();
      if (resolve.isCap() && is_reference(resolve.getCap())) ++given_;
      break;
    }
    case rpc::Message::RELEASE:
      lower(references_held_, to_peer.getRelease().getReferenceCount());
      return nullptr;
    default:
      return nullptr;
  }
  return check_given();
}

void link_budget::call_sent(rpc::Call::Reader call) {
  ++calls_unanswered_;
  const auto entries = call.getParams().getCapTable();
  if (entries.size() == 0) return;
  const auto given = count(entries).references;
  if (given == 0) return;
  given_ += given;
  given_with_call_[call.getQuestionId()] = given;
}

void link_budget::return_sent(rpc::Return::Reader answer) {
  lower(unreturned_, 1);
  const auto question = answer.getAnswerId();
  lower(entries_held_, take(entries_of_call_, question));
  if (!answer.isResults()) return;
  const auto entries = answer.getResults().getCapTable();
  if (entries.size() == 0) return;
  const auto given = count(entries).references;
  if (given == 0) return;
  given_ += given;
  given_with_answer_[question] = given;
}

// ---------------------------------------------------------------------------------------------
// Counting

bool link_budget::is_reference(rpc::CapDescriptor::Reader entry) {
  return entry.isSenderHosted() || entry.isSenderPromise() || entry.isThirdPartyHosted();
}

link_budget::table_count link_budget::count(table entries) {
  table_count found;
  for (auto entry : entries) ++(is_reference(entry) ? found.references : found.others);
  return found;
}

std::uint64_t link_budget::take(by_question& from, std::uint32_t question) {
  if (from.empty()) return 0;
  const auto at = from.find(question);
  if (at == from.end()) return 0;
  const auto found = at->second;
  from.erase(at);
  return found;
}

// A bucket without a bucket: `paid_until_` is how far the peer's frames reach when each takes its
// share of a second; they may reach one second ahead.
kj::Duration link_budget::pause(kj::TimePoint now) {
  if (limits_.frames_per_s == 0) return 0 * kj::SECONDS;
  paid_until_ = std::max(paid_until_, now) +
                static_cast<std::int64_t>(frames_to_charge_) *
                    (1 * kj::SECONDS / static_cast<std::int64_t>(limits_.frames_per_s));
  frames_to_charge_ = 0;
  return std::max(paid_until_ - now - 1 * kj::SECONDS, 0 * kj::SECONDS);
}

}  // namespace bulkhead::wire
