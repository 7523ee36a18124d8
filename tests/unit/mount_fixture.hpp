// SPDX-License-Identifier: Apache-2.0
#pragma once

// One mount of a plugin that says its version, in a whole broker in memory. What the plugin's file
// does at its next start can be changed at any moment: another version, silence, an exit. Time
// stands still unless a test moves it.

#include <algorithm>

#include "tests/unit/test_broker.hpp"

namespace bulkhead::test {

/// Answers with its version; `hang` never answers; `fail` fails in the plugin's own words.
struct versioned {
  explicit versioned(std::string version) : version(std::move(version)) {}
  sdk::fields read(const sdk::request& what) {
    if (what.path == "fail") throw std::runtime_error("a bug");
    return {{"version", version}};
  }
  kj::Promise<sdk::response> hang(const sdk::request&) {
    return kj::Promise<sdk::response>(kj::NEVER_DONE);
  }
  std::string version;
};

inline sdk::plugin make_version(const std::string& version) {
  static const auto api = [] {
    sdk::paths<versioned> paths;
    paths.at("hang", "Never answers.").read("Waits.", &versioned::hang);
    paths.at("{rest*}", "Anything.").read("Says its version.", &versioned::read);
    return paths;
  }();
  return sdk::plugin("subject", version).serves(api, [version](sdk::mount_context) {
    return std::make_shared<versioned>(version);
  });
}

inline program silent() {
  return {[](kj::Own<kj::AsyncIoStream> link) {
    return kj::Promise<void>(kj::NEVER_DONE).attach(kj::mv(link));
  }};
}

inline program exits_at_once(test_broker& tb) {
  return {[&tb](kj::Own<kj::AsyncIoStream> link) {
    tb.detach(kj::evalLater([&tb] { tb.process("p")->end(exit_status::exited(9)); }));
    return kj::Promise<void>(kj::NEVER_DONE).attach(kj::mv(link));
  }};
}

struct mount_fixture {
  explicit mount_fixture(test_state state = {}) : tb({}, std::move(state)) {
    tb.plugin("p", make_version("1.0.0"));
  }

  mount_snapshot mount(std::function<void(mount_spec&)> change = {}, const char* path = "m") {
    mount_spec spec;
    spec.path = path;
    spec.plugin = "p";
    if (change) change(spec);
    return tb.wait(tb.core().mount(std::move(spec)));
  }
  kj::Promise<std::string> start(const std::string& path) {
    return tb.start("(operation = read, path = \"" + path + "\")").eagerlyEvaluate(nullptr);
  }
  std::string read(const std::string& path) { return tb.text_of(start(path)); }
  /// "1.0.0", as the instance that serves says.
  std::string version(const std::string& path = "m/x") {
    const auto answer = read(path);
    const auto at = answer.find("text = \"");
    return at == std::string::npos ? answer : answer.substr(at + 8, 5);
  }
  kj::Promise<std::vector<reload_result>> begin_reload(reload_request how = {}) {
    return tb.core().reload("m", std::move(how)).eagerlyEvaluate(nullptr);
  }
  reload_result reload(reload_request how = {}) {
    return tb.wait(begin_reload(std::move(how))).front();
  }
  /// So many seconds, one by one.
  void pass_seconds(int seconds) {
    for (int i = 0; i < seconds; ++i) tb.advance(std::chrono::seconds(1));
  }
  mount_status status(const char* path = "m") { return tb.status(path).status; }
  std::vector<std::string> events() {
    std::vector<std::string> names;
    for (const auto& each : tb.events().after(0, 1000)) names.push_back(each.name);
    return names;
  }
  bool happened(const std::string& name) {
    const auto all = events();
    return std::find(all.begin(), all.end(), name) != all.end();
  }

  test_broker tb;
};

}  // namespace bulkhead::test
