// SPDX-License-Identifier: Apache-2.0
#pragma once

// How the store says no. A compare that fails is no failure: it is an answer
// (`txn_result::succeeded` is false).
//
// A failure has a kind to switch on and three parts to read: what happened, why, and what to do
// about it. The parts name files and limits, never a value and never a key of a plugin (both may be
// secrets).

#include <stdexcept>
#include <string>
#include <string_view>

namespace bulkhead {

/// What a caller can switch on.
enum class store_fault {
  invalid,  ///< The request is outside the limits or contradicts itself; repeated, it fails again.
  compacted,        ///< The revision asked for is no longer kept.
  future_revision,  ///< The revision asked for is not there yet.
  lease_not_found,  ///< No such lease: it ended or never was.
  limit,            ///< A table is full: leases, watchers.
  disk_full,  ///< No space: nothing changed, reads go on; writes work again when there is space.
  io_error,   ///< The device failed: writes are refused from now on, reads go on.
  read_only,  ///< The state cannot be written: media or permissions.
  corrupt,    ///< The file is damaged; it is not used.
  foreign,    ///< The file is not a Bulkhead state.
  locked,     ///< Another process has the state open.
  schema_too_new,  ///< A newer Bulkhead wrote the state.
  exposed,         ///< Other users could change the state.
  wrong_key,       ///< The key of an encrypted state is missing, unusable or another one.
  exists,          ///< What was to be made is there.
  closed,          ///< The store is going down.
  internal,        ///< A defect.
};

/// The kind in snake_case, for logs and details of errors.
std::string_view fault_name(store_fault fault);

struct store_failure {
  store_fault fault = store_fault::internal;
  std::string what;    ///< What happened, one line.
  std::string why;     ///< The cause, one line; may be empty.
  std::string remedy;  ///< What to do, one line; may be empty.
};

/// Thrown by the sync interface. `what()` is the first line of the failure.
class store_error : public std::runtime_error {
 public:
  explicit store_error(store_failure failure)
      : std::runtime_error(failure.what), failure_(std::move(failure)) {}
  store_error(store_fault fault, std::string what, std::string why = {}, std::string remedy = {})
      : store_error(store_failure{fault, std::move(what), std::move(why), std::move(remedy)}) {}

  const store_failure& failure() const { return failure_; }
  store_fault fault() const { return failure_.fault; }

 private:
  store_failure failure_;
};

}  // namespace bulkhead
