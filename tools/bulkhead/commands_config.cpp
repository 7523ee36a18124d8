// SPDX-License-Identifier: Apache-2.0
//
// What the configuration file declares: judged by the daemon, compared and applied by the broker.
#include <fmt/format.h>

#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/config_text.hpp"
#include "tools/bulkhead/daemon_check.hpp"
#include "tools/bulkhead/datum_capnp.hpp"

namespace bulkhead::cli {
namespace {

using change_list = capnp::List<schema::ConfigChange>::Reader;

bool has_problem(change_list changes) {
  for (auto each : changes)
    if (each.getProblem().size() > 0) return true;
  return false;
}

void show_changes(environment& in, change_list changes, bool done) {
  if (in.out.json()) {
    datum list = datum::of_list();
    for (auto each : changes) list.items.push_back(read_contract(each));
    datum record = datum::of_record();
    record.add("changes", std::move(list));
    in.out.record(record);
  } else if (changes.size() == 0) {
    in.out.note("the broker is what the file says");
  } else {
    in.out.text(changes_text(changes, done, in.out.colour()));
  }
}

/// Registrations and first starts take what they take.
void wait_for_the_end(environment& in, const invocation& command) {
  if (!command.has("timeout")) in.timeout_ms = 0;
}

datum read_pin(schema::Release::Reader release) {
  datum record = datum::of_record();
  record.add("kind", datum::of_text(release.getKind().cStr()));
  record.add("name", datum::of_text(release.getName().cStr()));
  record.add("version", datum::of_text(release.getVersion().cStr()));
  return record;
}

}  // namespace

exit_code run_config_check(environment& in, const invocation& command) {
  const auto& file = command.arguments[0];
  const auto holds = check_config_file(file);
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("file", datum::of_text(file));
    record.add("holds", datum::of_text(holds));
    in.out.record(record);
  } else {
    in.out.text(fmt::format("{}: good, {}\n", wire::escape_line(file), wire::escape_line(holds)));
  }
  return exit_code::done;
}

exit_code run_config_diff(environment& in, const invocation& command) {
  auto request = in.broker.admin().configDiffRequest();
  request.setPrune(command.has("prune"));
  const auto answer = in.wait(request.send().dropPipeline());
  show_changes(in, answer.getChanges(), false);
  return exit_code::done;
}

exit_code run_config_apply(environment& in, const invocation& command) {
  wait_for_the_end(in, command);
  auto request = in.broker.admin().configApplyRequest();
  request.setPrune(command.has("prune"));
  const auto answer = in.wait(request.send().dropPipeline());
  show_changes(in, answer.getChanges(), true);
  return has_problem(answer.getChanges()) ? exit_code::failed : exit_code::done;
}

exit_code run_config_show(environment& in, const invocation&) {
  const auto releases = in.wait(in.broker.admin().releasesRequest().send().dropPipeline());
  const auto mounts = in.wait(in.broker.admin().mountsRequest().send().dropPipeline());
  if (!in.out.json()) {
    const auto text = declared_text(releases.getReleases(), mounts.getMounts(), in.out.colour());
    if (text.empty())
      in.out.note("nothing is declared");
    else
      in.out.text(text);
    return exit_code::done;
  }
  datum its_releases = datum::of_list();
  datum its_pins = datum::of_list();
  for (auto each : releases.getReleases()) {
    if (each.getDeclared()) its_releases.items.push_back(read_contract(each));
    if (each.getPinDeclared()) its_pins.items.push_back(read_pin(each));
  }
  datum its_mounts = datum::of_list();
  for (auto each : mounts.getMounts())
    if (each.getDeclared()) its_mounts.items.push_back(read_contract(each));
  datum record = datum::of_record();
  record.add("releases", std::move(its_releases));
  record.add("pins", std::move(its_pins));
  record.add("mounts", std::move(its_mounts));
  in.out.record(record);
  return exit_code::done;
}

}  // namespace bulkhead::cli
