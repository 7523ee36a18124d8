// SPDX-License-Identifier: Apache-2.0
#pragma once

// The load on calc/: typed calls, each with an answer that is known beforehand and checked.

#include <string>

#include "broker/client/client.hpp"
#include "tools/demo/lane.hpp"

namespace bulkhead::demo {

/// The call of a lane on the typed interface of calc, mounted at `path`.
lane::call calc_caller(remote::client& broker, const std::string& path);

}  // namespace bulkhead::demo
