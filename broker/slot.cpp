// SPDX-License-Identifier: Apache-2.0
#include "broker/slot.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include <algorithm>

#include "actors/supervision.hpp"
#include "schema/wire/enum_word.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {

using capnp::ClientHook;

namespace {

/// Neither a plugin's words nor the broker's, which name their kind: a text of libcapnp, of no use
/// to a caller.
bool is_the_library_s(const kj::Exception& problem) {
  using type = kj::Exception::Type;
  if (problem.getType() != type::FAILED && problem.getType() != type::DISCONNECTED) return false;
  const std::string_view text(problem.getDescription().cStr(), problem.getDescription().size());
  return !wire::parse_error(problem, wire::plugin_hops_at_broker).from_plugin() &&
         text.find("\ndetail: kind=") == std::string_view::npos;
}

/// The breaker counts what was not answered in time, and what the plugin itself says it is too busy
/// for. Any other error of a plugin is an answer; a crash is the supervisor's business.
bool counts_as_unanswered(schema::ErrorKind kind) {
  return kind == schema::ErrorKind::DEADLINE_EXCEEDED || kind == schema::ErrorKind::OVERLOADED;
}

/// A trial counts what a caller would not expect of a sound plugin.
bool counts_against_trial(schema::ErrorKind kind) {
  switch (kind) {
    case schema::ErrorKind::PLUGIN_ERROR:
    case schema::ErrorKind::PLUGIN_CRASHED:
    case schema::ErrorKind::PROTOCOL_VIOLATION:
    case schema::ErrorKind::DEADLINE_EXCEEDED:
    case schema::ErrorKind::UNSUPPORTED:
    case schema::ErrorKind::INTERNAL:
      return true;
    default:
      return false;
  }
}

}  // namespace

/// What a call of the request style asks for, read before the call goes its way. Empty for any
/// other call, and for one whose parameters make no sense: that is the plugin's to say.
struct slot::request_subject {
  explicit request_subject(std::uint64_t interface_id, capnp::CallContextHook& context) {
    if (interface_id != capnp::typeId<schema::Backend>()) return;
    try {
      const auto request = context.getParams().getAs<schema::Backend::HandleParams>().getRequest();
      operation = request.getOperation();
      const auto text = request.getPath();
      path.assign(text.begin(), std::min(text.size(), call_path_bytes_max));
      known = true;
    } catch (const kj::Exception&) {
      known = false;
    }
  }

  bool known = false;
  schema::Operation operation = schema::Operation::READ;
  std::string path;
};

class slot::hook final : public ClientHook, public kj::Refcounted {
 public:
  hook(kj::Own<slot> owner, style which) : owner_(kj::mv(owner)), which_(which) {}

  capnp::Request<capnp::AnyPointer, capnp::AnyPointer> newCall(
      std::uint64_t interface_id, std::uint16_t method_id,
      kj::Maybe<capnp::MessageSize> size_hint) override {
    // Only callers inside the broker's process come here. The library's promise client builds a
    // local request and then goes through call(), which keeps all accounting in one place for the
    // price of a turn of the loop.
    auto queued = capnp::newLocalPromiseClient(kj::Promise<kj::Own<ClientHook>>(addRef()));
    return queued->newCall(interface_id, method_id, size_hint);
  }
  call_result call(std::uint64_t interface_id, std::uint16_t method_id,
                   context_ptr&& context) override {
    return owner_->call({which_, interface_id, method_id}, kj::mv(context));
  }
  kj::Maybe<ClientHook&> getResolved() override { return nullptr; }
  kj::Maybe<kj::Promise<kj::Own<ClientHook>>> whenMoreResolved() override { return nullptr; }
  kj::Own<ClientHook> addRef() override { return kj::addRef(*this); }
  const void* getBrand() override { return &brand; }
  kj::Maybe<int> getFd() override { return nullptr; }

 private:
  static constexpr int brand = 0;
  kj::Own<slot> owner_;
  style which_;
};

struct slot::lane final : kj::Refcounted {
  explicit lane(slot_target target) : generation(target.generation) {
    KJ_IF_MAYBE (client, target.backend) backend = ClientHook::from(kj::mv(*client));
    KJ_IF_MAYBE (client, target.typed) typed = ClientHook::from(kj::mv(*client));
  }

