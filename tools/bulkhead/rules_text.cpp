// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/rules_text.hpp"

#include <capnp/message.h>
#include <fmt/format.h>

#include "tools/bulkhead/table.hpp"

namespace bulkhead::cli {
namespace {

/// Parts of a sentence, kept when their value is not the default one.
class parts {
 public:
  template <typename T>
  void add_if(T value, T usual, const std::string& text) {
    if (value == usual) return;
    text_ += text_.empty() ? text : ", " + text;
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// "replaced after 2 h 0 m". Only of rules for which 0 is the default, or that are never 0.
std::string span(std::string_view name, std::uint64_t ms) {
  return fmt::format("{} {}", name, short_duration(ms));
}

}  // namespace

std::string life_text(schema::Life::Reader life) {
  capnp::MallocMessageBuilder message;
  const auto usual = message.initRoot<schema::Life>().asReader();
  parts text;
  text.add_if(life.getStart(), usual.getStart(), "lazy");
  text.add_if(life.getStartMaxMs(), usual.getStartMaxMs(),
              span("ready within", life.getStartMaxMs()));
  text.add_if(life.getIdleStopMs(), usual.getIdleStopMs(),
              span("stopped when idle for", life.getIdleStopMs()));
  text.add_if(life.getPingEveryMs(), usual.getPingEveryMs(),
              life.getPingEveryMs() == 0 ? "no ping" : span("pinged every", life.getPingEveryMs()));
  text.add_if(life.getPingWaitMs(), usual.getPingWaitMs(),
              span("pings wait", life.getPingWaitMs()));
  text.add_if(life.getCallAgeMaxMs(), usual.getCallAgeMaxMs(),
              span("killed when a call is older than", life.getCallAgeMaxMs()));
  text.add_if(life.getLifetimeMaxMs(), usual.getLifetimeMaxMs(),
              span("replaced after", life.getLifetimeMaxMs()));
  text.add_if(life.getCallsMax(), usual.getCallsMax(),
              fmt::format("replaced after {} calls", life.getCallsMax()));
  text.add_if(life.getHandover(), usual.getHandover(), "stops first at a reload");
  return text.take();
}

std::string call_rules_text(schema::CallRules::Reader calls) {
  capnp::MallocMessageBuilder message;
  const auto usual = message.initRoot<schema::CallRules>().asReader();
  parts text;
  text.add_if(calls.getInFlightMax(), usual.getInFlightMax(),
              fmt::format("{} in flight at most", calls.getInFlightMax()));
  text.add_if(calls.getWaitingMax(), usual.getWaitingMax(),
              fmt::format("{} waiting at most", calls.getWaitingMax()));
  text.add_if(calls.getWaitMaxMs(), usual.getWaitMaxMs(),
              span("wait at most", calls.getWaitMaxMs()));
  text.add_if(calls.getCallMaxMs(), usual.getCallMaxMs(),
              span("last at most", calls.getCallMaxMs()));
  if (calls.getBreakerFailures() == 0) {
    text.add_if(true, false, "breaker off");
    return text.take();
  }
  text.add_if(calls.getBreakerFailures(), usual.getBreakerFailures(),
              fmt::format("breaker after {} without an answer", calls.getBreakerFailures()));
  text.add_if(calls.getBreakerOpenMs(), usual.getBreakerOpenMs(),
              span("open for", calls.getBreakerOpenMs()));
  text.add_if(calls.getBreakerOpenMaxMs(), usual.getBreakerOpenMaxMs(),
              span("up to", calls.getBreakerOpenMaxMs()));
  return text.take();
}

std::string breaker_text(schema::MountStatus::Reader mount) {
  switch (mount.getBreaker()) {
    case schema::BreakerState::CLOSED:
      return {};
    case schema::BreakerState::OPEN:
      if (mount.getBreakerHeld()) return "open by an operator: calls are refused";
      return fmt::format("open: calls are refused, one is let through in {}",
                         short_duration(mount.getBreakerMs()));
    case schema::BreakerState::HALF_OPEN:
      return "half open: one call is let through to see";
  }
  return "unknown";
}

}  // namespace bulkhead::cli
