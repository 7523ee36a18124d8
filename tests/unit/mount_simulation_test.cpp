// SPDX-License-Identifier: Apache-2.0
//
// A whole broker in memory, and a mount to which anything happens in any order: calls that are
// answered, hang or are dropped by their callers; plugins that crash, freeze, exit at once, never
// say hello, or are deaf to a stop; reloads with and without a trial; operators who restart, stop,
// start and reset; time that passes. All of it is drawn from a seed: BULKHEAD_SEED=N repeats one
// run and tells its story, BULKHEAD_SEEDS=N makes so many runs.
//
// Safety, after every step: the mount answers a question about its state at once; its window is
// never overspent; there are never two live instances beyond the one that a reload starts and those
// that drain. Liveness, at the end: with a sound plugin and an operator's help the mount serves
// again; after the unmount every call ever made has ended, and no process lives.
//
// The rare states that the runs are for are counted; a run of the default size that never reached
// one of them has failed.

#include <iostream>

#include "tests/unit/test_broker.hpp"

using namespace bulkhead;              // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)
using test::program;
using test::test_broker;

namespace {

constexpr int seeds_by_default = 600;
constexpr int steps = 60;
constexpr std::uint32_t intensity = 4;

struct subject {
  sdk::fields read(const sdk::request&) { return {{"ok", true}}; }
  kj::Promise<sdk::response> hang(const sdk::request&) {
    return kj::Promise<sdk::response>(kj::NEVER_DONE);
  }
};

sdk::plugin make() {
  static const auto api = [] {
    sdk::paths<subject> paths;
    paths.at("hang", "Never answers.").read("Waits.", &subject::hang);
    paths.at("{rest*}", "Anything.").read("Answers.", &subject::read);
    return paths;
  }();
  return sdk::plugin("subject", "1.0.0").serves(api, [](sdk::mount_context) {
    return std::make_shared<subject>();
  });
}

program sound(bool deaf) {
  return {[](kj::Own<kj::AsyncIoStream> link) { return make().serve_on(kj::mv(link)); }, deaf};
}

program silent() {
  return {[](kj::Own<kj::AsyncIoStream> link) {
    return kj::Promise<void>(kj::NEVER_DONE).attach(kj::mv(link));
  }};
}

struct call_under_way {
  kj::Promise<void> watched = nullptr;
  std::shared_ptr<int> endings = std::make_shared<int>(0);
};

class simulation {
 public:
  simulation(std::uint64_t seed, bool aloud, std::map<std::string, int>& reached)
      : dice_(seed), aloud_(aloud), reached_(reached) {
    tb_.plugin("p", sound(false));
    mount_spec spec;
    spec.path = "m";
    spec.plugin = "p";
    spec.supervision.intensity = intensity;
    spec.life.ping_every = 10s;
    spec.life.ping_wait = 5s;
    if (chance(3)) spec.life.idle_stop = 20s;
    if (chance(3)) spec.life.start = start_mode::lazy;
    if (chance(4)) spec.life.lifetime_max = 1min;
    if (chance(4)) spec.life.calls_max = 7;
    if (chance(4)) spec.life.call_age_max = 20s;
    if (chance(4)) spec.life.handover = handover::stop_first;
    spec.calls.breaker_failures = 3;
    spec.calls.call_max = 25s;
    tb_.wait(tb_.core().mount(std::move(spec)));
  }

  void run() {
    for (int i = 0; i < steps; ++i) {
      step();
      check();
    }
    heal();
  }

 private:
  bool chance(unsigned one_in) { return dice_.bits() % one_in == 0; }
  void say(const std::string& what) {
    if (aloud_) std::cout << what << '\n';
  }

  void step() {
    switch (dice_.bits() % 14) {
      case 0:
      case 1:
      case 2:
        return call("x");
      case 3:
        return call("hang");
      case 4:
        return drop_a_call();
      case 5:
      case 6:
        return strike();
      case 7:
        return change_plugin();
      case 8:
        return reload();
      case 9:
        return order();
      default:
        return pass_time();
    }
  }

  void call(const std::string& path) {
    say("call " + path);
    calls_.emplace_back();
    auto& made = calls_.back();
    made.watched = tb_.start("(operation = read, path = \"m/" + path + "\")")
                       .then([endings = made.endings](std::string&&) { ++*endings; })
                       .eagerlyEvaluate(nullptr);
    if (chance(2)) tb_.settle();
  }

  void drop_a_call() {
    if (calls_.empty()) return;
    say("a caller goes away");
    calls_.erase(calls_.begin() + static_cast<std::ptrdiff_t>(dice_.bits() % calls_.size()));
  }

  void strike() {
    const auto living = tb_.living();
    if (living.empty()) return;
    const auto& victim = living[dice_.bits() % living.size()];
    if (chance(3)) {
      say("freeze");
      victim->freeze();
    } else if (chance(4)) {
      say("exit 0");
      victim->end(exit_status::exited(0));
    } else {
      say("crash");
      victim->end(exit_status::signaled(SIGSEGV, false));
    }
    if (chance(2)) tb_.settle();
  }

