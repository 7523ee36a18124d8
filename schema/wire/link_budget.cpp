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

// ---------------------------------------------------------------------------------------------
// From the peer

link_budget::verdict link_budget::received(message from_peer) {
  const auto which = from_peer.which();
  if (which != rpc::Message::RETURN) ++frames_to_charge_;
  switch (which) {
    case rpc::Message::BOOTSTRAP:
      return open_call(from_peer.getBootstrap().getQuestionId());
    case rpc::Message::CALL:
      return call_received(from_peer.getCall());
    case rpc::Message::RETURN:
      return return_received(from_peer.getReturn());
    case rpc::Message::FINISH:
      finish_received(from_peer.getFinish());
      return nullptr;
    case rpc::Message::RESOLVE:
      return resolve_received(from_peer.getResolve());
    case rpc::Message::UNIMPLEMENTED:
      refusal_received(from_peer.getUnimplemented());
      return nullptr;
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
  const auto question = call.getQuestionId();
  const auto entries = call.getParams().getCapTable();
  KJ_IF_MAYBE (breach, open_call(question)) return *breach;
  KJ_IF_MAYBE (breach, check_table(entries)) return *breach;
  auto& entry = asked_.open(question);
  if (call.getSendResultsTo().isYourself() && !entry.kept_here) {
    entry.kept_here = true;
    ++kept_here_;
    KJ_IF_MAYBE (breach, check_kept()) return *breach;
  }
  const auto target = call.getTarget();
  if (target.isPromisedAnswer()) {
    KJ_IF_MAYBE (breach, check_path(target.getPromisedAnswer())) return *breach;
  }
  if (entries.size() == 0) return nullptr;
  const auto counted = count(entries);
  references_held_ += counted.references;
  entries_held_ += counted.others;
  entry.entries += counted.others;
  return check_held();
}

link_budget::verdict link_budget::return_received(rpc::Return::Reader answer) {
  const auto question = answer.getAnswerId();
  auto* call = own_.find(question);
  if (call == nullptr || call->answered) return nullptr;  // libcapnp ends the connection
  call->answered = true;
  lower(calls_unanswered_, 1);
  if (answer.getReleaseParamCaps()) lower(given_, call->given);
  if (call->finished) {
    own_.close(question);
    return nullptr;  // libcapnp does not look at the answer to a question that it has given up
  }
  if (answer.isTakeFromOtherQuestion()) {
    auto* taken = asked_.find(answer.getTakeFromOtherQuestion());
    if (taken == nullptr || !taken->kept_here) return nullptr;
    call->took = answer.getTakeFromOtherQuestion();
    taken->taken_by = question;
    taken->kept_here = false;
    lower(kept_here_, 1);
  }
  if (!answer.isResults()) return nullptr;
  const auto entries = answer.getResults().getCapTable();
  KJ_IF_MAYBE (breach, check_table(entries)) return *breach;
  if (entries.size() == 0) return nullptr;
  call->held = count(entries).references;
  references_held_ += call->held;
  return check_held();
}

void link_budget::finish_received(rpc::Finish::Reader finish) {
  const auto question = finish.getQuestionId();
  auto* call = asked_.find(question);
  // A second one is taken by libcapnp while the call is not answered, and changes nothing.
  if (call == nullptr || call->finished) return;
  call->finished = true;
  call->released = finish.getReleaseResultCaps();
  if (call->released) lower(given_, call->given);
  close_if_done(question, *call);
}

link_budget::verdict link_budget::resolve_received(rpc::Resolve::Reader resolve) {
  if (!resolve.isCap()) return nullptr;
  const auto entry = resolve.getCap();
  if (entry.isReceiverAnswer()) return check_path(entry.getReceiverAnswer());
  if (is_reference(entry)) ++references_held_;
  return check_held();
}

// What the peer does not know it has not taken.
void link_budget::refusal_received(message refused) {
  if (!refused.isResolve() || !refused.getResolve().isCap()) return;
  if (is_reference(refused.getResolve().getCap())) lower(given_, 1);
}

link_budget::verdict link_budget::open_call(std::uint32_t question) {
  asked_.open(question);
  return above("plugin_calls_open_max", "calls", calls_open(), limits_.calls_open);
}

void link_budget::close_if_done(std::uint32_t question, const asked_call& call) {
  if (!call.answered || !call.finished) return;
  if (call.kept_here) lower(kept_here_, 1);
  asked_.close(question);
}

void link_budget::close_if_done(std::uint32_t question, const own_call& call) {
  if (call.answered && call.finished) own_.close(question);
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

link_budget::verdict link_budget::check_kept() const {
  return above("plugin_tail_calls_max", "answers kept", kept_here_, limits_.tail_calls);
}

// ---------------------------------------------------------------------------------------------
// To the peer

link_budget::verdict link_budget::sent(message to_peer) {
  switch (to_peer.which()) {
    case rpc::Message::BOOTSTRAP:
      own_.open(to_peer.getBootstrap().getQuestionId());
      ++calls_unanswered_;
      break;
    case rpc::Message::CALL:
      call_sent(to_peer.getCall());
      break;
    case rpc::Message::RETURN:
      return_sent(to_peer.getReturn());
      break;
    case rpc::Message::FINISH:
      finish_sent(to_peer.getFinish());
      return check_kept();
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
  auto& entry = own_.open(call.getQuestionId());
  const auto entries = call.getParams().getCapTable();
  if (entries.size() == 0) return;
  entry.given = count(entries).references;
  given_ += entry.given;
}

void link_budget::return_sent(rpc::Return::Reader answer) {
  const auto question = answer.getAnswerId();
  auto* call = asked_.find(question);
  if (call == nullptr) return;
  call->answered = true;
  lower(entries_held_, call->entries);
  if (answer.isResults()) {
    const auto entries = answer.getResults().getCapTable();
    if (entries.size() > 0) call->given = count(entries).references;
    if (!call->released) given_ += call->given;
  }
  close_if_done(question, *call);
}

void link_budget::finish_sent(rpc::Finish::Reader finish) {
  const auto question = finish.getQuestionId();
  auto* call = own_.find(question);
  if (call == nullptr) return;
  call->finished = true;
  // libcapnp asks for the release of results only when it has not seen them.
  if (finish.getReleaseResultCaps()) lower(references_held_, call->held);
  if (call->took) {
    auto* taken = asked_.find(*call->took);
    if (taken != nullptr && taken->taken_by == question) {
      taken->taken_by.reset();
      taken->kept_here = true;
      ++kept_here_;
    }
  }
  close_if_done(question, *call);
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
