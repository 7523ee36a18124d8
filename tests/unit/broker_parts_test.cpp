// SPDX-License-Identifier: Apache-2.0
//
// The broker's pure parts: routes, values, records, reports, limits.

#include <capnp/message.h>
#include <kj/debug.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "broker/config_file.hpp"
#include "broker/convert.hpp"
#include "broker/crash_report.hpp"
#include "broker/event_log.hpp"
#include "broker/fair_store.hpp"
#include "broker/instance_settings.hpp"
#include "broker/limits.hpp"
#include "broker/mount_log.hpp"
#include "broker/mount_record.hpp"
#include "broker/mount_rules.hpp"
#include "broker/revocable_store.hpp"
#include "broker/router.hpp"
#include "schema/wire/error_text.hpp"
#include "schema/wire/wire_limits.hpp"

using namespace bulkhead;              // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

TEST_CASE("a route is found by longest prefix, and only at a segment's end") {
  route_table<int> routes;
  routes.insert("kv/", 1);
  routes.insert("team/a/", 2);
  CHECK(*routes.find("kv/x")->value == 1);
  CHECK(routes.find("kv/x")->rest == "x");
  CHECK(routes.find("kv")->rest.empty());
  CHECK(routes.find("kv/")->rest.empty());
  CHECK(*routes.find("team/a/b/c")->value == 2);
  CHECK_FALSE(routes.find("kvx/y"));
  CHECK_FALSE(routes.find("team/ab"));
  CHECK_FALSE(routes.find(""));
  CHECK(routes.overlap("team/") == "team/a/");
  CHECK(routes.overlap("team/a/b/") == "team/a/");
  CHECK_FALSE(routes.overlap("team/b/"));
}

TEST_CASE("a mount path has at most mount_path_bytes_max bytes") {
  std::string problem;
  CHECK(normalise_mount_path(std::string(mount_path_bytes_max - 1, 'a'), problem));
  CHECK_FALSE(normalise_mount_path(std::string(mount_path_bytes_max, 'a'), problem));
}

TEST_CASE("values survive the way to the wire and back, and depth is bounded") {
  const fields sent{{"text", "x"},
                    {"none", value()},
                    {"yes", true},
                    {"int", std::int64_t{-5}},
                    {"float", 0.5},
                    {"bytes", bytes{std::string("\0\xff", 2)}},
                    {"list", value::list{1, "two"}},
                    {"map", value::map{{"k", "v"}}}};
  capnp::MallocMessageBuilder message;
  auto to = message.initRoot<schema::Request>().initFields(static_cast<unsigned>(sent.size()));
  write_fields(sent, to);
  CHECK(read_fields(to.asReader()) == sent);

  value deep("bottom");
  for (unsigned i = 0; i < value_depth_max + 5; ++i) deep = value(value::list{deep});
  capnp::MallocMessageBuilder other;
  write_value(deep, other.initRoot<schema::Value>());
  auto read = read_value(other.getRoot<schema::Value>());
  unsigned depth = 0;
  const value* at = &read;
  while (const auto* list = std::get_if<value::list>(&at->content)) {
    if (list->empty()) break;
    at = &list->front();
    ++depth;
  }
  CHECK(depth == value_depth_max);
}

TEST_CASE("a mount's record reads back as it was written, and garbage is refused") {
  mount_record entry;
  entry.spec = {"kv/", "kv", {{"a", "b"}}, "secrets", restart_rule::transient, {}};
  entry.spec.supervision.intensity = 7;
  entry.uuid = "u";
  entry.accessor = "kv_1";
  entry.generations_reserved = 300;
  entry.removing = true;
  mount_record read;
  REQUIRE(decode_record(encode_record(entry), read));
  CHECK(read.spec.path == "kv/");
  CHECK(read.spec.options[0].value == "b");
  CHECK(read.spec.restart == restart_rule::transient);
  CHECK(read.spec.supervision.intensity == 7);
  CHECK(read.generations_reserved == 300);
  CHECK(read.removing);
  for (const auto& bad : {std::string(), std::string("short"), std::string(64, '\xff'),
                          encode_record(entry).substr(0, 24)}) {
    mount_record garbage;
    CHECK_FALSE(decode_record(bad, garbage));
  }
}

