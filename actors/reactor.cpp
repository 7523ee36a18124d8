// SPDX-License-Identifier: Apache-2.0
#include "actors/reactor.hpp"

#include <kj/debug.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <caf/scheduler/abstract_coordinator.hpp>

namespace bulkhead {
namespace {

// Messages one actor may work off before the next has its turn: CAF's own default scale, small
// enough to keep I/O lively.
constexpr std::size_t messages_per_turn = 300;

int make_wake_fd() {
  int fd = 0;
  KJ_SYSCALL(fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  return fd;
}

}  // namespace

reactor::reactor(caf::actor_system& system, kj::AsyncIoContext& io)
    : reactor(system, io, io.provider->getTimer()) {}

reactor::reactor(caf::actor_system& system, kj::AsyncIoContext& io, kj::Timer& timer)
    : caf::execution_unit(&system),
      io_(io),
      timer_(timer),
      thread_(std::this_thread::get_id()),
      wake_fd_(make_wake_fd()),
      wake_observer_(io.unixEventPort, wake_fd_, kj::UnixEventPort::FdObserver::OBSERVE_READ),
      tasks_(*this) {
  tasks_.add(watch_inbox());
}

reactor::~reactor() noexcept = default;

void reactor::exec_later(caf::resumable* job) {
  if (job->subtype() != caf::resumable::io_actor) {
    system().scheduler().enqueue(job);
    return;
  }
  if (on_thread()) {
    ready_.push_back(job);
    arm();
  } else {
    push_remote([job](inbox& in) { in.jobs.push_back(job); });
  }
}

void reactor::post(kj::Function<void()> task) {
  push_remote([&task](inbox& in) { in.tasks.push_back(kj::mv(task)); });
}

void reactor::detach(kj::Promise<void> task) {
  tasks_.add(kj::mv(task));
}

void reactor::retain(caf::strong_actor_ptr actor) {
  const auto id = actor->id();
  hosted_.emplace(id, std::move(actor));
}

void reactor::release_later(caf::actor_id id) {
  // Later, because the actor that asks for it is still on the stack.
  tasks_.add(kj::evalLater([this, id] {
    hosted_.erase(id);
    if (!hosted_.empty()) return;
    KJ_IF_MAYBE (waiter, idle_) {
      (*waiter)->fulfill();
      idle_ = nullptr;
    }
  }));
}

void reactor::exit_all(const caf::error& reason) {
  for (auto& [id, actor] : hosted_)
    caf::anon_send(caf::actor_cast<caf::actor>(actor), caf::exit_msg{actor->address(), reason});
}

kj::Promise<void> reactor::when_no_actors() {
  if (hosted_.empty()) return kj::READY_NOW;
  auto waiter = kj::newPromiseAndFulfiller<void>();
  idle_ = kj::mv(waiter.fulfiller);
  return kj::mv(waiter.promise);
}

template <class Fill>
void reactor::push_remote(Fill&& fill) {
  bool wake = false;
  {
    const std::lock_guard guard(inbox_mutex_);
    wake = !inbox_pending_;
    inbox_pending_ = true;
    fill(inbox_);
  }
  if (!wake) return;
  const std::uint64_t one = 1;
  // Cannot fail in a way that matters: a full counter means that the loop is awake already.
  [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
}

void reactor::arm() {
  if (armed_) return;
  armed_ = true;
  // A timer that is due at once fires after the loop has looked for I/O, which evalLater does not
  // wait for: of the dozen turns that follow one crash, none keeps a call waiting for the next.
  tasks_.add(io_.provider->getTimer().afterDelay(0 * kj::SECONDS).then([this] { run_local(); }));
}

void reactor::run_local() {
  armed_ = false;
  batch_.swap(ready_);
  for (auto* job : batch_) run(job);
  batch_.clear();
}

void reactor::run(caf::resumable* job) {
  if (job->resume(this, messages_per_turn) == caf::resumable::resume_later) {
    ready_.push_back(job);  // keeps its reference
    arm();
  } else {
    caf::intrusive_ptr_release(job);
  }
}

kj::Promise<void> reactor::watch_inbox() {
  return wake_observer_.whenBecomesReadable().then([this] {
    std::uint64_t count = 0;
    while (::read(wake_fd_, &count, sizeof count) == sizeof count) drain_inbox();
    return watch_inbox();
  });
}

void reactor::drain_inbox() {
  inbox received;
  {
    const std::lock_guard guard(inbox_mutex_);
    std::swap(received, inbox_);
    inbox_pending_ = false;
  }
  for (auto* job : received.jobs) run(job);
  for (auto& task : received.tasks) {
    KJ_IF_MAYBE (error, kj::runCatchingExceptions([&] { task(); })) taskFailed(kj::mv(*error));
  }
}

void reactor::taskFailed(kj::Exception&& error) {
  KJ_LOG(ERROR, "a task of the reactor failed", error.getType(), error.getDescription());
}

}  // namespace bulkhead
