// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_bring_up.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "broker/catalog/release_start.hpp"
#include "broker/confinement_desk.hpp"
#include "broker/convert.hpp"
#include "broker/option_rules.hpp"
#include "broker/storage_upgrade.hpp"
#include "broker/trust/semantic_version.hpp"

namespace bulkhead {
namespace {

constexpr std::size_t plugin_name_bytes_max = 64;

bool is_name_byte(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

[[noreturn]] void refuse(std::string what, std::string why) {
  kj::throwFatalException(exception(error_kind::start_failed, std::move(what), std::move(why)));
}

void check_features(capnp::List<capnp::Text>::Reader features, const broker_limits& limits) {
  if (features.size() > limits.features_max)
    refuse("names too many features",
           fmt::format("{}, the limit is {} (features_max)", features.size(), limits.features_max));
  for (const auto each : features)
    if (each.size() > limits.feature_bytes_max)
      refuse("names a feature that is too long",
             fmt::format("{} bytes, the limit is {} (feature_bytes_max)", each.size(),
                         limits.feature_bytes_max));
}

}  // namespace

std::string check_plugin_name(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.size() > plugin_name_bytes_max)
    return fmt::format("it is longer than {} bytes", plugin_name_bytes_max);
  if (!std::all_of(name.begin(), name.end(), is_name_byte) || name[0] == '-' || name[0] == '_')
    return "a name is [a-z0-9][a-z0-9_-]*";
  return {};
}

std::string check_plugin_version(std::string_view version) {
  if (version.size() > trust::version_bytes_max)
    return fmt::format("it is longer than {} bytes", trust::version_bytes_max);
  if (!trust::parse_version(version)) return "a version is a semantic version, as in 1.4.2";
  return {};
}

mount_bring_up::mount_bring_up(broker_services& services, std::shared_ptr<mount_entry> entry,
                               std::uint64_t generation, bool beside)
    : options(entry->spec.options),
      services_(services),
      entry_(std::move(entry)),
      generation_(generation),
      beside_(beside) {}

mount_bring_up::~mount_bring_up() noexcept(false) = default;

void check_introduction(schema::PluginInfo::Reader info, const broker_limits& limits) {
  // The plugin's own words are not repeated: they are not yet known to be fit to print.
  if (auto problem = check_plugin_name(text(info.getName())); !problem.empty())
    refuse("gave a name that is none", std::move(problem));
  if (auto problem = check_plugin_version(text(info.getVersion())); !problem.empty())
    refuse("gave a version that is none", std::move(problem));
  if (info.getSchema().size() > limits.schema_nodes_max)
    refuse("shipped too large a schema",
           fmt::format("{} nodes, the limit is {} (schema_nodes_max)", info.getSchema().size(),
                       limits.schema_nodes_max));
  check_features(info.getFeatures(), limits);
  if (info.getOptions().size() > declared_options_max)
    refuse("declares too many options",
           fmt::format("{}, the limit is {} (declared_options_max)", info.getOptions().size(),
                       declared_options_max));
}

std::shared_ptr<plugin_face> make_face(schema::PluginInfo::Reader info) {
  auto face = std::make_shared<plugin_face>();
  face->name = text(info.getName());
  face->version = text(info.getVersion());
  face->info = std::make_shared<capnp::MallocMessageBuilder>();
  face->info->setRoot(info);
  return face;
}

namespace {

/// A file that says it is another plugin, or another version, is not what was registered; starting
/// it again makes no difference.
void check_is_release(schema::PluginInfo::Reader info, const release& of) {
  const auto said = fmt::format("{}@{}", text(info.getName()), text(info.getVersion()));
  const auto wanted = fmt::format("{}@{}", of.spec.name, of.spec.version);
  if (said != wanted)
    kj::throwFatalException(
        exception(error_kind::invalid_argument, "is not what it is registered as",
                  fmt::format("it introduces itself as {}, not {}", said, wanted)));
}

}  // namespace

void mount_bring_up::check(schema::PluginInfo::Reader info) {
  check_introduction(info, services_.limits);
  if (of != nullptr) check_is_release(info, *of);
  if (beside_ && must_be_alone(info)) {
    refused_beside = true;
    refuse("must be alone", "another instance serves the mount");
  }
  check_options(info, options);
  if (face == nullptr) face = make_face(info);
}

void mount_bring_up::write_mount(schema::MountInfo::Builder to) const {
  to.setPath(entry_->spec.path.c_str());
  to.setUuid(entry_->uuid.c_str());
  to.setGeneration(generation_);
  write_options(options, to.initOptions(static_cast<unsigned>(options.size())));
}

void mount_bring_up::lend() {
  auto unread = [this]() -> kj::Maybe<kj::Promise<void>> {
    if (link == nullptr) return nullptr;
    return link->unread_obstacle(services_.limits.view_unread_bytes_max);
  };
  lent_ = std::make_unique<host_loan>(services_, entry_, generation_, of.get(), kj::mv(unread));
}

kj::Promise<void> mount_bring_up::introduce(schema::Plugin::Client plugin,
                                            schema::PluginInfo::Reader info) {
  check(info);
  auto request = plugin.mountRequest();
  write_mount(request.initMount());
  lend();
  request.setHost(lent_->make_host());
  return request.send()
      .then([this](capnp::Response<schema::Plugin::MountResults>&& offered) {
        const auto unreadable = kj::runCatchingExceptions([&] {
          if (offered.hasBackend()) backend = capnp::Capability::Client(offered.getBackend());
          if (offered.hasTyped()) typed = capnp::Capability::Client(offered.getTyped());
        });
        if (unreadable != nullptr)
          refuse("gave an answer to mount() that cannot be read",
                 "where a capability belongs it holds something else");
        if (backend == nullptr && typed == nullptr)
          refuse("offers nothing to call",
                 "its mount() returned neither a backend nor a typed interface");
      })
      // What introduces itself well and then does not turn its loop is not ready.
      .then([plugin]() mutable {
        return plugin.pingRequest().send().ignoreResult().catch_([](kj::Exception&& problem) {
          // Any error of the plugin's own is an answer.
          if (problem.getType() == kj::Exception::Type::DISCONNECTED)
            kj::throwFatalException(kj::mv(problem));
        });
      });
}

void mount_bring_up::spawned(const process_spec& asked, const spawn_answer& answer) {
  confined = answer.process == nullptr ? nullptr : asked.confined;
  missing = answer.missing;
  report = answer.process == nullptr ? answer.report : answer.process->report;
  if (answer.process == nullptr || report == nullptr) return;
  for (const auto which : missing_by_waiver(*report)) {
    const auto line = line_of(which, *report);
    services_.missing.count(which);
    services_.events.record(entry_->spec.path, generation_, "wall_missing", line);
    entry_->log->broker_says(generation_, schema::LogLevel::WARN,
                             fmt::format("started without a wall: {}", line));
  }
}

// -- storage -------------------------------------------------------------------------------------

namespace {

/// A failed start has no line for what to try: it is part of why.
[[noreturn]] void refuse_newer_storage(const mount_entry& entry, std::uint32_t known) {
  const auto way_back =
      entry.snapshot ? fmt::format("bulkhead rollback {} returns to {}; a newer release can use it",
                                   entry.spec.path, snapshot_text(*entry.snapshot))
                     : std::string("run a newer release: there is no snapshot to go back to");
  kj::throwFatalException(exception(
      error_kind::invalid_argument,
      fmt::format("cannot use what is stored: the storage is version {}, this plugin knows {}",
                  entry.storage_version, known),
      way_back));
}

}  // namespace

kj::Promise<void> mount_bring_up::ready_storage(schema::Plugin::Client plugin,
                                                schema::PluginInfo::Reader info) {
  check(info);
  storage_facts facts{entry_->storage_version, info.getStorageVersion(), false, beside_,
                      state_of_snapshot(*entry_)};
  if (facts.known == facts.stored)
    return storage_work_.wrap(do_step(next_storage_step(facts), kj::mv(plugin), facts.known));
  // One that finishes its calls may still store something, of its own layout.
  const bool waits = !beside_ && entry_->become_alone;
  auto alone = waits ? entry_->become_alone() : kj::Promise<void>(kj::READY_NOW);
  return storage_work_.wrap(
      alone.then([this] { return has_stored(services_.store, entry_->uuid); })
          .then([this, facts, plugin = kj::mv(plugin)](bool anything) mutable {
            facts.anything_stored = anything;
            return do_step(next_storage_step(facts), kj::mv(plugin), facts.known);
          }));
}

kj::Promise<void> mount_bring_up::do_step(storage_step what, schema::Plugin::Client plugin,
                                          std::uint32_t known) {
  switch (what) {
    case storage_step::none:
    case storage_step::adopt:
      return keep_number(known);
    case storage_step::migrate:
      return upgrade(kj::mv(plugin), known);
    case storage_step::alone_first:
      refused_beside = true;
      refuse("must be alone", "the storage is of another version, and another instance serves");
    case storage_step::refuse:
      upgrading_ = true;
      refuse_newer_storage(*entry_, known);
    case storage_step::settle_first:
      break;
  }
  refuse("cannot use what is stored", "the storage is being put back");
}

/// Before anything of another release can change what is stored, the record says that the mount
/// runs it: a broker that dies meanwhile goes on with it.
kj::Promise<void> mount_bring_up::keep_number(std::uint32_t known) {
  const bool keeps_release =
      beside_ || of == nullptr ||
      (entry_->version_running == of->spec.version && entry_->spec.kind == of->spec.kind);
  if (keeps_release && entry_->storage_version == known) return kj::READY_NOW;
  return services_
      .change_record(entry_,
                     [known, release = of](mount_record& record) {
                       demand_settled(record);
                       record.storage_version = known;
                       write_release(record, release.get());
                     })
      .then([this] { demand_trust_still(); });
}

/// The store, or the migration, may have been slow.
void mount_bring_up::demand_trust_still() const {
  if (of != nullptr) demand_trust(services_, *of);
}

kj::Promise<void> mount_bring_up::upgrade(schema::Plugin::Client plugin, std::uint32_t known) {
  upgrading_ = true;
  return entry_->storage_work.take().then(
      [this, plugin = kj::mv(plugin), known](kj::Own<turns::pass>&& turn) mutable {
        return take_snapshot(services_, entry_)
            .then([this, plugin = kj::mv(plugin), known]() mutable {
              return migrate(kj::mv(plugin), known);
            })
            .then([this, known] { return keep_upgrade(known); })
            .attach(kj::mv(turn));
      });
}

kj::Promise<void> mount_bring_up::keep_upgrade(std::uint32_t known) {
  const auto done = [known, release = of](mount_record& record) {
    record.storage_version = known;
    record.snapshot->state = snapshot_state::kept;
    write_release(record, release.get());
  };
  return services_.change_record(entry_, done).then([this, known] {
    upgrading_ = false;
    services_.events.record(
        entry_->spec.path, generation_, "migrated",
        fmt::format("the storage from version {} to {}", entry_->snapshot->storage_version, known));
    demand_trust_still();
  });
}

namespace {

/// The plugin was made before there was a `migrate`; one that has it speaks of its kinds.
bool is_unknown_method(const kj::Exception& problem) {
  return problem.getType() == kj::Exception::Type::UNIMPLEMENTED &&
         std::string_view(problem.getDescription().cStr()).find("detail: kind=") ==
             std::string_view::npos;
}

}  // namespace

/// What the plugin has under way in the storage when this ends is dropped.
kj::Promise<void> mount_bring_up::migrate(schema::Plugin::Client plugin, std::uint32_t known) {
  const auto from = entry_->storage_version;
  const auto longest = services_.limits.migrate_ms_max;
  services_.events.record(entry_->spec.path, generation_, "migrating",
                          fmt::format("the storage from version {} to {}", from, known));
  lend();
  migrating_ = true;
  auto request = plugin.migrateRequest();
  write_mount(request.initMount());
  request.setHost(lent_->make_host());
  request.setFrom(from);
  auto limit = services_.reactor.timer()
                   .afterDelay(longest.count() * kj::MILLISECONDS)
                   .then([from, known, longest] {
                     refuse("did not migrate its storage in time",
                            fmt::format("from version {} to {} it had {} ms (migrate_ms_max)", from,
                                        known, longest.count()));
                   });
  return request.send()
      .ignoreResult()
      .exclusiveJoin(kj::mv(limit))
      .then(
          [this] {
            lent_->end("the migration has ended");
            migrating_ = false;
          },
          [this, from, known](kj::Exception&& problem) {
            lent_->end("the migration has failed");
            if (is_unknown_method(problem))
              refuse("cannot migrate its storage",
                     fmt::format("the storage is version {}, the plugin knows {} and no way there",
                                 from, known));
            kj::throwFatalException(kj::mv(problem));
          });
}

namespace {

/// "addresses: 1 added, 2 taken away (ended 3 connections)"
std::string text_of(const outbound_change& change) {
  std::string text = "addresses:";
  if (change.added > 0) text += fmt::format(" {} added", change.added);
  if (change.revoked > 0)
    text += fmt::format("{} {} taken away (ended {} connection{})", change.added > 0 ? "," : "",
                        change.revoked, change.ended, change.ended == 1 ? "" : "s");
  return text;
}

}  // namespace

/// What cannot be worked out opens nothing.
void mount_bring_up::use_addresses() {
  if (lent_ == nullptr) return;  // what is lent later goes by the rules of then
  std::vector<std::string> granted;
  const auto problem =
      kj::runCatchingExceptions([&] { granted = addresses_of(services_, of.get(), *entry_); });
  const auto change = lent_->use_addresses(granted);
  if (change.added == 0 && change.revoked == 0) return;
  services_.events.record(entry_->spec.path, generation_, "addresses_changed", text_of(change));
}

std::optional<std::vector<std::string>> mount_bring_up::addresses() const {
  if (lent_ == nullptr) return std::nullopt;
  return lent_->addresses();
}

void mount_bring_up::end_loan() {
  storage_work_.cancel(
      exception(error_kind::plugin_unavailable, "the instance that asked has ended"));
  lent_ = nullptr;
}

bool must_be_alone(schema::PluginInfo::Reader info) {
  for (auto feature : info.getFeatures())
    if (feature == "stop-first") return true;
  return false;
}

}  // namespace bulkhead
