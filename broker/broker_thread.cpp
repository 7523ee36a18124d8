// SPDX-License-Identifier: Apache-2.0
#include "broker/broker_thread.hpp"

#include <fmt/format.h>
#include <kj/debug.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "actors/confinement/launched_spawner.hpp"
#include "actors/confinement/launcher_keeper.hpp"
#include "actors/posix_spawner.hpp"
#include "actors/sampler_worker.hpp"
#include "actors/spawner_worker.hpp"
#include "broker/actor_store.hpp"
#include "broker/broker_core.hpp"
#include "broker/catalog/release_catalog.hpp"
#include "broker/config_desk.hpp"
#include "broker/confinement_rules.hpp"
#include "broker/convert.hpp"
#include "broker/declaration_reader.hpp"
#include "broker/gateway.hpp"
#include "broker/group_rules.hpp"
#include "broker/images/image_actor.hpp"
#include "broker/listener.hpp"
#include "broker/store/encrypted_store.hpp"
#include "broker/store/sqlite_store.hpp"
#include "broker/store/store_actor.hpp"
#include "broker/supervision_tree.hpp"
#include "broker/usage_desk.hpp"

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

/// What operators leave open is what the broker's user can have.
void settle_confinement(confinement_config& config) {
  KJ_IF_MAYBE (problem, kj::runCatchingExceptions([&] { check_confinement(config.rules); }))
    throw to_error(*problem);
  if (config.rules.profile.empty())
    config.rules.profile = to_string(default_profile(::geteuid() == 0 || config.keeper));
}

config_desk::reading reading(reactor& loop, const std::function<declared_state()>& declared) {
  if (!declared) return {};
  return [reader = std::make_shared<declaration_reader>(loop, declared)] { return reader->read(); };
}

/// With its launcher, when it can be had: else each start says why not.
std::shared_ptr<spawner> make_spawner(const confinement_config& how) {
  if (how.unconfined) return std::make_shared<posix_spawner>();
  launched_spawner_options options;
  options.launcher = how.launcher;
  if (how.keeper) options.starts = [keeper = how.keeper] { return keeper->next(); };
  auto made = std::make_shared<launched_spawner>(std::move(options));
  made->prepare();
  return made;
}

std::shared_ptr<image_vault> make_vault(const broker_limits& limits) {
  return std::make_shared<image_vault>(
      image_limits{limits.plugin_file_bytes_max, limits.image_cache_bytes_max});
}

