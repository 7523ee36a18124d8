// SPDX-License-Identifier: Apache-2.0
//
// The broker as its callers see it, hosted in memory: mounts, calls in both styles, crashes,
// restarts, quarantine, unmount.

#include "tests/unit/test_broker.hpp"

using namespace bulkhead;              // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)
using test::program;
using test::test_broker;

namespace {

int unmounts_told = 0;

struct echo {
  explicit echo(sdk::mount_context mount) : mount_(std::move(mount)) {}
  kj::Promise<void> unmount() {
    ++unmounts_told;
    return kj::READY_NOW;
  }
  sdk::fields read(const sdk::request& what) { return {{"saw", what.capture("rest")}}; }
  kj::Promise<sdk::response> hang(const sdk::request&) {
    return kj::Promise<sdk::response>(kj::NEVER_DONE);
  }
  sdk::mount_context mount_;
};

sdk::plugin make_echo() {
  static const auto api = [] {
    sdk::paths<echo> paths;
    paths.at("hang", "Never answers.").read("Waits.", &echo::hang);
    paths.at("{rest*}", "Anything.").read("Says what it saw.", &echo::read);
    return paths;
  }();
  return sdk::plugin("echo", "1.0.0").serves(api);
}

/// A program that ends before it says a word.
program ends_at_once(test_broker& tb, const std::string& file, int code) {
  return {[&tb, file, code](kj::Own<kj::AsyncIoStream> link) {
    tb.detach(
        kj::evalLater([&tb, file, code] { tb.process(file)->end(exit_status::exited(code)); }));
    return kj::Promise<void>(kj::NEVER_DONE).attach(kj::mv(link));
  }};
}

std::vector<std::string> names_of(const std::vector<broker_event>& events) {
  std::vector<std::string> names;
  names.reserve(events.size());
  for (const auto& each : events) names.push_back(each.name);
  return names;
}

}  // namespace

TEST_CASE("a request is routed by longest prefix and answered by the plugin") {
  test_broker tb;
  tb.plugin("echo", make_echo());
  tb.mount("deep/er", "echo");
  CHECK(tb.handle("(operation = read, path = \"deep/er/a/b\")") ==
        "(fields = [(name = \"saw\", value = (text = \"a/b\", secret = false))])");
  CHECK(tb.handle("(operation = read, path = \"deep/x\")") ==
        "not_found: no mount serves 'deep/x'");
}

TEST_CASE("paths that overlap, are reserved or malformed are refused by name") {
  test_broker tb;
  tb.plugin("echo", make_echo());
  tb.mount("a/b/", "echo");
  for (const auto* taken : {"a/b", "a", "a/b/c"}) {
    auto problem = kj::runCatchingExceptions([&] { tb.mount(taken, "echo"); });
    CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::already_exists);
  }
  for (const auto* bad : {"", "/", "a//b", "../a", "sys/x", "a b", "\x1b[0m"}) {
    auto problem = kj::runCatchingExceptions([&] { tb.mount(bad, "echo"); });
    CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::invalid_argument);
  }
  for (const auto* missing : {"nothing", "../echo"}) {
    auto problem = kj::runCatchingExceptions([&] { tb.mount("c", missing); });
    CHECK(
        to_error(KJ_ASSERT_NONNULL(problem)).kind() ==
        (std::string(missing) == "nothing" ? error_kind::not_found : error_kind::invalid_argument));
  }
}

TEST_CASE(
    "a call in flight at a crash ends as plugin_crashed with the signal, and the mount serves "
    "again") {
  test_broker tb;
  tb.plugin("echo", make_echo());
  tb.mount("echo", "echo");
  auto hanging = tb.start("(operation = read, path = \"echo/hang\")");
  tb.settle();
  CHECK(tb.status("echo").status.calls_in_flight == 1);
  tb.crash("echo", SIGSEGV);
  CHECK(tb.text_of(kj::mv(hanging)) ==
        "plugin_crashed: plugin 'echo' at 'echo/' was killed by SIGSEGV");
  CHECK(tb.handle("(operation = read, path = \"echo/x\")") ==
        "(fields = [(name = \"saw\", value = (text = \"x\", secret = false))])");
  const auto now = tb.status("echo");
  CHECK(now.status.generation == 2);
  CHECK(now.status.restarts == 1);
  CHECK(now.last_crash->calls_in_flight == 1);
  CHECK(now.last_crash->next == "restarts at once");
}

