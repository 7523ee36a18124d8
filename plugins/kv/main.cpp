// SPDX-License-Identifier: Apache-2.0
#include "plugins/kv/kv.hpp"

int main() {
  return bulkhead::kv::kv::plugin().serve();
}
