// SPDX-License-Identifier: Apache-2.0
//
// What an operator tells a mount to do. Most answer with the mount's status, as it is once that is
// done; a reload, which may mean many mounts, with a line for each.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "schema/wire/error_text.hpp"
#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/status_text.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::uint64_t percent_max = 99;

/// Sends an order that takes a path and answers with the mount's status; shows it.
template <typename Request>
schema::MountState order(environment& in, const invocation& command, Request request) {
  request.setPath(command.arguments[0].c_str());
  const auto answer = in.wait(request.send().dropPipeline());
  show_mount(in, answer.getStatus());
  return answer.getStatus().getState();
}

/// What the flags say. Throws `failure` (usage).
void fill_reload(schema::ReloadRequest::Builder request, const invocation& command) {
  if (command.arguments.empty() == !command.has("plugin")) {
    throw usage("reload needs a PATH or --plugin, and not both",
                "bulkhead reload kv/  |  bulkhead reload --plugin kv");
  }
  if (command.has("canary-time") && !command.has("canary")) {
    throw usage("--canary-time goes with --canary", "bulkhead help reload");
  }
  if (command.has("plugin"))
    request.setPlugin(command.value("plugin").c_str());
  else
    request.setPath(command.arguments[0].c_str());
  request.setVersion(command.value("version").c_str());
  if (!command.has("canary")) return;
  request.setCanaryPercent(
      static_cast<std::uint8_t>(parse_count("canary", command.value("canary"), 1, percent_max)));
  if (!command.has("canary-time")) return;
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  const auto span = parse_duration_ms(command.value("canary-time"));
  request.setCanaryMs(static_cast<std::uint32_t>(std::min(span, most)));
}

}  // namespace

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
  return state_code(order(in, command, in.broker.admin().restartRequest()));
}

exit_code run_reset(environment& in, const invocation& command) {
  return state_code(order(in, command, in.broker.admin().resetRequest()));
}

exit_code run_breaker(environment& in, const invocation& command) {
  const auto& wanted = command.arguments[1];
  if (wanted != "open" && wanted != "close")
    throw usage(fmt::format("'{}' is neither open nor close", wire::escape_line(wanted)),
                "bulkhead help breaker");
  auto request = in.broker.admin().holdBreakerRequest();
  request.setOpen(wanted == "open");
  order(in, command, kj::mv(request));
  return exit_code::done;
}

exit_code run_rollback(environment& in, const invocation& command) {
  auto question = in.broker.admin().statusRequest();
  question.setPath(command.arguments[0].c_str());
  const auto before = in.wait(question.send().dropPipeline());
  const auto state = order(in, command, in.broker.admin().rollbackRequest());
  if (before.getStatus().getSnapshot().size() > 0)
    in.out.note(fmt::format("it is back at {}; what was stored since is lost",
                            wire::escape_line(before.getStatus().getSnapshot().cStr())));
  return state_code(state);
}

exit_code run_stop(environment& in, const invocation& command) {
  order(in, command, in.broker.admin().stopRequest());
  return exit_code::done;
}

exit_code run_start(environment& in, const invocation& command) {
  return state_code(order(in, command, in.broker.admin().startRequest()));
}

exit_code run_reload(environment& in, const invocation& command) {
  auto call = in.broker.admin().reloadRequest();
  auto request = call.initRequest();
  fill_reload(request, command);
  if (command.has("canary") && in.timeout_ms > 0) in.timeout_ms += request.getCanaryMs();
  const auto answer = in.wait(call.send().dropPipeline());
  bool all_well = true;
  datum list = datum::of_list();
  for (auto result : answer.getResults()) {
    all_well = all_well && result.getOutcome() != schema::ReloadOutcome::FAILED;
    if (in.out.json())
      list.items.push_back(read_contract(result));
    else
      in.out.text(reload_text(result) + "\n");
  }
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("results", std::move(list));
    in.out.record(record);
  }
  return all_well ? exit_code::done : exit_code::failed;
}

}  // namespace bulkhead::cli
