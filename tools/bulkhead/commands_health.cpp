// SPDX-License-Identifier: Apache-2.0
//
// What plugins use, now and over time, and how the machine is hardened: top, usage, doctor.
#include <fmt/format.h>

#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/confinement_text.hpp"
#include "tools/bulkhead/datum_capnp.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::uint64_t top_pause_ms = 2000;  // a new sample comes no sooner
constexpr std::uint64_t page_max = 1000;

}  // namespace

exit_code run_top(environment& in, const invocation& command) {
  std::uint64_t rounds = 1;
  if (command.has("rounds")) rounds = parse_count("rounds", command.value("rounds"), 1, page_max);
  for (std::uint64_t round = 0; command.has("follow") || round < rounds; ++round) {
    if (round > 0) {
      in.pause(top_pause_ms);
      if (!in.out.json()) in.out.text("\n");
    }
    const auto answer = in.wait(in.broker.admin().mountsRequest().send().dropPipeline());
    if (!in.out.json()) {
      in.out.text(top_text(answer.getMounts(), in.out.colour()));
      continue;
    }
    datum list = datum::of_list();
    for (auto mount : answer.getMounts()) {
      if (!mount.hasUsage()) continue;
      datum each = datum::of_record();
      each.add("path", datum::of_text(mount.getPath().cStr()));
      each.add("usage", read_contract(mount.getUsage()));
      list.items.push_back(std::move(each));
    }
    datum record = datum::of_record();
    record.add("mounts", std::move(list));
    in.out.record(record);
  }
  return exit_code::done;
}

exit_code run_usage(environment& in, const invocation& command) {
  auto request = in.broker.admin().usageRequest();
  request.setPath(command.arguments[0].c_str());
  request.setLimit(static_cast<std::uint32_t>(
      command.has("samples") ? parse_count("samples", command.value("samples"), 1, page_max) : 0));
  const auto answer = in.wait(request.send().dropPipeline());
  if (in.out.json()) {
    datum list = datum::of_list();
    for (auto sample : answer.getSamples()) list.items.push_back(read_contract(sample));
    datum record = datum::of_record();
    record.add("samples", std::move(list));
    in.out.record(record);
    return exit_code::done;
  }
  table rows({"TIME", "GENERATION", "CPU %", "RSS", "PSS", "THREADS", "FDS", "IN", "OUT", "CALLS"});
  for (auto sample : answer.getSamples())
    rows.add({utc_time(sample.getUnixMs()), std::to_string(sample.getGeneration()),
              fmt::format("{:.1f}", sample.getCpuPercent()), short_bytes(sample.getRssBytes()),
              sample.getPssBytes() == 0 ? "-" : short_bytes(sample.getPssBytes()),
              std::to_string(sample.getThreads()), std::to_string(sample.getFds()),
              short_bytes(sample.getBytesIn()), short_bytes(sample.getBytesOut()),
              std::to_string(sample.getCalls())});
  if (rows.empty())
    in.out.note("no sample has been taken yet");
  else
    in.out.text(rows.render(in.out.colour()));
  return exit_code::done;
}

exit_code run_doctor(environment& in, const invocation& command) {
  const auto answer = in.wait(in.broker.admin().doctorRequest().send().dropPipeline());
  bool bad = false;
  for (auto each : answer.getFindings())
    bad = bad || each.getVerdict() == schema::Finding::Verdict::BAD;
  if (in.out.json()) {
    datum list = datum::of_list();
    for (auto each : answer.getFindings()) list.items.push_back(read_contract(each));
    datum record = datum::of_record();
    record.add("findings", std::move(list));
    in.out.record(record);
  } else {
    in.out.text(doctor_text(answer.getFindings(), command.has("all")));
  }
  return bad ? exit_code::failed : exit_code::done;
}

}  // namespace bulkhead::cli