  std::uint64_t generation;
  kj::Maybe<kj::Own<ClientHook>> backend;
  kj::Maybe<kj::Own<ClientHook>> typed;
  std::uint64_t calls = 0;  // ever begun
  std::uint32_t in_flight = 0;
  instant idle_since{};  // since when none is
  trial_tally tally;
};

/// One call in flight. Owned by the call's promise; leaving for whatever reason takes it off the
/// books.
struct slot::call_record {
  call_record(slot& owner, kj::Own<lane> on, const method& what, request_subject subject,
              breaker::admission as, std::uint64_t service)
      : owner(kj::addRef(owner)),
        on(kj::mv(on)),
        what(what),
        subject(std::move(subject)),
        admitted(as),
        service(service),
        trial(owner.on_trial_ == nullptr ? 0 : owner.trial_),
        started(owner.timer_.now()),
        position(owner.in_flight_.insert(owner.in_flight_.end(), this)) {
    ++this->on->in_flight;
  }
  ~call_record() noexcept(false) {
    if (!judged) judge([this](breaker& b) { b.dropped(admitted); });
    if (!tallied) count(true);
    leave();
  }
  KJ_DISALLOW_COPY(call_record);

  void answered() {
    judge([this](breaker& b) { b.answered(admitted); });
  }
  void unanswered() {
    judge([this](breaker& b) { b.unanswered(admitted, owner->now()); });
  }
  /// For the trial that it belongs to.
  void count(bool failed) {
    tallied = true;
    if (trial == 0 || trial != owner->trial_) return;
    ++on->tally.calls;
    if (failed) ++on->tally.failures;
  }
  void leave() {
    if (std::exchange(left, true)) return;
    owner->in_flight_.erase(position);
    if (--on->in_flight == 0) on->idle_since = owner->now();
    owner->call_left(*on);
  }
  /// The breaker is the serving instance's: what became of another's calls is no news to it.
  template <class Tell>
  void judge(Tell tell) {
    if (std::exchange(judged, true) || service != owner->service_) return;
    tell(owner->breaker_);
    owner->tell_breaker();
  }

  kj::Own<slot> owner;
  kj::Own<lane> on;
  method what;
  request_subject subject;
  breaker::admission admitted;
  std::uint64_t service;  // which instance's call it is, as slot::service_; 0: of one on trial
  std::uint64_t trial;
  kj::TimePoint started;
  kj::Canceler canceler;
  std::list<call_record*>::iterator position;
  bool judged = false;   // the breaker knows how it ended
  bool tallied = false;  // the trial does
  bool left = false;
};

struct slot::shared_result final : kj::Refcounted {
  explicit shared_result(call_result content) : content(kj::mv(content)) {}
  // KJ asks for it by this name.
  // NOLINTNEXTLINE(readability-identifier-naming)
  kj::Own<shared_result> addRef() { return kj::addRef(*this); }
  call_result content;
};

struct slot::waiting_call {
  method what;
  context_ptr context;
  kj::TimePoint since;
  kj::Own<kj::PromiseFulfiller<kj::Own<shared_result>>> answer;
};

slot::slot(kj::Timer& timer, std::string path, slot_limits limits)
    : timer_(timer),
      path_(std::move(path)),
      limits_(limits),
      breaker_(limits.breaker),
      tasks_(*this) {}

slot::~slot() noexcept(false) = default;

instant slot::now() const {
  return instant(
      std::chrono::nanoseconds((timer_.now() - kj::origin<kj::TimePoint>()) / kj::NANOSECONDS));
}

// -- capabilities ---------------------------------------------------------------------------------

schema::Backend::Client slot::backend() {
  return capnp::Capability::Client(kj::refcounted<hook>(kj::addRef(*this), style::backend))
      .castAs<schema::Backend>();
}

capnp::Capability::Client slot::typed() {
  return capnp::Capability::Client(kj::refcounted<hook>(kj::addRef(*this), style::typed));
}

// -- which instance -------------------------------------------------------------------------------

void slot::set_mode(mode to) {
  mode_ = to;
  wake_ = nullptr;
  if (to != mode::serving) serving_ = nullptr;
  end_trial();
}

void slot::hold(std::string waiting_for) {
  set_mode(mode::holding);
  waiting_for_ = std::move(waiting_for);
}

void slot::doze(std::string waiting_for, std::function<void()> wake_up) {
  hold(std::move(waiting_for));
  wake_ = std::move(wake_up);
  forget_abandoned();
  if (!waiting_.empty()) wake();
}

