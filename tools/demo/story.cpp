// SPDX-License-Identifier: Apache-2.0

#include "tools/demo/story.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <string.h>

#include "tools/demo/calc_load.hpp"
#include "tools/demo/kv_load.hpp"
#include "tools/demo/lane.hpp"

namespace bulkhead::demo {

namespace {

// Calls made in the turn of the kill, so that it surely finds some in flight.
constexpr std::uint64_t burst_calls = 32;

template <class... Args>
void tell(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print("    {}\n", fmt::format(format, std::forward<Args>(args)...));
  std::fflush(stdout);
}

std::string milliseconds(std::uint64_t us) {
  return fmt::format("{:.1f} ms", static_cast<double>(us) / 1000.0);
}

void tell_error(const wire::error_info& error) {
  tell("  {}", error.what);
  if (!error.why.empty()) tell("    why: {}", error.why);
  if (!error.remedy.empty()) tell("    try: {}", error.remedy);
}

std::string cause_of(schema::CrashReport::Reader report) {
  const auto cause = report.getCause();
  switch (cause.which()) {
    case schema::CrashReport::Cause::EXITED:
      return fmt::format("exited with status {}", cause.getExited());
    case schema::CrashReport::Cause::SIGNALED: {
      const char* name = ::sigabbrev_np(cause.getSignaled());
      return fmt::format("signal {} (SIG{})", cause.getSignaled(), name ? name : "?");
    }
    case schema::CrashReport::Cause::START_FAILED:
      return fmt::format("did not start: {}", cause.getStartFailed().cStr());
    case schema::CrashReport::Cause::VIOLATION:
      return fmt::format("broke the protocol: {}", cause.getViolation().cStr());
    case schema::CrashReport::Cause::UNRESPONSIVE:
      return fmt::format("hung: {}", cause.getUnresponsive().cStr());
    case schema::CrashReport::Cause::OVER_LIMIT:
      return "used too much and was ended";
    case schema::CrashReport::Cause::LINK_CLOSED:
      return "closed its link";
    case schema::CrashReport::Cause::STOPPED:
    case schema::CrashReport::Cause::STOP_KILLED:
      return "was asked to stop";
    case schema::CrashReport::Cause::UNKNOWN:
      break;
  }
  return "unknown";
}

class story {
 public:
  story(remote::client& broker, remote::client& as_operator, kj::Timer& timer, kj::WaitScope& loop,
        const story_options& options)
      : operator_(as_operator),
        timer_(timer),
        loop_(loop),
        options_(options),
        writes_(broker, options.kv_path),
        kv_(timer, interval(), writes_.caller()),
        calc_(timer, interval(), calc_caller(broker, options.calc_path)) {}

  bool run() {
    kv_.start();
    calc_.start();
    tell("{} calls/s on {} (a fifth writes) and {} calls/s on {}", options_.calls_per_second,
         options_.kv_path, options_.calls_per_second, options_.calc_path);
    pause(options_.before_ms);
    kill();
    pause(options_.after_ms);
    kv_.stop().wait(loop_);
    calc_.stop().wait(loop_);
    tell_crash_report();
    return tell_kv() & tell_calc() &
           tell_data();  // all of them, also when one is not as it should be
  }

 private:
  kj::Duration interval() const { return 1 * kj::SECONDS / options_.calls_per_second; }
  void pause(std::uint32_t ms) { timer_.afterDelay(ms * kj::MILLISECONDS).wait(loop_); }

  void kill() {
    kv_.burst(burst_calls);
    const auto start = kj::systemPreciseMonotonicClock().now();
    auto request = operator_.admin().killRequest();
    request.setPath(options_.kv_path);
    request.setSignal(SIGKILL);
    auto killed = request.send().wait(loop_);
    timer_
        .timeoutAfter(options_.served_ms_max * kj::MILLISECONDS, kv_.until_served(writes_.reader()))
        .wait(loop_);
    const auto took = kj::systemPreciseMonotonicClock().now() - start;
    tell("SIGKILL to pid {}, generation {} of {}", killed.getPid(), killed.getGeneration(),
         options_.kv_path);
    tell("first call served {} after the kill",
         milliseconds(static_cast<std::uint64_t>(took / kj::MICROSECONDS)));
  }

  void tell_crash_report() {
    auto request = operator_.admin().statusRequest();
    request.setPath(options_.kv_path);
    auto answer = request.send().wait(loop_);
    const auto status = answer.getStatus();
    const auto report = status.getLastCrash();
    tell("crash report of {}", options_.kv_path);
    tell("  cause    {}", cause_of(report));
    tell("  process  generation {}, lived {} ms", report.getGeneration(), report.getUptimeMs());
    tell("  callers  {} calls in flight ended with it", report.getCallsInFlight());
    tell("  then     {}; generation {} is pid {}", report.getNext().cStr(), status.getGeneration(),
         status.getPid());
    if (kv_.report().crashed > 0) {
      tell("what each of those callers was told");
      tell_error(kv_.report().first_crash);
    }
  }

  bool tell_kv() {
    const auto& seen = kv_.report();
    tell("{:<8} {} calls, {} served, {} ended as plugin_crashed, {} failed otherwise; slowest {}",
         options_.kv_path, seen.calls, seen.served, seen.crashed, seen.failed,
         milliseconds(seen.slowest_us));
    if (seen.failed > 0) tell_error(seen.first_failure);
    return seen.failed == 0;
  }

  bool tell_calc() {
    const auto& seen = calc_.report();
    tell("{:<8} {} calls, {} served, {} lost; slowest {}", options_.calc_path, seen.calls,
         seen.served, seen.crashed + seen.failed, milliseconds(seen.slowest_us));
    if (seen.crashed > 0) tell_error(seen.first_crash);
    if (seen.failed > 0) tell_error(seen.first_failure);
    return seen.served == seen.calls;
  }

  bool tell_data() {
    const auto missing = writes_.missing().wait(loop_);
    tell("{:<8} {} writes were acknowledged, {} of them are missing", "data",
         writes_.acknowledged(), missing);
    return missing == 0 && writes_.acknowledged() > 0;
  }

  remote::client& operator_;
  kj::Timer& timer_;
  kj::WaitScope& loop_;
  const story_options& options_;
  kv_load writes_;
  lane kv_;
  lane calc_;
};

}  // namespace

bool tell_story(remote::client& broker, remote::client& as_operator, kj::Timer& timer,
                kj::WaitScope& loop, const story_options& options) {
  return story(broker, as_operator, timer, loop, options).run();
}

}  // namespace bulkhead::demo
