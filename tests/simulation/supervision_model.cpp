// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/life.hpp"
#include "tests/simulation/sim_actors.hpp"

namespace bulkhead::simulation {
namespace {

class supervision_model final : public model {
 public:
  std::string name() const override { return "supervision"; }

  std::vector<std::string> plants() const override { return plant_names(); }

  std::vector<std::string> rare() const override {
    return {
        "a boot that failed",
        "a child given up while its supervisor stopped",
        "a child killed while its supervisor stopped",
        "a delay that an operator cut short",
        "a kill without effect",
        "a permanent failure",
        "a quarantine",
        "a reconfiguration",
        "a reconfiguration that prunes",
        "a request to a supervisor that was gone",
        "a reset",
        "a restart by an operator",
        "a restart of a group",
        "a restart of a group that an operator ended",
        "a root that gave up",
        "a start that failed, and a delay",
        "a start that found nothing to do",
        "a start that took too long",
        "a stop while a child starts",
        "a supervisor asked to end by a stranger",
        "a supervisor back after it gave up",
        "a supervisor killed",
        "a supervisor that gave up",
        "a word of an instance that is gone",
        "an answer already_present",
        "an answer already_started",
        "an answer dynamic",
        "an answer invalid",
        "an answer not_found",
        "an answer not_quarantined",
        "an answer restarting",
        "an answer running",
        "an answer stopping",
        "an auto-shutdown",
        "several processes hurt at one instant",
        "the tree stopped in the middle of things",
        "two ends at one instant",
    };
  }

  std::chrono::nanoseconds run(const run_options& options, rare_states& rare) override {
    return life{options, rare}.live();
  }
};

}  // namespace

std::unique_ptr<model> make_supervision_model() {
  return std::make_unique<supervision_model>();
}

}  // namespace bulkhead::simulation