namespace {

/// Empty when a mount may have these rules, else "what: why".
std::string refusal_of(const std::function<void(mount_spec&)>& change,
                       const broker_limits& limits = {}) {
  mount_spec spec{"kv/", "kv"};
  change(spec);
  auto refused = kj::runCatchingExceptions([&] { check_mount_spec(spec, limits); });
  KJ_IF_MAYBE (problem, refused) {
    const auto said = to_error(*problem);
    CHECK(said.kind() == error_kind::invalid_argument);
    return said.what() + (": " + said.why());
  }
  return {};
}

}  // namespace

TEST_CASE("an age of calls that no call can reach is refused, and names both numbers") {
  const auto with = [](std::chrono::milliseconds age, std::chrono::milliseconds call_max) {
    return refusal_of(
        [&](mount_spec& spec) {
          spec.life.call_age_max = age;
          spec.calls.call_max = call_max;
        },
        [] {
          broker_limits limits;
          limits.call_ms_max = 90s;
          return limits;
        }());
  };
  CHECK(with(0s, 0s).empty());
  CHECK(with(90s - 1ms, 0s).empty());
  CHECK(with(90s, 0s) ==
        "life.call_age_max can never act: it is 90000 ms, and a call ends after 90000 ms "
        "(call_ms_max)");
  CHECK(with(2s - 1ms, 2s).empty());
  CHECK(with(3s, 2s) ==
        "life.call_age_max can never act: it is 3000 ms, and a call ends after 2000 ms "
        "(calls.call_max)");
  CHECK(with(100s, 101s).empty());
}

TEST_CASE("an idle time is at least idle_stop_min and a lifetime lifetime_min, or 0") {
  const auto idle = [](std::chrono::milliseconds span) {
    return refusal_of([span](mount_spec& spec) { spec.life.idle_stop = span; });
  };
  const auto lifetime = [](std::chrono::milliseconds span) {
    return refusal_of([span](mount_spec& spec) { spec.life.lifetime_max = span; });
  };
  CHECK(idle_stop_min == 100ms);
  CHECK(lifetime_min == 1000ms);
  CHECK(idle(0ms).empty());
  CHECK(idle(idle_stop_min).empty());
  CHECK(idle(idle_stop_min - 1ms) ==
        "life.idle_stop is out of range: it is 0 (off), or 100 ms to 86400000 ms");
  CHECK(lifetime(0ms).empty());
  CHECK(lifetime(lifetime_min).empty());
  CHECK(lifetime(lifetime_min - 1ms) ==
        "life.lifetime_max is out of range: it is 0 (off), or 1000 ms to 31622400000 ms");
}

TEST_CASE("a crash's text says what, why, what to do, and keeps its details for programs") {
  crash_report report;
  report.mount = "kv/";
  report.plugin = "kv";
  report.generation = 3;
  report.end.cause = end_cause::process;
  report.end.status = exit_status::signaled(9, false);
  report.end.uptime_ms = 1234;
  report.last_lines = {"one", "two"};
  report.next = "restarts at once";
  const auto text = crash_text(report);
  const auto said = wire::parse_error(text.c_str(), kj::Exception::Type::DISCONNECTED);
  CHECK(said.kind == schema::ErrorKind::PLUGIN_CRASHED);
  CHECK(said.what == "plugin 'kv' at 'kv/' was killed by SIGKILL");
  CHECK(said.why == "instance 3 had run for 1234 ms; its last log line: two");
  CHECK(*said.find("signal") == "9");
  CHECK(*said.find("next") == "restarts at once");
}

