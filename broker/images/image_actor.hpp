// SPDX-License-Identifier: Apache-2.0
#pragma once

// The vault behind an actor, so that no loop waits for a disk or a hash.
//
// What the vault has is answered at once. What must be read is read on threads of its own, up to
// `images_at_once` at a time, so that a large file on a slow disk does not hold up a small one; the
// rest waits in the order of arrival, except that requests for one digest are never read at the
// same time: the second finds what the first has made. A request whose asker has gone is worked off
// all the same: the image is then in the vault.

#include <caf/allowed_unsafe_message_type.hpp>
#include <memory>

#include "actors/protocols.hpp"
#include "broker/images/image_messages.hpp"

// The messages never leave the process.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::image_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::image_answer)

namespace bulkhead {

/// Files that are read and hashed at the same time.
inline constexpr unsigned images_at_once = 2;

/// Starts the actor. It ends with an exit message, its threads once the files that they are reading
/// are read; requests that no thread has begun end as those that were still in its mailbox.
image_actor spawn_images(caf::actor_system& system, std::shared_ptr<image_vault> vault);

}  // namespace bulkhead
