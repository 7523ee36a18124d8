// SPDX-License-Identifier: Apache-2.0
//
// A mount whose starts are confined, on a machine that has all walls, or lacks some: what a start
// is given, what is refused and how, what is told of what was waived, and what changes while it
// runs.

#include "broker/confinement_rules.hpp"
#include "broker/usage_desk.hpp"
#include "tests/unit/mount_fixture.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

struct fixture : mount_fixture {
  fixture() { tb.confine(); }

  mount_snapshot tune(const std::function<void(tune_request&)>& change) {
    tune_request what;
    what.path = "m";
    change(what);
    return tb.finish(tb.core().tune(what));
  }
  error mount_failure(std::function<void(mount_spec&)> change = {}) {
    auto problem = kj::runCatchingExceptions([&] { mount(std::move(change)); });
    return to_error(KJ_REQUIRE_NONNULL(problem));
  }
  std::string event(const std::string& name) {
    std::string reason;
    for (const auto& each : tb.events().after(0, 1000))
      if (each.name == name) reason = each.reason;
    return reason;
  }
  std::ptrdiff_t count(const std::string& name) {
    const auto all = tb.events().after(0, 1000);
    return std::count_if(all.begin(), all.end(),
                         [&name](const auto& each) { return each.name == name; });
  }
  mount_entry& entry() { return *tb.core().require("m").entry; }

  /// The mount's confinement as an operator is told, as text.
  std::string told() {
    capnp::MallocMessageBuilder message;
    auto to = message.initRoot<schema::ConfinementStatus>();
    write_confinement_status(tb.services(), entry(), tb.status("m"), to);
    return capnp::TextCodec().encode(to.asReader()).cStr();
  }
  bool tells(const std::string& part) { return told().find(part) != std::string::npos; }

  /// A sample of what runs, as the desk takes it.
  void sampled(std::uint64_t rss_bytes) {
    usage_sample now;
    now.generation = entry().serving.generation;
    now.process.rss_bytes = rss_bytes;
    entry().samples.push_back(now);
    if (const auto passed = judge_usage(entry().spec.thresholds, entry().samples))
      entry().pass(*passed);
    tb.settle();
  }
};

}  // namespace

TEST_CASE("a start is given the broker's profile, and what the mount says on top") {
  fixture f;
  f.mount([](mount_spec& spec) {
    spec.confinement.limits = {{"memory", 64U << 20U}};
    spec.confinement.grants = {"env:TZ=UTC"};
  });
  REQUIRE(f.tb.last_confined != nullptr);
  CHECK(f.tb.last_confined->of == profile::strict);
  CHECK(f.tb.last_confined->limits.memory_bytes == 64U << 20U);
  CHECK(f.tb.last_confined->grants.size() == 1);
  CHECK(f.tells("profile = \"strict\""));
  CHECK(f.tells("env:TZ"));
  CHECK_FALSE(f.tells("UTC"));
  CHECK(f.tells("name = \"seccomp\", state = \"enforced\""));
}

TEST_CASE(
    "a start without a wall that nobody waived is refused by name, and says how to waive it") {
  fixture f;
  f.tb.absent_walls[wall::cgroup_memory] = EACCES;
  const auto failure = f.mount_failure();
  CHECK(failure.kind() == error_kind::start_failed);
  CHECK(std::string(failure.what()).find("the wall cg.memory does not stand") != std::string::npos);
  CHECK(failure.remedy().find("--waive cg.memory") != std::string::npos);
  CHECK(failure.remedy().find("waive = [\"cg.memory\"]") != std::string::npos);
  CHECK(f.tb.starts("p") == 0);
}

TEST_CASE("a refused start names every wall that is missing, to be waived at once") {
  fixture f;
  f.tb.absent_walls[wall::cgroup_memory] = EACCES;
  f.tb.absent_walls[wall::own_uid] = EPERM;
  const auto remedy = f.mount_failure().remedy();
  CHECK(remedy.find("bulkhead tune m/ --waive uid --waive cg.memory,") != std::string::npos);
  CHECK(remedy.find("waive = [\"uid\", \"cg.memory\"]") != std::string::npos);
}

TEST_CASE("a wall that goes missing later is a permanent failure: quarantine, and no loop") {
  fixture f;
  f.mount();
  f.tb.absent_walls[wall::seccomp] = ENOSYS;
  f.tb.crash("p");
  CHECK(f.status().state == mount_state::quarantined);
  CHECK(f.tb.starts("p") == 1);
  const auto reports = f.tb.core().crashes("m", 1);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].end.permanent);
  CHECK(reports[0].end.remedy.find("bulkhead tune m/ --waive seccomp") != std::string::npos);
  CHECK(f.tells("name = \"seccomp\", state = \"unavailable\", error = \"ENOSYS\""));
}

