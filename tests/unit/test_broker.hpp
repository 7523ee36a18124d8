// SPDX-License-Identifier: Apache-2.0
#pragma once

// test_broker hosts a whole broker in memory: core, supervision tree, slots, sessions and store,
// with plugins that run in the same loop behind real socketpairs, processes that are objects, and a
// clock that is moved by hand. Calls go in and come out as Cap'n Proto text. The tests read as
// stories:
//
//     test_broker tb;
//     tb.plugin("echo", make_echo());
//     tb.mount("echo/", "echo");
//     CHECK(tb.handle("(operation = read, path = \"echo/x\")") == "(fields = [...])");
//     tb.crash("echo/", 9);
//     tb.advance(1s);

#include <capnp/serialize-text.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <caf/scheduler/test_coordinator.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "broker/broker_core.hpp"
#include "broker/catalog/release_catalog.hpp"
#include "broker/convert.hpp"
#include "broker/gateway.hpp"
#include "broker/images/image_actor.hpp"
#include "broker/store/sqlite_store.hpp"
#include "broker/supervision_tree.hpp"
#include "plugins/sdk/plugin.hpp"

namespace bulkhead::test {

/// What the broker of a test calls its own version, where releases ask for a least one.
inline constexpr const char* test_broker_version = "0.1.0";

/// What a mount's file does when it is started.
struct program {
  std::function<kj::Promise<void>(kj::Own<kj::AsyncIoStream>)> run;
  bool deaf = false;  // a stop does not end it: only SIGKILL does
};

/// A plugin of which a test only wants that it runs.
inline sdk::plugin quiet() {
  struct nothing {
    explicit nothing(sdk::mount_context) {}
    sdk::fields read(const sdk::request&) { return {{"found", true}}; }
  };
  static const auto api = [] {
    sdk::paths<nothing> paths;
    paths.at("x", "Something.").read("Is there.", &nothing::read);
    return paths;
  }();
  return sdk::plugin("quiet", "1.0.0").serves(api);
}

/// A plugin's end of the link that stops reading when its process is frozen.
class freezable_stream final : public kj::AsyncIoStream {
 public:
  freezable_stream(kj::Own<kj::AsyncIoStream> inner, std::shared_ptr<bool> frozen)
      : inner_(kj::mv(inner)), frozen_(std::move(frozen)) {}

  kj::Promise<std::size_t> read(void* buffer, std::size_t least, std::size_t most) override {
    return inner_->read(buffer, least, most).then([this](std::size_t got) { return pass(got); });
  }
  kj::Promise<std::size_t> tryRead(void* buffer, std::size_t least, std::size_t most) override {
    return inner_->tryRead(buffer, least, most).then([this](std::size_t got) { return pass(got); });
  }
  kj::Promise<void> write(const void* buffer, std::size_t size) override {
    return inner_->write(buffer, size);
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return inner_->write(pieces);
  }
  kj::Promise<void> whenWriteDisconnected() override { return inner_->whenWriteDisconnected(); }
  void shutdownWrite() override { inner_->shutdownWrite(); }

 private:
  kj::Promise<std::size_t> pass(std::size_t got) {
    if (*frozen_) return kj::NEVER_DONE;
    return got;
  }

  kj::Own<kj::AsyncIoStream> inner_;
  std::shared_ptr<bool> frozen_;
};

/// A process that is an object.
class fake_process final : public child_process {
 public:
  explicit fake_process(pid_t pid, bool deaf)
      : pid_(pid), deaf_(deaf), exit_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  pid_t pid() const override { return pid_; }
  int exit_fd() const override { return exit_fd_.get(); }
  bool signal(int number) override {
    signals.push_back(number);
    if (status_ || number == SIGSTOP || number == SIGCONT) return !status_;
    if (number == SIGKILL || !deaf_) end(exit_status::signaled(number, false));
    return true;
  }
  bool signal_group(int number) override { return signal(number); }
  std::optional<exit_status> peek() override { return status_; }
  std::optional<exit_status> reap() override {
    reaped = status_.has_value();
    return status_;
  }

