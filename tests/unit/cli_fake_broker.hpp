// SPDX-License-Identifier: Apache-2.0
//
// A broker in memory, scripted by a test: the contracts' interfaces over a socket pair in the same
// loop. Its mounts serve a small store on paths ("kv/"), and `Host` and `View` of plugin.capnp as
// their own interfaces ("host/"), for these are at hand and return and take capabilities.
#pragma once

#include <capnp/schema-loader.h>
#include <kj/async-io.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/client/client.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead::testing {

inline kj::Exception error_of(schema::ErrorKind kind, std::string what, std::string why = {},
                              std::string remedy = {}) {
  wire::error_info info;
  info.kind = kind;
  info.what = std::move(what);
  info.why = std::move(why);
  info.remedy = std::move(remedy);
  return wire::make_exception(info);
}

/// What the fake remembers and what a test sets.
struct fake_state {
  std::map<std::string, schema::MountState> mounts = {{"host/", schema::MountState::READY},
                                                      {"kv/", schema::MountState::READY}};
  std::map<std::string, std::string> values;
  std::vector<std::string> calls;                                 ///< what was asked for, in order
  bool crashed = false;                                           ///< mounts have two crash reports
  std::function<void(schema::MountStatus::Builder)> more_status;  ///< what a status also holds
  std::uint64_t first_event = 1;                                  ///< older ones are forgotten
  std::uint64_t last_event = 1;
  bool denies_login = false;
  bool denies_mounts = false;  ///< the list of them
  bool hangs = false;          ///< status never answers
  std::uint64_t logins = 0;
  std::uint64_t lookups = 0;
};

class fake_view final : public schema::View::Server {
 public:
  explicit fake_view(fake_state& state) : state_(state) {}

 protected:
  kj::Promise<void> get(GetContext context) override {
    const auto found = state_.values.find(context.getParams().getKey());
    auto results = context.getResults();
    results.setFound(found != state_.values.end());
    if (found == state_.values.end()) return kj::READY_NOW;
    results.setValue(kj::StringPtr(found->second.c_str()).asBytes());
    results.setRevision(7);
    return kj::READY_NOW;
  }
  kj::Promise<void> put(PutContext context) override {
    const auto params = context.getParams();
    if (params.getExpect().isAbsent() && state_.values.count(params.getKey()) > 0) {
      return error_of(schema::ErrorKind::CONFLICT, "the key is there", "", "read it first");
    }
    const auto value = params.getValue().asChars();
    state_.values[params.getKey()] = std::string(value.begin(), value.end());
    context.getResults().setRevision(8);
    return kj::READY_NOW;
  }

 private:
  fake_state& state_;
};

class fake_host final : public schema::Host::Server {
 public:
  explicit fake_host(fake_state& state) : state_(state) {}

 protected:
  kj::Promise<void> view(ViewContext context) override {
    context.getResults().setView(kj::heap<fake_view>(state_));
    return kj::READY_NOW;
  }
  kj::Promise<void> log(LogContext context) override {
    const auto params = context.getParams();
    state_.calls.push_back("log " + std::to_string(static_cast<int>(params.getLevel())) + " " +
                           params.getText().cStr());
    return kj::READY_NOW;
  }
  kj::Promise<void> now(NowContext context) override {
    context.getResults().setUnixMs(1'234'567'890'123);
    return kj::READY_NOW;
  }

 private:
  fake_state& state_;
};

/// "plug/": takes a Host and logs through it.
class fake_plugin final : public schema::Plugin::Server {
 protected:
  kj::Promise<void> mount(MountContext context) override {
    auto request = context.getParams().getHost().logRequest();
    request.setLevel(schema::LogLevel::WARN);
    request.setText("hello from below");
    return request.send().ignoreResult();
  }
};

class fake_backend final : public schema::Backend::Server {
 public:
  explicit fake_backend(fake_state& state) : state_(state) {}

