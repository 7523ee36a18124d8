// SPDX-License-Identifier: Apache-2.0
#include "tests/otp/trace_world.hpp"

#include <sstream>
#include <stdexcept>

namespace bulkhead::otp {

struct leave_order {
  std::string reason;
};

}  // namespace bulkhead::otp

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::otp::leave_order)

namespace bulkhead::otp {
namespace {

using std::chrono::milliseconds;

template <class... Arguments>
void note(const char* format, const Arguments&... arguments) {
  fmt::print("{}\n", fmt::format(fmt::runtime(format), arguments...));
}

caf::actor_system_config& testing(caf::actor_system_config& config) {
  config.set("scheduler.policy", caf::atom("testing"));
  return config;
}

caf::error exit_reason_of(const std::string& text) {
  static const std::string shutdown_with_word = "shutdown:";
  if (text == "normal") return {};
  if (text == "shutdown") return caf::exit_reason::user_shutdown;
  if (text.rfind(shutdown_with_word, 0) == 0) {
    return make_exit(actor_exit::gave_up, text.substr(shutdown_with_word.size()));
  }
  return caf::make_error(caf::sec::runtime_error, text);
}

/// "child a did not start: why" becomes "did not start: a why", at every level of a tree.
std::string start_failure_text(std::string text) {
  static const std::string child = "child ";
  static const std::string verb = " did not start: ";
  for (auto at = text.find(child); at != std::string::npos; at = text.find(child, at + 1)) {
    const auto end = text.find(verb, at);
    if (end == std::string::npos) break;
    const auto name = text.substr(at + child.size(), end - at - child.size());
    text.replace(at, end + verb.size() - at, "did not start: " + name + " ");
  }
  return text;
}

std::string end_text(const caf::actor_system& system, const caf::error& reason,
                     bool is_supervisor) {
  const auto text = exit_text_of(system, reason);
  switch (exit_kind_of(reason)) {
    case exit_kind::normal:
      return "normal";
    case exit_kind::killed:
      return "killed";
    case exit_kind::shutdown:
      return is_supervisor || text == "ended as asked" ? "shutdown" : "shutdown:" + text;
    case exit_kind::abnormal:
      break;
  }
  const auto failure = start_failure_text(text);
  return is_supervisor && failure != text ? failure : "crash";
}

/// A child that leaves when it is told, and answers a stop as its declaration says.
class puppet final : public caf::event_based_actor {
 public:
  puppet(caf::actor_config& config, std::string name, std::string stop)
      : caf::event_based_actor(config), name_{std::move(name)}, stop_{std::move(stop)} {
    set_exit_handler([this](caf::exit_msg& order) { asked(order.reason); });
  }

  const char* name() const override { return "puppet"; }

  caf::behavior make_behavior() override {
    return {[this](const leave_order& order) { quit(exit_reason_of(order.reason)); }};
  }

 private:
  void asked(const caf::error& reason) {
    note("asked {}", name_);
    const auto colon = stop_.find(':');
    const auto how = stop_.substr(0, colon);
    if (how == "slow") {
      delayed_send(this, milliseconds{std::stol(stop_.substr(colon + 1))}, leave_order{"shutdown"});
    } else if (how == "leaves") {
      quit(exit_reason_of(stop_.substr(colon + 1)));
    } else if (how != "stubborn") {
      quit(reason);
    }
  }

  std::string name_;
  std::string stop_;
};

shutdown_rule shutdown_of(const attributes& given, bool is_supervisor) {
  const auto text = given.get("shutdown", is_supervisor ? "infinity" : "5000");
  if (text == "infinity") return shutdown_rule::infinity();
  if (text == "brutal_kill") return shutdown_rule::brutal();
  return shutdown_rule::within(milliseconds{std::stol(text)});
}

restart_type restart_of(const std::string& text) {
  if (text == "transient") return restart_type::transient;
  if (text == "temporary") return restart_type::temporary;
  return restart_type::permanent;
}

/// As OTP's which_children tells it: an instance, none, or one to come.
const char* state_text(child_state state) {
  switch (state) {
    case child_state::starting:
    case child_state::ready:
    case child_state::stopping:
      return "running";
    case child_state::backoff:
      return "restarting";
    case child_state::stopped:
    case child_state::quarantined:
      break;
  }
  return "stopped";
}

std::string verdict_text(verdict value) {
  if (value == verdict::dynamic) return "simple_one_for_one";
  if (value == verdict::invalid) return "refused";
  if (value == verdict::stopping) return "gone";
  return std::string{to_string(value)};
}

/// What came of a start that was asked for.
std::string start_text(const std::optional<supervisor_reply>& reply) {
  if (!reply) return "gone";
  if (reply->answer != verdict::ok) return verdict_text(reply->answer);
  if (reply->actor != nullptr) return reply->info.empty() ? "ok" : "ok, " + reply->info;
  if (reply->child.state == child_state::stopped &&
      reply->child.reason == "its start found nothing to do") {
    return "ok, not running";
  }
  return "failed";
}

}  // namespace

attributes::attributes(words::const_iterator from, words::const_iterator to) {
  for (; from != to; ++from) {
    const auto equals = from->find('=');
    if (equals == std::string::npos) {
      values_[*from] = "true";
    } else {
      values_[from->substr(0, equals)] = from->substr(equals + 1);
    }
  }
}

std::string attributes::get(const std::string& key, const std::string& otherwise) const {
  const auto found = values_.find(key);
  return found == values_.end() ? otherwise : found->second;
}

std::uint64_t attributes::number(const std::string& key, std::uint64_t otherwise) const {
  const auto found = values_.find(key);
  return found == values_.end() ? otherwise : std::stoull(found->second);
}

// -- the tree -----------------------------------------------------------------------------------

trace_world::trace_world()
    : system_{testing(config_)},
      coordinator_{dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler())} {
  declare({"top"});
}

