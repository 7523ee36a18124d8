// SPDX-License-Identifier: Apache-2.0

// The plugin that service.cpp mounts, built outside of Bulkhead's tree.

#include "plugins/sdk/plugin.hpp"

namespace sdk = bulkhead::sdk;

namespace {

struct greeter {
  explicit greeter(sdk::mount_context) {}

  sdk::response hello(const sdk::request& what) {
    sdk::fields answer;
    answer.set("greeting", "Hello, " + what.text("name") + "!");
    return answer;
  }
};

}  // namespace

int main() {
  sdk::paths<greeter> api;
  api.at("hello", "Greets.")
      .read("Says hello.", &greeter::hello, {sdk::text("name").required().help("Whom to greet.")});
  return sdk::plugin("greeter", "1.0.0").serves(api).serve();
}
