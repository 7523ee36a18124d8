// SPDX-License-Identifier: Apache-2.0
#pragma once

// The errors of the embedding API: a documented kind to switch on, and a text in three parts for
// people. The kinds, and when each occurs, are those of schema/error.capnp; the numbers are the
// same.

#include <cstdint>
#include <stdexcept>
#include <string>

namespace bulkhead {

enum class error_kind : std::uint16_t {
  unknown,              // a kind that this version does not know
  invalid_argument,     // the call itself is wrong: repeat it and it fails again
  not_found,            // what was named is not there
  already_exists,       // what was to be made is there
  permission_denied,    // not allowed for this caller
  conflict,             // a compare-and-set compared unequal
  failed_precondition,  // not in this state
  unsupported,          // no such method or operation here
  overloaded,           // a limit is reached: back off
  deadline_exceeded,    // no answer in time; whether it took effect is not known
  plugin_error,         // the plugin failed the call in its own words
  plugin_crashed,       // the instance ended with the call in flight; whether it took effect is not
                        // known
  plugin_unavailable,   // the mount was not ready in time
  quarantined,          // the supervisor gave up on the mount; an operator must act
  start_failed,         // the plugin could not be started; the text names the step
  unmounted,            // the mount is gone, and with it all that came from it
  storage,              // the store refused: disk full, damaged, read-only
  protocol_violation,   // the other side broke the contract; its connection is closed
  broker_stopping,      // the broker is going down
  internal,             // a defect of the broker; please report it
};

/// As in "not_found".
std::string to_string(error_kind kind);

/// what() is the first line of the text: what happened. No part holds a secret or an address.
class error final : public std::runtime_error {
 public:
  error(error_kind kind, const std::string& what, std::string why, std::string remedy)
      : std::runtime_error(what), kind_(kind), why_(std::move(why)), remedy_(std::move(remedy)) {}

  error_kind kind() const noexcept { return kind_; }
  const std::string& why() const noexcept { return why_; }
  const std::string& remedy() const noexcept { return remedy_; }

 private:
  error_kind kind_;
  std::string why_;
  std::string remedy_;
};

}  // namespace bulkhead