TEST_CASE("each start without a waived wall is a warning in log and events, and is counted") {
  fixture f;
  f.tb.absent_walls[wall::cgroup_cpu] = EACCES;
  f.mount([](mount_spec& spec) { spec.confinement.waive = {"cg.cpu", "cg.memory"}; });
  CHECK(f.event("wall_missing") == "cg.cpu: unavailable (EACCES), waived");
  CHECK(f.tb.services().missing.of(wall::cgroup_cpu) == 1);
  CHECK(f.tb.services().missing.of(wall::cgroup_memory) == 0);
  const auto lines = f.entry().log->lines(0, 10);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].value.source == schema::LogSource::BROKER);
  CHECK(lines[0].value.level == schema::LogLevel::WARN);
  f.tb.crash("p");
  CHECK(f.tb.services().missing.of(wall::cgroup_cpu) == 2);
  CHECK(f.tells("waived = [\"cg.memory\", \"cg.cpu\"]"));
}

TEST_CASE("limits change while it runs, and nothing is started anew") {
  fixture f;
  f.mount();
  f.tune([](tune_request& what) { what.limits = {{{"tasks", 7}}}; });
  f.tb.settle();
  REQUIRE(f.tb.limited.size() == 1);
  CHECK(f.tb.limited[0].ticket == 1001);
  CHECK(f.tb.limited[0].limits.tasks == 7);
  CHECK(f.happened("limited"));
  CHECK(f.tb.starts("p") == 1);
  CHECK_FALSE(f.tells("pending = true"));
  // The same again is no change.
  f.tune([](tune_request& what) { what.description = "x"; });
  CHECK(f.tb.limited.size() == 1);
  f.tb.crash("p");
  CHECK(f.tb.last_confined->limits.tasks == 7);
}

TEST_CASE("limits that cannot be changed while it runs are an event with the reason") {
  fixture f;
  f.mount();
  f.tb.limits_errno = EACCES;
  f.tune([](tune_request& what) { what.limits = {{{"tasks", 7}}}; });
  f.tb.settle();
  CHECK(f.event("not_limited").find("(EACCES); the next start has them") != std::string::npos);
}

TEST_CASE(
    "a profile, a waiver and a grant count from the next start on, and are shown as pending") {
  for (const auto& change : std::vector<std::function<void(tune_request&)>>{
           [](tune_request& what) { what.profile = "interpreter"; },
           [](tune_request& what) { what.waive = {{"cg.cpu"}}; },
           [](tune_request& what) { what.grants = {{"read-dir:/etc/ssl"}}; }}) {
    fixture f;
    f.mount();
    CHECK_FALSE(f.tells("pending = true"));
    f.tune(change);
    CHECK(f.tells("pending = true"));
    CHECK(f.tb.starts("p") == 1);
    f.reload();
    CHECK(f.tb.starts("p") == 2);
    CHECK_FALSE(f.tells("pending = true"));
  }
}

TEST_CASE("a granted address counts at once, and is never shown as pending for what runs") {
  fixture f;
  f.mount([](mount_spec& spec) { spec.confinement.grants = {"net:a:1", "read-dir:/etc/ssl"}; });
  f.tune([](tune_request& what) { what.grants = {{"read-dir:/etc/ssl", "net:c:1", "net:b:1"}}; });
  CHECK_FALSE(f.tells("pending = true"));
  CHECK(f.tells("grants = [\"read-dir:/etc/ssl\", \"net:c:1\", \"net:b:1\"]"));
  CHECK(f.tb.status("m").addresses == std::vector<std::string>{"b:1", "c:1"});
  f.tune([](tune_request& what) { what.grants = {{"read-dir:/etc/ssl"}}; });
  CHECK_FALSE(f.tells("pending = true"));
  CHECK(f.tb.status("m").addresses == std::vector<std::string>{});
  f.tune([](tune_request& what) { what.grants = {{"net:a:1"}}; });
  CHECK(f.tells("pending = true"));  // for the directory
  CHECK(f.tb.status("m").addresses == std::vector<std::string>{"a:1"});
}

TEST_CASE("where nothing runs nothing is pending") {
  fixture f;
  f.mount();
  f.tb.finish(f.tb.core().stop("m"));
  f.tune([](tune_request& what) { what.grants = {{"read-dir:/etc/ssl"}}; });
  CHECK_FALSE(f.tells("pending = true"));
}

