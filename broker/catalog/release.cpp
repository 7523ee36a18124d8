// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/release.hpp"

#include <capnp/serialize.h>
#include <fmt/format.h>
#include <kj/debug.h>

#include <array>
#include <cstring>
#include <limits>

#include "broker/catalog/admin_words.hpp"
#include "broker/convert.hpp"
#include "schema/state.capnp.h"

namespace bulkhead {
namespace {

// In the order of schema::PluginKind.
constexpr std::array<std::string_view, 4> kinds = {"generic", "secrets", "auth", "database"};

capnp::Data::Reader data(const std::string& bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

std::string bytes_of(capnp::Data::Reader from) {
  return {reinterpret_cast<const char*>(from.begin()), from.size()};
}

std::string options_text(const release& of) {
  if (of.described == nullptr) return {};
  const auto words = capnp::canonicalize(of.described->getRoot<schema::ReleaseRecord>().asReader());
  const auto chars = words.asChars();
  return {chars.begin(), chars.size()};
}

}  // namespace

std::string to_string(const release_id& id) {
  return fmt::format("{}/{}@{}", id.kind, id.name, id.version);
}

capnp::List<schema::FieldSpec>::Reader release::options() const {
  if (described == nullptr) return {};
  return described->getRoot<schema::ReleaseRecord>().asReader().getOptions();
}

void describe_options(release& to, capnp::List<schema::FieldSpec>::Reader options) {
  to.described = std::make_shared<capnp::MallocMessageBuilder>();
  to.described->initRoot<schema::ReleaseRecord>().setOptions(options);
}

bool same_release(const release& a, const release& b) {
  return a.spec == b.spec && a.size_bytes == b.size_bytes && a.manifest == b.manifest &&
         a.signatures == b.signatures && a.link == b.link &&
         a.storage_version == b.storage_version && a.options_known == b.options_known &&
         options_text(a) == options_text(b);
}

trust::digest digest_of(const release& of) {
  const auto digest = trust::digest_from_hex(of.spec.sha256);
  if (!digest)
    kj::throwFatalException(exception(
        error_kind::internal, fmt::format("the release {} has no SHA-256", to_string(of.id())),
        "nothing says which bytes it is"));
  return *digest;
}

std::string release_key(const release_id& id) {
  return fmt::format("{}{}/{}/{}", releases_prefix, id.kind, id.name, id.version);
}

std::string pin_key(const std::string& kind, const std::string& name) {
  return fmt::format("{}{}/{}", pins_prefix, kind, name);
}

std::string declared_pin_key(const std::string& kind, const std::string& name) {
  return fmt::format("{}{}/{}", declared_pins_prefix, kind, name);
}

std::optional<release_id> release_of_key(std::string_view key) {
  if (!key.starts_with(releases_prefix)) return std::nullopt;
  key.remove_prefix(releases_prefix.size());
  const auto first = key.find('/');
  const auto second = first == std::string_view::npos ? first : key.find('/', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  return release_id{std::string(key.substr(0, first)),
                    std::string(key.substr(first + 1, second - first - 1)),
                    std::string(key.substr(second + 1))};
}

std::string encode_release(const release& from) {
  capnp::MallocMessageBuilder message;
  auto record = message.initRoot<schema::ReleaseRecord>();
  write_release_spec(from.spec, record.initSpec());
  record.setSizeBytes(from.size_bytes);
  record.setManifest(data(from.manifest));
  record.setSignatures(data(from.signatures));
  record.setRegisteredUnixMs(from.registered_unix_ms);
  record.setDeclared(from.declared);
  record.setLink(from.link.c_str());
  record.setStorageVersion(from.storage_version);
  if (from.described != nullptr) record.setOptions(from.options());
  record.setOptionsKnown(from.options_known);
  const auto words = capnp::messageToFlatArray(message);
  const auto chars = words.asChars();
  return {chars.begin(), chars.size()};
}

std::optional<release> decode_release(const std::string& record) {
  // The bytes are the broker's own, but a damaged state must not take the broker down; the copy is
  // for their alignment.
  auto words = kj::heapArray<capnp::word>(record.size() / sizeof(capnp::word));
  if (words.size() == 0) return std::nullopt;
  std::memcpy(words.begin(), record.data(), words.asBytes().size());
  release result;
  const auto problem = kj::runCatchingExceptions([&] {
    capnp::FlatArrayMessageReader message(words);
    const auto from = message.getRoot<schema::ReleaseRecord>();
    result.spec = read_release_spec(from.getSpec());
    result.size_bytes = from.getSizeBytes();
    result.manifest = bytes_of(from.getManifest());
    result.signatures = bytes_of(from.getSignatures());
    result.registered_unix_ms = from.getRegisteredUnixMs();
    result.declared = from.getDeclared();
    result.link = text(from.getLink());
    result.storage_version = from.getStorageVersion();
    result.options_known = from.getOptionsKnown();
    if (from.hasOptions()) describe_options(result, from.getOptions());
  });
  if (problem != nullptr || result.spec.name.empty()) return std::nullopt;
  return result;
}

std::string to_string(schema::PluginKind kind) {
  const auto number = static_cast<std::size_t>(kind);
  return number < kinds.size() ? std::string(kinds.at(number)) : fmt::format("kind {}", number);
}

}  // namespace bulkhead