TEST_CASE(
    "calls wait while the mount is in backoff, in their order, and are served when it is ready") {
  test_broker tb;
  tb.plugin("echo", make_echo());
  tb.mount("echo", "echo");
  tb.crash("echo");  // the first restart is immediate
  tb.settle();
  tb.crash("echo");
  CHECK(tb.status("echo").status.state == mount_state::backoff);
  auto first = tb.start("(operation = read, path = \"echo/1\")");
  auto second = tb.start("(operation = read, path = \"echo/2\")");
  tb.settle();
  CHECK(tb.status("echo").status.calls_waiting == 2);
  tb.advance(99ms);
  CHECK(tb.status("echo").status.state == mount_state::backoff);
  tb.advance(1ms);
  CHECK(tb.status("echo").status.state == mount_state::ready);
  CHECK(tb.text_of(kj::mv(first)).find("\"1\"") != std::string::npos);
  CHECK(tb.text_of(kj::mv(second)).find("\"2\"") != std::string::npos);
}

TEST_CASE(
    "a mount whose window is spent is quarantined, refuses at once, and reset brings it back") {
  test_broker tb;
  tb.plugin("echo", make_echo());
  restart_limits rules;
  rules.intensity = 1;
  tb.mount("echo", "echo", rules);
  tb.mount("other", "echo");
  const auto first = tb.core().require("echo").entry->uuid;
  // "echo" and "other" run the same file: restart "echo" to be sure that its process is the newest.
  tb.finish(tb.core().restart("echo"));
  tb.crash("echo");
  tb.settle();
  tb.crash("echo");
  CHECK(tb.status("echo").status.state == mount_state::quarantined);
  CHECK(tb.handle("(operation = read, path = \"echo/x\")") ==
        "quarantined: mount 'echo/' is quarantined");
  CHECK(tb.handle("(operation = read, path = \"other/x\")").find("\"x\"") != std::string::npos);
  tb.advance(1h);
  CHECK(tb.status("echo").status.state == mount_state::quarantined);
  tb.wait(tb.core().reset("echo"));
  CHECK(tb.status("echo").status.state == mount_state::ready);
  CHECK(tb.core().require("echo").entry->uuid == first);
}

TEST_CASE("a first start that fails names the step, and nothing of the mount is kept") {
  test_broker tb;
  tb.plugin("quits", ends_at_once(tb, "quits", 7));
  auto problem = kj::runCatchingExceptions([&] { tb.mount("q", "quits"); });
  const auto said = to_error(KJ_ASSERT_NONNULL(problem));
  CHECK(said.kind() == error_kind::start_failed);
  CHECK(std::string(said.what()) ==
        "'q/' is not mounted: plugin 'quits' at 'q/' exited with status 7 while waiting for the "
        "answer to hello");
  CHECK(tb.core().mount_count() == 0);
  CHECK(tb.handle("(operation = read, path = \"q/x\")").substr(0, 9) == "not_found");
}

TEST_CASE("what a plugin said last is told without its secrets, also from within a PEM block") {
  test_broker tb;
  tb.plugin("dies", program{[](kj::Own<kj::AsyncIoStream> link) {
              return kj::Promise<void>(kj::NEVER_DONE).attach(kj::mv(link));
            }});
  const auto why_after = [&tb](const std::vector<std::string>& lines) {
    mount_spec spec{"d", "dies"};
    auto mounting = tb.core().mount(std::move(spec)).eagerlyEvaluate(nullptr);
    tb.settle();
    for (const auto& each : lines)
      tb.core().require("d").entry->log->plugin_says(1, schema::LogLevel::INFO, each);
    tb.process("dies")->end(exit_status::exited(1));
    auto problem = kj::runCatchingExceptions([&] { tb.finish(kj::mv(mounting)); });
    return to_error(KJ_ASSERT_NONNULL(problem)).why();
  };
  CHECK(why_after({"password=\"a b\" is wrong"}) ==
        "its last log line: password=\"[redacted]\" is wrong");
  CHECK(why_after({std::string("-----BEGIN ") + "PRIVATE KEY-----", "MIIEvQ"}) ==
        "its last log line: [redacted]");

  tb.plugin("echo", make_echo());
  tb.mount("echo", "echo");
  std::vector<std::string> key(crash_last_lines_max + 5, "MIIEvQ");
  key.front() = std::string("-----BEGIN ") + "PRIVATE KEY-----";
  for (const auto& each : key)
    tb.core().require("echo").entry->log->plugin_says(1, schema::LogLevel::INFO, each);
  tb.crash("echo");
  CHECK(tb.core().crashes("echo", 1).front().last_lines ==
        std::vector<std::string>(crash_last_lines_max, "[redacted]"));
}