  void end(exit_status how) {
    if (status_) return;
    status_ = how;
    serving = nullptr;  // its end of the socket closes
    const std::uint64_t one = 1;
    REQUIRE(::write(exit_fd_.get(), &one, sizeof one) == sizeof one);
  }

  /// From now on it reads nothing, as after SIGSTOP.
  void freeze() { *frozen = true; }

  std::vector<int> signals;
  bool reaped = false;
  std::shared_ptr<bool> frozen = std::make_shared<bool>(false);
  std::shared_ptr<kj::Promise<void>> serving;

 private:
  pid_t pid_;
  bool deaf_;
  unique_fd exit_fd_;
  std::optional<exit_status> status_;
};

/// child_process owns; the test keeps a reference beside it.
class process_handle final : public child_process {
 public:
  explicit process_handle(std::shared_ptr<fake_process> real) : real_(std::move(real)) {}
  ~process_handle() override { real_->signal(SIGKILL); }
  pid_t pid() const override { return real_->pid(); }
  int exit_fd() const override { return real_->exit_fd(); }
  bool signal(int number) override { return real_->signal(number); }
  bool signal_group(int number) override { return real_->signal_group(number); }
  std::optional<exit_status> peek() override { return real_->peek(); }
  std::optional<exit_status> reap() override { return real_->reap(); }

 private:
  std::shared_ptr<fake_process> real_;
};

struct testing_config : caf::actor_system_config {
  testing_config() { set("scheduler.policy", caf::atom("testing")); }
};

class test_broker;

/// What a broker finds when it starts, for tests of more than one broker on the same state.
struct test_state {
  std::shared_ptr<store> engine = sqlite_store::in_memory([] { return std::uint64_t{0}; });
  std::shared_ptr<async_store> opened{};               // over the engine; null: as it is
  std::function<void(test_broker&)> before_load = {};  // makes plugins known
};

/// Reads files on the loop.
class test_images final : public hosted<image_actor::base> {
 public:
  test_images(caf::actor_config& config, reactor& loop,
              std::shared_ptr<std::unique_ptr<image_vault>> vault)
      : hosted(config, loop), vault_(std::move(vault)) {}
  ~test_images() noexcept override = default;
  image_actor::behavior_type make_behavior() override {
    return {[this](const image_request& order) {
      image_answer answer;
      try {
        answer.made = (*vault_)->get(order.source, order.expected);
      } catch (const image_error& problem) {
        answer.failure = std::make_shared<image_error>(problem);
      }
      return answer;
    }};
  }

 private:
  std::shared_ptr<std::unique_ptr<image_vault>> vault_;
};

class test_broker {
 public:
  explicit test_broker(std::vector<group_spec> groups = {}, test_state state = {})
      : groups_(std::move(groups)), engine_(std::move(state.engine)), store_(state.opened) {
    if (store_ == nullptr) store_ = std::make_shared<inline_async_store>(*engine_);
    std::filesystem::create_directories(directory_);
    parts_ = std::make_unique<parts>(*this);
    wait(parts_->tree.started());
    if (state.before_load) state.before_load(*this);
    loading_ = parts_->core.load().eagerlyEvaluate(nullptr);
    settle();
  }
  ~test_broker() {
    parts_->session = nullptr;
    loading_ = nullptr;
    auto ended = parts_->tree.ended();
    parts_->core.refuse_all();
    parts_->tree.stop();
    finish(kj::mv(ended));
    parts_->loop.exit_all(caf::exit_reason::user_shutdown);
    wait(parts_->loop.when_no_actors());
    parts_.reset();
    std::filesystem::remove_all(directory_);
  }
  test_broker(const test_broker&) = delete;
  test_broker& operator=(const test_broker&) = delete;

