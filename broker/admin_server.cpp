// SPDX-License-Identifier: Apache-2.0
#include "broker/admin_server.hpp"

#include <unistd.h>

#include <algorithm>

#include "broker/catalog/admin_words.hpp"
#include "broker/config_desk.hpp"
#include "broker/confinement_rules.hpp"
#include "broker/convert.hpp"
#include "broker/host_posture.hpp"
#include "broker/refusal.hpp"
#include "broker/usage_desk.hpp"

namespace bulkhead {
namespace {

// What a page of log lines or events holds: by default, and at most.
constexpr std::uint32_t page_default = 100;
constexpr std::uint32_t page_max = 1000;

std::size_t page_size(std::uint32_t asked) {
  return asked == 0 ? page_default : std::min(asked, page_max);
}

template <class Duration>
std::uint64_t ms(Duration span) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(span).count());
}

void write_status(const mount_snapshot& from, const mount_entry& entry,
                  schema::MountStatus::Builder to) {
  const auto& status = from.status;
  const auto& spec = entry.spec;
  to.setPath(status.path.c_str());
  to.setUuid(status.uuid.c_str());
  to.setAccessor(entry.accessor.c_str());
  to.setDeclared(entry.declared);
  to.setPlugin(status.plugin.c_str());
  if (entry.face != nullptr) to.setPluginName(entry.face->name.c_str());
  to.setPluginVersion(status.plugin_version.c_str());
  to.setState(static_cast<schema::MountState>(status.state));
  to.setReason(status.reason.c_str());
  to.setGeneration(status.generation);
  to.setPid(status.pid);
  to.setUptimeMs(from.uptime_ms);
  to.setRestarts(status.restarts);
  to.setRestartsInWindow(static_cast<std::uint32_t>(from.restarts_in_window));
  to.setIntensity(spec.supervision.intensity);
  to.setPeriodMs(static_cast<std::uint32_t>(spec.supervision.period.count()));
  to.setBackoffMs(ms(from.backoff_left));
  to.setCallsInFlight(status.calls_in_flight);
  to.setCallsWaiting(status.calls_waiting);
  to.setCallsTotal(status.calls_total);
  to.setCallsFailed(status.calls_failed);
  to.setOldestCallMs(ms(from.oldest_call));
  to.setBytesIn(from.instance.bytes_in);
  to.setBytesOut(from.instance.bytes_out);
  if (from.last_crash) write_crash(*from.last_crash, to.initLastCrash());
  to.setDescription(spec.description.c_str());
  to.setRestart(static_cast<schema::RestartType>(spec.restart));
  write_options(spec.options, to.initOptions(static_cast<unsigned>(spec.options.size())));
  if (from.options_running) {
    const auto& running = *from.options_running;
    to.setOptionsPending(true);
    write_options(running, to.initOptionsRunning(static_cast<unsigned>(running.size())));
  }
  write_supervision(spec.supervision, to.initSupervision());
  write_life(spec.life, to.initLife());
  write_calls(spec.calls, to.initCalls());
  to.setGroup(spec.group.c_str());
  to.setBreaker(static_cast<schema::BreakerState>(from.breaker));
  to.setBreakerMs(ms(from.breaker_left));
  to.setBreakerHeld(from.breaker_held);
  to.setReload(from.reload.c_str());
  to.setKind(status.kind.c_str());
  to.setVersion(status.version.c_str());
  to.setVersionWanted(status.version_wanted.c_str());
  to.setSha256(status.sha256.c_str());
  write_texts(status.signed_by, to.initSignedBy(static_cast<unsigned>(status.signed_by.size())));
  to.setUnregistered(status.unregistered);
  to.setStorageVersion(status.storage_version);
  to.setSnapshot(status.snapshot.c_str());
  if (!entry.samples.empty() && entry.serving.id != 0 &&
      entry.samples.back().generation == entry.serving.generation)
    write_usage(entry.samples.back(), to.initUsage());
  if (!spec.thresholds.empty())
    write_numbers(spec.thresholds,
                  to.initThresholds(static_cast<unsigned>(spec.thresholds.size())));
}

