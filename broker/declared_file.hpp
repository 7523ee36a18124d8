// SPDX-License-Identifier: Apache-2.0
#pragma once

// The part of the configuration that says what the broker is to hold: releases, pins, mounts. Pure.
//
//     [[release]]                      # as `bulkhead plugin register` takes it
//     kind = "secrets"                 # kind, name and version have to be said here
//     name = "kv"
//     version = "1.2.0"
//     command = "kv-1.2.0"             # and sha256, arguments, environment
//
//     [pin]
//     "secrets/kv" = "1.2.0"
//
//     [mount."kv/"]                    # as `bulkhead mount` takes it, by the names of its flags
//     plugin = "kv"                    # and kind, version, description, group
//     options = { max_versions = 20 }
//     restart = "transient"
//     idle-stop = "10m"                # times have a unit: 250ms, 30s, 5m, 2h
//
// What the broker would refuse whatever its state is refused here, with its line.

#include "broker/config_file.hpp"
#include "broker/config_reader.hpp"

namespace bulkhead {

/// A table of amounts: whole numbers, or texts as in "256M".
std::vector<named_number> read_amounts(const config_reader& from, const toml::node& where,
                                       const std::string& name);

/// The table [confinement]. Throws `error`.
void read_confinement_table(const config_reader& from, const toml::node& where,
                            confinement_config& to);

/// Reads what `top` declares into `config.declared`, by the limits and groups that are in `config`
/// already. Throws `error`.
void read_declared(const config_reader& from, const toml::table& top, config_file& config);

}  // namespace bulkhead
