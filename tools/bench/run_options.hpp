// SPDX-License-Identifier: Apache-2.0
//
// What a run of the bench measures, and for how long.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <vector>

namespace bulkhead::bench {

struct run_options {
  unsigned rounds = 7;
  unsigned round_ms = 150;  ///< per path, size, number outstanding and placement
  unsigned kills = 200;
  unsigned lanes = 64;  ///< what "64 outstanding" means
  std::vector<std::size_t> sizes{64, 64 * 1024};
  bool broker = true;          ///< false: the baselines alone
  bool link_streams = false;   ///< also Bulkhead's stream without a broker
  std::set<std::string> only;  ///< names of paths; empty: all
  std::string daemon;
  std::vector<std::string> idle_plugins;  ///< files of kv and calc
  std::string echo_plugin;                ///< file of the bench's own
};

}  // namespace bulkhead::bench
