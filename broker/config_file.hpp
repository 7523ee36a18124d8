// SPDX-License-Identifier: Apache-2.0
#pragma once

// The configuration of the daemon, as a TOML file. Pure: text in, values or an error out.
//
//     socket  = "/run/bulkhead/bulkhead.sock"
//     state   = "/var/lib/bulkhead"
//     plugins = "/usr/lib/bulkhead/plugins"
//     state_key = "/etc/bulkhead/state-key"   # encrypts what plugins store
//
//     [limits]                     # names and units as `bulkhead limits` shows them
//     call_ms_max = 30000
//
//     [group.payments]             # see group_spec in broker/broker.hpp
//     strategy  = "rest_for_one"   # one_for_one, one_for_all, rest_for_one
//     intensity = 3                # and period_ms, backoff_first_ms, backoff_max_ms,
//     period_ms = 30000            # backoff_stable_ms
//     parent    = "shop"
//     after     = ["ledgers"]
//
//     [[release]]                  # with [pin] and [mount."PATH/"]: what the broker is to hold;
//     see name = "kv"                  # broker/declared_file.hpp
//
// Everything may be left out. What is not known is refused with its line and, where one is near,
// the name that was meant: a misspelt limit must not silently be no limit.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/broker.hpp"

namespace bulkhead {

/// A larger file is none of ours.
inline constexpr std::size_t config_bytes_max = std::size_t{1} << 20U;

struct config_file {
  std::optional<std::string> socket;
  std::optional<std::string> state;
  std::optional<std::string> plugins;
  std::optional<std::string> state_key;
  broker_limits limits{};
  std::vector<group_spec> groups{};  // in the order of the file
  confinement_config confinement{};
  declared_state declared{};  // its `fixed` is empty; see declared_by()
};

/// The limits that a file may set, by name.
std::map<std::string, std::uint64_t> configured_limits(const broker_limits& limits);

/// `file` is the name for error texts. Throws `error` (invalid_argument), whose text begins with
/// "FILE:LINE: ".
config_file parse_config(std::string_view text, const std::string& file);

/// "2 groups, 1 release, 3 mounts": what the file holds.
std::string summary(const config_file& config);

/// What of a file counts only from a start of the broker on, by name.
std::map<std::string, std::string> fixed_settings(const config_file& config);

/// All that the file declares, as a broker wants it (broker_config::declared). `started`: the
/// fixed settings of the file that the broker was started with.
declared_state declared_by(const config_file& config,
                           const std::map<std::string, std::string>& started);

/// Reads the file, then as above. Never blocks on what is not a file, and takes nothing that was
/// not read to its end for a configuration. Throws `error`: not_found, permission_denied,
/// invalid_argument, storage.
config_file read_config(const std::string& file);

}  // namespace bulkhead