  /// Makes a plugin known under a file name.
  void plugin(const std::string& file, program what) {
    write_file(file, "#!/bin/false\n");
    std::filesystem::permissions(directory_ / file, std::filesystem::perms::owner_all);
    programs_[file] = std::move(what);
  }
  void plugin(const std::string& file, const sdk::plugin& what) {
    plugin(file, program{[what](kj::Own<kj::AsyncIoStream> link) {
             return what.serve_on(kj::mv(link));
           }});
  }

  /// From now on its starts fail for good.
  void forget(const std::string& file) { programs_.erase(file); }

  mount_snapshot mount(const std::string& path, const std::string& file, restart_limits rules = {},
                       const std::string& group = {}) {
    mount_spec spec;
    spec.group = group;
    spec.path = path;
    spec.plugin = file;
    spec.supervision = rules;
    return wait(parts_->core.mount(std::move(spec)));
  }
  mount_snapshot status(const std::string& path) { return wait(parts_->core.query(path)); }
  broker_core& core() { return parts_->core; }
  release_catalog& catalog() { return parts_->catalog; }
  trust_desk& trust() { return parts_->trust; }
  broker_services& services() { return parts_->services; }
  const std::filesystem::path& directory() const { return directory_; }
  supervision_tree& tree() { return parts_->tree; }
  event_log& events() { return parts_->services.events; }
  schema::Session::Client session() { return KJ_ASSERT_NONNULL(parts_->session); }

  /// A request as Cap'n Proto text, answered as text; an error as "kind: what".
  std::string handle(const std::string& request) { return text_of(start(request)); }
  kj::Promise<std::string> start(const std::string& request) {
    auto call = session().handleRequest();
    capnp::TextCodec().decode(kj::StringPtr(request.c_str()), call.initRequest());
    return call.send().then(
        [](capnp::Response<schema::Session::HandleResults>&& answer) {
          return std::string(capnp::TextCodec().encode(answer.getResponse()).cStr());
        },
        [](kj::Exception&& problem) {
          const auto said = to_error(problem);
          return to_string(said.kind()) + ": " + said.what();
        });
  }
  std::string text_of(kj::Promise<std::string> answer) { return wait(kj::mv(answer)); }

  /// The newest process of a file; null before its first start.
  std::shared_ptr<fake_process> process(const std::string& file) { return processes_[file]; }
  int starts(const std::string& file) { return starts_[file]; }
  /// Those of all files that have not ended.
  std::vector<std::shared_ptr<fake_process>> living() {
    std::vector<std::shared_ptr<fake_process>> result;
    for (const auto& each : all_processes_)
      if (auto process = each.lock(); process && !process->peek()) result.push_back(process);
    return result;
  }

  /// Ends the newest process of a file and lets the broker see it.
  void crash(const std::string& file, int signal = SIGSEGV) {
    process(file)->end(exit_status::signaled(signal, false));
    settle();
  }

  std::int64_t unix_ms = 1'800'000'000'000;  // the wall clock of trust

  /// From now on starts are confined, as far as the machine, `absent_walls`, lets them.
  void confine() { services().config.confinement.unconfined = false; }
  std::map<wall, int> absent_walls{};  // with errno
  std::shared_ptr<const confinement> last_confined{};
  std::vector<limits_request> limited{};
  int limits_errno = 0;

  /// Moves the clocks of supervision on and runs what is due.
  void advance(std::chrono::milliseconds step) {
    clock_.advance(step);
    timer_.advanceTo(timer_.now() + step.count() * kj::MILLISECONDS);
    dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler()).advance_time(step);
    settle();
  }

  /// Moves the loop's clock on, and runs nothing.
  void timer_to(std::chrono::milliseconds step) {
    timer_.advanceTo(timer_.now() + step.count() * kj::MILLISECONDS);
  }

  /// Runs the loop until nothing moves any more.
  void settle() {
    for (int quiet = 0; quiet < settle_turns; ++quiet) {
      io_.waitScope.poll();
      kj::evalLater([] {}).wait(io_.waitScope);
    }
  }

