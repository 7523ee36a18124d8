// SPDX-License-Identifier: Apache-2.0
//
// The supervisors above the mounts: what the end of one of them costs, and what the tree says. The
// restarts of groups take real processes, see tests/system/groups_test.py.

#include "broker/mount_tree.hpp"

#include "tests/unit/test_broker.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

group_spec group(std::string name, group_strategy strategy, std::string parent = {}) {
  group_spec result;
  result.name = std::move(name);
  result.strategy = strategy;
  result.parent = std::move(parent);
  return result;
}

std::string lines_of(const tree_node& node, const std::string& margin = {}) {
  auto text = margin + node.name + " (" + node.kind + ") " + node.state + ": " + node.detail + "\n";
  for (const auto& each : node.children) text += lines_of(each, margin + "  ");
  return text;
}

}  // namespace

TEST_CASE("the supervisor of all mounts, killed by a defect, comes back with all its children") {
  test_broker tb({group("g", group_strategy::one_for_one)});
  for (const std::string name : {"a", "b"}) tb.plugin(name, quiet());
  tb.mount("a/", "a");
  tb.mount("b/", "b", {}, "g");
  REQUIRE(tb.tree().mounts().actor());
  caf::anon_send_exit(tb.tree().mounts().actor(), caf::exit_reason::kill);
  tb.settle();
  tb.settle();
  for (const auto* path : {"a/", "b/"}) {
    CHECK(tb.status(path).status.state == mount_state::ready);
    CHECK(tb.status(path).status.generation == 2);
    CHECK(tb.status(path).status.restarts == 1);
  }
  tb.plugin("c", quiet());
  CHECK(tb.mount("c/", "c").status.state == mount_state::ready);
}

TEST_CASE("the tree shows groups in groups, with strategies, and counts in words that fit") {
  test_broker tb({group("outer", group_strategy::rest_for_one),
                  group("inner", group_strategy::one_for_all, "outer")});
  tb.plugin("a", quiet());
  tb.mount("a/", "a", {}, "inner");
  tb.mount("free/", "a");
  const auto text = lines_of(tb.wait(tb.tree().describe(tb.core())));
  CHECK(text.find("  mounts (supervisor) ready: one_for_one, 2 mounts\n") != std::string::npos);
  CHECK(text.find("    outer (group) running: rest_for_one\n"
                  "      inner (group) running: one_for_all, 1 mount\n"
                  "        a/ (mount) ready: a 1.0.0\n") != std::string::npos);
  CHECK(text.find("    free/ (mount) ready: a 1.0.0\n") != std::string::npos);
}

TEST_CASE("a mount joins only a group that is configured") {
  test_broker tb({group("g", group_strategy::one_for_all)});
  tb.plugin("a", quiet());
  auto problem = kj::runCatchingExceptions([&] { tb.mount("a/", "a", {}, "h"); });
  CHECK(to_error(KJ_REQUIRE_NONNULL(problem)).kind() == error_kind::invalid_argument);
  CHECK(std::string(to_error(KJ_REQUIRE_NONNULL(problem)).what()) == "there is no group 'h'");
}
