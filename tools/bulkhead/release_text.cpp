// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/release_text.hpp"

#include <fmt/format.h>
#include "tools/bulkhead/confinement_text.hpp"

#include "schema/wire/error_text.hpp"
#include "tools/bulkhead/status_text.hpp"
#include "tools/bulkhead/table.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::size_t id_digits_shown = 12;

std::string plain(capnp::Text::Reader text) {
  return wire::escape_line(text.cStr());
}

std::string short_id(capnp::Text::Reader id) {
  return plain(id).substr(0, id_digits_shown);
}

std::string joined(capnp::List<capnp::Text>::Reader texts) {
  std::string all;
  for (auto each : texts) all += (all.empty() ? "" : ", ") + plain(each);
  return all;
}

/// What there is to say in one word or two.
std::string notes_of(schema::Release::Reader release) {
  std::string notes;
  const auto add = [&notes](const char* note) {
    notes += (notes.empty() ? "" : ", ") + std::string(note);
  };
  if (release.getPinned()) add("pinned");
  if (release.getPreferred()) add("preferred");
  if (release.getDeclared()) add("declared");
  if (release.getRefusal().size() > 0) add("refused");
  return notes;
}

std::string signed_text(schema::Release::Reader release) {
  return release.getSignedBy().size() == 0 ? "nobody" : key_ids_text(release.getSignedBy());
}

std::string validity_text(schema::TrustedKey::Reader key) {
  if (key.getRevoked()) return "revoked";
  if (key.getNotBeforeUnixMs() == 0 && key.getNotAfterUnixMs() == 0) return "good";
  std::string text;
  if (key.getNotBeforeUnixMs() != 0) text += "from " + utc_time(key.getNotBeforeUnixMs());
  if (key.getNotAfterUnixMs() != 0)
    text += (text.empty() ? "until " : ", until ") + utc_time(key.getNotAfterUnixMs());
  return text;
}

std::string_view policy_text(schema::SignaturePolicy policy) {
  switch (policy) {
    case schema::SignaturePolicy::AUTOMATIC:
      return "automatic";
    case schema::SignaturePolicy::REQUIRED:
      return "required";
    case schema::SignaturePolicy::OPTIONAL:
      return "optional";
  }
  return "unknown";
}

std::string option_text(schema::FieldSpec::Reader option) {
  return fmt::format("    {}{}{}\n", plain(option.getName()),
                     option.getRequired() ? " (required)" : "",
                     option.getSummary().size() == 0 ? "" : "  " + plain(option.getSummary()));
}

}  // namespace

std::string key_ids_text(capnp::List<capnp::Text>::Reader ids) {
  std::string all;
  for (auto each : ids) all += (all.empty() ? "" : ", ") + short_id(each);
  return all;
}

std::string key_title(schema::TrustedKey::Reader key) {
  return key.getName().size() == 0
             ? short_id(key.getId())
             : fmt::format("{} ({})", plain(key.getName()), short_id(key.getId()));
}

std::string release_title(schema::Release::Reader release) {
  return fmt::format("{}/{}@{}", plain(release.getKind()), plain(release.getName()),
                     plain(release.getVersion()));
}

std::string releases_text(capnp::List<schema::Release>::Reader releases, bool colour) {
  table rows({"KIND", "NAME", "VERSION", "SIGNED BY", "USED BY", "NOTES", "REFUSED BECAUSE"});
  for (auto each : releases)
    rows.add({each.getKind().cStr(), each.getName().cStr(), each.getVersion().cStr(),
              signed_text(each), joined(each.getUsedBy()), notes_of(each),
              each.getRefusal().cStr()});
  return rows.render(colour);
}

std::string release_text(schema::Release::Reader release) {
  std::string text = release_title(release);
  const auto notes = notes_of(release);
  text += (notes.empty() ? "" : "  " + notes) + "\n";
  text += detail_line("refused", plain(release.getRefusal()));
  text += detail_line("file",
                      fmt::format("{}, {} {}", plain(release.getCommand()),
                                  short_bytes(release.getSizeBytes()), plain(release.getLink())));
  text += detail_line("sha256", plain(release.getSha256()));
  text += detail_line("arguments", joined(release.getArguments()));
  text += detail_line("environment", joined(release.getEnvironment()));
  text += detail_line("confinement", rules_text(release.getConfinement()));
  text += detail_line("signed by", signed_text(release));
  if (release.getSecurityVersion() > 0)
    text += detail_line("security", fmt::format("version {}", release.getSecurityVersion()));
  if (release.getExpiresUnixMs() > 0)
    text += detail_line("expires", utc_time(release.getExpiresUnixMs()));
  if (release.getStorageVersion() > 0)
    text += detail_line("storage", fmt::format("version {}", release.getStorageVersion()));
  text += detail_line("registered", utc_time(release.getRegisteredUnixMs()));
  text += detail_line("used by", joined(release.getUsedBy()));
  if (release.getOptions().size() > 0) text += "  its mount options\n";
  for (auto option : release.getOptions()) text += option_text(option);
  return text;
}

std::string trust_text(schema::TrustReport::Reader trust, bool colour) {
  std::string text;
  if (trust.getDevelopment())
    text += "DEVELOPMENT: files of the plugin directory may run unregistered, unchecked\n\n";
  table keys({"KEY", "ID", "PLUGINS", "VALID", "REVOKED BECAUSE"});
  for (auto key : trust.getKeys())
    keys.add({key.getName().cStr(), short_id(key.getId()), key.getPlugins().cStr(),
              validity_text(key), key.getReason().cStr()});
  text += keys.empty() ? "no key is trusted\n" : keys.render(colour);
  table policies({"KIND", "SIGNATURES", "NOW"});
  for (auto each : trust.getPolicies())
    policies.add({each.getKind().cStr(), std::string(policy_text(each.getPolicy())),
                  each.getRequired() ? "required" : "optional"});
  text += "\n" + policies.render(colour);
  if (trust.getFloors().size() == 0) return text;
  table floors({"PLUGIN", "SIGNERS", "LEAST SECURITY VERSION"});
  for (auto each : trust.getFloors()) {
    std::string signers;
    std::string ids = plain(each.getSigners());
    while (!ids.empty()) {
      const auto plus = std::min(ids.find('+'), ids.size());
      signers += (signers.empty() ? "" : ", ") + ids.substr(0, std::min(plus, id_digits_shown));
      ids.erase(0, plus + 1);
    }
    floors.add({fmt::format("{}/{}", plain(each.getKind()), plain(each.getName())), signers,
                std::to_string(each.getSecurityVersion())});
  }
  return text + "\n" + floors.render(colour);
}

}  // namespace bulkhead::cli
