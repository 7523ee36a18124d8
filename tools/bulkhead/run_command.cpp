// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>

#include "broker/trust/refusal.hpp"
#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/environment.hpp"
#include "tools/bulkhead/suggest.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::uint64_t explain_ms_max = 500;  // an error text must not take long

exit_code run_help(environment& in, const invocation& command) {
  if (command.arguments.empty()) {
    in.out.text(program_help());
    return exit_code::done;
  }
  const std::string name = fmt::format("{}", fmt::join(command.arguments, " "));
  if (!command_words(name).empty()) {
    in.out.text(group_help(name));
    return exit_code::done;
  }
  const command_spec* about = find_command(name);
  if (about == nullptr) {
    const std::string remedy = did_you_mean(name, command_names());
    throw usage(fmt::format("unknown command '{}'", wire::escape_line(name)),
                remedy.empty() ? "bulkhead help" : remedy);
  }
  in.out.text(command_help(*about));
  return exit_code::done;
}

exit_code dispatch_more(environment& in, const invocation& command) {
  switch (command.command->id) {
    case command_id::breaker:
      return run_breaker(in, command);
    case command_id::plugin_register:
      return run_plugin_register(in, command);
    case command_id::plugin_list:
      return run_plugin_list(in, command);
    case command_id::plugin_info:
      return run_plugin_info(in, command);
    case command_id::plugin_deregister:
      return run_plugin_deregister(in, command);
    case command_id::plugin_pin:
      return run_plugin_pin(in, command);
    case command_id::plugin_unpin:
      return run_plugin_unpin(in, command);
    case command_id::key_trust:
      return run_key_trust(in, command);
    case command_id::key_untrust:
      return run_key_untrust(in, command);
    case command_id::key_list:
      return run_key_list(in, command);
    case command_id::key_policy:
      return run_key_policy(in, command);
    case command_id::config_check:
      return run_config_check(in, command);
    case command_id::config_diff:
      return run_config_diff(in, command);
    case command_id::config_apply:
      return run_config_apply(in, command);
    case command_id::config_show:
      return run_config_show(in, command);
    case command_id::rollback:
      return run_rollback(in, command);
    case command_id::top:
      return run_top(in, command);
    case command_id::usage:
      return run_usage(in, command);
    case command_id::doctor:
      return run_doctor(in, command);
    default:
      return exit_code::usage;
  }
}

exit_code dispatch(environment& in, const invocation& command) {
  switch (command.command->id) {
    case command_id::mount:
      return run_mount(in, command);
    case command_id::unmount:
      return run_unmount(in, command);
    case command_id::tune:
      return run_tune(in, command);
    case command_id::move:
      return run_move(in, command);
    case command_id::mounts:
      return run_mounts(in, command);
    case command_id::status:
      return run_status(in, command);
    case command_id::tree:
      return run_tree(in, command);
    case command_id::kill:
      return run_kill(in, command);
    case command_id::restart:
      return run_restart(in, command);
    case command_id::reset:
      return run_reset(in, command);
    case command_id::stop:
      return run_stop(in, command);
    case command_id::start:
      return run_start(in, command);
    case command_id::reload:
      return run_reload(in, command);
    case command_id::backup:
      return run_backup(in, command);
    case command_id::rotate_state_key:
      return run_rotate_state_key(in, command);
    case command_id::read:
      return run_request(in, command, schema::Operation::READ);
    case command_id::write:
      return run_request(in, command, schema::Operation::WRITE);
    case command_id::list:
      return run_request(in, command, schema::Operation::LIST);
    case command_id::remove:
      return run_request(in, command, schema::Operation::DELETE);
    case command_id::call:
      return run_call(in, command);
    case command_id::describe:
      return run_describe(in, command);
    case command_id::logs:
      return run_logs(in, command);
    case command_id::events:
      return run_events(in, command);
    case command_id::why:
      return run_why(in, command);
    case command_id::limits:
      return run_limits(in, command);
    case command_id::version:
      return run_version(in, command);
    case command_id::help:
      return run_help(in, command);
    case command_id::key_generate:
      return run_key_generate(in, command);
    case command_id::key_sign:
      return run_key_sign(in, command);
    case command_id::key_verify:
      return run_key_verify(in, command);
    case command_id::plugin_manifest:
      return run_plugin_manifest(in, command);
    default:
      return dispatch_more(in, command);
  }
  return exit_code::usage;
}

