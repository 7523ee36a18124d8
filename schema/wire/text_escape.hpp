// SPDX-License-Identifier: Apache-2.0
//
// Text that came from somewhere else, made fit for a line, a terminal and a key=value pair. Pure.
#pragma once

#include <string>
#include <string_view>

namespace bulkhead::wire {

/// At most `bytes_max` bytes of `text`, not ending inside a UTF-8 sequence. `text` is valid UTF-8.
std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max);

/// Bytes outside [A-Za-z0-9_./:,+-] become %NN.
std::string percent_encode(std::string_view text);

/// The reverse; a "%" that is not followed by two hexadecimal digits stays.
std::string percent_decode(std::string_view text);

}  // namespace bulkhead::wire