TEST_CASE("a crash report names the limit that was passed, and has none for other ends") {
  crash_report report;
  report.end.cause = end_cause::violation;
  report.end.why = "plugin_calls_open_max: 4097 calls, 4096 allowed";
  report.end.breach = wire::limit_breach{"plugin_calls_open_max", "calls", 4097, 4096};
  capnp::MallocMessageBuilder message;
  auto written = message.initRoot<schema::CrashReport>();
  write_crash(report, written);
  const auto breach = written.asReader().getBreach();
  CHECK(breach.getLimit() == "plugin_calls_open_max");
  CHECK(breach.getUnit() == "calls");
  CHECK(breach.getCount() == 4097);
  CHECK(breach.getAllowed() == 4096);
  CHECK(crash_text(report).find("plugin_calls_open_max: 4097 calls, 4096 allowed") !=
        std::string::npos);
  report.end.breach.reset();
  auto other = message.initRoot<schema::CrashReport>();
  write_crash(report, other);
  CHECK_FALSE(other.hasBreach());
}

TEST_CASE("events are numbered, kept up to their limit, and told to observers until they leave") {
  event_log log;
  int heard = 0;
  const auto id = log.observe([&heard](const broker_event&) { ++heard; });
  for (std::size_t i = 0; i < events_kept + 5; ++i) log.record("m/", 1, "ready", "");
  CHECK(heard == static_cast<int>(events_kept + 5));
  CHECK(log.after(0, 10).front().number == 6);
  CHECK(log.after(events_kept + 4, 10).size() == 1);
  log.forget(id);
  log.record("m/", 1, "ready", "");
  CHECK(heard == static_cast<int>(events_kept + 5));
}

TEST_CASE("every limit has a name of its own, a unit and an outcome") {
  std::set<std::string> names;
  for (const auto& each : list_limits({})) {
    CHECK(names.insert(each.name).second);
    CHECK_FALSE(each.unit.empty());
    CHECK_FALSE(each.outcome.empty());
    // No descriptor is taken from a plugin.
    CHECK((each.value > 0 || each.name == "plugin_fds_per_message_max"));
  }
}

