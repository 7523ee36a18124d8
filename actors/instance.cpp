// SPDX-License-Identifier: Apache-2.0
#include "actors/instance.hpp"

#include <fmt/format.h>
#include <kj/debug.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "schema/wire/error_text.hpp"
#include "schema/wire/text_escape.hpp"
#include "schema/wire/wire_fault.hpp"

namespace bulkhead {
namespace {

// Protocol versions that this broker speaks: those that the schema describes.
constexpr auto protocol_min = schema::PROTOCOL_MIN;
constexpr auto protocol_max = schema::PROTOCOL_MAX;

// What one look at a pipe reads at most, and what is read at the death of a process so that its
// last words make it to the report.
constexpr std::size_t pipe_chunk_bytes = std::size_t{16} * 1024;
constexpr std::size_t last_words_bytes_max = std::size_t{64} * 1024;
constexpr std::size_t why_bytes_max = 2048;                  // of the reason in a report
constexpr kj::Duration ping_again = 100 * kj::MILLISECONDS;  // while it has too many calls
constexpr std::size_t log_slices_per_s = 10;  // the log's rate is kept over slices of a second

kj::Duration duration(std::chrono::milliseconds span) {
  return span.count() * kj::MILLISECONDS;
}

std::uint64_t ms_between(std::chrono::steady_clock::time_point from,
                         std::chrono::steady_clock::time_point to) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(to - from).count());
}

/// Whether what failed in this way can go well the next time, with nobody having done anything.
bool may_heal(schema::ErrorKind kind) {
  return kind == schema::ErrorKind::STORAGE || kind == schema::ErrorKind::OVERLOADED ||
         kind == schema::ErrorKind::DEADLINE_EXCEEDED || kind == schema::ErrorKind::INTERNAL ||
         kind == schema::ErrorKind::BROKER_STOPPING;
}

kj::Exception refusal(schema::ErrorKind kind, std::string what, std::string why) {
  return wire::make_exception({kind, std::move(what), std::move(why), {}, {}});
}

}  // namespace

struct instance::pipe_reader {
  pipe_reader(kj::UnixEventPort& port, kj::AutoCloseFd end, bool is_stderr)
      : fd(kj::mv(end)),
        observer(port, fd, kj::UnixEventPort::FdObserver::OBSERVE_READ),
        is_stderr(is_stderr) {}

  kj::AutoCloseFd fd;  // closed after its observer
  kj::UnixEventPort::FdObserver observer;
  bool is_stderr;
  bool ended = false;
  kj::TimePoint slice_end = kj::origin<kj::TimePoint>();
  std::size_t taken = 0;  // in this slice
};

instance::instance(caf::actor_config& config, bulkhead::reactor& loop, instance_config settings,
                   spawner_actor spawner, instance_parent parent, std::shared_ptr<log_sink> sink,
                   std::shared_ptr<bring_up> protocol)
    : hosted(config, loop),
      settings_(std::move(settings)),
      spawner_(std::move(spawner)),
      parent_(std::move(parent)),
      sink_(std::move(sink)),
      protocol_(std::move(protocol)) {}

instance::~instance() noexcept = default;

instance_actor::behavior_type instance::make_behavior() {
  limit_start();
  prepare();
  return {
      [this](const instance_stop& order) { stop_in_order(order); },
      [this](const instance_hung& order) {
        if (phase_ != phase::ready) return;
        end_.permanent = order.permanent;
        begin_end(order.cause, order.why);
      },
      [this](const instance_rules& rules) { use_rules(rules); },
      [this](const instance_signal& order) -> caf::result<bool> {
        return process_ != nullptr && process_->signal(order.number);
      },
      [this](const instance_sample&) {
        instance_stats stats;
        if (process_ != nullptr && phase_ != phase::ended)
          stats.pid = static_cast<std::uint32_t>(process_->pid());
        stats.uptime_ms = uptime_ms();
        if (link_.get() != nullptr) {
          stats.bytes_in = link_->meter().bytes_in;
          stats.bytes_out = link_->meter().bytes_out;
        }
        return stats;
      },
  };
}

