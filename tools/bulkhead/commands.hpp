// SPDX-License-Identifier: Apache-2.0
//
// What each command does, by group. They throw `failure`; the exit code of one that ends well is
// its result.
#pragma once

#include "tools/bulkhead/environment.hpp"

namespace bulkhead::cli {

// commands_mounts.cpp
exit_code run_mount(environment& in, const invocation& command);
exit_code run_unmount(environment& in, const invocation& command);
exit_code run_tune(environment& in, const invocation& command);
exit_code run_move(environment& in, const invocation& command);
exit_code run_mounts(environment& in, const invocation& command);
exit_code run_status(environment& in, const invocation& command);
exit_code run_tree(environment& in, const invocation& command);

// commands_orders.cpp
exit_code run_kill(environment& in, const invocation& command);
exit_code run_restart(environment& in, const invocation& command);
exit_code run_reset(environment& in, const invocation& command);
exit_code run_breaker(environment& in, const invocation& command);
exit_code run_rollback(environment& in, const invocation& command);
exit_code run_stop(environment& in, const invocation& command);
exit_code run_start(environment& in, const invocation& command);
exit_code run_reload(environment& in, const invocation& command);

// commands_state.cpp
exit_code run_backup(environment& in, const invocation& command);
exit_code run_rotate_state_key(environment& in, const invocation& command);

// commands_config.cpp
exit_code run_config_check(environment& in, const invocation& command);
exit_code run_config_diff(environment& in, const invocation& command);
exit_code run_config_apply(environment& in, const invocation& command);
exit_code run_config_show(environment& in, const invocation& command);

// commands_data.cpp: read, write, list, delete
exit_code run_request(environment& in, const invocation& command, schema::Operation operation);

// commands_call.cpp
exit_code run_call(environment& in, const invocation& command);

// commands_describe.cpp
exit_code run_describe(environment& in, const invocation& command);

// commands_watch.cpp
exit_code run_logs(environment& in, const invocation& command);
exit_code run_events(environment& in, const invocation& command);
exit_code run_limits(environment& in, const invocation& command);
exit_code run_version(environment& in, const invocation& command);

// commands_health.cpp
exit_code run_top(environment& in, const invocation& command);
exit_code run_usage(environment& in, const invocation& command);
exit_code run_doctor(environment& in, const invocation& command);

// commands_why.cpp
exit_code run_why(environment& in, const invocation& command);

// commands_plugin.cpp
exit_code run_plugin_register(environment& in, const invocation& command);
exit_code run_plugin_list(environment& in, const invocation& command);
exit_code run_plugin_info(environment& in, const invocation& command);
exit_code run_plugin_deregister(environment& in, const invocation& command);
exit_code run_plugin_pin(environment& in, const invocation& command);
exit_code run_plugin_unpin(environment& in, const invocation& command);

// commands_trust.cpp
exit_code run_key_trust(environment& in, const invocation& command);
exit_code run_key_untrust(environment& in, const invocation& command);
exit_code run_key_list(environment& in, const invocation& command);
exit_code run_key_policy(environment& in, const invocation& command);

// commands_key.cpp and commands_manifest.cpp: about files, without the broker
exit_code run_key_generate(environment& in, const invocation& command);
exit_code run_key_sign(environment& in, const invocation& command);
exit_code run_key_verify(environment& in, const invocation& command);
exit_code run_plugin_manifest(environment& in, const invocation& command);

/// The mount's status: the whole answer of commands that change its state.
void show_mount(environment& in, schema::MountStatus::Reader mount);

/// A mount's own interface, from what its plugin shipped. Throws `failure` when it has none.
struct typed_target {
  capnp::Capability::Client capability;
  capnp::InterfaceSchema schema;
  std::shared_ptr<loaded_interface> owner;
};

/// The interface of a mount, or of a kept capability ("$1").
typed_target find_target(environment& in, const std::string& name);

/// The kept capability of that name. Throws `failure` when there is none.
held_capability& find_held(environment& in, const std::string& name);

}  // namespace bulkhead::cli
