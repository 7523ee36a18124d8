// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/admin_words.hpp"

#include "broker/confinement_desk.hpp"
#include "broker/convert.hpp"

namespace bulkhead {

void write_texts(const std::vector<std::string>& from, capnp::List<capnp::Text>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) to.set(i, from[i].c_str());
}

std::vector<std::string> read_texts(capnp::List<capnp::Text>::Reader from) {
  std::vector<std::string> result;
  for (const auto each : from) result.push_back(text(each));
  return result;
}

release_spec read_release_spec(schema::ReleaseSpec::Reader from) {
  return {text(from.getKind()),
          text(from.getName()),
          text(from.getVersion()),
          text(from.getCommand()),
          text(from.getSha256()),
          read_texts(from.getArguments()),
          read_texts(from.getEnvironment()),
          read_confinement(from.getConfinement())};
}

void write_release_spec(const release_spec& from, schema::ReleaseSpec::Builder to) {
  to.setKind(from.kind.c_str());
  to.setName(from.name.c_str());
  to.setVersion(from.version.c_str());
  to.setCommand(from.command.c_str());
  to.setSha256(from.sha256.c_str());
  write_texts(from.arguments, to.initArguments(static_cast<unsigned>(from.arguments.size())));
  write_texts(from.environment, to.initEnvironment(static_cast<unsigned>(from.environment.size())));
  if (!(from.confinement == confinement_rules{}))
    write_confinement(from.confinement, to.initConfinement());
}

void write_release(const release_info& from, const release_catalog& catalog,
                   schema::Release::Builder to) {
  to.setKind(from.kind.c_str());
  to.setName(from.name.c_str());
  to.setVersion(from.version.c_str());
  to.setCommand(from.command.c_str());
  to.setSha256(from.sha256.c_str());
  to.setSizeBytes(from.size_bytes);
  write_texts(from.arguments, to.initArguments(static_cast<unsigned>(from.arguments.size())));
  write_texts(from.environment, to.initEnvironment(static_cast<unsigned>(from.environment.size())));
  to.setLink(from.link.c_str());
  write_texts(from.signed_by, to.initSignedBy(static_cast<unsigned>(from.signed_by.size())));
  to.setSecurityVersion(from.security_version);
  to.setExpiresUnixMs(from.expires_unix_ms);
  to.setRegisteredUnixMs(from.registered_unix_ms);
  to.setDeclared(from.declared);
  to.setPinned(from.pinned);
  to.setPinDeclared(from.pin_declared);
  to.setPreferred(from.preferred);
  write_texts(from.used_by, to.initUsedBy(static_cast<unsigned>(from.used_by.size())));
  to.setRefusal(from.refusal.c_str());
  to.setStorageVersion(from.storage_version);
  if (!(from.confinement == confinement_rules{}))
    write_confinement(from.confinement, to.initConfinement());
  const auto what = catalog.at(from);
  if (what == nullptr || !what->options_known) return;
  to.setOptionsKnown(true);
  to.setOptions(what->options());
}

void write_trust(const trust_report& from, schema::TrustReport::Builder to) {
  auto keys = to.initKeys(static_cast<unsigned>(from.keys.size()));
  for (unsigned i = 0; i < keys.size(); ++i) write_trusted_key(from.keys[i], keys[i]);
  auto policies = to.initPolicies(static_cast<unsigned>(from.policies.size()));
  for (unsigned i = 0; i < policies.size(); ++i) {
    policies[i].setKind(from.policies[i].kind.c_str());
    policies[i].setPolicy(static_cast<schema::SignaturePolicy>(from.policies[i].policy));
    policies[i].setRequired(from.policies[i].required);
  }
  auto floors = to.initFloors(static_cast<unsigned>(from.floors.size()));
  for (unsigned i = 0; i < floors.size(); ++i) {
    floors[i].setKind(from.floors[i].kind.c_str());
    floors[i].setName(from.floors[i].name.c_str());
    floors[i].setSigners(from.floors[i].signers.c_str());
    floors[i].setSecurityVersion(from.floors[i].security_version);
  }
  to.setDevelopment(from.development);
}

}  // namespace bulkhead