void check_config(const broker_config& config) {
  struct stat info {};
  if (const auto problem = check_groups(config.groups); !problem.what.empty())
    throw error(error_kind::invalid_argument, problem.what, {}, "correct the configuration");
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
  machinery(broker_config settings, std::shared_ptr<spawner> starter, kj::AsyncIoContext& io,
            caf::actor_system& system)
      : loop(system, io),
        asking(system.spawn<asker>(loop)),
        random(random_seed()),
        store(ask(), {}),
        services{std::move(settings), {}, loop, clock, random, store, {}, {}, {}},
        starts(std::move(starter)),
        trust(store, services.events, loop.timer(), BULKHEAD_VERSION),
        catalog(store, services.events, loop.timer(), trust),
        tree(ask(), loop, random_seed(), workers(system), services.config.groups),
        core(know(services), ask(), tree.mounts()),
        declared(core, reading(loop, services.config.declared)),
        usage(services, ask(), core),
        root_ended(tree.ended().fork()),
        jobs(kj::heap<kj::TaskSet>(static_cast<kj::TaskSet::ErrorHandler&>(*this))) {
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

  broker_services& know(broker_services& all) {
    all.limits = all.config.limits;
    all.trust = &trust;
    all.catalog = &catalog;
    all.declared = &declared;
    all.usage = &usage;
    return all;
  }

  /// The actor lives as long as the reactor has not ended it, which is the last thing of all.
  asker& ask() { return *caf::actor_cast<asker*>(asking); }

  std::vector<tree_worker> workers(caf::actor_system& system) {
    auto make_store = [this, &system] {
      auto handle = spawn_store(system, [file = services.config.state_directory + "/bulkhead.db",
                                         keys = services.config.state_key_file] {
        encryption how;
        if (!keys.empty()) how.load_keys = [keys] { return state_keys::load(keys); };
        return with_encryption(sqlite_store::open(file, monotonic_ms), std::move(how));
      });
      store.replace(handle);
      return caf::actor_cast<caf::actor>(handle);
    };
    auto make_starter = [this, &system] {
      services.spawner = system.spawn<spawner_worker, caf::detached>(starts);
      return caf::actor_cast<caf::actor>(services.spawner);
    };
    auto make_sampler = [this, &system] {
      services.sampler = system.spawn<sampler_worker, caf::detached>();
      return caf::actor_cast<caf::actor>(services.sampler);
    };
    auto make_images = [this, &system] {
      services.images = spawn_images(system, images);
      return caf::actor_cast<caf::actor>(services.images);
    };
    return {{"store", make_store},
            {"spawner", make_starter},
            {"images", make_images},
            {"sampler", make_sampler}};
  }

  kj::Promise<void> open() {
    return tree.started()
        .then([this] { return store.status().ignoreResult(); })
        .then([this] { return core.load(); })
        .then([this] {
          usage.begin();
          if (services.config.declared) declared.apply_soon();
          listen();
          session = make_session(
              core, facts,
              {static_cast<std::uint32_t>(::geteuid()), static_cast<std::uint32_t>(::getpid())});
        });
  }

  /// The first steps of the stop; end_actors() is the rest.
  kj::Promise<void> take_down() {
    if (socket.get() != nullptr) socket->close();
    usage.end();
    ask().stopping();
    core.refuse_all();
    tree.stop();
    return root_ended.addBranch().catch_(
        [](kj::Exception&& problem) { tell("supervision did not end cleanly", problem); });
  }

  kj::Promise<void> end_actors() {
    jobs = nullptr;
    socket = nullptr;
    session = nullptr;
    loop.exit_all(caf::exit_reason::user_shutdown);
    return loop.when_no_actors();
  }

  static void tell(const char* what, const kj::Exception& problem) {
    KJ_LOG(ERROR, what, problem.getDescription());
  }

  void taskFailed(kj::Exception&& problem) override { tell("work for the broker failed", problem); }

  reactor loop;
  caf::actor asking;
  real_clock clock;
  seeded_random random;
  actor_store store;
  broker_services services;
  // These outlive the actors in front of them; what a launcher started ends with it.
  std::shared_ptr<image_vault> images = make_vault(services.config.limits);
  std::shared_ptr<spawner> starts;
  trust_desk trust;
  release_catalog catalog;
  broker_facts facts;
  supervision_tree tree;
  broker_core core;
  config_desk declared;
  usage_desk usage;
  kj::Own<listener> socket;
  kj::Maybe<schema::Session::Client> session;
  kj::ForkedPromise<void> root_ended;
  kj::Own<kj::PromiseFulfiller<void>> ending;
  kj::Own<kj::TaskSet> jobs;
};

// -- work of other threads ------------------------------------------------------------------------

/// Work for the loop, and who hears when it fails. Whoever drops it last without an end, the loop
/// or what stood in its way, has ended it: the broker has stopped.
class broker_thread::job {
 public:
  job(broker_thread& owner, task work, kj::Function<void(const error&)> failed)
      : owner_(owner), work_(kj::mv(work)), failed_(kj::mv(failed)) {}
  ~job() {
    if (!ended_) fail(owner_.stopped_error());
  }
  job(const job&) = delete;
  job& operator=(const job&) = delete;

  kj::Promise<void> run(machinery& machine) {
    return kj::evalNow([&]() -> kj::Promise<void> {
      KJ_IF_MAYBE (session, machine.session) {
        auto with = kj::heap<parts>(parts{machine.core, machine.services.events, *session});
        auto promise = work_(*with);
        return promise.attach(kj::mv(with));
      }
      kj::throwFatalException(to_exception(owner_.stopped_error()));
    });
  }
  void succeed() { ended_ = true; }
  void fail(const error& why) noexcept {
    ended_ = true;
    try {
      failed_(why);
    } catch (const std::exception& problem) {
      KJ_LOG(ERROR, "a callback failed", problem.what());
    }
  }

 private:
  broker_thread& owner_;
  task work_;
  kj::Function<void(const error&)> failed_;
  bool ended_ = false;
};

void broker_thread::run(task work, kj::Function<void(const error&)> failed) {
  // Made first, so that it goes after the lock: who hears of its failure may call again.
  auto next = std::make_shared<job>(*this, kj::mv(work), kj::mv(failed));
  const std::lock_guard guard(mutex_);
  if (running_ == nullptr) return;
  running_->loop.post([machine = running_, next = std::move(next)]() mutable {
    if (machine->jobs.get() == nullptr) return;
    auto done = next->run(*machine).then(
        [next] { next->succeed(); },
        [next](kj::Exception&& problem) { next->fail(to_error(problem)); });
    machine->jobs->add(done.attach(std::move(next)));
  });
}

void broker_thread::refuse_own_thread() const {
  if (std::this_thread::get_id() != thread_id_) return;
  throw error(error_kind::failed_precondition, "this call would wait for itself",
              "it was made on the broker's thread, by a callback",
              "make it on another thread, or use a function that returns a future");
}

error broker_thread::stopped_error() {
  const std::lock_guard guard(mutex_);
  return {error_kind::broker_stopping, "the broker has stopped", end_reason_, {}};
}

// -- the thread -----------------------------------------------------------------------------------

broker_thread::broker_thread(broker_config config) {
  check_config(config);
  settle_confinement(config.confinement);
  // Shared, because this thread may be gone before the other one has left set_value.
  auto started = std::make_shared<std::promise<void>>();
  auto ready = started->get_future();
  // Before this broker has any thread, and so before it holds anything of a plugin's or a client's.
  auto starts = make_spawner(config.confinement);
  thread_ = std::thread([this, config = std::move(config), starts = std::move(starts),
                         started = std::move(started)]() mutable {
    main(std::move(config), std::move(starts), started);
  });
  thread_id_ = thread_.get_id();
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

void broker_thread::main(broker_config config, std::shared_ptr<spawner> starts,
                         const start_promise& started) {
  auto problem = kj::runCatchingExceptions([&] {
    block_all_signals();
    live(std::move(config), std::move(starts), started);
  });
  KJ_IF_MAYBE (why, problem) {
    note_end(to_error(*why).what());
    // Only a start can fail like this; whoever waits for it must hear.
    try {
      started->set_exception(std::make_exception_ptr(to_error(*why)));
    } catch (const std::future_error&) {
      KJ_LOG(ERROR, "the broker's thread failed", why->getDescription());
    }
  }
}

void broker_thread::live(broker_config config, std::shared_ptr<spawner> starts,
                         const start_promise& started) {
  auto io = kj::setupAsyncIo();
  io.waitScope.setBusyPollInterval(busy_poll_turns);
  scheduler_config scheduling;
  caf::actor_system system(scheduling);
  machinery parts(std::move(config), std::move(starts), io, system);
  // Whatever fails from here on: actors must be gone before the parts go.
  auto failed = kj::runCatchingExceptions([&] {
    serve(parts, io.waitScope, *started);
    parts.take_down().wait(io.waitScope);
  });
  set_running(nullptr);
  KJ_IF_MAYBE (problem, failed) note_end(to_error(*problem).what());
  parts.end_actors().wait(io.waitScope);
  KJ_IF_MAYBE (problem, failed) kj::throwFatalException(kj::mv(*problem));
}

/// Starts, and runs until somebody asks for the end or the broker cannot go on; that is an event.
void broker_thread::serve(machinery& parts, kj::WaitScope& scope, std::promise<void>& started) {
  auto asked_to_end = kj::newPromiseAndFulfiller<void>();
  parts.ending = kj::mv(asked_to_end.fulfiller);
  KJ_IF_MAYBE (problem, kj::runCatchingExceptions([&] { parts.open().wait(scope); })) {
    started.set_exception(std::make_exception_ptr(to_error(*problem)));
    return;
  }
  set_running(&parts);
  parts.services.events.record({}, 0, "started", fmt::format("Bulkhead {}", BULKHEAD_VERSION));
  if (parts.services.config.allow_unregistered)
    parts.services.events.record({}, 0, "development",
                                 "files of the plugin directory run unregistered and unchecked");
  if (parts.services.config.confinement.unconfined)
    parts.services.events.record(
        {}, 0, "unconfined",
        "plugins run with nothing between them and the machine but their user");
  started.set_value();
  auto root_is_gone = parts.root_ended.addBranch().then(
      [] { return std::string("the root supervisor gave up; the broker ends"); },
      [](kj::Exception&& problem) { return std::string(to_error(problem).what()); });
  auto why = asked_to_end.promise.then([] { return std::string(); })
                 .exclusiveJoin(kj::mv(root_is_gone))
                 .wait(scope);
  note_end(why);
  set_running(nullptr);
  if (!why.empty()) parts.services.events.record({}, 0, "failed", why);
}

void broker_thread::set_running(machinery* parts) {
  const std::lock_guard guard(mutex_);
  running_ = parts;
}

void broker_thread::note_end(const std::string& reason) {
  const std::lock_guard guard(mutex_);
  if (end_reason_.empty()) end_reason_ = reason;
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
