// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_bring_up.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "broker/convert.hpp"
#include "broker/host_server.hpp"
#include "broker/option_rules.hpp"
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

kj::Promise<void> mount_bring_up::introduce(schema::Plugin::Client plugin,
                                            schema::PluginInfo::Reader info) {
  check_introduction(info, services_.limits);
  if (of != nullptr) check_is_release(info, *of);
  if (beside_ && must_be_alone(info)) {
    refused_beside = true;
    refuse("must be alone", "another instance serves the mount");
  }
  check_options(info, options);
  face = make_face(info);

  auto request = plugin.mountRequest();
  auto mount = request.initMount();
  mount.setPath(entry_->spec.path.c_str());
  mount.setUuid(entry_->uuid.c_str());
  mount.setGeneration(generation_);
  write_options(options, mount.initOptions(static_cast<unsigned>(options.size())));
  request.setHost(make_host(services_, entry_, generation_));
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

bool must_be_alone(schema::PluginInfo::Reader info) {
  for (auto feature : info.getFeatures())
    if (feature == "stop-first") return true;
  return false;
}

}  // namespace bulkhead