TEST_CASE("what no start could be given is refused before anything is changed") {
  fixture f;
  f.mount();
  const auto before = f.entry().spec.confinement;
  for (const auto& change : std::vector<std::function<void(tune_request&)>>{
           [](tune_request& what) { what.profile = "open"; },
           [](tune_request& what) { what.waive = {{"everything"}}; },
           [](tune_request& what) {
             what.limits = {{{"memory", 1}}};
           },
           [](tune_request& what) { what.grants = {{"read-dir:here"}}; },
           [](tune_request& what) {
             what.thresholds = {{{"rss-explode", 1}}};
           }}) {
    auto problem = kj::runCatchingExceptions([&] { f.tune(change); });
    CHECK(to_error(KJ_REQUIRE_NONNULL(problem)).kind() == error_kind::invalid_argument);
  }
  CHECK(f.entry().spec.confinement == before);
  CHECK_FALSE(f.happened("tuned"));
}

TEST_CASE("what a mount says of its confinement is durable") {
  test_state state;
  confinement_rules rules;
  rules.profile = "interpreter";
  rules.waive = {"cg.cpu"};
  rules.limits = {{"tasks", 9}};
  rules.grants = {"env:TOKEN=geheim"};
  {
    mount_fixture f(state);
    f.mount([&](mount_spec& spec) {
      spec.confinement = rules;
      spec.thresholds = {{"rss-warn", 5}};
    });
  }
  state.before_load = [](test_broker& tb) { tb.plugin("p", make_version("1.0.0")); };
  mount_fixture f(state);
  const auto& spec = f.tb.core().require("m").entry->spec;
  CHECK(spec.confinement == rules);
  CHECK(spec.thresholds == std::vector<named_number>{{"rss-warn", 5}});
}

TEST_CASE("an unconfined broker says so, of each mount too") {
  mount_fixture f;
  f.mount();
  CHECK(f.tb.last_confined == nullptr);
  capnp::MallocMessageBuilder message;
  auto to = message.initRoot<schema::ConfinementStatus>();
  write_confinement_status(f.tb.services(), *f.tb.core().require("m").entry, f.tb.status("m"), to);
  CHECK(to.getUnconfined());
}

// -- thresholds ----------------------------------------------------------------------------------

TEST_CASE("above rss-restart the instance is replaced, without a failed call") {
  fixture f;
  f.mount([](mount_spec& spec) { spec.thresholds = {{"rss-restart", 1000}}; });
  f.sampled(2000);
  CHECK(f.tb.starts("p") == 1);  // one sample may be a peak
  f.sampled(2000);
  CHECK(f.tb.starts("p") == 2);
  CHECK(f.status().generation == 2);
  CHECK(f.event("reloading").find("it uses 2.0 KiB of memory, above 1000 B (rss-restart)") !=
        std::string::npos);
  CHECK(f.status().restarts == 0);
  // The samples before are of another instance.
  f.sampled(2000);
  CHECK(f.tb.starts("p") == 2);
}

TEST_CASE("what replacing does not help is not replaced for ever, until the mount is tuned") {
  fixture f;
  f.mount([](mount_spec& spec) { spec.thresholds = {{"rss-restart", 1000}}; });
  const auto above = [&f] {
    for (std::size_t n = 0; n < threshold_samples; ++n) f.sampled(2000);
    return f.tb.starts("p");
  };
  CHECK(above() == 2);
  CHECK(above() == 2);  // at once again
  CHECK(above() == 2);
  CHECK(f.count("not_replaced") == 1);
  CHECK(f.event("not_replaced") ==
        "it uses 2.0 KiB of memory, above 1000 B (rss-restart), as did the one before it: replaced "
        "in 60 s at the earliest");
  f.tb.advance(replacement_wait_first);
  CHECK(above() == 3);
  f.tb.advance(replacement_wait_first);  // it was well for so long
  CHECK(above() == 4);
  CHECK(above() == 4);
  f.tune([](tune_request& what) { what.description = "tuned"; });
  CHECK(above() == 5);
}

TEST_CASE("above rss-quarantine the instance is ended and the mount stays down") {
  fixture f;
  f.mount([](mount_spec& spec) { spec.thresholds = {{"rss-quarantine", 1000}}; });
  f.sampled(2000);
  f.sampled(2000);
  CHECK(f.status().state == mount_state::quarantined);
  CHECK(f.tb.starts("p") == 1);
  const auto reports = f.tb.core().crashes("m", 1);
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].end.cause == end_cause::over_limit);
  CHECK(cause_sentence(reports[0].end) ==
        "was ended: it uses 2.0 KiB of memory, above 1000 B (rss-quarantine)");
}

TEST_CASE(
    "above the broker's soft ceiling of memory new calls are refused, and those under way end") {
  fixture f;
  f.mount();
  auto hanging = f.start("m/hang");
  f.tb.settle();
  auto& gate = *f.tb.services().load;
  gate.closed = true;
  CHECK(f.read("m/x") == "overloaded: the broker is short of memory");
  CHECK(gate.shed == 1);
  gate.closed = false;
  CHECK(f.version() == "1.0.0");
  CHECK_FALSE(hanging.poll(f.tb.wait_scope()));
}
