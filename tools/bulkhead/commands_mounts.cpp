// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/confinement_text.hpp"
#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/mount_flags.hpp"
#include "tools/bulkhead/status_text.hpp"

namespace bulkhead::cli {
namespace {

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

void show_mount(environment& in, schema::MountStatus::Reader mount) {
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("mount", read_contract(mount));
    return in.out.record(record);
  }
  in.out.text(mount_text(mount, in.out.colour()));
}

exit_code run_mount(environment& in, const invocation& command) {
  auto request = in.broker.admin().mountRequest();
  fill_mount_spec(request.initSpec(), command);
  const auto answer = in.wait(request.send().dropPipeline());
  const auto mount = answer.getStatus();
  show_mount(in, mount);
  // A lazy mount that sleeps is as it was asked to be.
  return command.has("lazy") ? exit_code::done : state_code(mount.getState());
}

exit_code run_unmount(environment& in, const invocation& command) {
  auto request = in.broker.admin().unmountRequest();
  request.setPath(command.arguments[0].c_str());
  in.wait(request.send().dropPipeline());
  show_done(in, command.arguments[0], fmt::format("unmounted {}", command.arguments[0]));
  return exit_code::done;
}

exit_code run_tune(environment& in, const invocation& command) {
  auto admin = in.broker.admin();
  auto question = admin.statusRequest();
  question.setPath(command.arguments[0].c_str());
  const auto now = in.wait(question.send().dropPipeline());
  auto request = admin.tuneRequest();
  fill_tune(request.initRequest(), command, now.getStatus());
  const auto answer = in.wait(request.send().dropPipeline());
  show_mount(in, answer.getStatus());
  return exit_code::done;
}

exit_code run_move(environment& in, const invocation& command) {
  auto request = in.broker.admin().moveRequest();
  request.setFrom(command.arguments[0].c_str());
  request.setTo(command.arguments[1].c_str());
  const auto answer = in.wait(request.send().dropPipeline());
  show_mount(in, answer.getStatus());
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
    if (!in.out.json()) {
      const auto walls = walls_text(answer.getStatus().getConfinement());
      if (!walls.empty()) in.out.text("\n" + walls);
    }
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

}  // namespace bulkhead::cli