trace_world::~trace_world() {
  for (const auto& [name, actor] : actors_) {
    caf::anon_send_exit(actor, caf::exit_reason::kill);
  }
  coordinator_.run();
  coordinator_.trigger_timeouts();
  coordinator_.run();
}

void trace_world::declare(const words& line) {
  if (line[0] == "top") {
    members_["top"].is_supervisor = true;
    members_["top"].given = {line.begin() + 1, line.end()};
    return;
  }
  const auto& name = line.at(1);
  auto& place = members_[name];
  place.is_supervisor = line[0] == "supervisor";
  place.given = {line.begin() + 2, line.end()};
  members_.at(place.given.get("in", "top")).below.push_back(name);
  plan(name, place.given.get("start", "ok"));
}

supervisor_policy trace_world::policy_of(const std::string& name) const {
  const auto& given = members_.at(name).given;
  supervisor_policy policy;
  policy.intensity = given.number("intensity", 1);
  policy.period = std::chrono::seconds{given.number("period", 5)};
  policy.backoff.first = policy.backoff.max = milliseconds{given.number("backoff", 0)};
  const auto strategy = given.get("strategy", "one_for_one");
  if (strategy == "one_for_all") policy.strategy = restart_strategy::one_for_all;
  if (strategy == "rest_for_one") policy.strategy = restart_strategy::rest_for_one;
  if (strategy == "simple_one_for_one") policy.strategy = restart_strategy::dynamic;
  const auto ends = given.get("auto_shutdown", "never");
  if (ends == "any_significant") policy.when_significant_ends = auto_shutdown::any_significant;
  if (ends == "all_significant") policy.when_significant_ends = auto_shutdown::all_significant;
  return policy;
}

actor_child_spec trace_world::spec_of(const std::string& name) {
  const auto& place = members_.at(name);
  actor_child_spec spec;
  spec.rules.id = name;
  spec.rules.restart = restart_of(place.given.get("restart", "permanent"));
  spec.rules.shutdown = shutdown_of(place.given, place.is_supervisor);
  spec.rules.significant = place.given.has("significant");
  spec.rules.type = place.is_supervisor ? child_type::supervisor : child_type::worker;
  spec.ready_when_made = !place.is_supervisor;
  spec.make = [this, name](const child_ticket& ticket) { return make(name, ticket); };
  return spec;
}

std::vector<actor_child_spec> trace_world::specs_below(const std::string& name) {
  std::vector<actor_child_spec> specs;
  for (const auto& each : members_.at(name).below) specs.push_back(spec_of(each));
  return specs;
}

supervisor_options trace_world::options_of(const std::string& name) {
  supervisor_options options;
  options.name = name;
  options.policy = policy_of(name);
  options.children = specs_below(name);
  return options;
}

/// An instance of what was declared; in a dynamic supervisor it is called by what it was asked for
/// with.
child_made trace_world::make(const std::string& declared, const child_ticket& ticket) {
  const auto* argument = std::any_cast<std::string>(&ticket.arguments);
  const auto name = argument != nullptr ? *argument : declared;
  if (argument != nullptr) dynamic_id_[name] = ticket.id;
  const auto& place = members_.at(declared);
  const auto outcome = next_outcome(name);
  child_made made;
  if (outcome == "ignore") {
    note("ignore {}", name);
    made.ignored = true;
  } else if (outcome == "fail" || outcome == "nothing") {
    note("fail {}", name);
    if (outcome == "fail") made.failure = "crash";
  } else if (outcome == "loop") {
    made.failure = "crash";
  } else {
    caf::actor actor;
    if (place.is_supervisor) {
      auto options = options_of(declared);
      options.ticket = ticket;
      actor = caf::actor_cast<caf::actor>(system_.spawn<supervisor>(std::move(options)));
    } else {
      actor = system_.spawn<puppet>(name, place.given.get("stop", "at_once"));
    }
    watch(name, actor, place.is_supervisor);
    made.actor = caf::actor_cast<caf::strong_actor_ptr>(actor);
    if (outcome == "info") made.info = "info";
  }
  return made;
}