void slot::wake() {
  if (auto wake_up = std::exchange(wake_, nullptr)) wake_up();
}

void slot::serve(slot_target target) {
  set_mode(mode::serving);
  serving_ = kj::refcounted<lane>(kj::mv(target));
  begin_service();
  // A call that comes in while these are forwarded cannot overtake them: nothing here turns the
  // loop.
  auto waiting = std::exchange(waiting_, {});
  for (auto& each : waiting) {
    if (!each->answer->isWaiting()) continue;
    each->answer->fulfill(
        kj::refcounted<shared_result>(forward(each->what, kj::mv(each->context), true)));
  }
}

void slot::refuse(kj::Exception reason) {
  set_mode(mode::refusing);
  auto waiting = std::exchange(waiting_, {});
  for (auto& each : waiting) {
    if (!each->answer->isWaiting()) continue;
    ++failed_;
    each->answer->reject(kj::cp(reason));
  }
  refusal_ = kj::mv(reason);
}

void slot::try_out(slot_target target, unsigned percent) {
  on_trial_ = kj::refcounted<lane>(kj::mv(target));
  trial_percent_ = percent;
  trial_turn_ = 0;
  ++trial_;
  KJ_IF_MAYBE (current, serving_) (*current)->tally = {};
}

void slot::end_trial() {
  on_trial_ = nullptr;
}

void slot::promote() {
  KJ_IF_MAYBE (tried, on_trial_) {
    serving_ = kj::mv(*tried);
    end_trial();
    begin_service();
  }
}

/// What is counted of an instance begins anew.
void slot::begin_service() {
  ++service_;
  call_alarm_at_ = 0;
  call_alarm_ = nullptr;
  KJ_IF_MAYBE (current, serving_) (*current)->idle_since = now();
  breaker_.renewed();
  tell_breaker();
}

trial_tally slot::serving_tally(kj::Duration patience) const {
  KJ_IF_MAYBE (current, serving_) return tally_of(**current, patience);
  return {};
}

trial_tally slot::tried_tally(kj::Duration patience) const {
  KJ_IF_MAYBE (tried, on_trial_) return tally_of(**tried, patience);
  return {};
}

trial_tally slot::tally_of(const lane& whose, kj::Duration patience) const {
  auto tally = whose.tally;
  for (const auto* each : in_flight_) {
    if (each->on.get() != &whose || each->trial != trial_ || each->tallied) continue;
    if (timer_.now() - each->started < patience) continue;
    ++tally.calls;
    ++tally.failures;
  }
  return tally;
}

/// A probe goes to the instance that the breaker is about.
slot::lane& slot::choose_lane(breaker::admission admitted) {
  KJ_IF_MAYBE (tried, on_trial_) {
    if (admitted == breaker::admission::probe) return *KJ_ASSERT_NONNULL(serving_);
    trial_turn_ += trial_percent_;
    if (trial_turn_ >= 100) {
      trial_turn_ -= 100;
      return **tried;
    }
  }
  return *KJ_ASSERT_NONNULL(serving_);
}

kj::Own<ClientHook> slot::target(lane& chosen, style which) {
  const bool request_style = which == style::backend;
  auto& offered = request_style ? chosen.backend : chosen.typed;
  KJ_IF_MAYBE (client, offered) return (*client)->addRef();
  return capnp::newBrokenCap(
      error(schema::ErrorKind::UNSUPPORTED,
            fmt::format("the plugin at '{}' has no {}", path_,
                        request_style ? "paths to read and write" : "typed interface"),
            "it offers the other style of call only", fmt::format("bulkhead describe {}", path_)));
}

// -- the end of calls -----------------------------------------------------------------------------

kj::Promise<void> slot::drained(kj::Duration longest) {
  return drain(nullptr, longest);
}

kj::Promise<void> slot::drained(std::uint64_t generation, kj::Duration longest) {
  return drain(generation, longest);
}

kj::Promise<void> slot::drain(kj::Maybe<std::uint64_t> generation, kj::Duration longest) {
  KJ_IF_MAYBE (one, generation) {
    if (calls_of(*one).empty()) return kj::READY_NOW;
  } else if (in_flight_.empty()) {
    return kj::READY_NOW;
  }
  auto waiter = kj::newPromiseAndFulfiller<void>();
  drains_.push_back({generation, kj::mv(waiter.fulfiller)});
  return waiter.promise.exclusiveJoin(timer_.afterDelay(longest));
}

