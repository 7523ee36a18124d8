// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_thread.hpp"

#include <fmt/format.h>
#include <kj/debug.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "actors/posix_spawner.hpp"
#include "actors/spawner_worker.hpp"
#include "broker/actor_store.hpp"
#include "broker/broker_core.hpp"
#include "broker/convert.hpp"
#include "broker/gateway.hpp"
#include "broker/listener.hpp"
#include "broker/store/sqlite_store.hpp"
#include "broker/store/store_actor.hpp"
#include "broker/supervision_tree.hpp"

namespace bulkhead {
namespace {

// The workers of CAF's scheduler only run what blocks nobody: with hosted actors and detached ones
// it has next to nothing to do.
constexpr std::size_t scheduler_threads = 1;

std::uint64_t monotonic_ms() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  KJ_ASSERT(::getrandom(&seed, sizeof seed, 0) == sizeof seed);
  return seed;
}

void block_all_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

struct scheduler_config : caf::actor_system_config {
  scheduler_config() {
    // "sharing": no idle CPU, and requests across threads in 10 to 40 us; the default, "stealing",
    // polls.
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", scheduler_threads);
  }
};

void check_config(const broker_config& config) {
  struct stat info {};
  if (config.state_directory.empty())
    throw error(error_kind::invalid_argument, "no state directory is named", {},
                "name one, as with --state DIR");
  if (::stat(config.plugin_directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
    throw error(error_kind::invalid_argument,
                fmt::format("'{}' is no plugin directory", config.plugin_directory),
                "there is no such directory", "name one, as with --plugins DIR");
  if (::mkdir(config.state_directory.c_str(), 0700) != 0 && errno != EEXIST)
    throw error(error_kind::storage,
                fmt::format("the state directory {} cannot be made", config.state_directory),
                std::generic_category().message(errno), "make it, or name another one");
}

}  // namespace

/// Everything that lives on the thread, in the order of construction.
struct broker_thread::machinery final : kj::TaskSet::ErrorHandler {
  machinery(broker_config settings, kj::AsyncIoContext& io, caf::actor_system& system)
      : loop(system, io),
        asking(system.spawn<asker>(loop)),
        random(random_seed()),
        store(ask(), {}),
        services{std::move(settings), {}, loop, clock, random, store, {}, {}, {}},
        tree(ask(), loop, random_seed(), workers(system)),
        core(services, ask(), tree),
        tasks(*this) {
    facts.socket_path = services.config.socket_path;
    facts.started = std::chrono::steady_clock::now();
    facts.clients = [this] { return socket.get() == nullptr ? 0U : socket->clients(); };
    facts.tree = [this] { return tree.describe(core); };
  }

  void listen() {
    if (services.config.socket_path.empty()) return;
    socket = kj::heap<listener>(loop, services.config.socket_path, services.limits.clients_max,
                                services.limits.client_flow_words_max,
                                [this](identity peer) { return make_gateway(core, facts, peer); });
  }

  /// The actor lives as long as the reactor has not ended it, which is the last thing of all.
  asker& ask() { return *caf::actor_cast<asker*>(asking); }

  std::vector<tree_worker> workers(caf::actor_system& system) {
    auto make_store = [this, &system] {
      auto handle = spawn_store(system, [file = services.config.state_directory + "/bulkhead.db"] {
        return sqlite_store::open(file, monotonic_ms);
      });
      store.replace(handle);
      return caf::actor_cast<caf::actor>(handle);
    };
    auto make_spawner = [this, &system] {
      services.spawner =
          system.spawn<spawner_worker, caf::detached>(std::make_shared<posix_spawner>());
      return caf::actor_cast<caf::actor>(services.spawner);
    };
    return {{"store", make_store}, {"spawner", make_spawner}};
  }

  kj::Promise<void> open() {
    root_ended = tree.ended().fork();
    return tree.started()
        .then([this] { return store.status().ignoreResult(); })
        .then([this] { return core.load(); })
        .then([this] {
          listen();
          session = make_session(
              core, facts,
              {static_cast<std::uint32_t>(::geteuid()), static_cast<std::uint32_t>(::getpid())});
        });
  }

  kj::Promise<void> take_down() {
    if (socket.get() != nullptr) socket->close();
    return core.stop_mounts()
        .then([this] {
          tree.stop();
          return root_ended.addBranch();
        })
        .then([this] {
          socket = nullptr;
          session = nullptr;
          loop.exit_all(caf::exit_reason::user_shutdown);
          return loop.when_no_actors();
        });
  }

  void taskFailed(kj::Exception&& problem) override {
    KJ_LOG(ERROR, "a task for the broker failed", problem.getDescription());
  }

  reactor loop;
  caf::actor asking;
  real_clock clock;
  seeded_random random;
  actor_store store;
  broker_services services;
  broker_facts facts;
  supervision_tree tree;
  broker_core core;
  kj::Own<listener> socket;
  kj::Maybe<schema::Session::Client> session;
  kj::ForkedPromise<void> root_ended = nullptr;
  kj::Own<kj::PromiseFulfiller<void>> ending;
  kj::TaskSet tasks;
};

broker_thread::broker_thread(broker_config config) {
  check_config(config);
  std::promise<void> started;
  auto ready = started.get_future();
  thread_ = std::thread(
      [this, config = std::move(config), &started]() mutable { main(std::move(config), started); });
  try {
    ready.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

broker_thread::~broker_thread() {
  stop();
}

void broker_thread::main(broker_config config, std::promise<void>& started) {
  block_all_signals();
  auto io = kj::setupAsyncIo();
  io.waitScope.setBusyPollInterval(busy_poll_turns);
  scheduler_config scheduling;
  caf::actor_system system(scheduling);
  machinery parts(std::move(config), io, system);
  auto end = kj::newPromiseAndFulfiller<void>();
  parts.ending = kj::mv(end.fulfiller);
  bool up = false;
  try {
    parts.open().wait(io.waitScope);
    up = true;
  } catch (const kj::Exception& problem) {
    started.set_exception(std::make_exception_ptr(to_error(problem)));
  }
  if (up) {
    auto gave_up = parts.root_ended.addBranch().then([&parts] {
      parts.services.events.record({}, 0, "failed", "the root supervisor gave up; the broker ends");
    });
    {
      const std::lock_guard guard(mutex_);
      running_ = &parts;
    }
    parts.services.events.record({}, 0, "started", fmt::format("Bulkhead {}", BULKHEAD_VERSION));
    started.set_value();
    end.promise.exclusiveJoin(kj::mv(gave_up)).wait(io.waitScope);
    const std::lock_guard guard(mutex_);
    running_ = nullptr;
  }
  parts.take_down().wait(io.waitScope);
}

void broker_thread::run(task work, kj::Function<void(const error&)> failed) {
  std::unique_lock guard(mutex_);
  if (running_ == nullptr) {
    guard.unlock();  // what hears of it may call again
    failed(error(error_kind::broker_stopping, "the broker has stopped", {}, {}));
    return;
  }
  running_->loop.post([machine = running_, work = kj::mv(work), failed = kj::mv(failed)]() mutable {
    auto shared = std::make_shared<kj::Function<void(const error&)>>(kj::mv(failed));
    auto task_work = kj::heap(kj::mv(work));
    auto done = kj::evalNow([&]() -> kj::Promise<void> {
      KJ_IF_MAYBE (session, machine->session) {
        auto with = kj::heap<parts>(parts{machine->core, machine->services.events, *session});
        auto promise = (*task_work)(*with);
        return promise.attach(kj::mv(with));
      }
      kj::throwFatalException(exception(error_kind::broker_stopping, "the broker is stopping"));
    });
    machine->tasks.add(done.attach(kj::mv(task_work)).catch_([shared](kj::Exception&& problem) {
      (*shared)(to_error(problem));
    }));
  });
}

void broker_thread::stop() {
  const std::lock_guard joining(join_mutex_);
  {
    const std::lock_guard guard(mutex_);
    if (running_ != nullptr)
      running_->loop.post([machine = running_] { machine->ending->fulfill(); });
    running_ = nullptr;
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace bulkhead
