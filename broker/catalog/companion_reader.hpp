// SPDX-License-Identifier: Apache-2.0
#pragma once

// read_companions() on a thread of its own for each question, because disks block, and so that one
// that never answers stands in nobody else's way. Registrations ask, and there are few at a time.

#include <kj/async.h>

#include <string>

#include "actors/asker.hpp"
#include "broker/catalog/companion_files.hpp"
#include "broker/services.hpp"

namespace bulkhead {

kj::Promise<companion_files> read_companions_of(broker_services& services, asker& ask,
                                                const std::string& command);

}  // namespace bulkhead