 protected:
  kj::Promise<void> handle(HandleContext context) override {
    const auto request = context.getParams().getRequest();
    auto response = context.getResults().initResponse();
    const std::string path = request.getPath().cStr();
    switch (request.getOperation()) {
      case schema::Operation::READ: {
        if (state_.values.count(path) == 0) {
          return KJ_EXCEPTION(FAILED,
                              "remote exception: there is no secret\ndetail: kind=not_found");
        }
        auto field = response.initFields(1)[0];
        field.setName("value");
        field.initValue().setText(state_.values[path].c_str());
        field.getValue().setSecret(true);
        break;
      }
      case schema::Operation::WRITE:
        for (auto field : request.getFields()) {
          state_.calls.push_back("field " + std::string(field.getName().cStr()) + " " +
                                 kj::str(field.getValue()).cStr());
          if (field.getValue().isText()) state_.values[path] = field.getValue().getText().cStr();
        }
        response.initWarnings(1).set(0, "the disk is nearly full");
        break;
      case schema::Operation::LIST: {
        auto keys = response.initKeys(4);
        keys.set(0, "app");
        keys.set(1, "team/");
        keys.set(2, "two words");
        keys.set(3, "\x1b[2Jclears");
        break;
      }
      case schema::Operation::DELETE:
        state_.values.erase(path);
        break;
      case schema::Operation::HELP:
        response.setHelp(("help for " + path).c_str());
        break;
    }
    return kj::READY_NOW;
  }

 private:
  fake_state& state_;
};

class fake_mount final : public schema::Mount::Server {
 public:
  fake_mount(fake_state& state, std::string path) : state_(state), path_(std::move(path)) {}

 protected:
  kj::Promise<void> backend(BackendContext context) override {
    context.getResults().setBackend(kj::heap<fake_backend>(state_));
    return kj::READY_NOW;
  }
  kj::Promise<void> typed(TypedContext context) override {
    if (path_ == "plug/") {
      context.getResults().setTyped(schema::Plugin::Client(kj::heap<fake_plugin>()));
    } else {
      context.getResults().setTyped(schema::Host::Client(kj::heap<fake_host>(state_)));
    }
    return kj::READY_NOW;
  }
  kj::Promise<void> describe(DescribeContext context) override {
    auto results = context.getResults();
    results.setPath(path_.c_str());
    results.setPlugin(path_.substr(0, path_.size() - 1).c_str());
    results.setVersion("1.0.0");
    if (path_ == "kv/") return describe_paths(results);
    capnp::SchemaLoader loader;
    loader.loadCompiledTypeAndDependencies<schema::Plugin>();
    results.setTypedId(path_ == "plug/" ? capnp::typeId<schema::Plugin>()
                                        : capnp::typeId<schema::Host>());
    const auto nodes = loader.getAllLoaded();
    auto list = results.initSchema(static_cast<capnp::uint>(nodes.size()));
    for (capnp::uint i = 0; i < list.size(); ++i) list.setWithCaveats(i, nodes[i].getProto());
    return kj::READY_NOW;
  }

 private:
  static kj::Promise<void> describe_paths(DescribeResults::Builder results) {
    auto spec = results.initPaths(1)[0];
    spec.setPattern("data/{path*}");
    spec.setSummary("Secrets with versions.");
    auto operation = spec.initOperations(1)[0];
    operation.setOperation(schema::Operation::READ);
    operation.setSummary("Reads one version.");
    auto field = operation.initFields(1)[0];
    field.setName("version");
    field.setType(schema::FieldType::INT);
    field.setSummary("The newest when left out.");
    results.setOptionsKnown(true);
    auto option = results.initOptions(1)[0];
    option.setName("max_versions");
    option.setType(schema::FieldType::INT);
    option.setSummary("How many are kept.");
    return kj::READY_NOW;
  }

  fake_state& state_;
  std::string path_;
};

class fake_admin final : public schema::Admin::Server {
 public:
  explicit fake_admin(fake_state& state) : state_(state) {}

