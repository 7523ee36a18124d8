// SPDX-License-Identifier: Apache-2.0
//
// The process around a plugin: descriptor 3, signals, log lines, and the ways to end.
//
// How a plugin process ends, each with status 0:
//
// - At end of file on the link: at once, by _exit, also while a handler computes. A watcher thread
//   waits for the hang-up in poll(2), because an event loop that is busy would not see it. The
//   thread runs no code of the plugin.
// - At shutdown and SIGTERM: after work under way (calls of the request style, and what holds a
//   busy_guard) or the grace, whichever is first; answers that are queued are written before. Who
//   asks again can only shorten the grace.
//
// A plugin cannot linger: whoever started it is gone or asked for it.
//
// stdout becomes line buffered, so that a log line is a log line at once; the protocol is on
// descriptor 3, where no printf goes.
#include <fcntl.h>
#include <kj/async-unix.h>
#include <kj/debug.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "plugins/sdk/plugin.hpp"
#include "plugins/sdk/plugin_server.hpp"
#include "schema/wire/connection.hpp"

namespace bulkhead::sdk {
namespace {

constexpr int exit_software = 70;  // EX_SOFTWARE of sysexits.h
constexpr int default_link_fd = 3;
// How often an ending process looks whether its last answers are written, and for how long after
// its work is done.
constexpr auto flush_poll = kj::MILLISECONDS;
constexpr auto flush_time_max = 100 * kj::MILLISECONDS;

[[noreturn]] void end_process() {
  std::fflush(nullptr);
  ::_exit(0);
}

/// The descriptor of the link, or -1 when there is none: then the program was run by hand.
int find_link() {
  const char* named = std::getenv("BULKHEAD_FD");
  char* end = nullptr;
  long fd = named == nullptr ? default_link_fd : std::strtol(named, &end, 10);
  if (named != nullptr && (*named == '\0' || *end != '\0')) return -1;
  if (fd < 0 || fd > 1'000'000) return -1;
  int kind = 0;
  socklen_t size = sizeof(kind);
  if (::getsockopt(static_cast<int>(fd), SOL_SOCKET, SO_TYPE, &kind, &size) != 0) return -1;
  return kind == SOCK_STREAM ? static_cast<int>(fd) : -1;
}

int explain_run_by_hand(const std::string& name) {
  std::fprintf(stderr,
               "%s: this is a Bulkhead plugin: the broker starts it, not a person\n"
               "  why:  descriptor 3 is no connection to a broker\n"
               "  try:  bulkhead mount PATH %s\n",
               name.c_str(), name.c_str());
  return exit_run_by_hand;
}

/// Ends the process when the other end of the link hangs up, whatever the event loop is doing.
void watch_for_hang_up(int link) {
  int own = ::fcntl(link, F_DUPFD_CLOEXEC, default_link_fd + 1);
  KJ_REQUIRE(own >= 0, "the link could not be watched");
  std::thread([own] {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    pollfd what{own, POLLRDHUP, 0};
    for (;;) {
      what.revents = 0;
      if (::poll(&what, 1, -1) > 0 && what.revents != 0) ::_exit(0);
    }
  }).detach();
}

/// Turns a shutdown, however it was asked for, into one promise.
class ending {
 public:
  explicit ending(kj::Timer& timer) : timer_(timer) {}

  void ask(unsigned grace_ms) {
    const auto by = timer_.now() + grace_ms * kj::MILLISECONDS;
    if (!was_asked_ || by < deadline_) {
      deadline_ = by;
      grace_ = timer_.atTime(by)
                   .then([this] { out_of_grace_.fulfiller->fulfill(); })
                   .eagerlyEvaluate(nullptr);
    }
    was_asked_ = true;
    asked_.fulfiller->fulfill();
  }

  /// Done when it is time to exit.
  kj::Promise<void> when_done(work_counter& work, const wire::connection& link) {
    return asked_.promise
        .then(
            [this, &work] { return work.when_idle().exclusiveJoin(kj::mv(out_of_grace_.promise)); })
        .then([this, &link] { return flushed(link, timer_.now() + flush_time_max); });
  }

 private:
  /// Answers are queued when their promise is done, and written a turn later: leave them that turn,
  /// and the queue its time.
  kj::Promise<void> flushed(const wire::connection& link, kj::TimePoint latest) {
    return timer_.afterDelay(flush_poll).then([this, &link, latest]() -> kj::Promise<void> {
      if (link.meter().bytes_queued == 0 || timer_.now() >= latest) return kj::READY_NOW;
      return flushed(link, latest);
    });
  }

  kj::Timer& timer_;
  bool was_asked_ = false;
  kj::TimePoint deadline_ = kj::origin<kj::TimePoint>();
  kj::Promise<void> grace_ = nullptr;
  kj::PromiseFulfillerPair<void> asked_ = kj::newPromiseAndFulfiller<void>();
  kj::PromiseFulfillerPair<void> out_of_grace_ = kj::newPromiseAndFulfiller<void>();
};

void run(const std::shared_ptr<const plugin_definition>& definition, int fd) {
  auto io = kj::setupAsyncIo();
  auto& timer = io.provider->getTimer();
  auto work = std::make_shared<work_counter>();
  ending end(timer);
  capnp::Capability::Client server(
      kj::heap<plugin_server>(definition, work, [&end](unsigned grace_ms) { end.ask(grace_ms); }));
  wire::connection_options options;
  options.timer = timer;
  // No descriptor comes or goes on a plugin's link, and a confined plugin has no call for it.
  options.limits.fds_per_message = wire::plugin_fds_per_message_max;
  wire::connection link(
      io.lowLevelProvider->wrapUnixSocketFd(fd, kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP),
      wire::connection::side::SERVER, kj::mv(server), kj::mv(options));
  auto terminated = io.unixEventPort.onSignal(SIGTERM)
                        .then([&end](siginfo_t) { end.ask(sigterm_grace_ms); })
                        .eagerlyEvaluate(nullptr);
  auto gone = link.on_disconnect().then([] { end_process(); }).eagerlyEvaluate(nullptr);
  end.when_done(*work, link).wait(io.waitScope);
  end_process();
}

}  // namespace

int plugin::serve() {
  int fd = find_link();
  if (fd < 0) return explain_run_by_hand(definition_->name);
  ::signal(SIGPIPE, SIG_IGN);
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  kj::UnixEventPort::captureSignal(SIGTERM);
  try {
    watch_for_hang_up(fd);
    run(definition_, fd);
  } catch (const kj::Exception& problem) {
    std::fprintf(stderr, "%s: %s\n", definition_->name.c_str(), problem.getDescription().cStr());
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s: %s\n", definition_->name.c_str(), problem.what());
  }
  return exit_software;
}

}  // namespace bulkhead::sdk