// -- start ---------------------------------------------------------------------------------------

void instance::limit_start() {
  // A read or an exec from a dead disk may never come back. The process, should it come to be, dies
  // with the answer.
  run(loop().timer().afterDelay(duration(settings_.limits.start_max)).then([this] {
    if (phase_ != phase::preparing && phase_ != phase::spawning) return;
    end_.cause = end_cause::start_failed;
    end_.during_start = true;
    end_.why = fmt::format("could not be started within {} ms (start_ms_max)",
                           settings_.limits.start_max.count());
    finish();
  }));
}

void instance::prepare() {
  if (!settings_.prepare) return spawn();
  run(kj::evalNow([this] { return settings_.prepare(); })
          .then(
              [this](process_spec&& ready) {
                if (phase_ != phase::preparing) return;
                settings_.process = std::move(ready);
                spawn();
              },
              [this](kj::Exception&& error) { not_prepared(error); }));
}

void instance::not_prepared(const kj::Exception& error) {
  if (phase_ != phase::preparing) return;
  const auto said = wire::parse_error(error, wire::plugin_hops_at_broker);
  end_.cause = end_cause::start_failed;
  end_.during_start = true;
  end_.permanent = !may_heal(said.kind);
  end_.why = fmt::format("was not started: {}", said.what);
  if (!said.why.empty()) end_.why += fmt::format(" ({})", said.why);
  finish();
}

void instance::spawn() {
  phase_ = phase::spawning;
  this->request(spawner_, caf::infinite, spawn_request{settings_.process})
      .then([this](const spawn_answer& answer) { spawned(answer); },
            [this](const caf::error&) {
              end_.why = "the spawner is gone";
              end_.cause = end_cause::start_failed;
              finish();
            });
}

void instance::spawned(const spawn_answer& answer) {
  if (phase_ != phase::spawning) return;
  started_at_ = std::chrono::steady_clock::now();
  protocol_->spawned(settings_.process, answer);
  if (answer.process == nullptr) {
    end_.cause = end_cause::start_failed;
    end_.why = answer.failure;
    end_.remedy = answer.remedy;
    end_.permanent = answer.permanent;
    finish();
    return;
  }
  auto& started = *answer.process;
  process_ = std::move(started.process);
  ticket_ = started.ticket;
  auto& port = loop().event_port();
  exit_observer_ = kj::heap<kj::UnixEventPort::FdObserver>(
      port, process_->exit_fd(), kj::UnixEventPort::FdObserver::OBSERVE_READ);
  stdout_ = kj::heap<pipe_reader>(port, kj::AutoCloseFd(started.standard_output.release()), false);
  stderr_ = kj::heap<pipe_reader>(port, kj::AutoCloseFd(started.standard_error.release()), true);
  run(watch_exit());
  run(read_pipe(*stdout_));
  run(read_pipe(*stderr_));
  open_link(std::move(started.link));
  phase_ = phase::introducing;
  if (stop_asked_) {
    begin_end(end_cause::stop_killed, "stopped while it started");
    return;
  }
  run(introduce());
}

void instance::open_link(unique_fd link) {
  auto stream = loop().low_level().wrapUnixSocketFd(
      kj::AutoCloseFd(link.release()),
      kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC | kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK);
  wire::connection_options options;
  options.limits = settings_.stream;
  options.timer = loop().timer();
  options.budget = settings_.budget;
  options.flow_words_max = settings_.flow_words_max;
  // The plugin serves; the broker asks first.
  link_ =
      kj::heap<wire::connection>(kj::mv(stream), wire::connection::side::CLIENT, nullptr, options);
  link_->on_close([this](kj::Exception cause) { return link_lost(kj::mv(cause)); });
  plugin_ = link_->bootstrap().castAs<schema::Plugin>();
  protocol_->link = link_.get();
}

