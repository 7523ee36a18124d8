// SPDX-License-Identifier: Apache-2.0
//
// Messages of a plugin as its budget counts them and its errors are cleaned: whatever they hold,
// the counts stay within their limits, and a clean error is short, of one kind, and fit for a
// terminal. The input is a row of frames; the first byte of each says which way it goes.
#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>

#include <cstring>

#include "schema/wire/error_frame.hpp"
#include "schema/wire/error_text.hpp"
#include "schema/wire/frame_guard.hpp"
#include "schema/wire/frame_reader.hpp"
#include "schema/wire/link_budget.hpp"
#include "tests/fuzz/require.hpp"

using namespace bulkhead::wire;
using bulkhead::fuzz::require;
namespace rpc = capnp::rpc;

namespace {

constexpr budget_limits small{.calls_open = 4,
                              .calls_unanswered = 4,
                              .capabilities_held = 8,
                              .message_capabilities = 4,
                              .capabilities_given = 8,
                              .pipeline_steps = 4,
                              .tail_calls = 2};

void check_clean(kj::ArrayPtr<const capnp::word> frame) {
  capnp::FlatArrayMessageReader reader(frame);
  const auto message = reader.getRoot<rpc::Message>();
  const auto said =
      message.isReturn() ? message.getReturn().getException() : message.getResolve().getException();
  const auto text = said.getReason();
  require(text.size() <= error_text_bytes_max, "a clean error is cut");
  for (const char each : text) {
    require(each == '\n' || static_cast<unsigned char>(each) >= ' ', "a clean error is escaped");
  }
}

/// False when the link would be at its end.
bool pass(link_budget& budget, rpc::Message::Reader message, bool from_peer) {
  if (!from_peer) return budget.sent(message) == nullptr;
  if (budget.received(message) != nullptr) return false;
  KJ_IF_MAYBE (clean, with_clean_error(message)) check_clean(*clean);
  require(budget.calls_open() <= small.calls_open, "calls are within their limit");
  require(budget.capabilities_held() <= small.capabilities_held, "capabilities are, too");
  return true;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it by this name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  link_budget budget(small);
  auto rest = kj::arrayPtr(data, size);
  while (rest.size() > 1) {
    const bool from_peer = rest[0] % 4 != 0;
    rest = rest.slice(1, rest.size());
    const auto check = check_frame(rest, {});
    if (check.result != frame_check::verdict::frame || check.amount > rest.size()) return 0;
    auto words = kj::heapArray<capnp::word>(check.amount / sizeof(capnp::word));
    std::memcpy(words.begin(), rest.begin(), check.amount);
    rest = rest.slice(check.amount, rest.size());
    capnp::ReaderOptions options;
    options.traversalLimitInWords =
        words.size() * plugin_reads_per_byte_max + read_bytes_free / sizeof(capnp::word);
    frame_reader reader(kj::mv(words), options);
    try {
      if (!pass(budget, reader.getRoot<rpc::Message>(), from_peer)) return 0;
    } catch (const kj::Exception&) {
      return 0;  // a broken message ends the link, too
    }
  }
  return 0;
}
