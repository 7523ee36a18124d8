// SPDX-License-Identifier: Apache-2.0
#include "broker/slot.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

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

}  // namespace

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
    return owner_->call(which_, interface_id, method_id, kj::mv(context));
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

/// One call in flight. Owned by the call's promise; leaving for whatever reason takes it off the
/// books.
struct slot::call_record {
  explicit call_record(slot& owner) : owner(kj::addRef(owner)), started(owner.timer_.now()) {
    position = owner.in_flight_.insert(owner.in_flight_.end(), this);
  }
  ~call_record() noexcept(false) { leave(); }
  KJ_DISALLOW_COPY(call_record);

  void leave() {
    if (left) return;
    left = true;
    owner->in_flight_.erase(position);
    if (!owner->in_flight_.empty()) return;
    KJ_IF_MAYBE (waiter, owner->drained_) {
      (*waiter)->fulfill();
      owner->drained_ = nullptr;
    }
  }

  kj::Own<slot> owner;
  kj::TimePoint started;
  kj::Canceler canceler;
  std::list<call_record*>::iterator position;
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
  style which;
  std::uint64_t interface_id;
  std::uint16_t method_id;
  context_ptr context;
  kj::TimePoint since;
  kj::Own<kj::PromiseFulfiller<kj::Own<shared_result>>> answer;
};

slot::slot(kj::Timer& timer, std::string path, slot_limits limits)
    : timer_(timer), path_(std::move(path)), limits_(limits), tasks_(*this) {}

slot::~slot() noexcept(false) = default;

schema::Backend::Client slot::backend() {
  return capnp::Capability::Client(kj::refcounted<hook>(kj::addRef(*this), style::backend))
      .castAs<schema::Backend>();
}

capnp::Capability::Client slot::typed() {
  return capnp::Capability::Client(kj::refcounted<hook>(kj::addRef(*this), style::typed));
}

void slot::hold(std::string waiting_for) {
  mode_ = mode::holding;
  waiting_for_ = std::move(waiting_for);
  backend_target_ = nullptr;
  typed_target_ = nullptr;
}

void slot::serve(kj::Maybe<capnp::Capability::Client> backend,
                 kj::Maybe<capnp::Capability::Client> typed) {
  KJ_IF_MAYBE (client, backend)
    backend_target_ = ClientHook::from(kj::mv(*client));
  else
    backend_target_ = nullptr;
  KJ_IF_MAYBE (client, typed)
    typed_target_ = ClientHook::from(kj::mv(*client));
  else
    typed_target_ = nullptr;
  mode_ = mode::serving;
  // A call that comes in while these are forwarded cannot overtake them: nothing here turns the
  // loop.
  auto waiting = std::move(waiting_);
  waiting_.clear();
  for (auto& each : waiting) {
    if (!each->answer->isWaiting()) continue;
    each->answer->fulfill(kj::refcounted<shared_result>(
        forward(each->which, each->interface_id, each->method_id, kj::mv(each->context))));
  }
}

void slot::refuse(kj::Exception reason) {
  mode_ = mode::refusing;
  backend_target_ = nullptr;
  typed_target_ = nullptr;
  auto waiting = std::move(waiting_);
  waiting_.clear();
  for (auto& each : waiting) {
    ++failed_;
    each->answer->reject(kj::cp(reason));
  }
  refusal_ = kj::mv(reason);
}

kj::Promise<void> slot::drained(kj::Duration longest) {
  if (in_flight_.empty()) return kj::READY_NOW;
  auto waiter = kj::newPromiseAndFulfiller<void>();
  drained_ = kj::mv(waiter.fulfiller);
  return waiter.promise.exclusiveJoin(timer_.afterDelay(longest));
}

slot_counters slot::counters() const {
  return {static_cast<std::uint32_t>(in_flight_.size()),
          static_cast<std::uint32_t>(waiting_.size()), total_, failed_};
}

kj::Duration slot::oldest_call() const {
  if (in_flight_.empty()) return 0 * kj::SECONDS;
  return timer_.now() - in_flight_.front()->started;
}

