// SPDX-License-Identifier: Apache-2.0
#include "broker/store/store_actor.hpp"

#include <fmt/format.h>

#include <chrono>
#include <deque>
#include <list>
#include <utility>

#include "broker/store/wipe.hpp"

namespace bulkhead {

namespace limits = store_limits;

namespace {

/// While housekeeping has more to do it goes on after this pause.
constexpr std::uint64_t busy_tick_ms = 20;

store_failure failure_of(const std::exception& error) {
  if (const auto* known = dynamic_cast<const store_error*>(&error)) return known->failure();
  return {store_fault::internal, "the store failed", error.what(),
          "this is a defect; please report it"};
}

/// A request that waits for its group.
class store_job {
 public:
  store_job(bool writes, std::size_t bytes) : writes_(writes), bytes_(bytes) {}
  store_job(const store_job&) = delete;
  store_job& operator=(const store_job&) = delete;
  virtual ~store_job() = default;

  bool writes() const { return writes_; }
  std::size_t bytes() const { return bytes_; }
  /// Does it and keeps the outcome. Never throws.
  virtual void run(store& engine) = 0;
  virtual void answer() = 0;

 private:
  bool writes_;
  std::size_t bytes_;
};

template <class T>
class store_job_of final : public store_job {
 public:
  store_job_of(bool writes, std::size_t bytes, caf::typed_response_promise<store_outcome<T>> asker,
               std::function<T(store&)> operation)
      : store_job(writes, bytes), asker_(std::move(asker)), operation_(std::move(operation)) {}

  void run(store& engine) override {
    outcome_ = {};
    try {
      outcome_.value = operation_(engine);
    } catch (const std::exception& error) {
      outcome_.failure = failure_of(error);
    }
  }
  void answer() override { asker_.deliver(std::move(outcome_)); }

 private:
  caf::typed_response_promise<store_outcome<T>> asker_;
  std::function<T(store&)> operation_;
  store_outcome<T> outcome_;
};

std::size_t bytes_of(const txn_request& request) {
  std::size_t bytes = 0;
  for (const auto& op : request.then) bytes += op.key.size() + op.value.size();
  for (const auto& op : request.otherwise) bytes += op.key.size() + op.value.size();
  return bytes;
}

template <class T>
void deliver_failure(caf::typed_response_promise<store_outcome<T>>& promise,
                     const store_failure& failure) {
  store_outcome<T> outcome;
  outcome.failure = failure;
  promise.deliver(std::move(outcome));
}

class store_keeper final : public store_actor::base {
 public:
  store_keeper(caf::actor_config& config, store_factory make_engine, store_actor_options options)
      : store_actor::base(config), make_engine_(std::move(make_engine)), options_(options) {}

  const char* name() const override { return "store"; }
  behavior_type make_behavior() override;
  void on_exit() override;

 private:
  struct awaited {
    caf::actor_addr asker;
    std::uint64_t token = 0;
    changes_request request;
    caf::typed_response_promise<store_outcome<changes_result>> promise;
  };
  struct backup {
    std::unique_ptr<state_copy> copy;
    caf::typed_response_promise<store_outcome<backup_result>> promise;
  };

  template <class T, class F>
  caf::result<store_outcome<T>> submit(bool writes, std::size_t bytes, F operation);
  caf::result<store_outcome<changes_result>> await(store_await& message);
  void forget(const caf::actor_addr& asker, std::optional<std::uint64_t> token);
  void flush();
  void run_group(std::deque<std::unique_ptr<store_job>>& group);
  void tell_awaiting();
  caf::result<store_outcome<backup_result>> back_up(const store_backup& message);
  caf::result<store_outcome<std::uint64_t>> rotate();
  void work();
  void copy_on();
  void rotate_on();
  void work_soon();
  void tick();
  void schedule_tick(std::uint64_t delay_ms);

  store_factory make_engine_;
  store_actor_options options_;
  std::unique_ptr<store> engine_;
  store_failure not_open_;  // why there is no engine

