// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/cli_fixture.hpp"
#include "tools/bulkhead/broker_words.hpp"

namespace {

using namespace bulkhead::cli;
using bulkhead::schema::MountState;
using fixture = bulkhead::testing::cli_fixture;

TEST_CASE("mount passes on everything, and shows the mount") {
  fixture f;
  CHECK(f.text("mount new/ kv --option a=b --restart temporary").find("new/  ready for 3 s\n") ==
        0);
  CHECK(f.broker.state.calls.back() == "mount new/ kv a=b 2");
  CHECK(f.run("mount x/ kv --option nonsense") == exit_code::usage);
}

TEST_CASE("mount says how often to restart only when asked to, and leaves the rest to the broker") {
  fixture f;
  f.text("mount a/ kv --intensity 9 --period 5s");
  CHECK(f.broker.state.calls.back() ==
        "mount a/ kv 0 (intensity = 9, periodMs = 5000, backoffFirstMs = 100, "
        "backoffMaxMs = 30000, backoffStableMs = 60000)");
  CHECK(f.run("mount a/ kv --intensity many") == exit_code::usage);
}

TEST_CASE("tune sends what was given, on top of the rules that the mount has, and nothing else") {
  fixture f;
  f.broker.state.more_status = [](bulkhead::schema::MountStatus::Builder status) {
    status.initLife().setPingEveryMs(7);
    status.setOptionsPending(true);
    status.initOptionsRunning(1)[0].setName("old");
  };
  const auto shown =
      f.text("tune kv/ --option a=1 --unset-option b --idle-stop 10m --handover overlap --reload");
  CHECK(shown.find("  running with  old=\n") != std::string::npos);
  const auto& sent = f.broker.state.calls.back();
  CHECK(sent.find("fields = [\"options\", \"life\"], unset = [\"b\"], reload = true") !=
        std::string::npos);
  CHECK(sent.find("idleStopMs = 600000, pingEveryMs = 7") != std::string::npos);
  CHECK(sent.find("handover = overlap") != std::string::npos);
  CHECK(f.run("tune kv/ --eager --restart transient") == exit_code::done);
  CHECK(f.broker.state.calls.back().find("fields = [\"restart\", \"life\"]") != std::string::npos);
  CHECK(f.run("tune kv/") == exit_code::usage);
  CHECK(f.run("tune kv/ --group g") == exit_code::usage);
  CHECK(f.run("tune other/ --reload") == exit_code::no_target);
}

TEST_CASE("move shows the mount at its new path") {
  fixture f;
  CHECK(f.text("move kv/ team/kv/").find("team/kv/  ready") == 0);
  CHECK(f.run("move kv/ x/") == exit_code::no_target);
  CHECK(f.run("move kv/") == exit_code::usage);
}

TEST_CASE("rollback shows the mount, its storage and what it can return to") {
  fixture f;
  const auto text = f.text("rollback kv/");
  CHECK(text.find("kv/  ready") == 0);
  CHECK(text.find("version 1\n") != std::string::npos);
  CHECK(text.find("to 1.2.0, 2026-11-20T10:00:00Z\n") != std::string::npos);
  CHECK(f.text("status kv/").find("rollback") == std::string::npos);  // there is nothing
  CHECK(f.run("rollback other/") == exit_code::no_target);
  CHECK(f.run("rollback") == exit_code::usage);
}

TEST_CASE("mounts are a table, and one record in JSON") {
  fixture f;
  f.broker.state.mounts["kv/"] = MountState::BACKOFF;
  CHECK(f.text("mounts") ==
        "PATH   PLUGIN  STATE    PID   UP   RESTARTS  CALLS  FAILED  REASON\n"
        "host/  host    ready    4127  3 s  0         0      0\n"
        "kv/    kv      backoff  -     -    0         0      0       as the test says\n");
  const std::string json = f.text("mounts -o json");
  CHECK(json.find(R"({"schema_version":1,"mounts":[{"path":"host/",)") == 0);
  CHECK(json.find(R"("state":"backoff")") != std::string::npos);
  CHECK(json.back() == '\n');
  CHECK(f.notes.empty());
}

TEST_CASE("status tells by its exit code whether a mount runs") {
  fixture f;
  CHECK(f.run("status kv/") == exit_code::done);
  for (const auto state : {MountState::STOPPED, MountState::BACKOFF, MountState::QUARANTINED}) {
    f.broker.state.mounts["kv/"] = state;
    CHECK(f.run("status kv/") == exit_code::not_running);
  }
  CHECK(f.text("status").find("bulkheadd 0.1.0, pid 99, up 1 m 1 s\n") == 0);
}

TEST_CASE("a misspelt mount is answered with the right one") {
  fixture f;
  CHECK(f.run("status kw/") == exit_code::no_target);
  CHECK(f.notes == "error: nothing is mounted at 'kw/'\n  try: did you mean 'kv/'?\n");
  CHECK(f.run("call hots/ now") == exit_code::no_target);
  CHECK(f.notes.find("did you mean 'host/'?") != std::string::npos);
  CHECK(f.run("unmount other/") == exit_code::no_target);
  CHECK(f.notes.find("try: mounts: host/, kv/") != std::string::npos);
}

TEST_CASE("the tree is drawn") {
  fixture f;
  CHECK(f.text("tree") ==
        "root (supervisor) running\n"
        "├─ store (worker) running\n"
        "└─ mounts (supervisor) running\n"
        "   └─ kv/ (mount) ready: pid 4127\n");
}

TEST_CASE("kill sends a signal by name or number, KILL by default") {
  fixture f;
  CHECK(f.text("kill kv/") == "sent SIGKILL to kv/, pid 4127, generation 3\n");
  f.text("kill kv/ TERM");
  f.text("kill kv/ -2");
  CHECK(f.broker.state.calls == std::vector<std::string>{"kill 9", "kill 15", "kill 2"});
  CHECK(f.run("kill kv/ KIL") == exit_code::usage);
  CHECK(f.notes.find("did you mean 'KILL'?") != std::string::npos);
  f.broker.state.mounts["kv/"] = MountState::STOPPED;
  CHECK(f.run("kill kv/") == exit_code::not_running);
}

TEST_CASE("an error of the broker comes in three parts") {
  fixture f;
  CHECK(f.run("reset kv/") == exit_code::failed);
  CHECK(f.notes == "error: it failed again\n  why: it exits at once\n  try: bulkhead logs kv/\n");
}

TEST_CASE("values are written typed and read back, and a plugin's errors are its own") {
  fixture f;
  CHECK(f.text("write kv/data/app user=alice n:=3 l:=[1, \"x\"] s=-") == "done\n");
  CHECK(f.notes == "warning: the disk is nearly full\n");
  CHECK(f.broker.state.calls[1] == "field n (int = 3, secret = false)");
  CHECK(f.text("read kv/data/app") == "FIELD  VALUE\nvalue  from stdin\n");
  CHECK(f.text("read kv/data/app -o json") ==
        "{\"schema_version\":1,\"fields\":{\"value\":\"from stdin\"},\"warnings\":[]}\n");
  CHECK(f.text("list kv/data/") == "app\nteam/\ntwo words\n\\x1b[2Jclears\n");
  CHECK(f.text("delete kv/data/app") == "deleted\n");
  CHECK(f.run("read kv/data/app") == exit_code::no_target);
  CHECK(f.notes == "error: the plugin says: there is no secret\n");
}

TEST_CASE("a method is called by name, and its result is text or JSON") {
  fixture f;
  CHECK(f.text("call host/ now") == "(unixMs = 1234567890123)\n");
  CHECK(f.text("call host/ now -o json") ==
        "{\"schema_version\":1,\"result\":{\"unixMs\":1234567890123},\"capabilities\":{}}\n");
  f.text("call host/ log (level = warn, text = \"a b\")");
  f.text("call host/ log {\"level\": \"error\", \"text\": \"c\"}");
  CHECK(f.broker.state.calls == std::vector<std::string>{"log 3 a b", "log 4 c"});
}

TEST_CASE("capabilities in a result can be called later in the session") {
  fixture f;
  CHECK(f.text("call host/ view") == "(view = $1)\n");
  CHECK(f.text("call $1 put (key = \"k\", value = \"v\", expect = (absent = null))") ==
        "(revision = 8)\n");
  CHECK(f.text("call $1 get (key = \"k\")") == "(found = true, value = 0x\"76\", revision = 7)\n");
  CHECK(f.run("call $1 put (key = \"k\", expect = (absent = void))") == exit_code::failed);
  CHECK(f.notes == "error: the key is there\n  try: read it first\n");
  CHECK(f.text("describe $1").find("interface View\n  delete (key :Text") == 0);
  CHECK(f.run("call $2 get") == exit_code::no_target);
  CHECK(f.notes.find("this session keeps $1 to $1") != std::string::npos);
}

TEST_CASE("a capability is passed as an argument, and $print prints what it is called with") {
  fixture f;
  f.broker.state.mounts["plug/"] = MountState::READY;
  f.text("call plug/ mount (host = $print)");
  CHECK(f.out ==
        "$print.log (level = warn, text = \"hello from below\")\n"
        "(backend = null, typed = null)\n");
}

TEST_CASE("an unknown method is answered with the right one and the list") {
  fixture f;
  CHECK(f.run("call host/ nwo") == exit_code::no_target);
  CHECK(f.notes ==
        "error: 'Host' has no method 'nwo'\n  try: did you mean 'now'? methods: connect, log, now, "
        "view\n");
}

TEST_CASE("wrong arguments are refused before the call") {
  fixture f;
  CHECK(f.run("call host/ log (level = wran)") == exit_code::usage);
  CHECK(f.notes.find("did you mean 'warn'?") != std::string::npos);
  CHECK(f.run("call host/ log (txt = \"x\")") == exit_code::usage);
  CHECK(f.run("call host/ log [1]") == exit_code::usage);
  CHECK(f.run("call host/ log (level = ") == exit_code::usage);
  CHECK(f.broker.state.calls.empty());
}

TEST_CASE("a mount without methods says so") {
  fixture f;
  CHECK(f.run("call kv/ get") == exit_code::failed);
  CHECK(f.notes.find("serves paths only") != std::string::npos);
  CHECK(f.run("call host/below now") == exit_code::no_target);
}

TEST_CASE("describe shows methods, paths and fields") {
  fixture f;
  const std::string host = f.text("describe host/");
  CHECK(host.find("  now () -> (unixMs :Int64)\n") != std::string::npos);
  const std::string kv = f.text("describe kv/");
  CHECK(kv.find("\noptions\n  max_versions    int     How many are kept.\n") != std::string::npos);
  CHECK(kv.find("data/{path*}\n  Secrets with versions.\n") != std::string::npos);
  CHECK(kv.find("version         int     The newest when left out.\n") != std::string::npos);
  CHECK(f.text("describe kv/data/x") == "help for kv/data/x\n");
}

TEST_CASE("logs, events and limits") {
  fixture f;
  CHECK(f.text("logs kv/") == "1970-01-01 00:00:00.000  2   stderr  warn   careful\n");
  CHECK(f.text("events").find("ready        said hello\n") != std::string::npos);
  CHECK(f.text("events -o json").find(R"("next":1)") != std::string::npos);
  CHECK(f.text("limits").find("frame_bytes_max  33554432  bytes  the connection") !=
        std::string::npos);
  CHECK(f.run("logs kv/ -n 1001") == exit_code::usage);
}

TEST_CASE("following ends at Ctrl-C with 130") {
  fixture f;
  f.interrupt = true;
  CHECK(f.run("logs kv/ -f") == exit_code::interrupted);
  CHECK(f.notes == "error: interrupted\n");
}

TEST_CASE("a call that takes too long ends with 7 and is cancelled") {
  fixture f;
  f.broker.state.hangs = true;
  CHECK(f.run("status kv/ --timeout 1ms") == exit_code::timed_out);
  CHECK(f.notes.find("try: give it more time with --timeout") != std::string::npos);
}

TEST_CASE("a broker that cannot be reached is 5, one that refuses the login is 6") {
  fixture f;
  f.broker.listens = false;
  CHECK(f.run("mounts") == exit_code::unreachable);
  CHECK(f.notes == "error: cannot reach the broker\n  why: nobody listens\n");
  CHECK(f.run("version") == exit_code::done);
  f.broker.listens = true;
  f.broker.state.denies_login = true;
  CHECK(f.run("mounts") == exit_code::not_permitted);
}

TEST_CASE("a script stops at its first error and says where it was") {
  fixture f;
  CHECK(f.script("# a comment\n\ntree\nstatus kw/\ntree\n") == exit_code::no_target);
  CHECK(f.notes.find("stdin:4: error: nothing is mounted at 'kw/'\n") == 0);
  const std::string once = f.out;
  CHECK(f.script("tree\nbad\ntree\n", true) == exit_code::usage);
  CHECK(f.out == once + once);
}

TEST_CASE("a script stops at a command that says no by its exit code") {
  fixture f;
  f.broker.state.mounts["kv/"] = MountState::QUARANTINED;
  CHECK(f.script("status kv/\ntree\n") == exit_code::not_running);
  CHECK(f.notes == "stdin:1: the command ended with 3\n");
  CHECK(f.out.find("root") == std::string::npos);
}

TEST_CASE("a command goes on over lines while a bracket is open") {
  fixture f;
  CHECK(f.script("call host/ log (\n  level = info,\n  text = \"x\")\nbad\n") == exit_code::usage);
  CHECK(f.broker.state.calls == std::vector<std::string>{"log 2 x"});
  CHECK(f.notes.find("stdin:4: ") == 0);
  CHECK(f.script("tree (\n") == exit_code::usage);
  CHECK(f.notes.find("stdin:1: error: the script ends inside quotes") == 0);
}

TEST_CASE("a command that never closes its bracket is refused at the limit") {
  fixture f;
  std::string lines = "call host/ log (\n";
  while (lines.size() <= input_bytes_max) lines += std::string(input_bytes_max / 4, 'x') + "\n";
  CHECK(f.script(lines + "mounts\n") == exit_code::usage);
  CHECK(f.notes == "stdin:1: error: a command has more than 16 MiB\n");
}

TEST_CASE("a line may begin with the program's name, as error texts and the README write it") {
  fixture f;
  CHECK(f.text("bulkhead mounts") == f.text("mounts"));
  CHECK(f.run("bulkhead") == exit_code::done);
  CHECK(f.run("bulkhead bulkhead mounts") == exit_code::usage);
}

TEST_CASE("exit ends a session, and flags alone set it") {
  fixture f;
  CHECK(f.script("-o json\nlimits\nexit\nbad\n") == exit_code::done);
  CHECK(f.out.find("{\"schema_version\":1,\"limits\":") == 0);
  CHECK(f.run("--address unix:/x mounts") == exit_code::usage);
}

TEST_CASE("help needs no broker") {
  fixture f;
  f.broker.listens = false;
  CHECK(f.text("help").find("Usage: bulkhead") != std::string::npos);
  CHECK(f.text("help call").find("  bulkhead call calc/ evaluate") == 0);
  CHECK(f.text("call --help") == f.text("help call"));
  CHECK(f.run("help calll") == exit_code::usage);
}

TEST_CASE("completion asks the broker, and survives its absence") {
  fixture f;
  broker_words words(f.in);
  CHECK(words.health() == "2 up");
  CHECK(words.mounts() == std::vector<std::string>{"host/", "kv/"});
  CHECK(words.methods("host/") == std::vector<std::string>{"connect", "log", "now", "view"});
  CHECK(words.parameters("host/", "log") == std::vector<std::string>{"(level = , text = "});
  CHECK(words.paths("kv/data/") ==
        std::vector<std::string>{"kv/data/app", "kv/data/team/", "kv/data/"});
  CHECK(words.methods("nowhere/").empty());
  f.broker.state.mounts["kv/"] = MountState::BACKOFF;
  CHECK(words.health() == "1 up 1 backoff");
  f.broker.listens = false;
  f.broker.drop();
  for (int i = 0; i < 50; ++i) f.io.waitScope.poll();
  CHECK(words.health() == "no broker");
}

}  // namespace