  void change_plugin() {
    switch (dice_.bits() % 5) {
      case 0:
        say("the plugin is silent now");
        return tb_.plugin("p", silent());
      case 1:
        say("the plugin is deaf now");
        return tb_.plugin("p", sound(true));
      default:
        say("the plugin is sound now");
        return tb_.plugin("p", sound(false));
    }
  }

  void reload() {
    reload_request how;
    if (chance(2)) how = {.canary_percent = 50, .canary = 5s};
    say(fmt::format("reload, {} %", how.canary_percent));
    orders_.push_back(
        tb_.core()
            .reload("m", how)
            .then([this](std::vector<reload_result>&& results) {
              ++reached_["reload " + std::to_string(static_cast<int>(results.front().outcome))];
            })
            .eagerlyEvaluate(nullptr));
    tb_.settle();
  }

  void order() {
    const auto ignore = [](kj::Exception&&) {};
    switch (dice_.bits() % 4) {
      case 0:
        say("restart");
        orders_.push_back(
            tb_.core().restart("m").ignoreResult().catch_(ignore).eagerlyEvaluate(nullptr));
        break;
      case 1:
        say("stop");
        orders_.push_back(
            tb_.core().stop("m").ignoreResult().catch_(ignore).eagerlyEvaluate(nullptr));
        break;
      case 2:
        say("start");
        orders_.push_back(
            tb_.core().start("m").ignoreResult().catch_(ignore).eagerlyEvaluate(nullptr));
        break;
      default:
        say("reset");
        orders_.push_back(
            tb_.core().reset("m").ignoreResult().catch_(ignore).eagerlyEvaluate(nullptr));
    }
    if (chance(2)) tb_.settle();
  }

  void pass_time() {
    static constexpr std::array spans = {1ms, 100ms, 1000ms, 2000ms, 5000ms, 15000ms};
    const auto span = spans.at(dice_.bits() % spans.size());
    say(fmt::format("{} ms pass", span.count()));
    tb_.advance(span);
  }

  void check() {
    const auto now = tb_.status("m");  // a mount that did not answer would hang the test here
    say(fmt::format("    {} {}, {} alive", to_string(now.status.state), now.status.reason,
                    tb_.living().size()));
    ++reached_[to_string(now.status.state)];
    if (now.breaker == breaker_state::open) ++reached_["breaker open"];
    if (now.reload.find("trial") != std::string::npos) ++reached_["on trial"];
    if (now.asleep) ++reached_["asleep"];
    REQUIRE(now.restarts_in_window <= intensity);
    REQUIRE(now.status.calls_in_flight + now.status.calls_waiting <= calls_.size());
  }

  void heal() {
    say("-- heal");
    tb_.plugin("p", sound(false));
    for (auto& each : tb_.living()) each->end(exit_status::signaled(SIGKILL, false));
    tb_.settle();
    for (int i = 0; i < 40; ++i) tb_.advance(5s);
    const bool quarantined = tb_.status("m").status.state == mount_state::quarantined;
    auto answered =
        (quarantined ? tb_.core().reset("m") : tb_.core().restart("m")).eagerlyEvaluate(nullptr);
    const auto now = tb_.finish(kj::mv(answered));
    REQUIRE(now.status.state == mount_state::ready);
    REQUIRE(tb_.text_of(tb_.start("(operation = read, path = \"m/x\")")).find("ok") !=
            std::string::npos);
    for (auto& each : orders_) tb_.finish(kj::mv(each));
    auto gone = tb_.core().unmount("m").eagerlyEvaluate(nullptr);
    tb_.finish(kj::mv(gone));
    tb_.settle();
    for (auto& each : calls_) {
      REQUIRE(each.watched.poll(tb_.wait_scope()));
      REQUIRE(*each.endings == 1);
    }
    REQUIRE(tb_.living().empty());
  }

  seeded_random dice_;
  bool aloud_;
  std::map<std::string, int>& reached_;
  test_broker tb_;
  std::vector<call_under_way> calls_;
  std::vector<kj::Promise<void>> orders_;
};

}  // namespace

TEST_CASE("whatever happens to a mount, every call ends once and the mount can be brought back") {
  std::map<std::string, int> reached;
  if (const char* seed = std::getenv("BULKHEAD_SEED")) {
    simulation(std::strtoull(seed, nullptr, 10), true, reached).run();
    return;
  }
  const char* wanted = std::getenv("BULKHEAD_SEEDS");
  const int seeds = wanted == nullptr ? seeds_by_default : std::atoi(wanted);
  for (int seed = 1; seed <= seeds; ++seed) {
    INFO("BULKHEAD_SEED=" << seed);
    simulation(static_cast<std::uint64_t>(seed), false, reached).run();
  }
  for (const auto& [state, times] : reached) std::cout << state << ": " << times << '\n';
  if (seeds < seeds_by_default) return;
  for (const auto* state :
       {"starting", "ready", "backoff", "quarantined", "stopped", "asleep", "on trial",
        "breaker open", "reload 0", "reload 1", "reload 2", "reload 3"}) {
    INFO(state);
    CHECK(reached[state] > 0);
  }
}
