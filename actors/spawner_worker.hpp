// SPDX-License-Identifier: Apache-2.0
#pragma once

// The spawner's actor: a detached actor, so a thread of its own, around a `spawner`. Starting a
// process blocks for about a millisecond, which no reactor should; and processes are started one
// after another, which keeps a thousand crashes at once in order.

#include <memory>

#include "actors/protocols.hpp"
#include "actors/spawner.hpp"

namespace bulkhead {

class spawner_worker final : public spawner_actor::base {
 public:
  spawner_worker(caf::actor_config& config, std::shared_ptr<spawner> starts)
      : spawner_actor::base(config), spawner_(std::move(starts)) {}
  ~spawner_worker() noexcept override = default;

  const char* name() const override { return "spawner"; }
  spawner_actor::behavior_type make_behavior() override {
    return {[this](const spawn_request& order) {
              spawn_answer answer;
              auto result = spawner_->spawn(order.process);
              if (auto* process = std::get_if<spawned_process>(&result)) {
                answer.process = std::make_shared<spawned_process>(std::move(*process));
              } else {
                auto& failure = std::get<spawn_error>(result);
                answer.failure =
                    failure.why.empty() ? failure.what : failure.what + ": " + failure.why;
                answer.permanent = failure.permanent;
                answer.remedy = std::move(failure.remedy);
                answer.report = std::move(failure.report);
                answer.missing = failure.missing;
              }
              return answer;
            },
            [this](const limits_request& order) {
              return limits_answer{spawner_->set_limits(order.ticket, order.limits)};
            }};
  }

 private:
  std::shared_ptr<spawner> spawner_;
};

}  // namespace bulkhead