void slot::call_left(const lane& whose) {
  std::erase_if(drains_, [&](drain_waiter& each) {
    bool empty = in_flight_.empty();
    KJ_IF_MAYBE (one, each.generation)
      empty = empty || (*one == whose.generation && whose.in_flight == 0);
    if (empty) each.done->fulfill();
    return empty || !each.done->isWaiting();
  });
}

void slot::cut(std::uint64_t generation, const kj::Exception& reason) {
  std::vector<call_record*> ending;
  for (auto* each : in_flight_)
    if (each->on->generation == generation) ending.push_back(each);
  for (auto* each : ending) {
    each->leave();
    each->canceler.cancel(reason);
  }
}

// -- figures --------------------------------------------------------------------------------------

slot_counters slot::counters() {
  const auto waiting = std::count_if(waiting_.begin(), waiting_.end(),
                                     [](auto& each) { return each->answer->isWaiting(); });
  return {static_cast<std::uint32_t>(in_flight_.size()), static_cast<std::uint32_t>(waiting),
          total_, failed_};
}

std::vector<slot_call> slot::calls_of(std::uint64_t generation) const {
  std::vector<slot_call> calls;
  for (const auto* each : in_flight_) {
    if (each->on->generation != generation) continue;
    const auto& subject = each->subject;
    calls.push_back({each->what.interface_id, each->what.method_id, timer_.now() - each->started,
                     subject.known ? fmt::format("{} {}{}", wire::enum_word(subject.operation),
                                                 path_, subject.path)
                                   : std::string()});
  }
  return calls;
}

kj::Duration slot::oldest_call() const {
  if (in_flight_.empty()) return 0 * kj::SECONDS;
  return timer_.now() - in_flight_.front()->started;
}

life_facts slot::facts() const {
  life_facts facts;
  KJ_IF_MAYBE (current, serving_) {
    const auto& serving = **current;
    facts.calls = serving.calls;
    facts.idle_since = serving.idle_since;
    const auto oldest = std::find_if(in_flight_.begin(), in_flight_.end(),
                                     [&](const auto* each) { return each->on.get() == &serving; });
    if (oldest != in_flight_.end())
      facts.oldest_call =
          now() - std::chrono::nanoseconds((timer_.now() - (*oldest)->started) / kj::NANOSECONDS);
  }
  return facts;
}

void slot::set_call_alarm(std::uint64_t calls, std::function<void()> reached) {
  call_alarm_at_ = calls;
  call_alarm_ = std::move(reached);
}

void slot::on_breaker(std::function<void(breaker_state, bool)> changed) {
  breaker_changed_ = std::move(changed);
}

void slot::hold_breaker(bool open) {
  if (open == breaker_.held() && (open || breaker_.state(now()) == breaker_state::closed)) return;
  if (open)
    breaker_.hold_open();
  else
    breaker_.close();
  told_breaker_ = breaker_.state(now());
  if (breaker_changed_) breaker_changed_(told_breaker_, true);
}

void slot::tell_breaker() {
  const auto state = breaker_.state(now());
  if (std::exchange(told_breaker_, state) != state && breaker_changed_)
    breaker_changed_(state, false);
}

// -- calls ----------------------------------------------------------------------------------------

slot::call_result slot::shed() {
  ++gate_->shed;
  return fail(error(schema::ErrorKind::OVERLOADED, "the broker is short of memory",
                    fmt::format("it uses {} MiB, above {} MiB (memory_soft_bytes_max)",
                                gate_->memory_bytes >> 20U, gate_->memory_bytes_max >> 20U),
                    "wait and repeat"));
}

slot::call_result slot::call(const method& what, context_ptr context) {
  ++total_;
  if (gate_ != nullptr && gate_->closed && mode_ != mode::refusing) return shed();
  if (breaker_.held() && mode_ != mode::refusing) return fail(breaker_is_open());
  switch (mode_) {
    case mode::serving:
      return forward(what, kj::mv(context), false);
    case mode::holding:
      return wait(what, kj::mv(context));
    case mode::refusing:
      break;
  }
  return fail(kj::cp(KJ_ASSERT_NONNULL(refusal_)));
}

