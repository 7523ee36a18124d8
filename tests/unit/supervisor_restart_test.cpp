// SPDX-License-Identifier: Apache-2.0
// Group C of the conformance list: restart type by kind of end.
#include "supervisor_bench.hpp"

using namespace bulkhead;
using namespace bulkhead::testing;
using namespace std::chrono_literals;

TEST_CASE("C01 to C11 restart type by kind of end") {
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
        CHECK(b.send(event::start_child{"a"}) == texts{"start a#2"});  // C07
      } else {
        CHECK(done == texts{"forget a"});
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
