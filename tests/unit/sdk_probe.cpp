// SPDX-License-Identifier: Apache-2.0
//
// The plugin that sdk_process_test runs: each path does to serve() what a careless author might.
#include <cstdio>
#include <thread>

#include "plugins/sdk/plugin.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace): this is a program

namespace {

constexpr int slow_turns = 2000;

class probe {
 public:
  explicit probe(sdk::mount_context) {}

  kj::Promise<sdk::fields> act(const sdk::request& what) {
    std::puts(what.path == "print" ? "a stray printf" : what.path.c_str());
    if (what.path == "busy") {
      for (;;) std::this_thread::yield();
    }
    if (what.path == "never") return kj::NEVER_DONE;
    if (what.path == "slow") return turns(slow_turns);
    return sdk::fields{{"ok", true}};
  }

 private:
  /// Done after so many turns of the event loop.
  kj::Promise<sdk::fields> turns(int left) {
    if (left == 0) return sdk::fields{{"done", true}};
    return kj::evalLast([] {}).then([this, left] { return turns(left - 1); });
  }
};

}  // namespace

int main() {
  sdk::paths<probe> api;
  api.at("{what}", "Does it.").read("Does it.", &probe::act);
  return sdk::plugin("probe", "1.0.0").serves(api).serve();
}