 protected:
  kj::Promise<void> mount(MountContext context) override {
    const auto spec = context.getParams().getSpec();
    std::string call =
        std::string("mount ") + spec.getPath().cStr() + " " + spec.getPlugin().cStr();
    for (auto option : spec.getOptions()) {
      call += std::string(" ") + option.getName().cStr() + "=" + option.getValue().cStr();
    }
    call += " " + std::to_string(static_cast<int>(spec.getRestart()));
    if (spec.hasSupervision()) call += kj::str(" ", spec.getSupervision()).cStr();
    if (spec.hasLife()) call += kj::str(" ", spec.getLife()).cStr();
    if (spec.hasCalls()) call += kj::str(" ", spec.getCalls()).cStr();
    if (spec.getGroup().size() > 0) call += kj::str(" in ", spec.getGroup()).cStr();
    state_.calls.push_back(call);
    state_.mounts[spec.getPath()] = schema::MountState::READY;
    fill(context.getResults().initStatus(), spec.getPath());
    return kj::READY_NOW;
  }
  kj::Promise<void> unmount(UnmountContext context) override {
    const std::string path = context.getParams().getPath().cStr();
    if (state_.mounts.erase(path) == 0) return missing(path);
    return kj::READY_NOW;
  }
  kj::Promise<void> tune(TuneContext context) override {
    const auto request = context.getParams().getRequest();
    const std::string path = request.getPath().cStr();
    if (state_.mounts.count(path) == 0) return missing(path);
    state_.calls.emplace_back(kj::str("tune ", request).cStr());
    fill(context.getResults().initStatus(), path);
    return kj::READY_NOW;
  }
  kj::Promise<void> move(MoveContext context) override {
    const std::string from = context.getParams().getFrom().cStr();
    const std::string to = context.getParams().getTo().cStr();
    if (state_.mounts.erase(from) == 0) return missing(from);
    state_.mounts[to] = schema::MountState::READY;
    fill(context.getResults().initStatus(), to);
    return kj::READY_NOW;
  }
  kj::Promise<void> rollback(RollbackContext context) override {
    const std::string path = context.getParams().getPath().cStr();
    if (state_.mounts.count(path) == 0) return missing(path);
    auto status = context.getResults().initStatus();
    fill(status, path);
    status.setStorageVersion(1);
    status.setSnapshot("1.2.0, 2026-11-20T10:00:00Z");
    return kj::READY_NOW;
  }
  kj::Promise<void> mounts(MountsContext context) override {
    if (state_.denies_mounts) {
      return error_of(schema::ErrorKind::PERMISSION_DENIED, "you may not see the mounts");
    }
    auto list = context.getResults().initMounts(static_cast<capnp::uint>(state_.mounts.size()));
    capnp::uint i = 0;
    for (const auto& [path, mount_state] : state_.mounts) fill(list[i++], path);
    return kj::READY_NOW;
  }
  kj::Promise<void> status(StatusContext context) override {
    if (state_.hangs) return kj::NEVER_DONE;
    const std::string path = context.getParams().getPath().cStr();
    if (state_.mounts.count(path) == 0) return missing(path);
    fill(context.getResults().initStatus(), path);
    return kj::READY_NOW;
  }
  kj::Promise<void> tree(TreeContext context) override {
    auto root = context.getResults().initRoot();
    root.setName("root");
    root.setKind("supervisor");
    root.setState("running");
    auto children = root.initChildren(2);
    children[0].setName("store");
    children[0].setKind("worker");
    children[0].setState("running");
    children[1].setName("mounts");
    children[1].setKind("supervisor");
    children[1].setState("running");
    auto mount = children[1].initChildren(1)[0];
    mount.setName("kv/");
    mount.setKind("mount");
    mount.setState("ready");
    mount.setDetail("pid 4127");
    return kj::READY_NOW;
  }
  kj::Promise<void> kill(KillContext context) override {
    const auto params = context.getParams();
    if (state_.mounts.count(params.getPath()) == 0) return missing(params.getPath().cStr());
    if (state_.mounts[params.getPath()] != schema::MountState::READY) {
      return error_of(schema::ErrorKind::FAILED_PRECONDITION, "no process runs");
    }
    state_.calls.push_back("kill " + std::to_string(params.getSignal()));
    context.getResults().setPid(4127);
    context.getResults().setGeneration(3);
    return kj::READY_NOW;
  }
  kj::Promise<void> restart(RestartContext context) override {
    fill(context.getResults().initStatus(), context.getParams().getPath().cStr());
    return kj::READY_NOW;
  }
  kj::Promise<void> reset(ResetContext) override {
    return error_of(schema::ErrorKind::START_FAILED, "it failed again", "it exits at once",
                    "bulkhead logs kv/");
  }
  kj::Promise<void> holdBreaker(HoldBreakerContext context) override {
    auto status = context.getResults().initStatus();
    fill(status, context.getParams().getPath().cStr());
    status.setBreakerHeld(context.getParams().getOpen());
    status.setBreaker(context.getParams().getOpen() ? schema::BreakerState::OPEN
                                                    : schema::BreakerState::CLOSED);
    return kj::READY_NOW;
  }
  kj::Promise<void> stop(StopContext context) override {
    const std::string path = context.getParams().getPath().cStr();
    if (state_.mounts.count(path) == 0) return missing(path);
    state_.mounts[path] = schema::MountState::STOPPED;
    fill(context.getResults().initStatus(), path);
    return kj::READY_NOW;
  }
  kj::Promise<void> start(StartContext context) override {
    const std::string path = context.getParams().getPath().cStr();
    if (state_.mounts[path] == schema::MountState::QUARANTINED) {
      return error_of(schema::ErrorKind::FAILED_PRECONDITION, "it is quarantined", "",
                      "bulkhead reset " + path);
    }
    state_.mounts[path] = schema::MountState::READY;
    fill(context.getResults().initStatus(), path);
    return kj::READY_NOW;
  }
  /// The first mount fails, the others are replaced.
  kj::Promise<void> reload(ReloadContext context) override {
    const auto request = context.getParams().getRequest();
    state_.calls.push_back(kj::str("reload ", request).cStr());
    if (state_.hangs) return kj::NEVER_DONE;
    std::vector<std::string> paths;
    if (request.isPath()) {
      paths.emplace_back(request.getPath().cStr());
    } else {
      for (const auto& [path, mount_state] : state_.mounts) paths.push_back(path);
    }
    auto results = context.getResults().initResults(static_cast<capnp::uint>(paths.size()));
    for (capnp::uint i = 0; i < results.size(); ++i) {
      const bool fails = i == 0 && paths.size() > 1;
      results[i].setPath(paths[i].c_str());
      results[i].setOutcome(fails ? schema::ReloadOutcome::FAILED
                                  : schema::ReloadOutcome::REPLACED);
      if (fails) results[i].setReason("no hello within 5000 ms");
      results[i].setGenerationBefore(3);
      results[i].setGenerationAfter(fails ? 3 : 4);
      results[i].setVersionBefore("1.0.0");
      results[i].setVersionAfter(fails ? "1.0.0" : "1.1.0");
      results[i].setTookMs(12);
    }
    return kj::READY_NOW;
  }
  kj::Promise<void> crashes(CrashesContext context) override {
    const auto params = context.getParams();
    if (state_.mounts.count(params.getPath()) == 0) return missing(params.getPath().cStr());
    const unsigned kept = state_.crashed ? 2 : 0;
    const unsigned count = params.getLimit() == 0 ? kept : std::min(kept, params.getLimit());
    auto reports = context.getResults().initReports(count);
    for (unsigned i = 0; i < count; ++i) fill_crash(reports[i], params.getPath().cStr(), 2 - i);
    return kj::READY_NOW;
  }
  kj::Promise<void> logs(LogsContext context) override {
    auto line = context.getResults().initLines(1)[0];
    line.setNumber(5);
    line.setUnixMs(0);
    line.setGeneration(2);
    line.setSource(schema::LogSource::STDERR);
    line.setLevel(schema::LogLevel::WARN);
    line.setText("careful");
    context.getResults().setNext(5);
    return kj::READY_NOW;
  }
  kj::Promise<void> events(EventsContext context) override {
    const auto after = context.getParams().getAfter();
    const auto from = std::max(after + 1, state_.first_event);
    context.getResults().setNext(std::max(after, state_.last_event));
    if (from > state_.last_event) return kj::READY_NOW;
    auto events =
        context.getResults().initEvents(static_cast<capnp::uint>(state_.last_event - from + 1));
    for (capnp::uint i = 0; i < events.size(); ++i) {
      events[i].setNumber(from + i);
      events[i].setMount("kv/");
      events[i].setGeneration(1);
      events[i].setName("ready");
      events[i].setReason("said hello");
    }
    return kj::READY_NOW;
  }
  kj::Promise<void> limits(LimitsContext context) override {
    auto limit = context.getResults().initLimits(1)[0];
    limit.setName("frame_bytes_max");
    limit.setValue(33554432);
    limit.setUnit("bytes");
    limit.setOutcome("the connection is closed");
    return kj::READY_NOW;
  }
  kj::Promise<void> brokerStatus(BrokerStatusContext context) override {
    auto status = context.getResults().initStatus();
    status.setVersion("0.1.0");
    status.setPid(99);
    status.setUptimeMs(61'000);
    status.setMounts(static_cast<std::uint32_t>(state_.mounts.size()));
    return kj::READY_NOW;
  }

 private:
  static kj::Exception missing(const std::string& path) {
    return error_of(schema::ErrorKind::NOT_FOUND, "nothing is mounted at '" + path + "'");
  }

  void fill(schema::MountStatus::Builder status, const std::string& path) {
    status.setPath(path.c_str());
    status.setPlugin(path.substr(0, path.size() - 1).c_str());
    status.setState(state_.mounts[path]);
    status.setReason("as the test says");
    const bool runs = state_.mounts[path] == schema::MountState::READY;
    status.setPid(runs ? 4127 : 0);
    status.setGeneration(3);
    status.setUptimeMs(3000);
    if (state_.crashed) fill_crash(status.initLastCrash(), path, 2);
    if (state_.more_status) state_.more_status(status);
  }

  static void fill_crash(schema::CrashReport::Builder crash, const std::string& path,
                         std::uint64_t generation) {
    crash.setMount(path.c_str());
    crash.setGeneration(generation);
    crash.initCause().setSignaled(9);
    crash.setUptimeMs(1500);
    crash.setCallsInFlight(4);
    crash.setNext("restarts at once");
    crash.initLastLines(1).set(0, "last words");
    crash.setPlugin("kv");
    crash.setPluginVersion("1.0.0");
    auto call = crash.initCalls(1)[0];
    call.setMethod("read kv/app");
    call.setAgeMs(250);
    call.setOutcome("plugin_crashed");
  }

  fake_state& state_;
};

class fake_session final : public schema::Session::Server {
 public:
  explicit fake_session(fake_state& state) : state_(state) {}