/// Counts against start_max, which is one limit for all that this is called for.
kj::Promise<void> instance::within_start(kj::Promise<void> work) {
  auto& timer = loop().timer();
  const auto begun = timer.now();
  auto limit = timer.afterDelay(duration(settings_.limits.start_max) - start_used_).then([this] {
    kj::throwRecoverableException(refusal(schema::ErrorKind::START_FAILED,
                                          fmt::format("was not ready within {} ms (start_ms_max)",
                                                      settings_.limits.start_max.count()),
                                          fmt::format("it was {}", step_)));
  });
  return work.exclusiveJoin(kj::mv(limit)).then([this, begun] {
    start_used_ += loop().timer().now() - begun;
  });
}

kj::Promise<void> instance::introduce() {
  return within_start(hello())
      .then([this] {
        step_ = "having its storage made ready";
        return protocol_->ready_storage(KJ_ASSERT_NONNULL(plugin_),
                                        KJ_ASSERT_NONNULL(hello_).getPlugin());
      })
      .then([this] { return within_start(mount()); })
      .then(
          [this] {
            if (phase_ != phase::introducing) return;
            phase_ = phase::ready;
            ready_at_ = std::chrono::steady_clock::now();
            this->send(parent_, instance_ready{settings_.generation,
                                               static_cast<std::uint32_t>(process_->pid())});
            begin_health_checks();
          },
          [this](kj::Exception&& error) { start_failed(error); });
}

/// In place of those under way, if there are any.
void instance::begin_health_checks() {
  health_ = nullptr;
  if (phase_ != phase::ready || settings_.limits.ping_every.count() == 0) return;
  health_ = watch_health().eagerlyEvaluate(
      [this](kj::Exception&& problem) { on_task_failed(kj::mv(problem)); });
}

kj::Promise<void> instance::watch_health() {
  return loop()
      .timer()
      .afterDelay(duration(settings_.limits.ping_every))
      .then([this]() -> kj::Promise<void> {
        if (phase_ != phase::ready || stop_asked_) return kj::READY_NOW;
        return ping().then([this] { return watch_health(); });
      });
}

/// Resolves with an answer, whatever it is.
kj::Promise<void> instance::ask_for_life() {
  return KJ_ASSERT_NONNULL(plugin_).pingRequest().send().ignoreResult().catch_(
      [this](kj::Exception&& problem) -> kj::Promise<void> {
        const auto said = wire::parse_error(problem, wire::plugin_hops_at_broker);
        if (said.from_plugin()) return kj::READY_NOW;
        if (said.kind != schema::ErrorKind::OVERLOADED) return kj::NEVER_DONE;
        // It was not asked, because of what waits for it: it may get on with that.
        return loop().timer().afterDelay(ping_again).then([this] { return ask_for_life(); });
      });
}

/// Resolves when it has answered; when it does not in time, it is on its way out.
kj::Promise<void> instance::ping() {
  auto limit = loop().timer().afterDelay(duration(settings_.limits.ping_wait)).then([this] {
    if (phase_ != phase::ready || stop_asked_) return;
    begin_end(end_cause::unresponsive, fmt::format("did not answer a ping within {} ms",
                                                   settings_.limits.ping_wait.count()));
  });
  return ask_for_life().exclusiveJoin(kj::mv(limit));
}

kj::Promise<void> instance::hello() {
  step_ = "waiting for the answer to hello";
  auto& plugin = KJ_ASSERT_NONNULL(plugin_);
  auto request = plugin.helloRequest();
  auto broker = request.initBroker();
  broker.setProtocolMin(protocol_min);
  broker.setProtocolMax(protocol_max);
  broker.setVersion(settings_.broker_version.c_str());
  auto limits = broker.initLimits();
  limits.setFrameBytesMax(settings_.stream.frame_bytes);
  limits.setCallsInFlightMax(settings_.calls_in_flight_max);
  limits.setLogLineBytesMax(settings_.log_line_bytes_max);
  limits.setErrorTextBytesMax(settings_.error_text_bytes_max);
  return request.send().then([this](capnp::Response<schema::Plugin::HelloResults>&& answer) {
    auto info = answer.getPlugin();
    if (info.getProtocol() < protocol_min || info.getProtocol() > protocol_max)
      kj::throwFatalException(refusal(schema::ErrorKind::UNSUPPORTED,
                                      "has no protocol version in common with this broker",
                                      fmt::format("it chose {}, the broker speaks {} to {}",
                                                  info.getProtocol(), protocol_min, protocol_max)));
    hello_ = kj::mv(answer);
  });
}

