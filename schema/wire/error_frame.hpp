// SPDX-License-Identifier: Apache-2.0
//
// What a peer says in an error, made fit before it goes any further.
//
// A plugin answers calls, its own and those on the capabilities that it hands out, and what it
// answers may be an error of any length with any bytes. Only the calls of its mount pass a place
// that cleans their errors; those on a capability that it handed out go from link to link inside
// libcapnp. So the text is made fit here, where every message of a plugin comes by: escaped, cut,
// with a kind that a plugin may use (clean_exception). A message without an error costs one look at
// its kind.
//
// A text is cut before it is read, at `error_read_bytes_max`: of one that is longer the line for
// programs is lost. Escaping a frame full of control characters would cost four frames.
#pragma once

#include <capnp/common.h>
#include <capnp/rpc.capnp.h>
#include <kj/array.h>

#include "schema/wire/wire_limits.hpp"

namespace bulkhead::wire {

/// So much of a peer's error is read.
inline constexpr std::size_t error_read_bytes_max = 4 * error_text_bytes_max;

/// The frame that is to stand for a message with an error in it; nothing for any other. Throws what
/// the message's reader throws when it is broken.
kj::Maybe<kj::Array<capnp::word>> with_clean_error(capnp::rpc::Message::Reader from_peer);

}  // namespace bulkhead::wire
