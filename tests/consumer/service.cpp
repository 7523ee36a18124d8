// SPDX-License-Identifier: Apache-2.0

// A service with a broker inside, as an outside project writes it: it mounts its own plugin, calls
// it without a socket, watches it crash and be started again, stops the broker and starts another
// one, which finds the mount again.
//
// Usage: service PLUGIN_DIRECTORY STATE_DIRECTORY. Exits 0 when all of that went as it should.

#include <atomic>
#include <csignal>
#include <cstdio>
#include <string>

#include "broker/broker.hpp"

namespace {

/// Greets through the plugin; the answer must be the expected one.
bool greet(const bulkhead::client& caller, const std::string& name) {
  const auto answer = caller.read("greeter/hello", {{"name", name}}).get();
  const auto* text = bulkhead::find(answer.fields, "greeting");
  if (text == nullptr || text->text() == nullptr) return false;
  std::printf("the plugin says: %s\n", text->text()->c_str());
  return *text->text() == "Hello, " + name + "!";
}

bool mount_and_crash(const bulkhead::broker_config& config) {
  bulkhead::broker broker(config);
  std::atomic<int> crashes = 0;
  auto watch = broker.observe([&](const bulkhead::broker_event& event) {
    if (event.name == "crashed") ++crashes;
  });
  broker.mount({.path = "greeter/", .plugin = "greeter"});
  const auto caller = broker.connect();
  if (!greet(caller, "Ada")) return false;
  broker.kill("greeter/", SIGKILL);
  // The call waits while the plugin is started again, or ends as plugin_crashed when it was in
  // flight: then it is repeated.
  for (int attempt = 0; attempt < 10; ++attempt) {
    try {
      if (broker.status("greeter/").generation >= 2) return greet(caller, "Grace") && crashes == 1;
      greet(caller, "Barbara");
    } catch (const bulkhead::error& error) {
      std::printf("as expected: %s\n", error.what());
      if (error.kind() != bulkhead::error_kind::plugin_crashed) return false;
    }
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const bulkhead::broker_config config{.state_directory = argv[2],
                                       .plugin_directory = argv[1],
                                       .allow_unregistered = true,
                                       .confinement = {.launcher = BULKHEAD_LAUNCHER}};
  try {
    if (!mount_and_crash(config)) return 1;
    bulkhead::broker again(config);
    return greet(again.connect(), "Edsger") ? 0 : 1;
  } catch (const bulkhead::error& error) {
    std::printf("%s\n  why: %s\n  try: %s\n", error.what(), error.why().c_str(),
                error.remedy().c_str());
    return 1;
  }
}