kj::Promise<void> instance::mount() {
  step_ = "being mounted";
  return protocol_->introduce(KJ_ASSERT_NONNULL(plugin_), KJ_ASSERT_NONNULL(hello_).getPlugin())
      .then([this] { hello_ = nullptr; });
}

void instance::start_failed(const kj::Exception& error) {
  // A lost process or link has an end of its own, which knows more.
  if (phase_ != phase::introducing) return;
  const auto said = wire::parse_error(error, wire::plugin_hops_at_broker);
  end_.permanent = said.kind == schema::ErrorKind::UNSUPPORTED ||
                   said.kind == schema::ErrorKind::INVALID_ARGUMENT;
  std::string why = said.what;
  if (said.from_plugin()) why = fmt::format("failed while {}: {}", step_, why);
  if (!said.why.empty()) why += fmt::format(" ({})", said.why);
  begin_end(end_cause::start_failed, std::move(why));
}

// -- output of the process -----------------------------------------------------------------------

kj::Promise<void> instance::read_pipe(pipe_reader& pipe) {
  const auto slice_max =
      std::max<std::size_t>(settings_.limits.log_bytes_per_s_max / log_slices_per_s, 1);
  if (const auto now = loop().timer().now(); now >= pipe.slice_end) {
    pipe.slice_end = now + 1 * kj::SECONDS / log_slices_per_s;
    pipe.taken = 0;
  }
  while (pipe.taken < slice_max) {
    const auto got = read_chunk(pipe, slice_max - pipe.taken);
    if (got == 0) break;
    pipe.taken += got;
  }
  if (pipe.ended) return kj::READY_NOW;
  // Above the rate the rest waits in the pipe: a plugin that floods its log slows itself down. A
  // pipe that was read empty begins no new slice, as it holds less than many a slice.
  auto next = pipe.taken >= slice_max ? loop().timer().atTime(pipe.slice_end)
                                      : pipe.observer.whenBecomesReadable();
  return next.then([this, &pipe] { return read_pipe(pipe); });
}

/// Bytes read; 0 when there are none now or the pipe has ended.
std::size_t instance::read_chunk(pipe_reader& pipe, std::size_t bytes_max) {
  if (pipe.ended) return 0;
  std::array<char, pipe_chunk_bytes> chunk;
  ssize_t got = 0;
  do got = ::read(pipe.fd, chunk.data(), std::min(bytes_max, chunk.size()));
  while (got < 0 && errno == EINTR);
  if (got > 0) {
    sink_->output(pipe.is_stderr, chunk.data(), static_cast<std::size_t>(got), false);
    return static_cast<std::size_t>(got);
  }
  if (got == 0 || errno != EAGAIN) {
    pipe.ended = true;
    sink_->output(pipe.is_stderr, nullptr, 0, true);
  }
  return 0;
}

void instance::read_last_words() {
  for (auto* pipe : {stdout_.get(), stderr_.get()}) {
    if (pipe == nullptr) continue;
    std::size_t taken = 0;
    while (taken < last_words_bytes_max) {
      const auto got = read_chunk(*pipe, last_words_bytes_max - taken);
      if (got == 0) break;
      taken += got;
    }
    if (!pipe->ended) sink_->output(pipe->is_stderr, nullptr, 0, true);
  }
}

// -- the end -------------------------------------------------------------------------------------

