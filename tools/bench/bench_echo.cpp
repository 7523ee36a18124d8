// SPDX-License-Identifier: Apache-2.0
//
// The plugin of the bench: the same echo in both styles, so that their difference is the style's.
#include "plugins/sdk/plugin.hpp"
#include "tools/bench/echo.capnp.h"

using namespace bulkhead;  // NOLINT(google-build-using-namespace): a program of one file

namespace {

class typed_echo final : public bench::Echo::Server {
 protected:
  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setData(context.getParams().getData());
    return kj::READY_NOW;
  }
};

class path_echo {
 public:
  explicit path_echo(const sdk::mount_context&) {}

  sdk::response echo(const sdk::request& what) { return sdk::fields{{"data", what.data("data")}}; }
};

}  // namespace

int main() {
  sdk::paths<path_echo> api;
  api.at("echo", "Bytes, to be said back.")
      .read("Says them.", &path_echo::echo, {sdk::data("data").required().help("The bytes.")});
  return sdk::plugin("bench-echo", "1.0.0")
      .serves(api)
      .typed<bench::Echo>([](const sdk::mount_context&) { return kj::heap<typed_echo>(); })
      .serve();
}
