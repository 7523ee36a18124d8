// SPDX-License-Identifier: Apache-2.0
//
// Bytes without any protocol: what the kernel alone takes.
#include <fcntl.h>
#include <kj/debug.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "tools/bench/process.hpp"
#include "tools/bench/subject.hpp"

namespace bulkhead::bench {

namespace {

class raw final : public subject {
 public:
  explicit raw(unsigned hops) : hops_(hops) {
    auto [here, there] = socket_pair();
    socket_ = kj::mv(here);
    if (hops == 1) {
      children_.emplace_back("server", start_role("raw-echo", {there}));
      return;
    }
    auto [middle, end] = socket_pair();
    children_.emplace_back("relay", start_role("relay", {there, middle}));
    children_.emplace_back("server", start_role("raw-echo", {end}));
  }

  const char* name() const override { return hops_ == 1 ? "raw socket" : "raw socket, two hops"; }

  std::vector<std::pair<std::string, pid_t>> processes() const override {
    std::vector<std::pair<std::string, pid_t>> all;
    for (const auto& [role, process] : children_) all.emplace_back(role, process.pid());
    return all;
  }

  std::vector<double> one_at_a_time(std::size_t bytes, double seconds) override {
    block(true);
    std::vector<double> times;
    std::vector<char> data(bytes, 'x');
    const double end = now_s() + seconds;
    for (double start = now_s(); start < end;) {
      KJ_ASSERT(::write(socket_, data.data(), bytes) == static_cast<ssize_t>(bytes));
      std::size_t got = 0;
      while (got < bytes) {
        const ssize_t some = ::read(socket_, data.data() + got, bytes - got);
        KJ_ASSERT(some > 0, "the echo is gone");
        got += static_cast<std::size_t>(some);
      }
      const double done = now_s();
      times.push_back((done - start) * 1e6);
      start = done;
    }
    return times;
  }

  std::uint64_t many_at_once(std::size_t bytes, unsigned lanes, double seconds) override {
    block(false);
    const std::vector<char> data(bytes, 'x');
    std::vector<char> sink(64 * 1024);
    std::uint64_t sent = 0;  // both in bytes
    std::uint64_t got = 0;
    bool open = true;
    for (const double end = now_s() + seconds; got < sent || open;) {
      open = now_s() < end;
      const std::uint64_t goal =
          open ? (got / bytes + lanes) * bytes : (sent + bytes - 1) / bytes * bytes;
      pollfd wait{socket_, POLLIN, 0};
      if (sent < goal) wait.events |= POLLOUT;
      if (got == sent && sent >= goal) continue;
      KJ_SYSCALL(::poll(&wait, 1, -1));
      if ((wait.revents & POLLOUT) != 0) {
        const auto at = sent % bytes;
        const auto part = ::write(socket_, data.data() + at, bytes - at);
        if (part > 0) sent += static_cast<std::uint64_t>(part);
      }
      if ((wait.revents & POLLIN) != 0) {
        const auto part = ::read(socket_, sink.data(), sink.size());
        if (part > 0) got += static_cast<std::uint64_t>(part);
      }
      KJ_ASSERT((wait.revents & POLLHUP) == 0, "the echo is gone");
    }
    return got / bytes;
  }

 private:
  void block(bool yes) { KJ_SYSCALL(::fcntl(socket_, F_SETFL, yes ? 0 : O_NONBLOCK)); }

  unsigned hops_;
  kj::AutoCloseFd socket_;
  std::vector<std::pair<std::string, child>> children_;
};

}  // namespace

std::unique_ptr<subject> raw_subject(unsigned hops) {
  return std::make_unique<raw>(hops);
}

}  // namespace bulkhead::bench
