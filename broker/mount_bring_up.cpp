// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_bring_up.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "broker/convert.hpp"
#include "broker/host_server.hpp"
#include "broker/option_rules.hpp"

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
  constexpr std::size_t version_bytes_max = 64;
  if (version.size() > version_bytes_max)
    return fmt::format("it is longer than {} bytes", version_bytes_max);
  // The grammar of semver.org 2.0.0, without its rule against leading zeros in pre-release numbers.
  static const std::regex grammar(
      R"((0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?)");
  if (!std::regex_match(version.begin(), version.end(), grammar))
    return "a version is a semantic version, as in 1.4.2";
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

void mount_bring_up::check(schema::PluginInfo::Reader info) const {
  // The plugin's own words are not repeated: they are not yet known to be fit to print.
  if (auto problem = check_plugin_name(text(info.getName())); !problem.empty())
    refuse("gave a name that is none", std::move(problem));
  if (auto problem = check_plugin_version(text(info.getVersion())); !problem.empty())
    refuse("gave a version that is none", std::move(problem));
  if (info.getSchema().size() > services_.limits.schema_nodes_max)
    refuse("shipped too large a schema",
           fmt::format("{} nodes, the limit is {} (schema_nodes_max)", info.getSchema().size(),
                       services_.limits.schema_nodes_max));
  check_features(info.getFeatures(), services_.limits);
  if (info.getOptions().size() > declared_options_max)
    refuse("declares too many options",
           fmt::format("{}, the limit is {} (declared_options_max)", info.getOptions().size(),
                       declared_options_max));
}

kj::Promise<void> mount_bring_up::introduce(schema::Plugin::Client plugin,
                                            schema::PluginInfo::Reader info) {
  check(info);
  if (beside_ && must_be_alone(info)) {
    refused_beside = true;
    refuse("must be alone", "another instance serves the mount");
  }
  check_options(info, options);
  face = std::make_shared<plugin_face>();
  face->name = text(info.getName());
  face->version = text(info.getVersion());
  face->info = std::make_shared<capnp::MallocMessageBuilder>();
  face->info->setRoot(info);

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

bool must_be_alone(schema::PluginInfo::Reader info) {
  for (auto feature : info.getFeatures())
    if (feature == "stop-first") return true;
  return false;
}

}  // namespace bulkhead
