// SPDX-License-Identifier: Apache-2.0
#pragma once

// The sampler's actor: a detached actor, so a thread of its own, which reads what processes use.
// It remembers the processes of the request before, so that each is opened once.

#include <unistd.h>

#include <chrono>
#include <map>
#include <utility>
#include <vector>

#include "actors/process_sample.hpp"
#include "actors/protocols.hpp"

namespace bulkhead {

struct sample_request {
  struct process {
    std::uint64_t id = 0;  // of whoever asks; the same process keeps it
    pid_t pid = 0;
  };
  std::vector<process> processes;
  bool with_pss = false;
};

struct sample_answer {
  std::vector<std::pair<std::uint64_t, process_sample>> samples;  // in the order of the request
  std::chrono::nanoseconds took{0};
  std::uint64_t own_bytes = 0;  // resident, of this process
};

class sampler_worker final : public sampler_actor::base {
 public:
  explicit sampler_worker(caf::actor_config& config) : sampler_actor::base(config) {}
  ~sampler_worker() noexcept override = default;

  const char* name() const override { return "sampler"; }
  sampler_actor::behavior_type make_behavior() override {
    return {[this](const sample_request& order) {
      const auto begin = std::chrono::steady_clock::now();
      sample_answer answer;
      answer.samples.reserve(order.processes.size());
      std::map<std::uint64_t, sampled_process> still;
      for (const auto& each : order.processes) {
        auto known = known_.extract(each.id);
        auto place = known.empty() ? still.try_emplace(each.id, each.pid).first
                                   : still.insert(std::move(known)).position;
        answer.samples.emplace_back(each.id, place->second.sample(order.with_pss));
      }
      known_ = std::move(still);
      answer.own_bytes = own_.sample(false).rss_bytes;
      answer.took = std::chrono::steady_clock::now() - begin;
      return answer;
    }};
  }

 private:
  std::map<std::uint64_t, sampled_process> known_;
  sampled_process own_{::getpid()};
};

}  // namespace bulkhead
