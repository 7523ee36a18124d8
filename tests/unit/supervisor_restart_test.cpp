// SPDX-License-Identifier: Apache-2.0
// Group C of the conformance list: restart type by kind of end.
#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

TEST_CASE("C01 C02 C03 C04 C05 C06 C07 C08 C09 C10 C11 restart type by kind of end") {
  const std::array kinds = {exit_kind::normal, exit_kind::shutdown, exit_kind::killed,
                            exit_kind::abnormal};
  const std::array types = {restart_type::permanent, restart_type::transient,
                            restart_type::temporary};
  for (const auto type : types) {
    for (const auto kind : kinds) {
      bench b{otp(3)};
      b.boot({});
      b.add("a", type);
      b.ready("a");
      const auto done = b.ends("a", kind);
      INFO(to_string(type) << " " << to_string(kind));
      const bool bad = kind == exit_kind::killed || kind == exit_kind::abnormal;
      if (type == restart_type::permanent || (type == restart_type::transient && bad)) {
        CHECK(done == texts{"start a#2"});
        CHECK(b.status("a").restarts == 1);
      } else if (type == restart_type::transient) {
        CHECK(done.empty());
        CHECK(b.state("a") == child_state::stopped);
        CHECK(b.count() == child_count{1, 0, 0, 1});
        CHECK(b.send(event::start_child{"a"}) == texts{"start a#2"});  // C07
      } else {
        CHECK(done == texts{"forget a"});
        CHECK(b.count() == child_count{});
        CHECK(b.add("a", type) == texts{"start a#2"});  // C10
      }
    }
  }
}

TEST_CASE("C12 a terminated child is not restarted, whatever its type and however it ends") {
  for (const auto type :
       {restart_type::permanent, restart_type::transient, restart_type::temporary}) {
    for (const auto kind :
         {exit_kind::normal, exit_kind::shutdown, exit_kind::killed, exit_kind::abnormal}) {
      bench b{otp(3)};
      b.boot({});
      b.add("a", type);
      b.ready("a");
      CHECK(b.send(event::terminate_child{"a"}) == texts{"stop a#1"});
      const auto done = b.ends("a", kind);
      CHECK(done == (type == restart_type::temporary ? texts{"forget a"} : texts{}));
      CHECK(b.core.status(b.now).restarts_in_window == 0);
    }
  }
}

TEST_CASE("C15 a dynamic temporary child that crashed leaves nothing behind") {
  bench b{group(restart_strategy::dynamic)};
  b.add("w", restart_type::temporary);
  b.send(event::start{});
  CHECK(b.send(event::add_dynamic{}) == texts{"start w-1#1"});
  b.ready("w-1");
  CHECK(b.crashes("w-1") == texts{"forget w-1"});
  CHECK(b.count() == child_count{1, 0, 0, 0});
  CHECK(b.timers.empty());
  CHECK(b.send(event::add_dynamic{}) == texts{"start w-2#1"});  // no id comes twice
}