  template <class T>
  T wait(kj::Promise<T> what) {
    return what.wait(io_.waitScope);
  }

  /// Waits for what may need time to pass: moves the clocks until it is there.
  template <class T>
  T finish(kj::Promise<T> what) {
    constexpr int steps_max = 1000;
    for (int i = 0; i < steps_max && !what.poll(io_.waitScope); ++i)
      advance(std::chrono::milliseconds(100));
    REQUIRE(what.poll(io_.waitScope));
    return what.wait(io_.waitScope);
  }

  /// A file of the plugin directory, whatever it holds.
  void write_file(const std::string& name, const std::string& content) {
    std::ofstream(directory_ / name, std::ios::binary | std::ios::trunc) << content;
    std::filesystem::permissions(directory_ / name, std::filesystem::perms::owner_read |
                                                        std::filesystem::perms::owner_write);
  }

  /// Files are read anew from now on, as after a start of the broker.
  void forget_images() { *vault_ = std::make_unique<image_vault>(); }

  void detach(kj::Promise<void> task) { parts_->loop.detach(kj::mv(task)); }
  kj::WaitScope& wait_scope() { return io_.waitScope; }
  kj::Timer& timer() { return timer_; }

 private:
  static constexpr int settle_turns = 20;

  /// Starts programs in the loop instead of processes.
  class test_spawner final : public hosted<spawner_actor::base> {
   public:
    test_spawner(caf::actor_config& config, reactor& loop, test_broker& owner)
        : hosted(config, loop), owner_(owner) {}
    ~test_spawner() noexcept override = default;
    spawner_actor::behavior_type make_behavior() override {
      return {[this](const spawn_request& order) { return owner_.spawn(order); },
              [this](const limits_request& order) {
                owner_.limited.push_back(order);
                return limits_answer{owner_.limits_errno};
              }};
    }

   private:
    test_broker& owner_;
  };

  struct parts {
    explicit parts(test_broker& owner)
        : loop(owner.system_, owner.io_, owner.timer_),
          asking(owner.system_.spawn<asker>(loop)),
          random(0.0),
          services{{"", owner.directory_.string(), "", {}, owner.groups_},
                   {},
                   loop,
                   owner.clock_,
                   random,
                   *owner.store_,
                   {},
                   {},
                   {}},
          trust(*owner.store_, services.events, owner.timer_, test_broker_version,
                [&owner] { return owner.unix_ms; }),
          catalog(*owner.store_, services.events, owner.timer_, trust),
          tree(*caf::actor_cast<asker*>(asking), loop, 1,
               {{"spawner",
                 [this, &owner] {
                   services.spawner = owner.system_.spawn<test_spawner>(loop, owner);
                   return caf::actor_cast<caf::actor>(services.spawner);
                 }}},
               owner.groups_),
          core(know(owner), *caf::actor_cast<asker*>(asking), tree.mounts()) {
      facts.clients = [] { return 1U; };
      facts.tree = [this] { return tree.describe(core); };
      session = make_session(core, facts, {static_cast<std::uint32_t>(::geteuid()), 1});
    }
    broker_services& know(test_broker& owner) {
      services.config.allow_unregistered = true;
      services.config.confinement.unconfined = true;
      services.config.confinement.rules.profile = "strict";
      services.images = loop.system().spawn<test_images>(loop, owner.vault_);
      services.trust = &trust;
      services.catalog = &catalog;
      return services;
    }
    reactor loop;
    caf::actor asking;
    fixed_random random;
    broker_services services;
    trust_desk trust;
    release_catalog catalog;
    supervision_tree tree;
    broker_core core;
    broker_facts facts;
    kj::Maybe<schema::Session::Client> session;
  };

