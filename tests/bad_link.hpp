// SPDX-License-Identifier: Apache-2.0
//
// Attacks on the link by a plugin that was let in: RPC messages made by hand and written to
// descriptor 3 behind the back of its own RPC system, as many as the broker takes, with nothing
// read. Each says on stderr how many bytes it has sent, now and then and at its end, and then lives
// on. tests/README.md says what each does.
#pragma once

#include <string_view>

namespace bulkhead {

/// Makes the attack of this name ("link-capabilities") and does not return; or returns when there
/// is no such attack.
void attack_link(std::string_view name);

}  // namespace bulkhead
