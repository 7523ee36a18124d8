// SPDX-License-Identifier: Apache-2.0
#include "broker/limits.hpp"

#include "actors/confinement/elf_file.hpp"
#include "actors/launcher/instances.hpp"
#include "actors/launcher/protocol.hpp"
#include "actors/supervision.hpp"
#include "broker/broker_core.hpp"
#include "broker/catalog/registration.hpp"
#include "broker/catalog/trust_desk.hpp"
#include "broker/config_file.hpp"
#include "broker/confinement_rules.hpp"
#include "broker/crash_report.hpp"
#include "broker/declaration_reader.hpp"
#include "broker/event_log.hpp"
#include "broker/images/image_vault.hpp"
#include "broker/mount_entry.hpp"
#include "broker/mount_log.hpp"
#include "broker/mount_supervisor.hpp"
#include "broker/option_rules.hpp"
#include "broker/outbound.hpp"
#include "broker/router.hpp"
#include "broker/storage_upgrade.hpp"
#include "broker/store/state_keys.hpp"
#include "broker/store/store_limits.hpp"
#include "broker/usage.hpp"
#include "schema/wire/wire_limits.hpp"

namespace bulkhead {

static_assert(broker_limits{}.plugin_file_bytes_max == image_limits{}.plugin_file_bytes_max);
static_assert(broker_limits{}.image_cache_bytes_max == image_limits{}.image_cache_bytes_max);

// Else a broker with a full catalog would check every signature again and again.
static_assert(judgements_kept >= broker_limits{}.releases_max);

namespace {

void add_catalog(std::vector<limit_line>& lines, const broker_limits& limits) {
  const std::vector<limit_line> own{
      {"releases_max", limits.releases_max, "releases", "registering fails as overloaded"},
      {"registrations_at_once_max", limits.registrations_at_once_max, "registrations under way",
       "one more fails as overloaded"},
      {"release_words_max", release_words_max, "arguments, and variables, of a release",
       "registering fails as invalid_argument"},
      {"release_word_bytes_max", release_word_bytes_max, "bytes of each",
       "registering fails as invalid_argument"},
      {"migrate_ms_max", static_cast<std::uint64_t>(limits.migrate_ms_max.count()), "ms",
       "the upgrade has failed; the storage is put back"},
      {"snapshot_bytes_max", limits.snapshot_bytes_max, "bytes of keys and values of a view",
       "the upgrade has failed before the plugin is asked to migrate"},
      {"snapshots_kept", snapshots_kept, "snapshots of a mount",
       "the next upgrade gives up the one before it"},
      {"trusted_keys_max", trust::trusted_keys_max, "keys",
       "trusting one more fails as overloaded"},
      {"declaration_read_ms_max", static_cast<std::uint64_t>(declaration_read_max.count()), "ms",
       "the configuration file counts as unreadable, and nothing is changed"},
      {"judgements_kept", judgements_kept, "releases", "all are judged anew as they are asked for"},
  };
  lines.insert(lines.end(), own.begin(), own.end());
}

void add_use(std::vector<limit_line>& lines, const broker_limits& limits) {
  const std::vector<limit_line> own{
      {"state_keys_max", state_keys_max, "keys per key file", "the file is refused"},
      {"sample_ms", static_cast<std::uint64_t>(limits.sample_ms.count()), "ms",
       "what instances use is looked at again"},
      {"samples_kept", limits.samples_kept, "samples per mount", "the oldest sample is dropped"},
      {"threshold_samples", threshold_samples, "samples in a row",
       "a threshold of a mount acts when all are above it"},
      {"replacement_wait_ms_max", static_cast<std::uint64_t>(replacement_wait_max.count()), "ms",
       "an instance that is above its threshold however often it is replaced is replaced again"},
      {"connections_max", limits.connections_max, "connections of an instance to the outside",
       "connect fails as overloaded"},
      {"broker_connections_max", limits.broker_connections_max,
       "connections of all mounts to the outside",
       "connect fails as overloaded, for a mount that has as many as are free"},
      {"broker_lookups_max", limits.broker_lookups_max,
       "names that are looked up for connections, of all mounts",
       "connect fails as overloaded, for a mount that has as many as are free"},
      {"connect_ms_max", static_cast<std::uint64_t>(limits.connect_ms_max.count()), "ms",
       "connect fails as deadline_exceeded"},
      {"connection_bytes_max", connection_bytes_max, "bytes of a read or write of a connection",
       "the write fails as invalid_argument"},
      {"connection_writes_max", connection_writes_max, "writes that wait, of a connection",
       "the write fails as overloaded"},
      {"grants_max", grants_max, "grants of a mount, release or broker",
       "mount fails as invalid_argument"},
      {"grant_bytes_max", grant_bytes_max, "bytes of a grant", "mount fails as invalid_argument"},
      {"memory_soft_bytes_max", limits.memory_soft_bytes_max, "bytes of the broker's process",
       "new calls fail as overloaded until it uses a tenth less"},
      {"memory_hard_bytes_max", limits.memory_hard_bytes_max,
       "bytes of data of bulkheadd, unless it is unconfined", "it ends, and its plugins with it"},
  };
  lines.insert(lines.end(), own.begin(), own.end());
}

void add_confinement(std::vector<limit_line>& lines) {
  const std::vector<limit_line> own{
      {"instances_max", launcher::instances_max, "confined processes of plugins",
       "one more start fails, and is tried again"},
      {"arguments_max", launcher::arguments_max, "words of a confined program", "the start fails"},
      {"environment_max", launcher::environment_max, "variables of a confined program",
       "the start fails"},
      {"text_bytes_max", launcher::text_bytes_max, "bytes of its words, variables and paths",
       "the start fails"},
      {"placements_max", launcher::placements_max, "files and directories in its root",
       "the start fails"},
      {"elf_libraries_max", elf_libraries_max, "libraries that one file needs", "the start fails"},
      {"elf_folders_max", elf_folders_max, "directories where one file looks for them",
       "the start fails"},
  };
  lines.insert(lines.end(), own.begin(), own.end());
}

void add_logs(std::vector<limit_line>& lines, const broker_limits& limits) {
  const std::vector<limit_line> own{
      {"log_line_bytes_max", limits.log_line_bytes_max, "bytes", "the line is cut, with a mark"},
      {"said_lines_max", said_lines_max, "longest lines in one call of Host.log",
       "the rest of the text is dropped"},
      {"log_lines_kept", limits.log_lines_kept, "lines per mount", "the oldest line is dropped"},
      {"log_bytes_per_s_max", limits.log_bytes_per_s_max, "bytes per second and pipe",
       "the rest waits in the pipe, and then in the plugin"},
      {"log_lines_per_s_max", limits.log_lines_per_s_max,
       "lines per second and pipe, or of Host.log",
       "the others are dropped, and a line says how many"},
  };
  lines.insert(lines.end(), own.begin(), own.end());
}

void add_wire(std::vector<limit_line>& lines, const broker_limits& limits) {
  const auto configured = configured_limits(limits);
  for (const auto& each : wire::limit_table) {
    const auto own = configured.find(each.name);
    lines.push_back(
        {each.name, own == configured.end() ? each.value : own->second, each.unit, each.outcome});
  }
}

}  // namespace

std::vector<limit_line> list_limits(const broker_limits& limits) {
  const auto ms = [](std::chrono::milliseconds span) {
    return static_cast<std::uint64_t>(span.count());
  };
  std::vector<limit_line> lines{
      {"clients_max", limits.clients_max, "connections", "one more is closed at once"},
      {"client_sessions_max", limits.client_sessions_max, "sessions per connection",
       "login fails as overloaded"},
      {"client_flow_words_max", limits.client_flow_words_max, "words of open calls per connection",
       "nothing more is read from that connection until some are answered"},
      {"mounts_max", limits.mounts_max, "mounts", "mount fails as overloaded"},
      {"mount_path_bytes_max", mount_path_bytes_max, "bytes", "mount fails as invalid_argument"},
      {"options_max", limits.options_max, "options per mount", "mount fails as invalid_argument"},
      {"declared_options_max", declared_options_max, "options that a plugin declares",
       "the start has failed"},
      {"option_bytes_max", limits.option_bytes_max, "bytes of name and value",
       "mount fails as invalid_argument"},
      {"description_bytes_max", limits.description_bytes_max, "bytes",
       "mount fails as invalid_argument"},
      {"calls_in_flight_max", limits.calls_in_flight_max, "calls per mount",
       "the call fails as overloaded"},
      {"calls_waiting_max", limits.calls_waiting_max, "calls per mount",
       "the call fails as overloaded"},
      {"slot_wait_ms_max", ms(limits.slot_wait_ms_max), "ms",
       "a call that waits for its mount fails as plugin_unavailable"},
      {"call_ms_max", ms(limits.call_ms_max), "ms", "a call in flight fails as deadline_exceeded"},
      {"start_ms_max", ms(limits.start_ms_max), "ms",
       "the start has failed; the process is killed"},
      {"drain_ms_max", ms(limits.drain_ms_max), "ms",
       "calls still in flight at an unmount are cut off"},
      {"stop_grace_ms", ms(limits.stop_grace_ms), "ms",
       "a plugin that was asked to shut down gets SIGTERM"},
      {"stop_term_ms", ms(limits.stop_term_ms), "ms", "its process group gets SIGKILL"},
      {"restart_intensity_max", restart_intensity_max, "restarts per period of a mount or group",
       "mount fails as invalid_argument"},
      {"schema_nodes_max", limits.schema_nodes_max, "nodes", "the start has failed"},
      {"features_max", limits.features_max, "features of a plugin", "the start has failed"},
      {"feature_bytes_max", limits.feature_bytes_max, "bytes of a feature's name",
       "the start has failed"},
      {"view_calls_in_store_max", limits.view_calls_in_store_max, "view calls per mount",
       "further ones wait behind those of the same mount"},
      {"view_unread_bytes_max", limits.view_unread_bytes_max, "bytes that a plugin has not read",
       "its view begins nothing more until it has read some"},
      {"draining_instances_max", draining_instances_max, "replaced instances per mount",
       "the calls of the oldest one are cut short"},
      {"reloads_at_once_max", reloads_at_once_max, "mounts of one order",
       "the others are reloaded after them"},
      {"crash_calls_max", crash_calls_max, "calls per crash report", "only the oldest are named"},
      {"crash_reports_kept", crash_reports_kept, "reports per mount",
       "the oldest report is dropped"},
      {"events_kept", events_kept, "events", "the oldest event is dropped"},
      {"plugin_file_bytes_max", limits.plugin_file_bytes_max, "bytes",
       "the file is neither registered nor started"},
      {"image_cache_bytes_max", limits.image_cache_bytes_max, "bytes of programs in memory",
       "those that nobody runs are dropped, the least recently started first"},
      {"backup_step_pages", store_limits::backup_step_pages, "pages of 4 KiB",
       "a backup goes on with its next step, behind who waits"},
      {"recover_retry_ms", store_limits::recover_retry_ms, "ms",
       "after the disk failed, writes are refused until the next attempt"},
      {"view_value_bytes_max", store_limits::value_bytes_max, "bytes",
       "the write fails as invalid_argument"},
  };
  add_catalog(lines, limits);
  add_confinement(lines);
  add_logs(lines, limits);
  add_use(lines, limits);
  add_wire(lines, limits);
  return lines;
}

}  // namespace bulkhead
