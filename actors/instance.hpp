// SPDX-License-Identifier: Apache-2.0
#pragma once

// The instance actor: one process of a plugin, its link, its log pipes, from start to one death.
//
// It asks the spawner for a process, speaks `hello` on the link, lets the protocol object bring the
// plugin up (the product's part: mount it), and tells its parent that it is ready. Then it waits
// for the end.
//
// One death. The end of a process shows itself up to three times: its pidfd becomes readable, its
// link ends, a stop that we asked for completes. Whichever comes first starts the end; the report
// is made when the exit status is known (or status_wait has passed), is sent to the parent once,
// and the parent's verdict - a text that says what happened and what follows - becomes the error of
// every call in flight and of every capability that the plugin ever handed out. The link's stream
// is what makes that possible: it holds the end of the link back until the verdict is there
// (schema/wire/link_stream.hpp).
//
// The whole process group is killed before its leader is reaped: while the leader is unreaped its
// number cannot be given to another process, so nothing foreign can be hit.
//
// Health. A ready instance is pinged every `ping_every`; one that does not answer within
// `ping_wait` is killed. An answer that is an error is an answer: the event loop turns. Killed, and
// not aborted: a core file of a process that holds secrets is not wanted.
//
// Limits: a process that left its group and session survives it (confinement deals with that).
// Signals go by pidfd, never by number.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/exit_status.hpp"
#include "actors/hosted.hpp"
#include "actors/protocols.hpp"
#include "actors/spawner.hpp"
#include "schema/plugin.capnp.h"
#include "schema/wire/connection.hpp"

namespace bulkhead {

/// Where an instance's words go. Called on the reactor's thread; must not block and must not throw.
class log_sink {
 public:
  log_sink() = default;
  log_sink(const log_sink&) = delete;
  log_sink& operator=(const log_sink&) = delete;
  virtual ~log_sink() noexcept(false) = default;

  /// Raw bytes of the process's stdout or stderr. `last`: the pipe has ended, an unfinished line is
  /// a line.
  virtual void output(bool is_stderr, const char* bytes, std::size_t size, bool last) = 0;
};

/// What the owner of an instance does between the plugin's hello and the first call. One object per
/// instance, used on the reactor.
class bring_up {
 public:
  bring_up() = default;
  bring_up(const bring_up&) = delete;
  bring_up& operator=(const bring_up&) = delete;
  virtual ~bring_up() noexcept(false) = default;

  /// The plugin answered hello. Resolves when what is stored is as this plugin wants it, which may
  /// take longer than a start: whoever does that has limits of his own.
  virtual kj::Promise<void> ready_storage(schema::Plugin::Client /*plugin*/,
                                          schema::PluginInfo::Reader /*info*/) {
    return kj::READY_NOW;
  }
  /// Comes after that. Resolves when calls can be served; fails with the reason why not.
  virtual kj::Promise<void> introduce(schema::Plugin::Client plugin,
                                      schema::PluginInfo::Reader info) = 0;

  /// The spawner has answered: with a process, or with a refusal.
  virtual void spawned(const process_spec& asked, const spawn_answer& answer) {
    (void)asked, (void)answer;
  }