 protected:
  kj::Promise<void> mount(MountContext context) override {
    ++state_.lookups;
    const std::string path = context.getParams().getPath().cStr();
    for (const auto& [mount, mount_state] : state_.mounts) {
      if (path.compare(0, mount.size(), mount) != 0) continue;
      context.getResults().setMount(kj::heap<fake_mount>(state_, mount));
      context.getResults().setRest(path.substr(mount.size()).c_str());
      return kj::READY_NOW;
    }
    return error_of(schema::ErrorKind::NOT_FOUND, "no mount serves '" + path + "'");
  }
  kj::Promise<void> handle(HandleContext context) override {
    auto request = backend_.handleRequest();
    request.setRequest(context.getParams().getRequest());
    return request.send().then([context](auto&& answer) mutable {
      context.getResults().setResponse(answer.getResponse());
    });
  }
  kj::Promise<void> admin(AdminContext context) override {
    context.getResults().setAdmin(kj::heap<fake_admin>(state_));
    return kj::READY_NOW;
  }

 private:
  fake_state& state_;
  schema::Backend::Client backend_ = kj::heap<fake_backend>(state_);
};

class fake_gateway final : public schema::Gateway::Server {
 public:
  explicit fake_gateway(fake_state& state) : state_(state) {}

 protected:
  kj::Promise<void> login(LoginContext context) override {
    ++state_.logins;
    if (state_.denies_login) {
      return error_of(schema::ErrorKind::PERMISSION_DENIED, "uid 1000 has no rights here", "",
                      "run it as root");
    }
    context.getResults().setSession(kj::heap<fake_session>(state_));
    return kj::READY_NOW;
  }
  kj::Promise<void> version(VersionContext context) override {
    context.getResults().setVersion("0.1.0");
    context.getResults().setProtocolMin(1);
    context.getResults().setProtocolMax(1);
    return kj::READY_NOW;
  }

 private:
  fake_state& state_;
};

/// The broker, and a way to connect to it.
class fake_broker {
 public:
  explicit fake_broker(kj::AsyncIoContext& io) : io_(io) {}

  fake_state state;
  bool listens = true;

  remote::connector connector() {
    return [this]() -> kj::Own<kj::AsyncCapabilityStream> {
      if (!listens) {
        kj::throwFatalException(error_of(schema::ErrorKind::BROKER_STOPPING,
                                         "cannot reach the broker", "nobody listens"));
      }
      auto pipe = io_.provider->newCapabilityPipe();
      connections_.push_back(kj::heap<wire::connection>(
          kj::mv(pipe.ends[1]), wire::connection::side::SERVER,
          capnp::Capability::Client(schema::Gateway::Client(kj::heap<fake_gateway>(state)))));
      return kj::mv(pipe.ends[0]);
    };
  }

  /// All connections go.
  void drop() { connections_.clear(); }

 private:
  kj::AsyncIoContext& io_;
  std::vector<kj::Own<wire::connection>> connections_;
};

}  // namespace bulkhead::testing
