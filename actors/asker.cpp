// SPDX-License-Identifier: Apache-2.0
#include "actors/asker.hpp"

#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

kj::Exception failure(schema::ErrorKind kind, std::string what, std::string why,
                      std::string remedy = {}) {
  return wire::make_exception({kind, std::move(what), std::move(why), std::move(remedy), {}});
}

bool in_good_order(const caf::error& end) {
  return !end || end == caf::exit_reason::user_shutdown;
}

}  // namespace

kj::Exception asker::stopped() {
  return failure(schema::ErrorKind::BROKER_STOPPING, "the broker is stopping", {});
}

caf::behavior asker::make_behavior() {
  set_down_handler([this](caf::down_msg& news) { someone_ended(news); });
  // It has no messages of its own; the handler keeps it alive until its exit message.
  return {[](caf::unit_t) {}};
}

kj::Promise<void> asker::ended(const caf::actor& whom) {
  if (over_) return stopped();
  auto paf = kj::newPromiseAndFulfiller<void>();
  awaited_ends_[whom.address()] = kj::mv(paf.fulfiller);
  watch(caf::actor_cast<caf::strong_actor_ptr>(whom));
  return kj::mv(paf.promise);
}

void asker::watch(const caf::strong_actor_ptr& whom) {
  // Of an actor that has ended already the news come at once.
  if (whom != nullptr && watched_.insert(whom->address()).second)
    monitor(caf::actor_cast<caf::actor>(whom));
}

void asker::someone_ended(const caf::down_msg& news) {
  watched_.erase(news.source);
  if (auto waiting = awaited_ends_.find(news.source); waiting != awaited_ends_.end()) {
    waiting->second->fulfill();
    awaited_ends_.erase(waiting);
  }
  for (auto each = open_.begin(); each != open_.end();) {
    if (each->second->whom != news.source) {
      ++each;
      continue;
    }
    each->second->fail(reason_of(news.reason));
    each = open_.erase(each);
  }
}

void asker::refused(std::uint64_t number, const caf::error& why) {
  // It has ended: the news of that follow, and know how.
  if (why == caf::sec::request_receiver_down) return;
  if (auto asked = take(number)) asked->fail(reason_of(why));
}

kj::Exception asker::reason_of(const caf::error& end) const {
  if (stopping_) return stopped();
  if (in_good_order(end))
    return failure(schema::ErrorKind::NOT_FOUND, "what was asked for is gone",
                   "it ended before it answered");
  return failure(schema::ErrorKind::INTERNAL, "a part of the broker failed",
                 "it failed before it answered; whether the request took effect is not known",
                 "repeat it; see the broker's log, and report it");
}

std::unique_ptr<asker::open_question> asker::take(std::uint64_t number) {
  auto found = open_.find(number);
  if (found == open_.end()) return nullptr;
  auto asked = std::move(found->second);
  open_.erase(found);
  return asked;
}

void asker::on_loop_exit() {
  over_ = true;
  for (auto& [number, asked] : open_) asked->fail(stopped());
  open_.clear();
  for (auto& [whom, waiting] : awaited_ends_) waiting->reject(stopped());
  awaited_ends_.clear();
  watched_.clear();
}

}  // namespace bulkhead
