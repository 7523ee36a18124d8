// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/status_text.hpp"

namespace bulkhead::cli {
namespace {

schema::RestartType restart_type(const std::string& text) {
  if (text == "transient") return schema::RestartType::TRANSIENT;
  if (text == "temporary") return schema::RestartType::TEMPORARY;
  return schema::RestartType::PERMANENT;
}

/// The flags that change how often the mount may be restarted; without any the broker's defaults
/// stand.
void set_supervision(schema::MountSpec::Builder spec, const invocation& command) {
  bool any = false;
  for (const char* flag : {"intensity", "period", "backoff-first", "backoff-max", "backoff-stable"})
    any = any || command.has(flag);
  if (!any) return;
  constexpr std::uint64_t intensity_max = std::numeric_limits<std::uint32_t>::max();
  auto rules = spec.initSupervision();
  if (command.has("intensity"))
    rules.setIntensity(static_cast<std::uint32_t>(
        parse_count("intensity", command.value("intensity"), 0, intensity_max)));
  const auto ms = [&](const char* flag, std::uint32_t otherwise) {
    if (!command.has(flag)) return otherwise;
    const auto span = parse_duration_ms(command.value(flag));
    constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
    return static_cast<std::uint32_t>(std::min(span, most));
  };
  rules.setPeriodMs(ms("period", rules.getPeriodMs()));
  rules.setBackoffFirstMs(ms("backoff-first", rules.getBackoffFirstMs()));
  rules.setBackoffMaxMs(ms("backoff-max", rules.getBackoffMaxMs()));
  rules.setBackoffStableMs(ms("backoff-stable", rules.getBackoffStableMs()));
}

void show_mount(environment& in, schema::MountStatus::Reader mount) {
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("mount", read_contract(mount));
    return in.out.record(record);
  }
  in.out.text(mount_text(mount, in.out.colour()));
}

datum mounts_datum(capnp::List<schema::MountStatus>::Reader mounts) {
  datum list = datum::of_list();
  for (auto mount : mounts) list.items.push_back(read_contract(mount));
  return list;
}

/// For commands whose whole answer is that it is done.
void show_done(environment& in, const std::string& path, const std::string& text) {
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("path", datum::of_text(path));
    return in.out.record(record);
  }
  in.out.text(text + "\n");
}

}  // namespace

exit_code run_mount(environment& in, const invocation& command) {
  auto request = in.broker.admin().mountRequest();
  auto spec = request.initSpec();
  spec.setPath(command.arguments[0].c_str());
  spec.setPlugin(command.arguments[1].c_str());
  spec.setDescription(command.value("description").c_str());
  spec.setRestart(restart_type(command.value("restart")));
  if (command.has("group")) spec.setGroup(command.value("group").c_str());
  set_supervision(spec, command);
  const auto options = command.values("option");
  auto list = spec.initOptions(static_cast<capnp::uint>(options.size()));
  for (capnp::uint i = 0; i < list.size(); ++i) {
    const auto equals = options[i].find('=');
    if (equals == std::string::npos || equals == 0) {
      throw usage(fmt::format("'{}' is no NAME=VALUE", wire::escape_line(options[i])),
                  "as in --option precision=6");
    }
    list[i].setName(options[i].substr(0, equals).c_str());
    list[i].setValue(options[i].substr(equals + 1).c_str());
  }
  const auto answer = in.wait(request.send().dropPipeline());
  const auto mount = answer.getStatus();
  show_mount(in, mount);
  return state_code(mount.getState());
}

exit_code run_unmount(environment& in, const invocation& command) {
  auto request = in.broker.admin().unmountRequest();
  request.setPath(command.arguments[0].c_str());
  in.wait(request.send().dropPipeline());
  show_done(in, command.arguments[0], fmt::format("unmounted {}", command.arguments[0]));
  return exit_code::done;
}

exit_code run_mounts(environment& in, const invocation&) {
  const auto answer = in.wait(in.broker.admin().mountsRequest().send().dropPipeline());
  const auto mounts = answer.getMounts();
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("mounts", mounts_datum(mounts));
    in.out.record(record);
  } else if (mounts.size() == 0) {
    in.out.note("nothing is mounted; `mount PATH PLUGIN` does it");
  } else {
    in.out.text(mounts_text(mounts, in.out.colour()));
  }
  return exit_code::done;
}

exit_code run_status(environment& in, const invocation& command) {
  auto admin = in.broker.admin();
  if (!command.arguments.empty()) {
    auto request = admin.statusRequest();
    request.setPath(command.arguments[0].c_str());
    const auto answer = in.wait(request.send().dropPipeline());
    show_mount(in, answer.getStatus());
    return state_code(answer.getStatus().getState());
  }
  auto broker_promise = admin.brokerStatusRequest().send();
  auto mounts_promise = admin.mountsRequest().send();
  const auto broker = in.wait(broker_promise.dropPipeline());
  const auto mounts = in.wait(mounts_promise.dropPipeline());
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("broker", read_contract(broker.getStatus()));
    record.add("mounts", mounts_datum(mounts.getMounts()));
    in.out.record(record);
    return exit_code::done;
  }
  in.out.text(broker_text(broker.getStatus()));
  if (mounts.getMounts().size() > 0) {
    in.out.text("\n" + mounts_text(mounts.getMounts(), in.out.colour()));
  }
  return exit_code::done;
}

exit_code run_tree(environment& in, const invocation&) {
  const auto answer = in.wait(in.broker.admin().treeRequest().send().dropPipeline());
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("root", read_contract(answer.getRoot()));
    in.out.record(record);
  } else {
    in.out.text(tree_text(answer.getRoot()));
  }
  return exit_code::done;
}

exit_code run_kill(environment& in, const invocation& command) {
  const int signal = parse_signal(command.argument(1).value_or("KILL"));
  auto request = in.broker.admin().killRequest();
  request.setPath(command.arguments[0].c_str());
  request.setSignal(signal);
  const auto answer = in.wait(request.send().dropPipeline());
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("path", datum::of_text(command.arguments[0]));
    record.add("signal", datum::of_int(signal));
    record.add("pid", datum::of_uint(answer.getPid()));
    record.add("generation", datum::of_uint(answer.getGeneration()));
    in.out.record(record);
  } else {
    in.out.text(fmt::format("sent {} to {}, pid {}, generation {}\n", signal_text(signal),
                            command.arguments[0], answer.getPid(), answer.getGeneration()));
  }
  return exit_code::done;
}

exit_code run_restart(environment& in, const invocation& command) {
  auto request = in.broker.admin().restartRequest();
  request.setPath(command.arguments[0].c_str());
  const auto answer = in.wait(request.send().dropPipeline());
  show_mount(in, answer.getStatus());
  return state_code(answer.getStatus().getState());
}

exit_code run_reset(environment& in, const invocation& command) {
  auto request = in.broker.admin().resetRequest();
  request.setPath(command.arguments[0].c_str());
  const auto answer = in.wait(request.send().dropPipeline());
  show_mount(in, answer.getStatus());
  return state_code(answer.getStatus().getState());
}

}  // namespace bulkhead::cli