  /// The instance's link while there is one, for its counters and its queue.
  wire::connection* link = nullptr;
};

struct instance_limits {
  std::chrono::milliseconds start_max{5'000};  // to prepare and spawn it, and again from there to
                                               // ready, but for ready_storage; then the start has
                                               // failed
  std::chrono::milliseconds status_wait{
      250};  // from the end of the link to the exit status; then the process is killed
  std::chrono::milliseconds kill_wait{
      2'000};  // from SIGKILL to the exit status; then it is reported as unknown
  std::chrono::milliseconds ping_every{0};  // 0: no health check
  std::chrono::milliseconds ping_wait{
      20'000};  // a ping that is not answered by then ends the instance as unresponsive
  std::size_t log_bytes_per_s_max = 1U << 20U;  // more stays in the pipe, and then in the plugin
};

struct instance_config {
  process_spec process;
  /// When there is one, it says what to start, in place of `process`: called once, on the reactor,
  /// before anything is started, and given up when the instance is stopped or `start_max` is over.
  /// Its failure is that of the start; whether that can heal is told by the kind.
  std::function<kj::Promise<process_spec>()> prepare{};
  std::uint64_t generation = 0;
  std::string broker_version;
  std::uint32_t calls_in_flight_max = 0;
  std::uint32_t log_line_bytes_max = 0;
  std::uint32_t error_text_bytes_max = 0;
  instance_limits limits;
  wire::stream_limits stream = wire::plugin_stream_limits();
  wire::budget_limits budget;
  std::uint64_t flow_words_max = wire::plugin_flow_words_max;
};

/// The actor. `spawner` answers spawn_request; `parent` hears of ready and ended. `sink` and
/// `protocol` are used on the reactor only.
class instance final : public hosted<instance_actor::base> {
 public:
  instance(caf::actor_config& config, bulkhead::reactor& loop, instance_config settings,
           spawner_actor spawner, instance_parent parent, std::shared_ptr<log_sink> sink,
           std::shared_ptr<bring_up> protocol);
  ~instance() noexcept override;

  const char* name() const override { return "instance"; }
  instance_actor::behavior_type make_behavior() override;

 private:
  enum class phase : std::uint8_t { preparing, spawning, introducing, ready, ending, ended };
  struct pipe_reader;

  void on_loop_exit() override;
  void on_task_failed(kj::Exception&& error) override;

  void limit_start();
  void prepare();
  void not_prepared(const kj::Exception& error);
  void spawn();
  void spawned(const spawn_answer& answer);
  void open_link(unique_fd link);
  kj::Promise<void> introduce();
  kj::Promise<void> hello();
  kj::Promise<void> mount();
  kj::Promise<void> within_start(kj::Promise<void> work);
  void begin_health_checks();
  kj::Promise<void> watch_health();
  kj::Promise<void> ping();
  kj::Promise<void> ask_for_life();
  void start_failed(const kj::Exception& error);
  kj::Promise<void> read_pipe(pipe_reader& pipe);
  std::size_t read_chunk(pipe_reader& pipe, std::size_t bytes_max);
  void read_last_words();
  kj::Promise<void> watch_exit();

  kj::Promise<kj::Exception> link_lost(kj::Exception cause);
  void begin_end(end_cause cause, std::string why);
  kj::Promise<void> kill_and_wait(std::chrono::milliseconds patience);
  void exit_seen();
  void finish();
  void close_with(const std::string& verdict);

  void use_rules(const instance_rules& rules);
  void stop_in_order(const instance_stop& order);
  kj::Promise<void> stop_steps(instance_stop order);
  std::uint64_t uptime_ms() const;

  instance_config settings_;
  spawner_actor spawner_;
  instance_parent parent_;
  std::shared_ptr<log_sink> sink_;
  std::shared_ptr<bring_up> protocol_;

  phase phase_ = phase::preparing;
  std::string step_ = "being started";  // what a start is at, for its failure
  bool stop_asked_ = false;
  bool killed_by_us_ = false;
  std::uint64_t ticket_ = 0;  // for limits_request; 0: none
  instance_end end_;
  std::unique_ptr<child_process> process_;
  std::chrono::steady_clock::time_point started_at_;
  std::chrono::steady_clock::time_point ended_at_;
  std::chrono::steady_clock::time_point ready_at_;

  kj::Own<kj::UnixEventPort::FdObserver> exit_observer_;
  kj::Own<pipe_reader> stdout_;
  kj::Own<pipe_reader> stderr_;
  kj::Own<wire::connection> link_;
  kj::Maybe<schema::Plugin::Client> plugin_;
  kj::Maybe<capnp::Response<schema::Plugin::HelloResults>> hello_;  // until it is ready
  kj::Duration start_used_ = 0 * kj::SECONDS;                       // of start_max
  kj::Promise<void> health_ = nullptr;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<kj::Exception>>> closing_;
};

}  // namespace bulkhead
