// SPDX-License-Identifier: Apache-2.0
#pragma once

// How far the machine is hardened against what confined plugins might still try, and the broker's
// own process against everybody: `bulkhead doctor`.
//
// The judgement is pure: a table of settings, each with what is wanted, why, and how to get there,
// held against a reader of files, which tests replace. Nothing is changed.
//
// What cannot be seen is never called good. A setting that is not there means that the kernel is
// built without what it restricts, but only where its neighbours, which every kernel has, are
// there: a container may hide a file, put an empty one in its place, or hide the whole directory.
// Such a finding is `unknown`, and says what was met.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace bulkhead {

struct host_finding {
  enum class verdict : std::uint8_t { good, weak, bad, unknown };
  std::string name;
  verdict says = verdict::unknown;
  std::string found;
  std::string wanted;
  std::string why;
  std::string how;  // empty with `good`
};

struct host_file {
  std::string text;      // all of it
  int error_number = 0;  // errno, when it could not be read
};

/// Of a directory, whose name then ends in '/', the text is the names in it, a line each.
using file_reader = std::function<host_file(const std::string& file)>;

/// In the order of a report.
std::vector<host_finding> judge_host(const file_reader& read);

/// The same for this machine and this process.
std::vector<host_finding> look_at_host();

}  // namespace bulkhead
