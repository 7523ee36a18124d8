// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether the write-ahead log of a state has lost what was acknowledged.
//
// SQLite ends a log at its first frame that is not sound and takes the rest for the torn tail of a
// write that nobody was told of. Where a bit has rotted in the middle, that rest holds acknowledged
// transactions, and they would be gone without a word. The difference can be seen: a transaction is
// begun only when the one before it is on the disk. So a commit behind the unsound place, with
// another frame of the same log behind it, was acknowledged, and the log is damaged.
//
// What cannot be seen: damage to the last transaction of the log, which looks like a torn one.
//
// The format is that of https://www.sqlite.org/fileformat2.html#the_write_ahead_log .

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead {

/// The number (from 1; 0: the log's head) of the frame at which acknowledged transactions are cut
/// off; nothing when there are none, and for an empty log. `log` is the whole file.
std::optional<std::uint64_t> lost_frame_of(std::string_view log);

/// Throws `store_error` (corrupt) when the log of the state `file` has lost acknowledged
/// transactions. To be called before SQLite opens the state: it cuts the log. Reads the log whole.
void check_log(const std::string& file);

}  // namespace bulkhead
