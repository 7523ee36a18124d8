// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <kj/exception.h>

#include <string>

#include "broker/convert.hpp"

namespace bulkhead {

/// Ends an operation with an error of a documented kind, in the shape of schema/error.capnp.
[[noreturn]] inline void refuse_with(error_kind kind, std::string what, std::string why,
                                     std::string remedy = {}) {
  kj::throwFatalException(exception(kind, std::move(what), std::move(why), std::move(remedy)));
}

}  // namespace bulkhead