/// What comes of the starts to come, separated by commas.
void trace_world::plan(const std::string& name, const std::string& outcomes) {
  auto& place = plans_[name];
  place.clear();
  std::istringstream stream{outcomes};
  for (std::string each; std::getline(stream, each, ',');) place.push_back(each);
}

/// The last outcome of a plan holds for all starts after it.
std::string trace_world::next_outcome(const std::string& name) {
  auto& plan = plans_[name];
  if (plan.empty()) return "ok";
  auto outcome = plan.front();
  if (plan.size() > 1) plan.pop_front();
  return outcome;
}

void trace_world::watch(const std::string& name, const caf::actor& actor, bool is_supervisor) {
  note("start {}", name);
  actors_[name] = actor;
  alive_[name] = true;
  actor->attach_functor([this, name, is_supervisor](const caf::error& reason) {
    note("end {} {}", name, end_text(system_, reason, is_supervisor));
    alive_[name] = false;
  });
}

void trace_world::start_top() {
  watch("top", caf::actor_cast<caf::actor>(system_.spawn<supervisor>(options_of("top"))), true);
  settle();
}

void trace_world::finish() {
  if (is_alive("top")) {
    note("> stop");
    stop();
    settle();
  }
  std::string left;
  for (const auto& [name, alive] : alive_) {
    if (alive) left += (left.empty() ? "" : " ") + name;
  }
  note("left: {}", left);
}

// -- steps --------------------------------------------------------------------------------------

void trace_world::step(const words& line) {
  const auto& what = line[0];
  const auto argument = [&](std::size_t at) { return at < line.size() ? line[at] : "top"; };
  if (what == "exit") {
    leave(line.at(1), line.at(2));
  } else if (what == "later") {
    coordinator_.clock().schedule_message(
        coordinator_.clock().now() + milliseconds{std::stol(line.at(1))},
        caf::actor_cast<caf::strong_actor_ptr>(actors_.at(line.at(3))),
        caf::make_mailbox_element(nullptr, caf::make_message_id(), {}, leave_order{line.at(4)}));
  } else if (what == "plan") {
    plan(line.at(1), line.at(2));
  } else if (what == "wait") {
    wait(milliseconds{std::stol(line.at(1))});
  } else if (what == "recover") {
    plan(line.at(1), "ok");
    wait(milliseconds{400});
  } else if (what == "send") {
    caf::anon_send(actors_.at(line.at(1)), std::string{"who are you?"});
  } else if (what == "stop") {
    stop();
  } else if (what == "new") {
    if (line.at(1) == "top") members_["top"].below.clear();
    declare({line.begin() + 1, line.end()});
  } else if (what == "reconfigure") {
    reconfigure();
  } else if (what == "start_child") {
    start_child(line.at(1), {line.begin() + 2, line.end()});
  } else if (what == "which") {
    which(argument(1));
  } else if (what == "count") {
    count(argument(1));
  } else if (what != "align") {  // which is about the real clock of OTP
    request(what, line.at(1), argument(2));
  }
  settle();
}

void trace_world::leave(const std::string& name, const std::string& reason) {
  if (reason == "killed") {
    caf::anon_send_exit(actors_.at(name), caf::exit_reason::kill);
  } else {
    caf::anon_send(actors_.at(name), leave_order{reason});
  }
}

void trace_world::start_child(const std::string& name, const attributes& given) {
  const auto above = given.get("in", "top");
  if (members_.at(above).given.get("strategy", "") == "simple_one_for_one") {
    if (plans_.count(name) == 0) plan(name, given.get("start", "ok"));
    note("= {}", start_text(ask<supervisor_reply>(above, supervisor_spawn{name})));
    return;
  }
  members_[name].given = given;
  plan(name, given.get("start", "ok"));
  note("= {}", start_text(ask<supervisor_reply>(above, supervisor_add{spec_of(name)})));
}

void trace_world::request(const std::string& what, const std::string& name,
                          const std::string& where) {
  static const std::map<std::string, child_order> orders = {
      {"restart_child", child_order::start},
      {"terminate_child", child_order::terminate},
      {"terminate_instance", child_order::terminate},
      {"delete_child", child_order::erase},
  };
  const auto order = orders.find(what);
  if (order == orders.end()) throw std::invalid_argument{"no step " + what};
  const auto id = what == "terminate_instance" ? dynamic_id_[name] : name;
  const auto reply = ask<supervisor_reply>(where, supervisor_order{order->second, id});
  if (order->second == child_order::start) {
    note("= {}", start_text(reply));
  } else {
    note("= {}", reply ? verdict_text(reply->answer) : "gone");
  }
}