/// `waited`: the call was accepted while no instance served. A breaker that is half open because a
/// new instance serves does not turn it away.
slot::call_result slot::forward(const method& what, context_ptr context, bool waited) {
  if (in_flight_.size() >= limits_.calls_in_flight_max) {
    return fail(error(schema::ErrorKind::OVERLOADED, fmt::format("mount '{}' is overloaded", path_),
                      fmt::format("{} calls are in flight, the limit calls_in_flight_max",
                                  limits_.calls_in_flight_max),
                      "wait and repeat; send fewer calls at once"));
  }
  auto admitted = breaker_.admit(now());
  tell_breaker();
  if (admitted == breaker::admission::refuse) {
    if (!waited || breaker_.held()) return fail(breaker_is_open());
    admitted = breaker::admission::pass;
  }
  auto& chosen = choose_lane(admitted);
  const bool serves = on_trial_ == nullptr || &chosen == KJ_ASSERT_NONNULL(serving_).get();
  auto record = kj::heap<call_record>(*this, kj::addRef(chosen), what,
                                      request_subject(what.interface_id, *context), admitted,
                                      serves ? service_ : 0);
  kj::Maybe<call_result> begun;
  // Parameters that cannot be copied (damaged, or nested too deeply) are thrown back here. Nobody
  // but their caller may suffer.
  KJ_IF_MAYBE (problem, kj::runCatchingExceptions([&] {
                 begun = target(chosen, what.which)
                             ->call(what.interface_id, what.method_id, kj::mv(context));
               })) {
    record->tallied = true;
    return fail(error(schema::ErrorKind::INVALID_ARGUMENT,
                      fmt::format("a call to '{}' could not be passed on", path_),
                      "its parameters are damaged or nested too deeply", {}));
  }
  auto& inner = KJ_ASSERT_NONNULL(begun);
  arm_sweep();
  if (serves && ++chosen.calls == call_alarm_at_ && call_alarm_)
    std::exchange(call_alarm_, nullptr)();
  auto& kept = *record;
  auto done =
      kept.canceler.wrap(kj::mv(inner.promise))
          .then(
              [&kept] {
                kept.answered();
                kept.count(false);
              },
              [this, &kept](kj::Exception&& problem) { call_failed(kept, kj::mv(problem)); })
          .attach(kj::mv(record));
  return {kj::mv(done), kj::mv(inner.pipeline)};
}

kj::Exception slot::breaker_is_open() const {
  if (breaker_.held()) {
    return error(schema::ErrorKind::PLUGIN_UNAVAILABLE,
                 fmt::format("mount '{}' takes no calls for now", path_),
                 "an operator has opened its breaker",
                 fmt::format("wait, or bulkhead breaker {} close", path_));
  }
  const auto left = breaker_.open_left(now());
  return error(
      schema::ErrorKind::PLUGIN_UNAVAILABLE,
      fmt::format("mount '{}' does not answer and is left in peace", path_),
      left.count() > 0
          ? fmt::format("its breaker is open and lets a call through in {}", duration_text(left))
          : "its breaker lets one call through at a time, and that is under way",
      fmt::format("bulkhead status {}", path_));
}

slot::call_result slot::wait(const method& what, context_ptr context) {
  if (waiting_.size() >= limits_.calls_waiting_max) forget_abandoned();
  if (waiting_.size() >= limits_.calls_waiting_max) {
    return fail(error(schema::ErrorKind::OVERLOADED, fmt::format("mount '{}' is overloaded", path_),
                      fmt::format("{} calls wait for it ({}), the limit calls_waiting_max",
                                  limits_.calls_waiting_max, waiting_for_),
                      fmt::format("bulkhead status {}", path_)));
  }
  // Who goes away while the call waits takes it along.
  context->allowCancellation();
  auto answer = kj::newPromiseAndFulfiller<kj::Own<shared_result>>();
  waiting_.push_back(kj::heap<waiting_call>(
      waiting_call{what, kj::mv(context), timer_.now(), kj::mv(answer.fulfiller)}));
  arm_sweep();
  wake();
  auto result = answer.promise.fork();
  auto pipeline = result.addBranch().then(
      [](kj::Own<shared_result>&& each) { return each->content.pipeline->addRef(); });
  auto done = result.addBranch().then(
      [](kj::Own<shared_result>&& each) { return kj::mv(each->content.promise); });
  return {kj::mv(done), capnp::newLocalPromisePipeline(kj::mv(pipeline))};
}

