// SPDX-License-Identifier: Apache-2.0
#pragma once

// How the broker's own code says no: by an exception in the shape of schema/error.capnp.

#include <string>

#include "broker/convert.hpp"

namespace bulkhead {

[[noreturn]] inline void refuse(error_kind kind, std::string what, std::string why = {},
                                std::string remedy = {}) {
  kj::throwFatalException(exception(kind, std::move(what), std::move(why), std::move(remedy)));
}

}  // namespace bulkhead
