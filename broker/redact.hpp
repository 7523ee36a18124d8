// SPDX-License-Identifier: Apache-2.0
#pragma once

// Takes what looks like a secret out of a line that leaves the mount it belongs to: the last words
// of a plugin ride on the errors of its callers. Pure.
//
// What is taken out: the value behind a name that speaks of a secret (password=..., token: ...,
// "api_key": "..."), the token behind `Bearer` and `Basic`, words with the beginnings that common
// issuers give their tokens, and everything from a PEM header on. It is a net with holes: a secret
// without a name or a known beginning passes. A plugin must not log secrets; this is for those that
// do.

#include <string>
#include <string_view>

namespace bulkhead {

inline constexpr std::string_view redacted_mark = "[redacted]";

/// The line with each such secret replaced by `redacted_mark`.
std::string redact_secrets(std::string_view line);

}  // namespace bulkhead
