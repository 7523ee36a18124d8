// SPDX-License-Identifier: Apache-2.0
#include "plugins/calc/calculator.hpp"
#include "plugins/sdk/plugin.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace): this is a program

int main() {
  return sdk::plugin("calc", "1.0.0")
      .typed<calc::Calculator>([](sdk::mount_context) { return kj::heap<calc::calculator>(); })
      .serve();
}
