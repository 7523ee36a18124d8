// SPDX-License-Identifier: Apache-2.0
#include "broker/images/image_actor.hpp"

#include <algorithm>
#include <caf/all.hpp>
#include <deque>
#include <set>
#include <utility>
#include <vector>

namespace bulkhead {
namespace {

image_answer refusal(image_error why) {
  return {nullptr, std::make_shared<const image_error>(std::move(why))};
}

image_answer defect(const std::string& why) {
  return refusal({image_failure::system, "a program could not be read", why, ""});
}

image_answer answer_to(image_vault& vault, const image_request& request) {
  try {
    return {vault.get(request.source, request.expected), nullptr};
  } catch (const image_error& refused) {
    return refusal(refused);
  } catch (const std::exception& failed) {
    return defect(failed.what());
  }
}

/// Reads one file at a time, on a thread of its own.
class image_maker final : public image_actor::base {
 public:
  image_maker(caf::actor_config& config, std::shared_ptr<image_vault> vault)
      : image_actor::base(config), vault_(std::move(vault)) {}

  const char* name() const override { return "image-maker"; }
  image_actor::behavior_type make_behavior() override {
    return {[this](const image_request& request) { return answer_to(*vault_, request); }};
  }

 private:
  std::shared_ptr<image_vault> vault_;
};

/// Answers what needs no reading, and spreads the rest over the makers.
class image_worker final : public image_actor::base {
 public:
  image_worker(caf::actor_config& config, std::shared_ptr<image_vault> vault)
      : image_actor::base(config), vault_(std::move(vault)) {}

  const char* name() const override { return "images"; }
  image_actor::behavior_type make_behavior() override {
    for (unsigned i = 0; i < images_at_once; ++i)
      idle_.push_back(spawn<image_maker, caf::detached + caf::linked>(vault_));
    return {[this](const image_request& request) {
      auto promise = make_response_promise<image_answer>();
      if (auto found = request.expected ? vault_->find(*request.expected) : nullptr)
        return promise.deliver(image_answer{std::move(found), nullptr});
      waiting_.push_back({request, promise});
      hand_out();
      return promise;
    }};
  }

 private:
  struct job {
    image_request request;
    caf::typed_response_promise<image_answer> promise;
  };

  /// Promises hold this actor: it would never be destroyed.
  void on_exit() override {
    for (auto& each : waiting_)
      each.promise.deliver(caf::make_error(caf::sec::request_receiver_down));
    waiting_.clear();
    idle_.clear();
  }

  /// The first one whose bytes no maker is reading: a second maker would only wait for the first.
  std::deque<job>::iterator next_job() {
    return std::find_if(waiting_.begin(), waiting_.end(), [this](const job& each) {
      return !each.request.expected || under_way_.count(*each.request.expected) == 0;
    });
  }

  void hand_out() {
    while (!idle_.empty()) {
      const auto at = next_job();
      if (at == waiting_.end()) return;
      auto next = std::move(*at);
      waiting_.erase(at);
      const auto& wanted = next.request.expected;
      if (auto found = wanted ? vault_->find(*wanted) : nullptr) {
        next.promise.deliver(image_answer{std::move(found), nullptr});
        continue;
      }
      make(std::move(next));
    }
  }

  void make(job what) {
    auto maker = std::move(idle_.back());
    idle_.pop_back();
    const auto wanted = what.request.expected;
    if (wanted) under_way_.insert(*wanted);
    request(maker, caf::infinite, std::move(what.request))
        .then(
            [this, maker, wanted, promise = what.promise](image_answer& answer) mutable {
              promise.deliver(std::move(answer));
              if (wanted) under_way_.erase(*wanted);
              idle_.push_back(maker);
              hand_out();
            },
            // Its maker is gone, and with it, being linked, this actor.
            [promise = what.promise](const caf::error& /*why*/) mutable {
              promise.deliver(defect("the thread that read it has ended"));
            });
  }

  std::shared_ptr<image_vault> vault_;
  std::vector<image_actor> idle_;
  std::deque<job> waiting_;
  std::set<trust::digest> under_way_;
};

}  // namespace

image_actor spawn_images(caf::actor_system& system, std::shared_ptr<image_vault> vault) {
  return system.spawn<image_worker>(std::move(vault));
}

}  // namespace bulkhead
