// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/output.hpp"

namespace bulkhead::cli {

void output::record(const datum& record) {
  datum versioned = datum::of_record();
  versioned.add("schema_version", datum::of_int(json_schema_version));
  for (std::size_t i = 0; i < record.names.size(); ++i) {
    versioned.add(record.names[i], record.items[i]);
  }
  out_(to_json(versioned) + "\n");
}

}  // namespace bulkhead::cli
