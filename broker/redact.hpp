// SPDX-License-Identifier: Apache-2.0
#pragma once

// Takes what looks like a secret out of lines that leave the mount they belong to: the last words
// of a plugin ride on the errors of its callers. Pure.
//
// What is taken out
//   * The value behind a name that speaks of a secret (password=..., token: ..., "api_key": "...").
//     A value in quotes runs to the closing quote, or to the end of the line when there is none;
//     one without quotes runs to the next space, quote, or one of , ; & ) }.
//   * The token behind `Bearer` and `Basic`.
//   * Words with the beginnings that common issuers give their tokens.
//   * A PEM block: in a single line everything from its header on, in a list of lines everything up
//     to and with the line of its end. A block whose end is missing takes all later lines with it,
//     one whose header is missing all earlier ones.
//
// It is a net with holes: a secret without a name or a known beginning passes, and so does what
// follows a space in a value without quotes, a quoted value behind its first line, and what a
// plugin's two pipes have mixed. A plugin must not log secrets; this is for those that do.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

inline constexpr std::string_view redacted_mark = "[redacted]";

/// The line with each such secret replaced by `redacted_mark`.
std::string redact_secrets(std::string_view line);

/// How many lines before those that it shows a caller of redact_last() passes, if it has them: more
/// than a PEM block of a private key has (an RSA key of 8192 bits: about a hundred).
inline constexpr std::size_t pem_lines_max = 128;

/// The last `count` of `lines` (oldest first), each without its secrets. The lines before them are
/// looked at only for a PEM block that reaches into them.
std::vector<std::string> redact_last(const std::vector<std::string>& lines, std::size_t count);

}  // namespace bulkhead
