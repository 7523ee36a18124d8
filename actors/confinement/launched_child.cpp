// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/launched_child.hpp"

#include <fcntl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>

namespace bulkhead {
namespace {

class launched_child final : public child_process {
 public:
  launched_child(std::shared_ptr<launcher_link> link, launcher_link::start_result started)
      : link_{std::move(link)},
        instance_{started.answer.head.number},
        pid_{static_cast<pid_t>(started.answer.plugin)},
        init_{std::move(started.init)},
        plugin_{std::move(started.plugin)},
        status_{std::move(started.status)} {}
  launched_child(const launched_child&) = delete;
  launched_child& operator=(const launched_child&) = delete;
  ~launched_child() override {
    // Also after the plugin's end: its init may still be on the way out.
    send(init_, SIGKILL, true);
  }

  pid_t pid() const override { return pid_; }
  int exit_fd() const override { return status_.get(); }

  bool signal(int number) override { return !peek() && send(plugin_, number, false); }

  bool signal_group(int number) override {
    if (end_) return false;
    return number == SIGKILL ? send(init_, number, true) : send(plugin_, number, false);
  }

  std::optional<exit_status> peek() override {
    if (end_) return end_;
    launcher::end_record record;
    ssize_t got = 0;
    do {
      got = ::read(status_.get(), &record, sizeof record);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) return std::nullopt;
    if (got == static_cast<ssize_t>(sizeof record)) {
      siginfo_t info{};
      info.si_code = record.code;
      info.si_status = record.status;
      end_ = exit_status_from(info);
      out_of_memory_ = record.memory_kills != 0 && record.code != CLD_EXITED;
    } else {
      end_ = exit_status::signaled(SIGKILL, false);
    }
    return end_;
  }

  std::optional<exit_status> reap() override {
    if (peek()) send(init_, SIGKILL, true);
    return end_;
  }

  bool out_of_memory() override { return peek() && out_of_memory_; }

 private:
  bool send(const unique_fd& handle, int number, bool all) {
    // By number: glibc 2.36 declares the wrapper without extern "C".
    if (::syscall(SYS_pidfd_send_signal, handle.get(), number, nullptr, 0) == 0) return true;
    return errno == EPERM && link_->signal(instance_, number, all);
  }

  std::shared_ptr<launcher_link> link_;
  std::uint64_t instance_;
  pid_t pid_;
  unique_fd init_;
  unique_fd plugin_;
  unique_fd status_;
  std::optional<exit_status> end_;
  bool out_of_memory_ = false;
};

}  // namespace

std::unique_ptr<child_process> make_launched_child(std::shared_ptr<launcher_link> link,
                                                   launcher_link::start_result started) {
  ::fcntl(started.status.get(), F_SETFL, O_NONBLOCK);
  return std::make_unique<launched_child>(std::move(link), std::move(started));
}

}  // namespace bulkhead