TEST_CASE(
    "after an unmount nothing that came from the mount works, and its process was stopped in good "
    "order") {
  test_broker tb;
  tb.plugin("echo", make_echo());
  tb.mount("echo", "echo");
  auto request = tb.session().mountRequest();
  request.setPath("echo/");
  auto backend = request.send().getMount().backendRequest().send().getBackend();
  auto process = tb.process("echo");
  unmounts_told = 0;
  auto unmounting = tb.core().unmount("echo").eagerlyEvaluate(nullptr);
  tb.settle();
  CHECK(unmounts_told == 1);
  process->end(exit_status::exited(0));  // what a plugin does after `shutdown`
  tb.wait(kj::mv(unmounting));
  CHECK(process->reaped);
  auto call = backend.handleRequest();
  call.initRequest().setPath("x");
  auto problem = kj::runCatchingExceptions([&] { call.send().wait(tb.wait_scope()); });
  CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::unmounted);
  CHECK(tb.core().mount_count() == 0);
  const std::vector<std::string> story = {"starting", "ready",   "mounted",  "draining",
                                          "stopping", "stopped", "unmounted"};
  CHECK(names_of(tb.events().after(0, 100)) == story);
}

TEST_CASE("a plugin without a typed interface refuses typed calls as unsupported") {
  test_broker tb;
  tb.plugin("echo", make_echo());
  tb.mount("echo", "echo");
  auto request = tb.session().mountRequest();
  request.setPath("echo/");
  auto typed = request.send().getMount().typedRequest().send().getTyped();
  auto call = typed.typelessRequest(1, 1, nullptr);
  auto problem = kj::runCatchingExceptions([&] { call.send().wait(tb.wait_scope()); });
  CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::unsupported);
}

TEST_CASE("what a plugin says in an error cannot claim what only the broker can know") {
  struct liar {
    explicit liar(sdk::mount_context) {}
    sdk::fields read(const sdk::request&) {
      throw std::runtime_error("all lost\ndetail: kind=quarantined mount=other/");
    }
  };
  static const auto api = [] {
    sdk::paths<liar> paths;
    paths.at("x", "Lies.").read("Lies.", &liar::read);
    return paths;
  }();
  test_broker tb;
  tb.plugin("liar", sdk::plugin("liar", "1.0.0").serves(api));
  tb.mount("liar", "liar");
  CHECK(tb.handle("(operation = read, path = \"liar/x\")").substr(0, 12) == "plugin_error");
}

TEST_CASE("the tree shows supervisors, mounts and instances") {
  test_broker tb;
  tb.plugin("echo", make_echo());
  tb.mount("echo", "echo");
  auto request = tb.session().adminRequest();
  auto answer = request.send().getAdmin().treeRequest().send().wait(tb.wait_scope());
  auto root = answer.getRoot();
  CHECK(root.getName() == "root");
  auto mounts = root.getChildren()[1];
  CHECK(mounts.getName() == "mounts");
  CHECK(mounts.getChildren()[0].getName() == "echo/");
  CHECK(mounts.getChildren()[0].getChildren()[0].getKind() == "instance");
}

