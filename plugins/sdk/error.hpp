// SPDX-License-Identifier: Apache-2.0
//
// Errors of a plugin, in the shape that schema/error.capnp documents: what happened, why, what to
// do, and a kind.
//
//     throw sdk::error(sdk::error_kind::NOT_FOUND, "no note 'app'", "", "write one first");
//
// Throw one from any handler, typed method or promise continuation: it reaches the caller with its
// kind, on the matching Cap'n Proto exception type. `error` is a kj::Exception, because KJ catches
// exceptions by their base class and copies only that. What a plugin throws in any other shape
// reads as kind `pluginError`, and so do the kinds that only the broker may use.
//
// Texts go to people and logs. Put no secret in them. Control characters are escaped, and a text is
// cut at 8 KiB.
#pragma once

#include <kj/exception.h>

#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "schema/error.capnp.h"
#include "schema/wire/error_text.hpp"

namespace bulkhead::sdk {

using error_kind = schema::ErrorKind;

class error : public kj::Exception, public std::exception {
 public:
  /// `what` happened, `why`, and the `remedy` (what to do about it, shown as "try:"), one line
  /// each; the last two may be empty.
  explicit error(error_kind kind, std::string what, std::string why = "", std::string remedy = "");

  error_kind kind() const { return kind_; }
  const char* what() const noexcept override { return getDescription().cStr(); }

 private:
  error_kind kind_;
};

/// The kind of an exception that came out of a call: of a view, of another capability, of one's own
/// `error`. `unknown` when its text names none.
error_kind kind_of(const kj::Exception& exception);

/// The nearest of `candidates` to a misspelt name, as " (did you mean 'data'?)", or "" when none is
/// near.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace bulkhead::sdk
