// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/trust_record.hpp"

#include <capnp/serialize.h>
#include <fmt/format.h>
#include <kj/debug.h>

#include <cstring>

#include "broker/convert.hpp"

namespace bulkhead {

std::string trust_key_key(const std::string& id) {
  return fmt::format("{}{}", trust_keys_prefix, id);
}

std::string trust_policy_key(const std::string& kind) {
  return fmt::format("{}{}", trust_policies_prefix, kind);
}

std::string trust_floor_key(const trust::floor_key& floor) {
  return fmt::format("{}{}/{}/{}", trust_floors_prefix, floor.kind, floor.name, floor.signers);
}

std::optional<trust::floor_key> floor_of_key(std::string_view key) {
  if (!key.starts_with(trust_floors_prefix)) return std::nullopt;
  key.remove_prefix(trust_floors_prefix.size());
  const auto first = key.find('/');
  const auto second = first == std::string_view::npos ? first : key.find('/', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  return trust::floor_key{std::string(key.substr(0, first)),
                          std::string(key.substr(first + 1, second - first - 1)),
                          std::string(key.substr(second + 1))};
}

trusted_key_info describe(const trust::trusted_key& key) {
  return {trust::key_id(key.key.key), trust::public_key_text(key.key), key.name,    key.plugins,
          key.not_before_unix_ms,     key.not_after_unix_ms,           key.revoked, key.reason,
          key.added_unix_ms};
}

trust::trusted_key read_trusted_key(const trusted_key_info& from) {
  trust::trusted_key key;
  key.key = trust::parse_public_key(from.public_key);
  key.name = from.name;
  key.plugins = from.plugins.empty() ? "*" : from.plugins;
  key.not_before_unix_ms = from.not_before_unix_ms;
  key.not_after_unix_ms = from.not_after_unix_ms;
  key.revoked = from.revoked;
  key.reason = from.reason;
  key.added_unix_ms = from.added_unix_ms;
  trust::check_trusted_key(key);
  return key;
}

void write_trusted_key(const trusted_key_info& from, schema::TrustedKey::Builder to) {
  to.setId(from.id.c_str());
  to.setPublicKey(from.public_key.c_str());
  to.setName(from.name.c_str());
  to.setPlugins(from.plugins.c_str());
  to.setNotBeforeUnixMs(from.not_before_unix_ms);
  to.setNotAfterUnixMs(from.not_after_unix_ms);
  to.setRevoked(from.revoked);
  to.setReason(from.reason.c_str());
  to.setAddedUnixMs(from.added_unix_ms);
}

trusted_key_info read_trusted_key(schema::TrustedKey::Reader from) {
  return {text(from.getId()),      text(from.getPublicKey()), text(from.getName()),
          text(from.getPlugins()), from.getNotBeforeUnixMs(), from.getNotAfterUnixMs(),
          from.getRevoked(),       text(from.getReason()),    from.getAddedUnixMs()};
}

std::string encode_trusted_key(const trust::trusted_key& from) {
  capnp::MallocMessageBuilder message;
  write_trusted_key(describe(from), message.initRoot<schema::TrustedKey>());
  const auto words = capnp::messageToFlatArray(message);
  const auto chars = words.asChars();
  return {chars.begin(), chars.size()};
}

std::optional<trust::trusted_key> decode_trusted_key(const std::string& record) {
  // The copy is for alignment.
  auto words = kj::heapArray<capnp::word>(record.size() / sizeof(capnp::word));
  if (words.size() == 0) return std::nullopt;
  std::memcpy(words.begin(), record.data(), words.asBytes().size());
  trusted_key_info info;
  const auto problem = kj::runCatchingExceptions([&] {
    capnp::FlatArrayMessageReader message(words);
    info = read_trusted_key(message.getRoot<schema::TrustedKey>());
  });
  if (problem != nullptr) return std::nullopt;
  try {
    return read_trusted_key(info);
  } catch (const trust::refusal&) {
    return std::nullopt;
  }
}

}  // namespace bulkhead
