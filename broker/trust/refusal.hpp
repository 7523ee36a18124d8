// SPDX-License-Identifier: Apache-2.0
#pragma once

// How this folder says no: what is wrong, why, and what to try. Texts name lines, fields and rules;
// they never hold a secret, and what they quote of a file is cut and escaped.

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace bulkhead::trust {

/// what() says what was refused, in one line. So do why() and remedy(), which may be empty.
class refusal final : public std::runtime_error {
 public:
  explicit refusal(const std::string& what, std::string why = {}, std::string remedy = {})
      : std::runtime_error(what), why_(std::move(why)), remedy_(std::move(remedy)) {}

  const std::string& why() const noexcept { return why_; }
  const std::string& remedy() const noexcept { return remedy_; }

 private:
  std::string why_;
  std::string remedy_;
};

/// `text` in quotes, for a refusal: at most 64 bytes of it, those that are not printable ASCII as
/// \xNN.
std::string quoted(std::string_view text);

}  // namespace bulkhead::trust
