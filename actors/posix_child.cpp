// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>

#include "actors/child_process.hpp"

namespace bulkhead {
namespace {

class posix_child final : public child_process {
 public:
  posix_child(pid_t pid, unique_fd pidfd) : pid_{pid}, pidfd_{std::move(pidfd)} {}
  posix_child(const posix_child&) = delete;
  posix_child& operator=(const posix_child&) = delete;

  ~posix_child() override {
    if (end_ || last_wait_) return;
    signal_group(SIGKILL);
    if (!reap()) reap_later(std::make_unique<posix_child>(pid_, std::move(pidfd_)));
  }

  pid_t pid() const override { return pid_; }
  int exit_fd() const override { return pidfd_.get(); }

  bool signal(int number) override { return !end_ && send(number); }

  bool signal_group(int number) override {
    // Safe by number while the leader is not reaped: its number and its group's are still taken.
    return !end_ && send(0) && ::kill(-pid_, number) == 0;
  }

  std::optional<exit_status> peek() override { return end_ ? end_ : wait(WNOWAIT); }

  std::optional<exit_status> reap() override {
    if (end_) return end_;
    if (!wait(WNOWAIT)) return std::nullopt;
    signal_group(SIGKILL);
    end_ = wait(0);
    return end_;
  }

 private:
  /// False for a process that was reaped, by whomever.
  bool send(int number) const {
    // By number: glibc 2.36 declares the wrapper without extern "C".
    return ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) == 0;
  }

  /// Waits for the end of a process that was killed and reaps it, on a thread that ends with that.
  static void reap_later(std::unique_ptr<posix_child> killed) noexcept {
    killed->last_wait_ = true;
    try {
      std::thread([child = std::move(killed)] { child->await_end(); }).detach();
    } catch (const std::system_error&) {
      return;  // no thread is to be had: a zombie stays
    }
  }

  void await_end() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);  // the process's signals are not for this thread
    pollfd ended{pidfd_.get(), POLLIN, 0};
    while (::poll(&ended, 1, reap_wait_ms_max) < 0 && errno == EINTR) {
    }
    reap();
  }

  /// `keep`: WNOWAIT to leave the process unreaped, else 0.
  std::optional<exit_status> wait(int keep) {
    siginfo_t info{};
    int rc = 0;
    do {
      rc = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG | keep);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) return end_ = exit_status{};  // somebody else reaped it
    if (info.si_pid == 0) return std::nullopt;
    return exit_status_from(info);
  }

  pid_t pid_;
  unique_fd pidfd_;
  bool last_wait_ = false;          // its destructor has nothing left to try
  std::optional<exit_status> end_;  // set once reaped, by us or by somebody else
};

}  // namespace

std::unique_ptr<child_process> make_posix_child(pid_t pid, unique_fd pidfd) {
  return std::make_unique<posix_child>(pid, std::move(pidfd));
}

}  // namespace bulkhead
