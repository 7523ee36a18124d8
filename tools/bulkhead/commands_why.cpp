// SPDX-License-Identifier: Apache-2.0
//
// How a mount's instances ended. The broker keeps the newest reports of each mount
// (`crash_reports_kept`); what the mount does now is asked for in the same breath, so that a reader
// sees what followed.
#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/status_text.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::uint64_t reports_max = 1000;

datum why_datum(schema::MountStatus::Reader mount,
                capnp::List<schema::CrashReport>::Reader reports) {
  datum list = datum::of_list();
  for (auto report : reports) list.items.push_back(read_contract(report));
  datum record = datum::of_record();
  record.add("path", datum::of_text(mount.getPath().cStr()));
  record.add("state", datum::of_word(state_text(mount.getState())));
  record.add("reason", datum::of_text(mount.getReason().cStr()));
  record.add("backoff_ms", datum::of_uint(mount.getBackoffMs()));
  record.add("crash", list.items.empty() ? datum{} : list.items.front());
  record.add("reports", std::move(list));
  return record;
}

}  // namespace

exit_code run_why(environment& in, const invocation& command) {
  std::uint64_t count = 1;
  if (command.has("reports"))
    count = parse_count("reports", command.value("reports"), 0, reports_max);
  auto admin = in.broker.admin();
  auto reports_call = admin.crashesRequest();
  reports_call.setPath(command.arguments[0].c_str());
  reports_call.setLimit(static_cast<std::uint32_t>(count));
  auto status_call = admin.statusRequest();
  status_call.setPath(command.arguments[0].c_str());
  auto reports_sent = reports_call.send();
  auto status_sent = status_call.send();
  const auto reports_answer = in.wait(reports_sent.dropPipeline());
  const auto status_answer = in.wait(status_sent.dropPipeline());
  const auto reports = reports_answer.getReports();
  const auto mount = status_answer.getStatus();
  if (in.out.json()) {
    in.out.record(why_datum(mount, reports));
    return exit_code::done;
  }
  if (reports.size() == 0) {
    in.out.text(wire::escape_line(mount.getPath().cStr()) + ": no instance has ended by itself\n");
  }
  for (auto report : reports) in.out.text(crash_text(report));
  in.out.text(detail_line("now", now_text(mount)));
  return exit_code::done;
}

}  // namespace bulkhead::cli
