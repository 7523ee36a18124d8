// SPDX-License-Identifier: Apache-2.0
//
// The little that the stream reads of frames: which member of the RPC protocol's message union they
// hold. A Finish or Release on its way out may wait for company, because nobody waits for it. An
// Abort, either way, says why a side gives the connection up.
#pragma once

#include <capnp/common.h>
#include <kj/array.h>
#include <kj/exception.h>

namespace bulkhead::wire {

using frame_segments = kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>;

/// True for a Finish or Release that nobody waits for.
bool may_wait(frame_segments segments);

/// True for a Call.
bool is_call(frame_segments segments);

/// The reason, when the frame is an Abort. Reads hostile frames: one that is broken, or in several
/// segments of which only the first is given, has an empty reason.
kj::Maybe<kj::Exception> abort_reason(frame_segments segments);

}  // namespace bulkhead::wire