void write_tree(const tree_node& from, schema::TreeNode::Builder to) {
  to.setName(from.name.c_str());
  to.setKind(from.kind.c_str());
  to.setState(from.state.c_str());
  to.setDetail(from.detail.c_str());
  auto children = to.initChildren(static_cast<unsigned>(from.children.size()));
  for (unsigned i = 0; i < children.size(); ++i) write_tree(from.children[i], children[i]);
}

void write_reload(const reload_result& from, schema::ReloadResult::Builder to) {
  to.setPath(from.path.c_str());
  to.setOutcome(static_cast<schema::ReloadOutcome>(from.outcome));
  to.setReason(from.reason.c_str());
  to.setGenerationBefore(from.generation_before);
  to.setGenerationAfter(from.generation_after);
  to.setVersionBefore(from.version_before.c_str());
  to.setVersionAfter(from.version_after.c_str());
  to.setTookMs(ms(from.took));
}

void write_protection(const broker_services& services, schema::BrokerStatus::Builder to) {
  to.setUnconfined(services.config.confinement.unconfined);
  write_confinement(rules_shown(services.config.confinement.rules), to.initConfinement());
  std::vector<named_number> missing;
  for (std::size_t i = 0; i < wall_count; ++i)
    if (const auto count = services.missing.of(static_cast<wall>(i)); count > 0)
      missing.push_back({std::string(to_string(static_cast<wall>(i))), count});
  write_numbers(missing, to.initWallsMissing(static_cast<unsigned>(missing.size())));
  to.setMemoryBytes(services.load->memory_bytes);
  to.setShedding(services.load->closed);
  to.setCallsShed(services.load->shed);
  const auto& outside = services.outside;
  to.setConnectionsOut(static_cast<std::uint32_t>(outside.connections.taken()));
  to.setLookups(static_cast<std::uint32_t>(outside.lookups.taken()));
  to.setConnectionsRefused(outside.refused);
  to.setConnectionsRevoked(outside.revoked);
}

class admin_server final : public schema::Admin::Server {
 public:
  admin_server(broker_core& core, const broker_facts& facts) : core_(core), facts_(facts) {}

  kj::Promise<void> mount(MountContext context) override {
    return core_.mount(read_spec(context.getParams().getSpec()))
        .then([this, context](mount_snapshot&& status) mutable {
          write(status, context.getResults().initStatus());
        });
  }

  kj::Promise<void> unmount(UnmountContext context) override {
    return core_.unmount(text(context.getParams().getPath()));
  }

  kj::Promise<void> tune(TuneContext context) override {
    return core_.tune(read_tune(context.getParams().getRequest()))
        .then([this, context](mount_snapshot&& status) mutable {
          write(status, context.getResults().initStatus());
        });
  }

  kj::Promise<void> move(MoveContext context) override {
    const auto params = context.getParams();
    return core_.move(text(params.getFrom()), text(params.getTo()))
        .then([this, context](mount_snapshot&& status) mutable {
          write(status, context.getResults().initStatus());
        });
  }

  kj::Promise<void> rollback(RollbackContext context) override {
    return core_.rollback(text(context.getParams().getPath()))
        .then([this, context](mount_snapshot&& status) mutable {
          write(status, context.getResults().initStatus());
        });
  }

  kj::Promise<void> mounts(MountsContext context) override {
    return core_.query_all().then([this, context](std::vector<mount_snapshot>&& all) mutable {
      // A mount may have gone while the others answered.
      std::erase_if(all, [this](auto& each) { return !core_.knows(each.status.path); });
      auto list = context.getResults().initMounts(static_cast<unsigned>(all.size()));
      for (unsigned i = 0; i < list.size(); ++i)
        write_status(all[i], *core_.require(all[i].status.path).entry, list[i]);
    });
  }

  kj::Promise<void> status(StatusContext context) override {
    return core_.query(text(context.getParams().getPath()))
        .then([this, context](mount_snapshot&& status) mutable {
          write(status, context.getResults().initStatus());
        });
  }

