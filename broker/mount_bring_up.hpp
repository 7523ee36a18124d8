// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the broker does between a plugin's hello and its first call: checks what the plugin says of
// itself, lends it the mount's host capabilities, and takes its backend and typed interface. One
// object per instance; it holds the instance's capabilities until the mount's actor hands them to
// the slot.

#include "actors/instance.hpp"
#include "broker/catalog/release.hpp"
#include "broker/host_server.hpp"
#include "broker/services.hpp"
#include "broker/upgrade_rules.hpp"

namespace bulkhead {

class mount_bring_up final : public bring_up {
 public:
  /// `beside`: another instance serves the mount; a plugin that must be alone is refused, and not
  /// mounted.
  mount_bring_up(broker_services& services, std::shared_ptr<mount_entry> entry,
                 std::uint64_t generation, bool beside);
  ~mount_bring_up() noexcept(false) override;

  /// Migrates what the mount has stored, when it is older than the plugin; writes down which
  /// release the mount runs from now on.
  kj::Promise<void> ready_storage(schema::Plugin::Client plugin,
                                  schema::PluginInfo::Reader info) override;
  kj::Promise<void> introduce(schema::Plugin::Client plugin,
                              schema::PluginInfo::Reader info) override;
  void spawned(const process_spec& asked, const spawn_answer& answer) override;

  /// What the mount's rules say now of where the instance may connect to counts from now on, and is
  /// an event when it is something else than before.
  void use_addresses();
  /// Where it may connect to, in the order of their bytes; nothing while it has been lent nothing.
  std::optional<std::vector<std::string>> addresses() const;
  /// The instance has ended, and so has what it was lent; an upgrade under way goes no further.
  void end_loan();
  /// An upgrade was begun, or refused, and has not come to its end.
  bool upgrade_failed() const { return upgrading_; }
  /// The plugin had been asked to migrate.
  bool migration_failed() const { return migrating_; }

  /// What the plugin offered; valid after introduce() has resolved, until the instance ends.
  kj::Maybe<capnp::Capability::Client> backend;
  kj::Maybe<capnp::Capability::Client> typed;
  std::shared_ptr<plugin_face> face;
  /// The mount's options as the plugin got them; those of a later tuning are others.
  const std::vector<option> options;
  /// It was refused because another instance serves.
  bool refused_beside = false;
  /// What was started; it must introduce itself as that. Null: an unregistered file.
  std::shared_ptr<const release> of;
  /// What it was started with; null: unconfined, or not yet started.
  std::shared_ptr<const confinement> confined;
  /// Limits that were asked for since; empty: none are under way.
  std::optional<resource_limits> limits_asked;
  /// What was found standing, of a start that was refused for a missing wall too.
  std::shared_ptr<const confinement_report> report;
  /// The wall for which the start was refused.
  std::optional<wall> missing;

 private:
  void check(schema::PluginInfo::Reader info);
  void write_mount(schema::MountInfo::Builder to) const;
  void lend();
  kj::Promise<void> do_step(storage_step what, schema::Plugin::Client plugin, std::uint32_t known);
  kj::Promise<void> upgrade(schema::Plugin::Client plugin, std::uint32_t known);
  kj::Promise<void> migrate(schema::Plugin::Client plugin, std::uint32_t known);
  kj::Promise<void> keep_upgrade(std::uint32_t known);
  kj::Promise<void> keep_number(std::uint32_t known);
  void demand_trust_still() const;

  broker_services& services_;
  std::shared_ptr<mount_entry> entry_;
  std::uint64_t generation_;
  bool beside_;
  bool upgrading_ = false;
  bool migrating_ = false;
  std::unique_ptr<host_loan> lent_;  // for its migration, and then as a mount
  kj::Canceler storage_work_;
};

/// Refuses with start_failed what no plugin may say of itself.
void check_introduction(schema::PluginInfo::Reader info, const broker_limits& limits);

/// A copy of what a plugin said of itself.
std::shared_ptr<plugin_face> make_face(schema::PluginInfo::Reader info);

/// The plugin says that two instances of a mount must not live at the same time.
bool must_be_alone(schema::PluginInfo::Reader info);

/// Empty when `name` is a plugin's name ([a-z0-9][a-z0-9_-]*, at most 64 bytes), else what is
/// wrong.
std::string check_plugin_name(std::string_view name);
/// Empty when `version` is a semantic version, as in "1.4.2" or "1.0.0-rc.1+5", else what is wrong.
std::string check_plugin_version(std::string_view version);

}  // namespace bulkhead