void trace_world::reconfigure() {
  const auto reply = ask<supervisor_reply>(
      "top", supervisor_reconfigure{policy_of("top"), specs_below("top"), false});
  note("= {}", reply ? verdict_text(reply->answer) : "gone");
}

void trace_world::which(const std::string& where) {
  const auto snapshot = ask<supervisor_snapshot>(where, supervisor_query{});
  std::string text;
  if (!snapshot) {
    text = "gone";
  } else if (snapshot->status.strategy == restart_strategy::dynamic) {
    std::map<std::string, int> by_state;
    for (const auto& child : snapshot->children) ++by_state[state_text(child.status.state)];
    for (const auto* state : {"running", "stopped", "restarting"}) {
      text += fmt::format("{}:{} ", state, by_state[state]);
    }
    text += ".";
  } else {
    for (const auto& child : snapshot->children) {
      text += fmt::format("{}={} ", child.status.id, state_text(child.status.state));
    }
    text += ".";
  }
  note("= {}", text);
}

void trace_world::count(const std::string& where) {
  const auto counts = ask<child_count>(where, supervisor_count{});
  if (counts) {
    note("= {} {} {} {} .", counts->specs, counts->active, counts->supervisors, counts->workers);
  } else {
    note("= gone");
  }
}

void trace_world::stop() {
  if (!is_alive("top")) {
    note("gone");
    return;
  }
  caf::anon_send_exit(actors_.at("top"), caf::exit_reason::user_shutdown);
}

// -- time and answers ---------------------------------------------------------------------------

bool trace_world::is_alive(const std::string& name) const {
  const auto found = alive_.find(name);
  return found != alive_.end() && found->second;
}

supervisor_actor trace_world::supervisor_at(const std::string& name) const {
  const auto found = actors_.find(name);
  return found == actors_.end() ? supervisor_actor{}
                                : caf::actor_cast<supervisor_actor>(found->second);
}

/// Empty when there is nobody to answer.
template <class Answer, class Message>
std::optional<Answer> trace_world::ask(const std::string& whom, Message message) {
  const auto target = supervisor_at(whom);
  auto answer = std::make_shared<std::optional<Answer>>();
  if (!target) return std::nullopt;
  ++unanswered_;
  const auto asks = [this, message, answer](caf::event_based_actor* self,
                                            const supervisor_actor& asked) {
    self->request(asked, caf::infinite, message)
        .then(
            [this, answer](const Answer& reply) {
              *answer = reply;
              --unanswered_;
            },
            [this](const caf::error&) { --unanswered_; });
  };
  // The target is an argument: without any, CAF 0.17 binds a reference to nothing.
  system_.spawn(asks, target);
  settle();
  return *answer;
}

/// Something is under way that goes on when time passes: a request, a start, a stop.
bool trace_world::is_busy() {
  if (unanswered_ > 0) return true;
  for (const auto& [name, alive] : alive_) {
    const auto known = members_.find(name);
    if (!alive || known == members_.end() || !known->second.is_supervisor) continue;
    const auto snapshot = std::make_shared<std::optional<supervisor_snapshot>>();
    const auto asks = [snapshot](caf::event_based_actor* self, const supervisor_actor& asked) {
      self->request(asked, caf::infinite, supervisor_query{})
          .then([snapshot](const supervisor_snapshot& reply) { *snapshot = reply; });
    };
    system_.spawn(asks, supervisor_at(name));
    coordinator_.run();
    if (!*snapshot) continue;
    const auto phase = (*snapshot)->status.phase;
    if (phase == supervisor_phase::booting || phase == supervisor_phase::stopping) return true;
    for (const auto& child : (*snapshot)->children) {
      const auto state = child.status.state;
      if (state == child_state::starting || state == child_state::stopping) return true;
    }
  }
  return false;
}

bool trace_world::advance_to_next_timeout(instant limit) {
  const auto& schedule = coordinator_.clock().schedule();
  if (schedule.empty() || schedule.begin()->first > limit) return false;
  const auto now = coordinator_.clock().now();
  coordinator_.advance_time(std::max(schedule.begin()->first - now, std::chrono::nanoseconds{0}));
  coordinator_.run();
  return true;
}

void trace_world::wait(milliseconds time) {
  const auto limit = coordinator_.clock().now() + time;
  while (advance_to_next_timeout(limit)) {
  }
  coordinator_.advance_time(limit - coordinator_.clock().now());
  coordinator_.run();
}

void trace_world::settle() {
  coordinator_.run();
  while (is_busy()) {
    if (!advance_to_next_timeout(instant::max())) {
      note("stuck");
      return;
    }
  }
}

}  // namespace bulkhead::otp
