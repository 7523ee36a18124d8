// SPDX-License-Identifier: Apache-2.0
//
// The exceptions with which a stream ends by itself. Those for a peer that broke a rule are of
// kind `protocolViolation` and name the rule; those for a peer that is gone are DISCONNECTED and
// carry no kind, because only the owner of the connection knows what that means: see
// `link_stream::on_close`.
#pragma once

#include <kj/exception.h>

#include <cstdint>
#include <optional>

#include "schema/wire/error_text.hpp"
#include "schema/wire/frame_guard.hpp"
#include "schema/wire/link_budget.hpp"

namespace bulkhead::wire {

/// A frame that the guard refused.
kj::Exception frame_fault_of(const frame_check& check, const stream_limits& limits);

/// The peer does not read, and `bytes` would wait for it.
kj::Exception queue_fault(std::uint64_t bytes, std::uint64_t bytes_max);

/// The peer has passed a limit of its budget.
kj::Exception budget_fault(const budget_breach& breach);

/// So many calls to the peer are unanswered that no more is sent.
kj::Exception calls_fault(std::uint64_t unanswered);

/// So many bytes wait for the peer that no call is added to them.
kj::Exception queue_obstacle(std::uint64_t bytes, std::uint64_t bytes_max);

/// The peer has `given` capabilities of this side, and a call would add `more`.
kj::Exception giving_fault(std::uint64_t given, std::uint64_t more, std::uint64_t calls_max);

/// The limit that the fault is about, when one of the above made it.
std::optional<limit_breach> breach_in(const error_info& info);

/// The peer has sent a frame that is no message of the RPC protocol.
kj::Exception message_fault(const kj::Exception& problem);

/// The peer did not complete a frame in `ms` milliseconds.
kj::Exception frame_late(std::uint64_t ms);

/// The peer did not read what waits for it in `ms` milliseconds.
kj::Exception write_late(std::uint64_t ms);

/// The peer closed the connection; `inside_frame` when it did so in the middle of a frame.
kj::Exception peer_closed(bool inside_frame);

/// The peer closed the connection with bytes unread (ECONNRESET): most often it has crashed.
kj::Exception peer_reset();

/// A write failed with this errno.
kj::Exception write_failure(int error);

}  // namespace bulkhead::wire