void slot::forget_abandoned() {
  waiting_.remove_if([](auto& each) { return !each->answer->isWaiting(); });
}

slot::call_result slot::fail(kj::Exception reason) {
  ++failed_;
  return {kj::Promise<void>(kj::cp(reason)), capnp::newBrokenPipeline(kj::mv(reason))};
}

void slot::call_failed(call_record& record, kj::Exception raw) {
  ++failed_;
  auto problem = is_the_library_s(raw) ? link_failed(raw.getType()) : kj::mv(raw);
  const auto said = wire::parse_error(problem, wire::plugin_hops_at_broker);
  record.count(counts_against_trial(said.kind));
  if (counts_as_unanswered(said.kind))
    record.unanswered();
  else if (said.from_plugin())
    record.answered();
  // What a plugin says of itself goes to the caller, but not at any length, nor with any bytes. The
  // broker's own reasons (the report of a crash, a deadline) come without a hop and pass as they
  // are.
  if (said.from_plugin())
    kj::throwRecoverableException(wire::clean_exception(problem));
  else
    kj::throwRecoverableException(kj::mv(problem));
}

/// A call's link failed below the plugin's code and above the frames: a message that the RPC
/// protocol does not allow. Which end is at fault is not told apart.
kj::Exception slot::link_failed(kj::Exception::Type type) const {
  const auto kind = type == kj::Exception::Type::DISCONNECTED
                        ? schema::ErrorKind::PLUGIN_CRASHED
                        : schema::ErrorKind::PROTOCOL_VIOLATION;
  return error(kind, fmt::format("a call to '{}' was cut off", path_),
               "a message did not keep to the protocol; whether the call took effect is not known",
               fmt::format("bulkhead why {}   |   bulkhead logs {}", path_, path_));
}

kj::Exception slot::error(schema::ErrorKind kind, std::string what, std::string why,
                          std::string remedy) const {
  return wire::make_exception(
      {kind, std::move(what), std::move(why), std::move(remedy), {{"mount", path_}}});
}

void slot::use(const slot_limits& limits) {
  limits_ = limits;
  breaker_.use(limits.breaker);
  tell_breaker();
  arm_sweep();
}

// -- time -----------------------------------------------------------------------------------------

void slot::arm_sweep() {
  kj::Maybe<kj::TimePoint> next;
  if (!in_flight_.empty()) next = in_flight_.front()->started + limits_.call_max;
  if (!waiting_.empty()) {
    auto expires = waiting_.front()->since + limits_.wait_max;
    KJ_IF_MAYBE (earlier, next) expires = kj::min(expires, *earlier);
    next = expires;
  }
  KJ_IF_MAYBE (at, next) {
    KJ_IF_MAYBE (armed, sweep_at_)
      if (*armed <= *at) return;
    sweep_at_ = *at;
    tasks_.add(timer_.atTime(*at).then([this] { sweep(); }));
  }
}

void slot::sweep() {
  const auto now = timer_.now();
  KJ_IF_MAYBE (armed, sweep_at_)
    if (*armed > now)
      return;  // a later call armed an earlier sweep, which has done this one's work
  sweep_at_ = nullptr;
  while (!waiting_.empty() && waiting_.front()->since + limits_.wait_max <= now) {
    auto expired = kj::mv(waiting_.front());
    waiting_.pop_front();
    if (!expired->answer->isWaiting()) continue;
    ++failed_;
    expired->answer->reject(
        error(schema::ErrorKind::PLUGIN_UNAVAILABLE,
              fmt::format("mount '{}' was not ready in time", path_), waiting_for_,
              fmt::format("bulkhead status {}   |   bulkhead logs {}", path_, path_)));
  }
  while (!in_flight_.empty() && in_flight_.front()->started + limits_.call_max <= now) {
    auto& record = *in_flight_.front();
    record.leave();
    record.unanswered();  // before its caller hears of it
    record.canceler.cancel(error(
        schema::ErrorKind::DEADLINE_EXCEEDED, fmt::format("a call to '{}' took too long", path_),
        fmt::format("no answer within {} ms; whether it took effect is not known",
                    limits_.call_max / kj::MILLISECONDS),
        fmt::format("bulkhead status {}", path_)));
  }
  arm_sweep();
}

void slot::taskFailed(kj::Exception&& problem) {
  KJ_LOG(ERROR, "the sweep of a slot failed", problem.getDescription());
}

}  // namespace bulkhead
