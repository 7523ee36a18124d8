// SPDX-License-Identifier: Apache-2.0
#include "actors/supervisor_events.hpp"

#include <fmt/format.h>

namespace bulkhead {
namespace {

std::string_view to_string(action::problem::context what) {
  switch (what) {
    case action::problem::context::start_error:
      return "start_error";
    case action::problem::context::child_terminated:
      return "child_terminated";
    case action::problem::context::shutdown_error:
      break;
  }
  return "shutdown_error";
}

}  // namespace

std::string_view to_string(verdict value) {
  switch (value) {
    case verdict::ok:
      return "ok";
    case verdict::not_found:
      return "not_found";
    case verdict::already_started:
      return "already_started";
    case verdict::already_present:
      return "already_present";
    case verdict::running:
      return "running";
    case verdict::restarting:
      return "restarting";
    case verdict::not_quarantined:
      return "not_quarantined";
    case verdict::dynamic:
      return "dynamic";
    case verdict::stopping:
      return "stopping";
    case verdict::invalid:
      break;
  }
  return "invalid";
}

std::string next_step_text(const action::report& report) {
  switch (report.to) {
    case child_state::starting:
      return "restarts at once";
    case child_state::backoff:
      // Without a delay it waits for nothing but the end of its siblings.
      if (report.delay.count() == 0) return "restarts at once";
      return fmt::format("restarts in {}", duration_text(report.delay));
    case child_state::quarantined:
      return "quarantined";
    default:
      return "stays down";
  }
}

std::string problem_text(std::string_view supervisor, const action::problem& problem) {
  const auto& child = problem.offender;
  return fmt::format("supervisor {}: {}: child {} (instance {}, {} {}, {}shutdown {}): {}",
                     supervisor, to_string(problem.what), child.id, problem.generation,
                     to_string(child.restart), to_string(child.type),
                     child.significant ? "significant, " : "", to_text(child.shutdown),
                     problem.reason);
}

}  // namespace bulkhead
