// SPDX-License-Identifier: Apache-2.0
//
// The little that the stream reads of the frames it writes: which member of the RPC protocol's
// message union they hold. Two uses: a Finish or Release may wait for company (nobody waits for
// it), and an Abort says why this side gives the connection up. Frames of the other side are
// never looked into.
#pragma once

#include <capnp/common.h>
#include <kj/array.h>
#include <kj/exception.h>

namespace bulkhead::wire {

using frame_segments = kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>;

/// True for a Finish or Release that nobody waits for.
bool may_wait(frame_segments segments);

/// The reason, when the frame is an Abort.
kj::Maybe<kj::Exception> abort_reason(frame_segments segments);

}  // namespace bulkhead::wire