TEST_CASE("of a text for the log so much is looked at, and one line or a few are taken") {
  manual_clock clock;
  const auto log = std::make_shared<mount_log>(5000, log_line_limits{64}, clock);
  log->plugin_says(1, schema::LogLevel::INFO, "one\ntwo");
  CHECK(log->last_lines(1, 9) == std::vector<std::string>{"one", "two"});
  log->plugin_says(1, schema::LogLevel::INFO, std::string(100'000, '\n'));
  clock.advance(std::chrono::seconds(1));
  log->plugin_says(1, schema::LogLevel::INFO, "three");
  const auto last = log->last_lines(1, 2);
  CHECK(last[0] == "[27 lines dropped: more than 1000 per second]");  // of 16 * 64, and its end
  CHECK(last[1] == "three");
}

TEST_CASE("each pipe of an instance has the rate of lines that was set, and so has what it says") {
  broker_limits limits;
  limits.log_line_bytes_max = 100;
  limits.log_lines_per_s_max = 2;
  manual_clock clock;
  const auto log = std::make_shared<mount_log>(100, line_limits_of(limits), clock);
  const auto sink = log->sink(1);
  const std::string three = "a\nb\n" + std::string(200, 'c') + "\n";
  for (const bool is_stderr : {false, true})
    sink->output(is_stderr, three.data(), three.size(), true);
  log->plugin_says(1, schema::LogLevel::INFO, "a\nb\nc");
  clock.advance(std::chrono::seconds(1));
  log->plugin_says(1, schema::LogLevel::INFO, std::string(200, 'd'));
  const std::string dropped = "[1 line dropped: more than 2 per second]";
  CHECK(log->last_lines(1, 99) == std::vector<std::string>{"a", "b", dropped, "a", "b", dropped,
                                                           "a", "b", dropped,
                                                           std::string(95, 'd') + "[cut]"});
}

TEST_CASE("limits of the wire that are settings have one default, and are listed as they are set") {
  const auto defaults = configured_limits({});
  broker_limits raised;
  raised.plugin_calls_open_max = 70'000;
  std::size_t settings = 0;
  for (const auto& each : wire::limit_table) {
    const auto own = defaults.find(each.name);
    if (own == defaults.end()) continue;
    ++settings;
    INFO(each.name);
    CHECK(own->second == each.value);
    const auto lines = list_limits(raised);
    const auto shown = std::find_if(lines.begin(), lines.end(),
                                    [&](const auto& line) { return line.name == each.name; });
    REQUIRE(shown != lines.end());
    CHECK(shown->value == (shown->name == "plugin_calls_open_max" ? 70'000 : each.value));
  }
  CHECK(settings == 11);
}

TEST_CASE("each limit of a plugin's link is that of the broker") {
  broker_limits limits;
  limits.plugin_calls_open_max = 1;
  limits.plugin_calls_unanswered_max = 2;
  limits.plugin_capabilities_max = 3;
  limits.plugin_message_capabilities_max = 4;
  limits.plugin_capabilities_given_max = 5;
  limits.plugin_pipeline_steps_max = 6;
  limits.plugin_tail_calls_max = 7;
  limits.plugin_frames_per_s_max = 8;
  limits.plugin_flow_words_max = 9;
  limits.plugin_frame_ms_max = std::chrono::milliseconds(10);
  limits.plugin_write_ms_max = std::chrono::milliseconds(11);
  const auto settings = instance_settings(limits, 1);
  CHECK(settings.budget.calls_open == 1);
  CHECK(settings.budget.calls_unanswered == 2);
  CHECK(settings.budget.capabilities_held == 3);
  CHECK(settings.budget.message_capabilities == 4);
  CHECK(settings.budget.capabilities_given == 5);
  CHECK(settings.budget.pipeline_steps == 6);
  CHECK(settings.budget.tail_calls == 7);
  CHECK(settings.budget.frames_per_s == 8);
  CHECK(settings.flow_words_max == 9);
  CHECK(settings.stream.frame_ms == 10);
  CHECK(settings.stream.write_ms == 11);
}

namespace {

/// A store whose answers the test gives by hand.
class held_store final : public async_store {
 public:
  kj::Promise<range_result> range(range_request request) override {
    asked.push_back(request.keys.begin);
    auto answer = kj::newPromiseAndFulfiller<range_result>();
    answers.push_back(kj::mv(answer.fulfiller));
    return kj::mv(answer.promise);
  }
  kj::Promise<txn_result> txn(txn_request) override { return txn_result{}; }
  kj::Promise<lease_info> grant(std::uint64_t) override { return lease_info{}; }
  kj::Promise<lease_info> keep_alive(std::uint64_t) override { return lease_info{}; }
  kj::Promise<std::uint64_t> revoke(std::uint64_t) override { return std::uint64_t{0}; }
  kj::Promise<changes_result> changes_since(changes_request) override { return changes_result{}; }
  kj::Promise<changes_result> await_changes(changes_request) override { return changes_result{}; }
  kj::Promise<void> compact(std::uint64_t) override { return kj::READY_NOW; }
  kj::Promise<store_status> status() override { return store_status{}; }
  kj::Promise<backup_result> backup(std::string) override { return backup_result{}; }
  kj::Promise<std::uint64_t> rotate_key() override { return std::uint64_t{0}; }

  std::vector<std::string> asked;
  std::vector<kj::Own<kj::PromiseFulfiller<range_result>>> answers;
};

}  // namespace

TEST_CASE("a share lets view_calls_in_store_max operations in, the others wait in their order") {
  kj::EventLoop loop;
  kj::WaitScope scope(loop);
  held_store whole;
  fair_store share(whole, 2);
  const auto ask = [&share](const char* key) {
    range_request request;
    request.keys = key_range::one(key);
    return share.range(request).ignoreResult().eagerlyEvaluate(nullptr);
  };
  const auto turn = [&scope] {
    for (int i = 0; i < 10; ++i) kj::evalLater([] {}).wait(scope);
  };
  auto a = ask("a");
  auto b = ask("b");
  auto c = ask("c");
  auto d = ask("d");
  auto e = ask("e");
  turn();
  CHECK(whole.asked == std::vector<std::string>{"a", "b"});
  c = nullptr;  // gave up while it waited
  whole.answers[0]->fulfill(range_result{});
  turn();
  CHECK(whole.asked == std::vector<std::string>{"a", "b", "d"});
  b = nullptr;  // gave up while it was in the store: its place is free
  turn();
  CHECK(whole.asked == std::vector<std::string>{"a", "b", "d", "e"});
  whole.answers[2]->reject(KJ_EXCEPTION(FAILED, "no"));
  whole.answers[3]->fulfill(range_result{});
  turn();
  auto f = ask("f");
  turn();
  CHECK(whole.asked.size() == 5);
}

TEST_CASE("nothing of a share begins while there is an obstacle, then all goes on in its order") {
  kj::EventLoop loop;
  kj::WaitScope scope(loop);
  held_store whole;
  bool held_up = false;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> asked;
  fair_store share(whole, 2, fair_store::obstacle([&]() -> kj::Maybe<kj::Promise<void>> {
                     if (!held_up) return nullptr;
                     auto next = kj::newPromiseAndFulfiller<void>();
                     asked.push_back(kj::mv(next.fulfiller));
                     return kj::mv(next.promise);
                   }));
  std::vector<kj::Promise<void>> under_way;
  const auto ask = [&](const char* key) {
    range_request request;
    request.keys = key_range::one(key);
    under_way.push_back(share.range(request).ignoreResult().eagerlyEvaluate(nullptr));
  };
  const auto turn = [&scope] {
    for (int i = 0; i < 10; ++i) kj::evalLater([] {}).wait(scope);
  };
  ask("a");
  turn();
  held_up = true;
  ask("b");
  ask("c");
  turn();
  CHECK(whole.asked == std::vector<std::string>{"a"});
  CHECK(asked.size() == 1);
  asked[0]->fulfill();  // but it is there again
  turn();
  CHECK(whole.asked.size() == 1);
  REQUIRE(asked.size() == 2);
  held_up = false;
  ask("d");  // comes when the obstacle is gone, and is behind those that it held up
  turn();
  CHECK(whole.asked.size() == 1);
  asked[1]->reject(KJ_EXCEPTION(FAILED, "as good as done"));
  turn();
  CHECK(whole.asked == std::vector<std::string>{"a", "b"});
  held_up = true;
  whole.answers[0]->fulfill(range_result{});
  turn();
  CHECK(whole.asked.size() == 2);
  share.clear_obstacle();  // although it says that it is there
  whole.answers[1]->fulfill(range_result{});
  turn();
  CHECK(whole.asked == std::vector<std::string>{"a", "b", "c", "d"});
}

TEST_CASE("what an instance queued and did not live to see never enters the store") {
  kj::EventLoop loop;
  kj::WaitScope scope(loop);
  held_store whole;
  auto share = std::make_shared<fair_store>(whole, 1);
  revocable_store dead(share);
  revocable_store successor(share);
  const auto ask = [](revocable_store& of, const char* key) {
    range_request request;
    request.keys = key_range::one(key);
    return of.range(request).ignoreResult().eagerlyEvaluate(nullptr);
  };
  const auto turn = [&scope] {
    for (int i = 0; i < 10; ++i) kj::evalLater([] {}).wait(scope);
  };
  auto inside = ask(dead, "inside");
  auto queued = ask(dead, "queued");
  auto next = ask(successor, "next");
  turn();
  CHECK(whole.asked == std::vector<std::string>{"inside"});
  dead.end(exception(error_kind::plugin_unavailable, "the instance has ended"));
  turn();
  CHECK(whole.asked == std::vector<std::string>{"inside", "next"});
  CHECK_THROWS_AS(queued.wait(scope), kj::Exception);
  auto late = ask(dead, "late");
  CHECK_THROWS_AS(late.wait(scope), kj::Exception);
  CHECK(whole.asked.size() == 2);
}