/// Sets what a command's own flags say for the time of that command.
class flag_scope {
 public:
  flag_scope(environment& in, const invocation& command)
      : in_(in), format_(in.out.format), timeout_ms_(in.timeout_ms) {
    if (command.has("output")) in.out.format = parse_format(command.value("output"));
    if (command.has("timeout")) in.timeout_ms = parse_duration_ms(command.value("timeout"));
  }
  ~flag_scope() {
    in_.out.format = format_;
    in_.timeout_ms = timeout_ms_;
  }
  flag_scope(const flag_scope&) = delete;
  flag_scope& operator=(const flag_scope&) = delete;
  flag_scope(flag_scope&&) = delete;
  flag_scope& operator=(flag_scope&&) = delete;

 private:
  environment& in_;
  output_format format_;
  std::uint64_t timeout_ms_;
};

bool names_a_mount(const command_spec& command) {
  if (command.arguments.empty() || command.id == command_id::mount) return false;
  const auto kind = command.arguments[0].kind;
  return kind == word_kind::mount || kind == word_kind::path || kind == word_kind::target;
}

}  // namespace

std::int64_t system_unix_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

void environment::pause(std::uint64_t ms) {
  wait_for(timer.afterDelay(ms * kj::MILLISECONDS), 0);
}

exit_code run_command(environment& in, const invocation& command) {
  const flag_scope flags(in, command);
  if (command.has("help")) {
    in.out.text(command_help(*command.command));
    return exit_code::done;
  }
  try {
    return dispatch(in, command);
  } catch (const kj::Exception& exception) {
    throw failure(exception);  // from building a request, or from connecting
  } catch (const trust::refusal& refused) {
    throw failure(exit_code::failed, refused.what(), refused.why(), refused.remedy());
  }
}

void explain(environment& in, const invocation& command, failure& error) {
  const bool unknown_mount = error.code == exit_code::no_target && !error.from_plugin &&
                             command.command != nullptr && names_a_mount(*command.command) &&
                             !command.arguments.empty() && command.arguments[0][0] != '$';
  if (!unknown_mount) return;
  const std::uint64_t timeout_ms = in.timeout_ms;
  in.timeout_ms = explain_ms_max;
  try {
    const auto answer = in.wait(in.broker.admin().mountsRequest().send().dropPipeline());
    std::vector<std::string> paths;
    for (auto mount : answer.getMounts()) paths.emplace_back(mount.getPath().cStr());
    // A path below a mount: compare what stands where a mount could.
    std::string typed = command.arguments[0];
    if (!typed.empty() && typed.back() != '/') typed += '/';
    std::string near = nearest(typed, paths);
    for (std::size_t slash = typed.find('/'); near.empty() && slash != std::string::npos;
         slash = typed.find('/', slash + 1)) {
      near = nearest(typed.substr(0, slash + 1), paths);
    }
    if (!near.empty() && typed.compare(0, near.size(), near) != 0) {
      error.remedy = fmt::format("did you mean '{}'?", near);
    } else if (error.remedy.empty() && near.empty()) {
      error.remedy = paths.empty() ? "nothing is mounted" : "mounts: " + join_names(paths);
    }
  } catch (const failure&) {
    // The error stands as it is.
  } catch (const kj::Exception&) {
    // Likewise.
  }
  in.timeout_ms = timeout_ms;
}

}  // namespace bulkhead::cli