  kj::Promise<void> tree(TreeContext context) override {
    return facts_.tree().then(
        [context](tree_node&& root) mutable { write_tree(root, context.getResults().initRoot()); });
  }

  kj::Promise<void> kill(KillContext context) override {
    const auto params = context.getParams();
    return core_.signal(text(params.getPath()), params.getSignal())
        .then([context](mount_signalled&& sent) mutable {
          auto results = context.getResults();
          results.setPid(sent.pid);
          results.setGeneration(sent.generation);
        });
  }

  kj::Promise<void> restart(RestartContext context) override {
    return core_.restart(text(context.getParams().getPath()))
        .then([this, context](mount_snapshot&& status) mutable {
          write(status, context.getResults().initStatus());
        });
  }

  kj::Promise<void> reset(ResetContext context) override {
    return core_.reset(text(context.getParams().getPath()))
        .then([this, context](mount_snapshot&& status) mutable {
          write(status, context.getResults().initStatus());
        });
  }

  kj::Promise<void> holdBreaker(HoldBreakerContext context) override {
    const auto params = context.getParams();
    return core_.hold_breaker(text(params.getPath()), params.getOpen())
        .then([this, context](mount_snapshot&& status) mutable {
          write(status, context.getResults().initStatus());
        });
  }

  kj::Promise<void> stop(StopContext context) override {
    return core_.stop(text(context.getParams().getPath()))
        .then([this, context](mount_snapshot&& status) mutable {
          write(status, context.getResults().initStatus());
        });
  }

  kj::Promise<void> start(StartContext context) override {
    return core_.start(text(context.getParams().getPath()))
        .then([this, context](mount_snapshot&& status) mutable {
          write(status, context.getResults().initStatus());
        });
  }

  kj::Promise<void> reload(ReloadContext context) override {
    const auto request = context.getParams().getRequest();
    reload_request how;
    how.version = text(request.getVersion());
    how.canary_percent = request.getCanaryPercent();
    how.canary = std::chrono::milliseconds(request.getCanaryMs());
    auto work = request.isPlugin() ? core_.reload_plugin(text(request.getPlugin()), std::move(how))
                                   : core_.reload(text(request.getPath()), std::move(how));
    return work.then([context](std::vector<reload_result>&& all) mutable {
      auto list = context.getResults().initResults(static_cast<unsigned>(all.size()));
      for (unsigned i = 0; i < list.size(); ++i) write_reload(all[i], list[i]);
    });
  }

  kj::Promise<void> crashes(CrashesContext context) override {
    const auto params = context.getParams();
    const auto reports = core_.crashes(text(params.getPath()), params.getLimit());
    auto list = context.getResults().initReports(static_cast<unsigned>(reports.size()));
    for (unsigned i = 0; i < list.size(); ++i) write_crash(reports[i], list[i]);
    return kj::READY_NOW;
  }

