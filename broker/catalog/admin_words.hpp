// SPDX-License-Identifier: Apache-2.0
#pragma once

// The catalog and trust as schema/admin.capnp says them.

#include <string>
#include <vector>

#include "broker/catalog/release_catalog.hpp"
#include "broker/catalog/trust_record.hpp"
#include "schema/admin.capnp.h"

namespace bulkhead {

/// `to` has room for all of them.
void write_texts(const std::vector<std::string>& from, capnp::List<capnp::Text>::Builder to);
std::vector<std::string> read_texts(capnp::List<capnp::Text>::Reader from);

release_spec read_release_spec(schema::ReleaseSpec::Reader from);
void write_release_spec(const release_spec& from, schema::ReleaseSpec::Builder to);

/// The mount options come from the catalog.
void write_release(const release_info& from, const release_catalog& catalog,
                   schema::Release::Builder to);

void write_trust(const trust_report& from, schema::TrustReport::Builder to);

}  // namespace bulkhead