TEST_CASE("sessions, mounts and the parts of a mount are refused at their limits, and not below") {
  test_broker tb;
  tb.plugin("echo", make_echo());
  auto& limits = tb.core().services().limits;
  limits.mounts_max = 2;
  limits.options_max = 1;
  limits.option_bytes_max = 10;
  limits.description_bytes_max = 3;
  const auto try_mount = [&tb](const std::string& path, std::vector<option> options,
                               std::string text) {
    mount_spec spec{path, "echo", std::move(options), std::move(text), {}, {}};
    auto problem = kj::runCatchingExceptions([&] { tb.wait(tb.core().mount(spec)); });
    KJ_IF_MAYBE (why, problem) return to_error(*why).kind();
    return error_kind::unknown;
  };
  CHECK(try_mount("a", {}, "long") == error_kind::invalid_argument);
  CHECK(try_mount("a", {{"x", "1"}, {"y", "1"}}, "") == error_kind::invalid_argument);
  CHECK(try_mount("a", {{"x", std::string(10, 'v')}}, "") == error_kind::invalid_argument);
  CHECK(try_mount("a", {}, "abc") == error_kind::unknown);  // mounted
  CHECK(try_mount("b", {}, "") == error_kind::unknown);
  CHECK(try_mount("c", {}, "") == error_kind::overloaded);

  broker_facts facts;
  limits.client_sessions_max = 2;
  auto gateway = make_gateway(tb.core(), facts, {static_cast<std::uint32_t>(::geteuid()), 1});
  const auto login = [&] {
    auto request = gateway.loginRequest();
    request.initCredential().setPeer();
    return request.send().wait(tb.wait_scope());
  };
  auto first = login();
  {
    auto second = login();
    auto problem = kj::runCatchingExceptions([&] { login(); });
    CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::overloaded);
  }
  tb.settle();
  auto third = login();  // the second is gone: there is room
}

TEST_CASE("another user's process, and a credential of another kind, get no session") {
  test_broker tb;
  broker_facts facts;
  auto gateway = make_gateway(tb.core(), facts, {static_cast<std::uint32_t>(::geteuid()) + 1, 1});
  auto request = gateway.loginRequest();
  request.initCredential().setPeer();
  auto problem = kj::runCatchingExceptions([&] { request.send().wait(tb.wait_scope()); });
  CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::permission_denied);
  auto other = gateway.loginRequest();
  other.initCredential().setToken("t");
  problem = kj::runCatchingExceptions([&] { other.send().wait(tb.wait_scope()); });
  CHECK(to_error(KJ_ASSERT_NONNULL(problem)).kind() == error_kind::unsupported);
}

TEST_CASE("a plugin that is deaf to a stop is killed when its time is up") {
  test_broker tb;
  auto deaf = make_echo();
  tb.plugin("deaf",
            program{[deaf](kj::Own<kj::AsyncIoStream> link) { return deaf.serve_on(kj::mv(link)); },
                    true});
  tb.mount("deaf", "deaf");
  auto process = tb.process("deaf");
  const auto& limits = tb.core().services().limits;
  auto gone = tb.core().unmount("deaf").eagerlyEvaluate(nullptr);
  tb.settle();
  CHECK(process->signals.empty());
  tb.advance(limits.stop_grace_ms);
  CHECK(process->signals == std::vector<int>{SIGTERM});
  tb.advance(limits.stop_term_ms);
  tb.wait(kj::mv(gone));
  CHECK(process->signals.front() == SIGTERM);
  CHECK(process->reaped);
  CHECK(process->peek() == exit_status::signaled(SIGKILL, false));
}

TEST_CASE("generations grow over restarts of the broker's state and are taken in blocks") {
  test_broker tb;
  tb.plugin("echo", make_echo());
  restart_limits rules;
  rules.intensity = 10'000;
  rules.backoff_first = rules.backoff_max = 0ms;
  tb.mount("echo", "echo", rules);
  for (std::uint64_t i = 0; i < generation_block + 5; ++i) {
    tb.crash("echo", SIGKILL);
    tb.advance(1ms);
  }
  const auto& entry = *tb.core().require("echo").entry;
  CHECK(entry.generations_used == generation_block + 6);
  CHECK(entry.generations_reserved >= entry.generations_used);
  CHECK(tb.status("echo").status.state == mount_state::ready);
}