  /// What a machine would answer that has not all the walls.
  std::shared_ptr<const confinement_report> report_on(const confinement& asked) const {
    auto report = std::make_shared<confinement_report>();
    report->of = asked.of;
    report->waived = asked.waived;
    for (std::size_t i = 0; i < wall_count; ++i) {
      const auto absent = absent_walls.find(static_cast<wall>(i));
      report->walls.at(i) = absent == absent_walls.end()
                                ? wall_report{wall_state::enforced, true, 0, 0}
                                : wall_report{wall_state::unavailable, false, absent->second, 0};
    }
    return report;
  }

  spawn_answer spawn(const spawn_request& order) {
    const auto file = std::filesystem::path(order.process.executable).filename().string();
    spawn_answer answer;
    last_confined = order.process.confined;
    std::shared_ptr<const confinement_report> report;
    if (last_confined != nullptr) {
      report = report_on(*last_confined);
      if (const auto which = missing_wall(*last_confined, *report)) {
        answer.failure = fmt::format("the wall {} does not stand", to_string(*which));
        answer.permanent = true;
        answer.report = report;
        answer.missing = which;
        return answer;
      }
    }
    auto found = programs_.find(file);
    if (found == programs_.end()) {
      answer.failure = "no such program in this test";
      answer.permanent = true;
      return answer;
    }
    int link[2];
    int out[2];
    int err[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, link) == 0);
    REQUIRE(::pipe2(out, O_CLOEXEC | O_NONBLOCK) == 0);
    REQUIRE(::pipe2(err, O_CLOEXEC | O_NONBLOCK) == 0);
    auto process = std::make_shared<fake_process>(++last_pid_, found->second.deaf);
    auto stream = io_.lowLevelProvider->wrapUnixSocketFd(
        kj::AutoCloseFd(link[1]), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
    ::close(out[1]);
    ::close(err[1]);
    // A program that is done exits, in a turn of its own: its end drops what it ran.
    auto exits = [this, weak = std::weak_ptr<fake_process>(process), deaf = found->second.deaf] {
      if (deaf) return;
      detach(kj::evalLater([weak] {
        if (auto ended = weak.lock()) ended->end(exit_status::exited(0));
      }));
    };
    process->serving = std::make_shared<kj::Promise<void>>(
        found->second.run(kj::heap<freezable_stream>(kj::mv(stream), process->frozen))
            .then(exits, [exits](kj::Exception&&) { exits(); })
            .eagerlyEvaluate(nullptr));
    processes_[file] = process;
    all_processes_.push_back(process);
    ++starts_[file];
    answer.process = std::make_shared<spawned_process>();
    answer.process->process = std::make_unique<process_handle>(process);
    answer.process->link = unique_fd(link[0]);
    answer.process->standard_output = unique_fd(out[0]);
    answer.process->standard_error = unique_fd(err[0]);
    answer.process->report = report;
    answer.process->ticket = static_cast<std::uint64_t>(last_pid_);
    return answer;
  }

  std::vector<group_spec> groups_;
  testing_config config_;
  kj::AsyncIoContext io_{kj::setupAsyncIo()};
  kj::TimerImpl timer_{kj::origin<kj::TimePoint>()};
  caf::actor_system system_{config_};
  std::shared_ptr<store> engine_;
  std::shared_ptr<async_store> store_;
  manual_clock clock_;
  std::filesystem::path directory_{std::filesystem::temp_directory_path() /
                                   fmt::format("test-broker-{}", ::getpid())};
  std::map<std::string, program> programs_;
  std::map<std::string, std::shared_ptr<fake_process>> processes_;
  std::vector<std::weak_ptr<fake_process>> all_processes_;
  std::map<std::string, int> starts_;
  pid_t last_pid_ = 1000;
  std::shared_ptr<std::unique_ptr<image_vault>> vault_ =
      std::make_shared<std::unique_ptr<image_vault>>(std::make_unique<image_vault>());
  std::unique_ptr<parts> parts_;
  kj::Promise<void> loading_ = nullptr;
};

}  // namespace bulkhead::test
