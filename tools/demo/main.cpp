// SPDX-License-Identifier: Apache-2.0

// bulkhead-demo: what tools/quickstart shows, on a broker that runs. Exit status: 0 as it should
// be, 1 not so, 2 wrong usage.

#include <fmt/format.h>
#include <kj/async-io.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "broker/client/client.hpp"
#include "schema/wire/error_text.hpp"
#include "tools/demo/story.hpp"

namespace demo = bulkhead::demo;

int main(int argc, char** argv) {
  CLI::App app("Load on two mounts of a running broker, SIGKILL to one, and what callers saw");
  std::string address;
  demo::story_options options;
  app.add_option("--address", address, "The broker, as in unix:PATH")
      ->envname("BULKHEAD_ADDRESS")
      ->required();
  app.add_option("--kv", options.kv_path, "Where kv is mounted");
  app.add_option("--calc", options.calc_path, "Where calc is mounted");
  app.add_option("--rate", options.calls_per_second, "Calls per second on each")
      ->check(CLI::Range(1, 100'000));
  app.add_option("--before-ms", options.before_ms, "Load before the kill, in milliseconds");
  app.add_option("--after-ms", options.after_ms, "Load after the kill, in milliseconds");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  auto io = kj::setupAsyncIo();
  try {
    const auto connect = [&] {
      return bulkhead::remote::unix_connector(*io.lowLevelProvider, address);
    };
    bulkhead::remote::client broker(connect());
    // The operator has a connection of its own: the kill is not to wait behind the load.
    bulkhead::remote::client as_operator(connect());
    return demo::tell_story(broker, as_operator, io.provider->getTimer(), io.waitScope, options)
               ? 0
               : 1;
  } catch (const kj::Exception& exception) {
    const auto error = bulkhead::wire::parse_error(exception);
    fmt::print(stderr, "error: {}\n", error.what);
    if (!error.why.empty()) fmt::print(stderr, "  why:  {}\n", error.why);
    if (!error.remedy.empty()) fmt::print(stderr, "  try:  {}\n", error.remedy);
    return 1;
  }
}
