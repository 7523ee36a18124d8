// SPDX-License-Identifier: Apache-2.0
//
// Releases, keys and policies as tables and paragraphs. Pure.
#pragma once

#include <string>

#include "schema/admin.capnp.h"

namespace bulkhead::cli {

std::string releases_text(capnp::List<schema::Release>::Reader releases, bool colour);
std::string release_text(schema::Release::Reader release);

/// "secrets/kv@1.2.0".
std::string release_title(schema::Release::Reader release);

std::string trust_text(schema::TrustReport::Reader trust, bool colour);

/// "ci (3f2a9c01b2d4)", or the beginning of the id alone.
std::string key_title(schema::TrustedKey::Reader key);

/// The beginnings of key ids, joined by commas.
std::string key_ids_text(capnp::List<capnp::Text>::Reader ids);

}  // namespace bulkhead::cli