  std::deque<std::unique_ptr<store_job>> waiting_;
  std::size_t waiting_bytes_ = 0;
  bool flush_sent_ = false;
  std::list<awaited> awaited_;
  std::list<backup> backups_;
  std::list<caf::typed_response_promise<store_outcome<std::uint64_t>>> rotations_;
  bool work_sent_ = false;
};

store_keeper::behavior_type store_keeper::make_behavior() {
  try {
    engine_ = make_engine_();
  } catch (const std::exception& error) {
    not_open_ = failure_of(error);
  }
  make_engine_ = nullptr;
  set_down_handler([this](caf::down_msg& down) { forget(down.source, std::nullopt); });
  if (engine_ && options_.tick_ms != 0) schedule_tick(options_.tick_ms);
  return {
      [this](range_request& request) {
        return submit<range_result>(false, 0, [request = std::move(request)](store& engine) {
          return engine.range(request);
        });
      },
      [this](txn_request& request) {
        const auto bytes = bytes_of(request);
        return submit<txn_result>(true, bytes,
                                  [what = std::make_shared<wiped_request>(std::move(request))](
                                      store& engine) { return engine.txn(**what); });
      },
      [this](const store_grant& message) {
        return submit<lease_info>(
            true, 0, [message](store& engine) { return engine.grant(message.ttl_ms); });
      },
      [this](const store_keep_alive& message) {
        return submit<lease_info>(
            false, 0, [message](store& engine) { return engine.keep_alive(message.lease); });
      },
      [this](const store_revoke& message) {
        return submit<std::uint64_t>(
            true, 0, [message](store& engine) { return engine.revoke(message.lease); });
      },
      [this](changes_request& request) {
        return submit<changes_result>(false, 0, [request = std::move(request)](store& engine) {
          return engine.changes_since(request);
        });
      },
      [this](store_await& message) { return await(message); },
      [this](const store_cancel& message) {
        forget(caf::actor_cast<caf::actor_addr>(current_sender()), message.token);
      },
      [this](const store_compact& message) {
        return submit<store_done>(true, 0, [message](store& engine) {
          engine.compact(message.revision);
          return store_done{};
        });
      },
      [this](const store_backup& message) { return back_up(message); },
      [this](store_rotate) { return rotate(); },
      [this](store_query) {
        return submit<store_status>(false, 0, [](store& engine) { return engine.status(); });
      },
      [this](store_flush) {
        flush_sent_ = false;
        flush();
      },
      [this](store_work) {
        work_sent_ = false;
        work();
      },
      [this](store_tick) { tick(); },
  };
}

void store_keeper::on_exit() {
  while (!waiting_.empty()) flush();
  const store_failure closed{store_fault::closed, "the store is closed", "the broker is going down",
                             ""};
  for (auto& entry : awaited_) {
    store_outcome<changes_result> outcome;
    outcome.failure = closed;
    entry.promise.deliver(std::move(outcome));
  }
  awaited_.clear();
  for (auto& each : backups_) deliver_failure<backup_result>(each.promise, closed);
  for (auto& each : rotations_) deliver_failure<std::uint64_t>(each, closed);
  backups_.clear();
  rotations_.clear();
  engine_.reset();
}

template <class T, class F>
caf::result<store_outcome<T>> store_keeper::submit(bool writes, std::size_t bytes, F operation) {
  auto promise = make_response_promise<store_outcome<T>>();
  if (!engine_) {
    store_outcome<T> outcome;
    outcome.failure = not_open_;
    promise.deliver(std::move(outcome));
    return promise;
  }
  auto job = std::make_unique<store_job_of<T>>(writes, bytes, promise, std::move(operation));
  if (!writes && waiting_.empty()) {
    job->run(*engine_);
    job->answer();
    return promise;
  }
  waiting_.push_back(std::move(job));
  waiting_bytes_ += bytes;
  if (waiting_.size() >= limits::group_writes_max || waiting_bytes_ >= limits::group_bytes_max) {
    flush();
  } else if (!flush_sent_) {
    // It queues up behind everything that waits in the mailbox already: that is the group.
    flush_sent_ = true;
    send(this, store_flush{});
  }
  return promise;
}

void store_keeper::flush() {
  if (waiting_.empty()) return;
  auto group = std::exchange(waiting_, {});
  waiting_bytes_ = 0;
  run_group(group);
  for (auto& job : group) job->answer();
  tell_awaiting();
}

void store_keeper::run_group(std::deque<std::unique_ptr<store_job>>& group) {
  if (group.size() > 1) {
    try {
      engine_->begin_group();
      for (auto& job : group) job->run(*engine_);
      engine_->commit_group();
      return;
    } catch (const std::exception&) {
      engine_->abandon_group();  // nothing of it happened: each finds out for itself below
    }
  }
  for (auto& job : group) job->run(*engine_);
}

caf::result<store_outcome<changes_result>> store_keeper::await(store_await& message) {
  const caf::strong_actor_ptr asker = current_sender();  // the promise takes it out of the message
  auto promise = make_response_promise<store_outcome<changes_result>>();
  store_outcome<changes_result> outcome;
  flush();
  try {
    if (!engine_) throw store_error(not_open_);
    outcome.value = changes_if_any(*engine_, message.request);
    if (!outcome.value && awaited_.size() >= limits::awaits_max) {
      throw store_error(store_fault::limit, "no more watchers",
                        fmt::format("there are {}, the limit", awaited_.size()),
                        "end watches that are not needed");
    }
  } catch (const std::exception& error) {
    outcome.failure = failure_of(error);
    promise.deliver(std::move(outcome));
    return promise;
  }
  if (outcome.value) {
    promise.deliver(std::move(outcome));
    return promise;
  }
  if (asker) monitor(asker);
  awaited_.push_back({caf::actor_cast<caf::actor_addr>(asker), message.token,
                      std::move(message.request), promise});
  return promise;
}

void store_keeper::forget(const caf::actor_addr& asker, std::optional<std::uint64_t> token) {
  for (auto entry = awaited_.begin(); entry != awaited_.end();) {
    if (entry->asker != asker || (token && entry->token != *token)) {
      ++entry;
      continue;
    }
    store_outcome<changes_result> outcome;
    outcome.failure = {store_fault::closed, "the watch was ended", "its owner cancelled it", ""};
    entry->promise.deliver(std::move(outcome));
    if (token) demonitor(asker);
    entry = awaited_.erase(entry);
  }
}

void store_keeper::tell_awaiting() {
  for (auto entry = awaited_.begin(); entry != awaited_.end();) {
    store_outcome<changes_result> outcome;
    try {
      outcome.value = changes_if_any(*engine_, entry->request);
      if (!outcome.value) {
        ++entry;
        continue;
      }
    } catch (const std::exception& error) {
      outcome.failure = failure_of(error);
    }
    entry->promise.deliver(std::move(outcome));
    demonitor(entry->asker);
    entry = awaited_.erase(entry);
  }
}

// -- what takes many steps, between other requests
// -------------------------------------------------

caf::result<store_outcome<backup_result>> store_keeper::back_up(const store_backup& message) {
  auto promise = make_response_promise<store_outcome<backup_result>>();
  flush();
  try {
    if (!engine_) throw store_error(not_open_);
    backups_.push_back({engine_->begin_backup(message.file), promise});
    work_soon();
  } catch (const std::exception& error) {
    deliver_failure<backup_result>(promise, failure_of(error));
  }
  return promise;
}

caf::result<store_outcome<std::uint64_t>> store_keeper::rotate() {
  auto promise = make_response_promise<store_outcome<std::uint64_t>>();
  flush();
  try {
    if (!engine_) throw store_error(not_open_);
    engine_->rotate_key();
    rotations_.push_back(promise);
    work_soon();
  } catch (const std::exception& error) {
    deliver_failure<std::uint64_t>(promise, failure_of(error));
  }
  return promise;
}

/// Behind everything that waits in the mailbox already.
void store_keeper::work_soon() {
  if (std::exchange(work_sent_, true)) return;
  send(this, store_work{});
}

void store_keeper::work() {
  flush();
  copy_on();
  rotate_on();
  if (!backups_.empty() || !rotations_.empty()) work_soon();
}

void store_keeper::copy_on() {
  for (auto each = backups_.begin(); each != backups_.end();) {
    store_outcome<backup_result> outcome;
    try {
      outcome.value = each->copy->step();
      if (!outcome.value) {
        ++each;
        continue;
      }
    } catch (const std::exception& error) {
      outcome.failure = failure_of(error);
    }
    each->copy.reset();  // a draft is gone before its failure is known
    each->promise.deliver(std::move(outcome));
    each = backups_.erase(each);
  }
}

void store_keeper::rotate_on() {
  if (rotations_.empty()) return;
  engine_->maintain();
  const auto status = engine_->status();
  if (status.rewriting && !status.rewrite_failure) return;
  for (auto& promise : rotations_) {
    store_outcome<std::uint64_t> outcome;
    if (status.rewrite_failure) {
      outcome.failure = *status.rewrite_failure;
    } else {
      outcome.value = status.rewritten;
    }
    promise.deliver(std::move(outcome));
  }
  rotations_.clear();
}

void store_keeper::tick() {
  if (!engine_) return;
  flush();
  bool more = false;
  try {
    if (!engine_->status().writable) engine_->maintain();  // perhaps the disk works again
    if (engine_->expire() != 0) tell_awaiting();
    const auto status = engine_->status();
    const auto kept = options_.history_revisions_kept;
    // Twice, so that it happens once in a while and not with every write.
    if (kept != 0 && status.revision > status.compacted_revision + 2 * kept) {
      engine_->compact(status.revision - kept);
      tell_awaiting();
    }
    more = engine_->maintain();
  } catch (const std::exception&) {
    // A full or failed disk: the state of the engine says so, and the next tick tries again.
    more = false;
  }
  if (options_.tick_ms != 0) schedule_tick(more ? busy_tick_ms : options_.tick_ms);
}

void store_keeper::schedule_tick(std::uint64_t delay_ms) {
  delayed_send(this, std::chrono::milliseconds(delay_ms), store_tick{});
}

}  // namespace

store_actor spawn_store(caf::actor_system& system, store_factory make_engine,
                        store_actor_options options) {
  return system.spawn<store_keeper, caf::detached>(std::move(make_engine), options);
}

}  // namespace bulkhead