slot::call_result slot::call(style which, std::uint64_t interface_id, std::uint16_t method_id,
                             context_ptr context) {
  ++total_;
  switch (mode_) {
    case mode::serving:
      return forward(which, interface_id, method_id, kj::mv(context));
    case mode::holding:
      return wait(which, interface_id, method_id, kj::mv(context));
    case mode::refusing:
      break;
  }
  return fail(kj::cp(KJ_ASSERT_NONNULL(refusal_)));
}

kj::Own<ClientHook> slot::target(style which) {
  auto& chosen = which == style::backend ? backend_target_ : typed_target_;
  KJ_IF_MAYBE (client, chosen) return (*client)->addRef();
  const bool request_style = which == style::backend;
  return capnp::newBrokenCap(
      error(schema::ErrorKind::UNSUPPORTED,
            fmt::format("the plugin at '{}' has no {}", path_,
                        request_style ? "paths to read and write" : "typed interface"),
            "it offers the other style of call only", fmt::format("bulkhead describe {}", path_)));
}

slot::call_result slot::forward(style which, std::uint64_t interface_id, std::uint16_t method_id,
                                context_ptr context) {
  if (in_flight_.size() >= limits_.calls_in_flight_max) {
    return fail(error(schema::ErrorKind::OVERLOADED, fmt::format("mount '{}' is overloaded", path_),
                      fmt::format("{} calls are in flight, the limit calls_in_flight_max",
                                  limits_.calls_in_flight_max),
                      "wait and repeat; send fewer calls at once"));
  }
  auto inner = target(which)->call(interface_id, method_id, kj::mv(context));
  auto record = kj::heap<call_record>(*this);
  arm_sweep();
  auto& canceler = record->canceler;
  auto done = canceler.wrap(kj::mv(inner.promise))
                  .catch_([this](kj::Exception&& problem) { call_failed(kj::mv(problem)); })
                  .attach(kj::mv(record));
  return {kj::mv(done), kj::mv(inner.pipeline)};
}

slot::call_result slot::wait(style which, std::uint64_t interface_id, std::uint16_t method_id,
                             context_ptr context) {
  if (waiting_.size() >= limits_.calls_waiting_max) {
    return fail(error(schema::ErrorKind::OVERLOADED, fmt::format("mount '{}' is overloaded", path_),
                      fmt::format("{} calls wait for it ({}), the limit calls_waiting_max",
                                  limits_.calls_waiting_max, waiting_for_),
                      fmt::format("bulkhead status {}", path_)));
  }
  auto answer = kj::newPromiseAndFulfiller<kj::Own<shared_result>>();
  waiting_.push_back(kj::heap<waiting_call>(waiting_call{
      which, interface_id, method_id, kj::mv(context), timer_.now(), kj::mv(answer.fulfiller)}));
  arm_sweep();
  auto result = answer.promise.fork();
  auto pipeline = result.addBranch().then(
      [](kj::Own<shared_result>&& each) { return each->content.pipeline->addRef(); });
  auto done = result.addBranch().then(
      [](kj::Own<shared_result>&& each) { return kj::mv(each->content.promise); });
  return {kj::mv(done), capnp::newLocalPromisePipeline(kj::mv(pipeline))};
}

slot::call_result slot::fail(kj::Exception reason) {
  ++failed_;
  return {kj::Promise<void>(kj::cp(reason)), capnp::newBrokenPipeline(kj::mv(reason))};
}

void slot::call_failed(kj::Exception problem) {
  ++failed_;
  if (is_the_library_s(problem)) {
    kj::throwRecoverableException(link_failed(problem.getType()));
    return;
  }
  // What a plugin says of itself goes to the caller, but not at any length, nor with any bytes. The
  // broker's own reasons (the report of a crash, a deadline) come without a hop and pass as they
  // are.
  if (wire::parse_error(problem, wire::plugin_hops_at_broker).from_plugin())
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
    ++failed_;
    expired->answer->reject(
        error(schema::ErrorKind::PLUGIN_UNAVAILABLE,
              fmt::format("mount '{}' was not ready in time", path_), waiting_for_,
              fmt::format("bulkhead status {}   |   bulkhead logs {}", path_, path_)));
  }
  while (!in_flight_.empty() && in_flight_.front()->started + limits_.call_max <= now) {
    auto& record = *in_flight_.front();
    record.leave();
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
