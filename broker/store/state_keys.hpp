// SPDX-License-Identifier: Apache-2.0
#pragma once

// The keys of an encrypted state, and the file that holds them.
//
//     bulkhead-state-keys 1
//     <64 hex digits>
//     <64 hex digits>
//
// One key a line, the newest last: it encrypts, all decrypt. To rotate, append one and tell the
// broker; when it has encrypted everything anew, the lines before serve older backups alone: who
// takes them out cannot read those any more. Whoever has the file
// reads the state, so it must belong to the broker's user and be closed to others (0600 or 0400). A
// file of root's may be readable by its group: that is how systemd hands a credential to a
// service's user.
//
// In memory the keys lie in a page of their own that is kept out of core files and, where the
// system allows, out of swap, and is wiped at the end. No text of a failure holds a key.

#include <memory>
#include <string>
#include <string_view>

#include "broker/store/store_failure.hpp"
#include "broker/store/value_seal.hpp"

namespace bulkhead {

/// Most keys in a file. Outcome: `wrong_key`.
constexpr std::size_t state_keys_max = 16;

class state_keys {
 public:
  /// Reads a file as above. Throws `store_error` with `wrong_key`.
  static state_keys load(const std::string& file);
  /// The text of such a file; `file` is its name, for failures.
  static state_keys parse(std::string_view text, const std::string& file);

  const state_key& newest() const;
  /// Null: there is none of that id.
  const state_key* find(std::uint64_t id) const;
  std::size_t size() const;
  const std::string& file() const { return file_; }

 private:
  class page;

  std::shared_ptr<page> page_;
  std::string file_;
};

/// Puts a new random key into the file `name`, as the newest; makes the file (0600) when it is not
/// there. The file is replaced whole, durably, one caller after the other. Returns the key's id.
/// Throws `store_error`.
std::uint64_t add_state_key(const std::string& name);

/// An id as people see it: 16 hex digits.
std::string key_id_text(std::uint64_t id);

}  // namespace bulkhead