kj::Promise<void> instance::watch_exit() {
  return exit_observer_->whenBecomesReadable().then([this] { exit_seen(); });
}

kj::Promise<kj::Exception> instance::link_lost(kj::Exception cause) {
  auto closing = kj::newPromiseAndFulfiller<kj::Exception>();
  closing_ = kj::mv(closing.fulfiller);
  if (phase_ == phase::ended) return kj::mv(closing.promise);  // the verdict is on its way
  const auto said = wire::parse_error(cause, wire::plugin_hops_at_broker);
  // A farewell is the plugin's own text, and disconnected whatever it claims.
  const bool own_words = cause.getType() != kj::Exception::Type::DISCONNECTED;
  if (own_words && said.kind == schema::ErrorKind::PROTOCOL_VIOLATION) {
    if (phase_ != phase::ending) end_.breach = wire::breach_in(said);
    begin_end(end_cause::violation, said.why.empty() ? said.what : said.why);
  } else if (phase_ != phase::ending && !stop_asked_) {
    // The usual case: the process is dying and its status is a moment away.
    run(loop().timer().afterDelay(duration(settings_.limits.status_wait)).then([this] {
      // One that was asked to stop may close its link first: the stop has limits of its own.
      if (!stop_asked_) begin_end(end_cause::link_closed, "it closed its link and lived on");
    }));
  }
  return kj::mv(closing.promise);
}

void instance::begin_end(end_cause cause, std::string why) {
  if (phase_ == phase::ending || phase_ == phase::ended) return;
  if (phase_ == phase::introducing) end_.during_start = true;
  phase_ = phase::ending;
  end_.cause = cause;
  // It may hold words of the plugin, of any length, and goes to logs and terminals.
  end_.why = wire::utf8_prefix(wire::escape_line(why), why_bytes_max);
  run(kill_and_wait(settings_.limits.kill_wait));
}

kj::Promise<void> instance::kill_and_wait(std::chrono::milliseconds patience) {
  killed_by_us_ = true;
  process_->signal_group(SIGKILL);
  return loop().timer().afterDelay(duration(patience)).then([this] {
    // Not even SIGKILL ended it in time (a call into a dead disk, say). Its parent must not wait
    // for it.
    if (phase_ == phase::ended) return;
    if (end_.cause == end_cause::stopped || end_.cause == end_cause::none)
      end_.cause = end_cause::unknown;
    finish();
  });
}

void instance::exit_seen() {
  if (phase_ == phase::ended) return;
  end_.status = process_->reap().value_or(exit_status{});
  end_.out_of_memory = process_->out_of_memory();
  if (end_.cause == end_cause::none) {
    end_.during_start = phase_ == phase::introducing;
    if (stop_asked_)
      end_.cause = killed_by_us_ ? end_cause::stop_killed : end_cause::stopped;
    else
      end_.cause = end_cause::process;
    if (end_.during_start) end_.why = fmt::format("{} while {}", sentence(end_.status), step_);
  }
  finish();
}

void instance::finish() {
  if (phase_ == phase::ended) return;
  phase_ = phase::ended;
  ended_at_ = std::chrono::steady_clock::now();
  read_last_words();
  end_.uptime_ms = uptime_ms();
  if (ready_at_.time_since_epoch().count() != 0) end_.ready_ms = ms_between(ready_at_, ended_at_);
  // The parent answers with the text that calls in flight end with; should it be gone, they end all
  // the same.
  this->request(parent_, settings_.limits.status_wait, instance_ended{settings_.generation, end_})
      .then([this](const std::string& verdict) { close_with(verdict); },
            [this](const caf::error&) { close_with("the plugin's process has ended"); });
}