  kj::Promise<void> logs(LogsContext context) override {
    const auto params = context.getParams();
    const auto& log = *core_.require(text(params.getPath())).entry->log;
    const auto lines = log.lines(params.getAfter(), page_size(params.getLines()));
    auto results = context.getResults();
    auto list = results.initLines(static_cast<unsigned>(lines.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      list[i].setNumber(lines[i].number);
      list[i].setUnixMs(lines[i].value.unix_ms);
      list[i].setGeneration(lines[i].value.generation);
      list[i].setSource(lines[i].value.source);
      list[i].setLevel(lines[i].value.level);
      list[i].setText(lines[i].value.text.c_str());
    }
    results.setNext(lines.empty() ? params.getAfter() : lines.back().number);
    return kj::READY_NOW;
  }

  kj::Promise<void> events(EventsContext context) override {
    const auto params = context.getParams();
    const auto events =
        core_.services().events.after(params.getAfter(), page_size(params.getLimit()));
    auto results = context.getResults();
    auto list = results.initEvents(static_cast<unsigned>(events.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      list[i].setNumber(events[i].number);
      list[i].setUnixMs(events[i].unix_ms);
      list[i].setMount(events[i].mount.c_str());
      list[i].setGeneration(events[i].generation);
      list[i].setName(events[i].name.c_str());
      list[i].setReason(events[i].reason.c_str());
    }
    results.setNext(events.empty() ? params.getAfter() : events.back().number);
    return kj::READY_NOW;
  }

  kj::Promise<void> limits(LimitsContext context) override {
    const auto lines = list_limits(core_.services().limits);
    auto list = context.getResults().initLimits(static_cast<unsigned>(lines.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      list[i].setName(lines[i].name.c_str());
      list[i].setValue(lines[i].value);
      list[i].setUnit(lines[i].unit.c_str());
      list[i].setOutcome(lines[i].outcome.c_str());
    }
    return kj::READY_NOW;
  }

  kj::Promise<void> brokerStatus(BrokerStatusContext context) override {
    return core_.query_all().then([this, context](std::vector<mount_snapshot>&& all) mutable {
      auto status = context.getResults().initStatus();
      status.setVersion(BULKHEAD_VERSION);
      status.setPid(static_cast<std::uint32_t>(::getpid()));
      status.setUptimeMs(ms(std::chrono::steady_clock::now() - facts_.started));
      status.setMounts(static_cast<std::uint32_t>(all.size()));
      status.setMountsReady(static_cast<std::uint32_t>(std::count_if(
          all.begin(), all.end(),
          [](const mount_snapshot& each) { return each.status.state == mount_state::ready; })));
      status.setClients(facts_.clients());
      const auto& config = core_.services().config;
      status.setSocketPath(config.socket_path.c_str());
      status.setStateDirectory(config.state_directory.c_str());
      status.setPluginDirectory(config.plugin_directory.c_str());
      write_protection(core_.services(), status);
    });
  }

  // -- use, and the state of the machine
  // -----------------------------------------------------------

  kj::Promise<void> usage(UsageContext context) override {
    const auto params = context.getParams();
    const auto& samples = core_.require(text(params.getPath())).entry->samples;
    const auto count = params.getLimit() == 0
                           ? samples.size()
                           : std::min<std::size_t>(params.getLimit(), samples.size());
    auto list = context.getResults().initSamples(static_cast<unsigned>(count));
    for (unsigned i = 0; i < list.size(); ++i)
      write_usage(samples[samples.size() - count + i], list[i]);
    return kj::READY_NOW;
  }

  kj::Promise<void> doctor(DoctorContext context) override {
    const auto findings = look_at_host();
    auto list = context.getResults().initFindings(static_cast<unsigned>(findings.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      list[i].setName(findings[i].name.c_str());
      list[i].setVerdict(static_cast<schema::Finding::Verdict>(findings[i].says));
      list[i].setFound(findings[i].found.c_str());
      list[i].setWanted(findings[i].wanted.c_str());
      list[i].setWhy(findings[i].why.c_str());
      list[i].setHow(findings[i].how.c_str());
    }
    return kj::READY_NOW;
  }

  // -- State.

  kj::Promise<void> backup(BackupContext context) override {
    return core_.services()
        .store.backup(text(context.getParams().getFile()))
        .then([context](backup_result&& made) mutable {
          context.getResults().setBytes(made.bytes);
          context.getResults().setRevision(made.revision);
        });
  }

  kj::Promise<void> rotateStateKey(RotateStateKeyContext context) override {
    return core_.services().store.rotate_key().then(
        [context](std::uint64_t count) mutable { context.getResults().setRewritten(count); });
  }

  // -- the catalog and trust ---------------------------------------------------------------------

  kj::Promise<void> registerRelease(RegisterReleaseContext context) override {
    return core_.register_release(read_release_spec(context.getParams().getSpec()))
        .then([this, context](release_info&& entered) mutable {
          write_release(entered, catalog(), context.getResults().initRelease());
        });
  }

  kj::Promise<void> releases(ReleasesContext context) override {
    const auto params = context.getParams();
    const auto all = catalog().list(text(params.getKind()), text(params.getName()));
    auto list = context.getResults().initReleases(static_cast<unsigned>(all.size()));
    for (unsigned i = 0; i < list.size(); ++i) write_release(all[i], catalog(), list[i]);
    return kj::READY_NOW;
  }

  kj::Promise<void> release(ReleaseContext context) override {
    const auto params = context.getParams();
    const auto found =
        catalog().show({text(params.getKind()), text(params.getName()), text(params.getVersion())});
    write_release(found, catalog(), context.getResults().initRelease());
    return kj::READY_NOW;
  }

  kj::Promise<void> deregister(DeregisterContext context) override {
    const auto params = context.getParams();
    return catalog().remove(
        {text(params.getKind()), text(params.getName()), text(params.getVersion())});
  }

  kj::Promise<void> pin(PinContext context) override {
    const auto params = context.getParams();
    return catalog().pin(
        {text(params.getKind()), text(params.getName()), text(params.getVersion())});
  }

  kj::Promise<void> unpin(UnpinContext context) override {
    const auto params = context.getParams();
    return catalog().unpin(text(params.getKind()), text(params.getName()));
  }

  kj::Promise<void> trustKey(TrustKeyContext context) override {
    return core_.services()
        .trust->trust_key(read_trusted_key(context.getParams().getKey()))
        .then([context](trusted_key_info&& key) mutable {
          write_trusted_key(key, context.getResults().initKey());
        });
  }

  kj::Promise<void> untrustKey(UntrustKeyContext context) override {
    const auto params = context.getParams();
    return core_.untrust(text(params.getId()), params.getRevoke(), text(params.getReason()))
        .then([context](std::vector<std::string>&& affected) mutable {
          write_texts(affected,
                      context.getResults().initAffected(static_cast<unsigned>(affected.size())));
        });
  }

  kj::Promise<void> trust(TrustContext context) override {
    write_trust(core_.trust(), context.getResults().initTrust());
    return kj::READY_NOW;
  }

  kj::Promise<void> setTrustPolicy(SetTrustPolicyContext context) override {
    const auto params = context.getParams();
    return core_.services().trust->set_policy(text(params.getKind()),
                                              static_cast<signature_rule>(params.getPolicy()));
  }

  // -- the declared state ------------------------------------------------------------------------

  kj::Promise<void> configDiff(ConfigDiffContext context) override {
    return desk().diff(context.getParams().getPrune()).then([context](changes&& all) mutable {
      write_changes(all, context.getResults().initChanges(static_cast<unsigned>(all.size())));
    });
  }

  kj::Promise<void> configApply(ConfigApplyContext context) override {
    return desk().apply(context.getParams().getPrune()).then([context](changes&& all) mutable {
      write_changes(all, context.getResults().initChanges(static_cast<unsigned>(all.size())));
    });
  }

 private:
  using changes = std::vector<config_change>;

  static void write_changes(const changes& from, capnp::List<schema::ConfigChange>::Builder to) {
    for (unsigned i = 0; i < to.size(); ++i) {
      to[i].setAction(from[i].action.c_str());
      to[i].setTarget(from[i].target.c_str());
      to[i].setDetail(from[i].detail.c_str());
      to[i].setProblem(from[i].problem.c_str());
    }
  }

  config_desk& desk() {
    auto* known = core_.services().declared;
    if (known == nullptr)
      refuse(error_kind::failed_precondition, "nothing is declared",
             "the broker was started without a configuration file", "bulkheadd --config FILE");
    return *known;
  }
  release_catalog& catalog() { return *core_.services().catalog; }

  /// The mount may have gone while its actor answered.
  void write(const mount_snapshot& from, schema::MountStatus::Builder to) {
    const auto& entry = *core_.require(from.status.path).entry;
    write_status(from, entry, to);
    write_confinement_status(core_.services(), entry, from, to.initConfinement());
  }

  broker_core& core_;
  const broker_facts& facts_;
};

}  // namespace

schema::Admin::Client make_admin(broker_core& core, const broker_facts& facts) {
  return kj::heap<admin_server>(core, facts);
}

}  // namespace bulkhead
