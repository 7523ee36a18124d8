// SPDX-License-Identifier: Apache-2.0
//
// The words of policies and grounds, and what a trusted key may be.
#include <fmt/format.h>

#include <algorithm>

#include "broker/trust/trust_rules.hpp"
#include "broker/trust/utc_time.hpp"

namespace bulkhead::trust {
namespace {

bool is_line(std::string_view text) {
  return text.size() <= key_name_bytes_max &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

bool is_pattern(std::string_view text) {
  if (text == "*") return true;
  const auto slash = text.find('/');
  if (slash == std::string_view::npos || !is_plugin_kind(text.substr(0, slash))) return false;
  const auto names = text.substr(slash + 1);
  return names == "*" || is_plugin_name(names);
}

}  // namespace

void check_trusted_key(const trusted_key& key) {
  if (!is_sound(key.key.key)) {
    throw refusal("this key cannot be trusted",
                  "it is of small order or not canonical: anybody could sign with it",
                  "do not trust whoever gave it to you");
  }
  const std::string rule =
      fmt::format("it is one line of at most {} bytes of ASCII", key_name_bytes_max);
  if (!is_line(key.name)) throw refusal("a key cannot have this name", rule);
  if (!is_line(key.reason)) throw refusal("this is no reason to revoke a key", rule);
  if (!is_pattern(key.plugins)) {
    throw refusal(fmt::format("{} does not say what a key may sign", quoted(key.plugins)),
                  fmt::format("kinds are: {}", fmt::join(plugin_kinds(), ", ")),
                  "*, or KIND/*, or KIND/NAME");
  }
  for (const auto moment : {key.not_before_unix_ms, key.not_after_unix_ms}) {
    if (moment < 0 || moment > utc_unix_ms_max) {
      throw refusal("a key cannot be valid in this time",
                    "its bounds lie between 1970 and the end of 9999", "0, for no bound");
    }
  }
  if (key.not_after_unix_ms != 0 && key.not_after_unix_ms < key.not_before_unix_ms) {
    throw refusal("a key cannot be valid in this time", "it ends before it begins");
  }
}

std::string_view to_text(signature_policy policy) {
  switch (policy) {
    case signature_policy::automatic:
      return "automatic";
    case signature_policy::required:
      return "required";
    case signature_policy::optional:
      return "optional";
  }
  return "";
}

std::optional<signature_policy> policy_from_text(std::string_view text) {
  for (const auto policy :
       {signature_policy::automatic, signature_policy::required, signature_policy::optional}) {
    if (to_text(policy) == text) return policy;
  }
  return std::nullopt;
}

std::string_view to_text(ground why_not) {
  switch (why_not) {
    case ground::none:
      return "accepted";
    case ground::unsigned_release:
      return "unsigned";
    case ground::signatures_alone:
      return "signatures_alone";
    case ground::bad_signature_file:
      return "bad_signature_file";
    case ground::unknown_signers:
      return "unknown_signers";
    case ground::broken_signature:
      return "broken_signature";
    case ground::revoked_signer:
      return "revoked_signer";
    case ground::out_of_scope:
      return "out_of_scope";
    case ground::key_not_yet_valid:
      return "key_not_yet_valid";
    case ground::key_expired:
      return "key_expired";
    case ground::bad_manifest:
      return "bad_manifest";
    case ground::other_plugin:
      return "other_plugin";
    case ground::other_version:
      return "other_version";
    case ground::other_bytes:
      return "other_bytes";
    case ground::other_machine:
      return "other_machine";
    case ground::broker_too_old:
      return "broker_too_old";
    case ground::not_yet_valid:
      return "not_yet_valid";
    case ground::expired:
      return "expired";
    case ground::below_floor:
      return "below_floor";
  }
  return "";
}

}  // namespace bulkhead::trust