void instance::close_with(const std::string& verdict) {
  kj::Exception reason(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                       kj::str(verdict.c_str()));
  KJ_IF_MAYBE (waiting, closing_)
    (*waiting)->fulfill(kj::cp(reason));
  else if (link_.get() != nullptr)
    link_->close(kj::cp(reason));
  closing_ = nullptr;
  // The link is destroyed only when its calls have heard the verdict: destroying it first would
  // tell them something else.
  auto told = link_.get() == nullptr ? kj::Promise<void>(kj::READY_NOW) : link_->on_disconnect();
  run(told.exclusiveJoin(loop().timer().afterDelay(duration(settings_.limits.status_wait)))
          .then([this] { stop(caf::exit_reason::user_shutdown); }));
}

// -- rules and stop ------------------------------------------------------------------------------

void instance::use_rules(const instance_rules& rules) {
  settings_.limits.ping_every = rules.ping_every;
  settings_.limits.ping_wait = rules.ping_wait;
  begin_health_checks();
  if (!rules.limits || phase_ == phase::ended) return;
  const auto tell = [this](int error_number) {
    this->send(parent_, instance_limited{settings_.generation, error_number});
  };
  if (process_ == nullptr) return tell(EAGAIN);  // its start is under way, with those before
  if (ticket_ == 0) return tell(ENOSYS);
  this->request(spawner_, caf::infinite, limits_request{ticket_, *rules.limits})
      .then([tell](const limits_answer& answer) { tell(answer.error_number); },
            [tell](const caf::error&) { tell(ECANCELED); });
}

void instance::stop_in_order(const instance_stop& order) {
  const bool at_once = order.grace.count() == 0 && order.term_wait.count() == 0;
  const bool asked_before = std::exchange(stop_asked_, true);
  if (at_once && (phase_ == phase::introducing || phase_ == phase::ready)) {
    run(kill_and_wait(settings_.limits.kill_wait));
    return;
  }
  if (asked_before) return;
  switch (phase_) {
    case phase::preparing:
      end_.cause = end_cause::stopped;
      end_.during_start = true;
      finish();
      return;
    case phase::spawning:  // spawned() sees to it
    case phase::ending:
    case phase::ended:
      return;
    case phase::introducing:
    case phase::ready:
      run(stop_steps(order));
  }
}

kj::Promise<void> instance::stop_steps(instance_stop order) {
  auto& plugin = KJ_ASSERT_NONNULL(plugin_);
  if (!order.unmount_uuid.empty()) {
    auto forget = plugin.unmountRequest();
    forget.setUuid(order.unmount_uuid.c_str());
    run(forget.send().ignoreResult().catch_([](kj::Exception&&) {}));
  }
  auto request = plugin.shutdownRequest();
  request.setGraceMs(static_cast<std::uint32_t>(order.grace.count()));
  run(request.send().ignoreResult().catch_([](kj::Exception&&) {}));
  return loop()
      .timer()
      .afterDelay(duration(order.grace))
      .then([this, order] {
        process_->signal(SIGTERM);
        return loop().timer().afterDelay(duration(order.term_wait));
      })
      .then([this] { return kill_and_wait(settings_.limits.kill_wait); });
}

std::uint64_t instance::uptime_ms() const {
  if (started_at_.time_since_epoch().count() == 0) return 0;
  return ms_between(started_at_,
                    phase_ == phase::ended ? ended_at_ : std::chrono::steady_clock::now());
}

void instance::on_task_failed(kj::Exception&& error) {
  begin_end(end_cause::violation,
            fmt::format("an operation on it failed: {}", error.getDescription().cStr()));
}

void instance::on_loop_exit() {
  health_ = nullptr;
  hello_ = nullptr;
  plugin_ = nullptr;
  if (protocol_ != nullptr) protocol_->link = nullptr;
  link_ = nullptr;
  stdout_ = nullptr;
  stderr_ = nullptr;
  exit_observer_ = nullptr;
  protocol_ = nullptr;
  settings_.prepare = nullptr;
  process_ = nullptr;  // kills what still runs
  // The parent holds this actor and this actor its parent: one of them has to let go.
  closing_ = nullptr;
  parent_ = instance_parent();
  spawner_ = spawner_actor();
}

}  // namespace bulkhead
