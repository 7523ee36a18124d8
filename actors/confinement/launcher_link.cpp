// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/launcher_link.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <csignal>
#include <system_error>

#include "actors/child_start.hpp"
#include "actors/launcher/messages.hpp"
#include "actors/launcher/orders.hpp"
#include "actors/plugin_channels.hpp"

namespace bulkhead {
namespace {

using clock = std::chrono::steady_clock;

/// Unique in this process, so that no launcher takes an instance of another for its own.
std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

constexpr int close_down_ms_max = 2000;

[[noreturn]] void fail(int error_number, const char* what) {
  throw std::system_error{error_number, std::generic_category(), what};
}

int check(int rc, const char* what) {
  if (rc < 0) fail(errno, what);
  return rc;
}

/// A launcher that reads nothing, until nothing more fits into the socket.
void limit_sending(int socket, std::chrono::milliseconds patience) {
  timeval most{};
  most.tv_sec = patience.count() / 1000;
  most.tv_usec = patience.count() % 1000 * 1000;
  check(::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most), "setsockopt");
}

}  // namespace

launcher_process start_with_socket(std::vector<std::string> command) {
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  launcher_process started{unique_fd{ends[0]}, nullptr};
  const auto theirs = out_of_the_way(unique_fd{ends[1]});
  const auto null =
      out_of_the_way(unique_fd{check(::open("/dev/null", O_RDWR | O_CLOEXEC), "open /dev/null")});
  child_plan plan;
  plan.descriptors = {
      {null.get(), 0}, {null.get(), 1}, {null.get(), 2}, {theirs.get(), launcher::socket_fd}};
  plan.first_closed = launcher::socket_fd + 1;
  plan.directory = "/";
  plan.path = command.front();
  for (auto& each : command) plan.arguments.push_back(each.data());
  plan.arguments.push_back(nullptr);
  plan.environment = {nullptr};
  auto child = start_child(plan);
  started.process = make_posix_child(child.pid, std::move(child.pidfd));
  return started;
}

launcher_process start_launcher(const std::string& path, std::uint32_t broker) {
  std::vector<std::string> command{path};
  if (broker != 0) command.push_back(std::to_string(broker));
  return start_with_socket(std::move(command));
}

launcher_link::launcher_link(launcher_process started, std::chrono::milliseconds patience)
    : process_{std::move(started)}, patience_{patience} {
  limit_sending(process_.socket.get(), patience_);
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
  const unique_fd theirs{ends[0]};
  lifeline_ = unique_fd{ends[1]};
  launcher::hello_order hello;
  hello.head.kind = static_cast<std::uint16_t>(launcher::order_kind::hello);
  hello.head.number = next_number();
  const auto answer =
      ask<launcher::hello_answer>(&hello, sizeof hello, std::array{theirs.get()}, {});
  user_ = static_cast<std::uint32_t>(answer.user);
}

launcher_link::~launcher_link() {
  if (!process_.process) return;
  // It ends what it has started, gives back what that held, and ends. Who is killed gives nothing
  // back.
  lifeline_.reset();
  process_.socket.reset();
  await_end();
}

void launcher_link::await_end() {
  pollfd ended{process_.process->exit_fd(), POLLIN, 0};
  ::poll(&ended, 1, close_down_ms_max);
}

void launcher_link::give_up(int error_number, const char* what) {
  broken_ = true;
  lifeline_.reset();
  if (process_.process) {
    process_.process->signal(SIGKILL);
    // Reaped, so that the next one sees that it is gone, and removes what it left.
    await_end();
    process_.process->reap();
  }
  fail(error_number, what);
}

void launcher_link::await_answer() {
  const auto deadline = clock::now() + patience_;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock::now()).count();
    if (left <= 0) give_up(ETIMEDOUT, "the launcher does not answer");
    pollfd wait{process_.socket.get(), POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(left));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) give_up(errno, "poll");
  }
}

void launcher_link::send(const void* order, std::size_t size, std::span<const int> descriptors) {
  if (broken_) fail(EPIPE, "the launcher has ended");
  if (launcher::send_message(process_.socket.get(), order, size, descriptors)) return;
  switch (errno) {
    case EAGAIN:
      give_up(ETIMEDOUT, "the launcher takes no order");
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
      give_up(errno, "the launcher has ended");
    default:  // for want of something on this side; the launcher knows nothing of it
      fail(errno, "an order cannot be sent");
  }
}

template <class Answer>
Answer launcher_link::ask(const void* order, std::size_t size, std::span<const int> descriptors,
                          std::span<unique_fd*> returned) {
  send(order, size, descriptors);
  await_answer();
  Answer answer;
  std::array<int, 8> fds{};
  const auto got =
      launcher::receive_message(process_.socket.get(), &answer, sizeof answer, fds, MSG_DONTWAIT);
  std::array<unique_fd, 8> came;
  for (std::size_t n = 0; n < got.fds; ++n) came[n] = unique_fd{fds[n]};
  if (got.size <= 0) give_up(got.size < 0 ? errno : EPIPE, "the launcher has ended");
  launcher::header asked;
  std::memcpy(&asked, order, sizeof asked);
  const bool no_room = got.fds_lost && got.fds < returned.size();
  const bool whole = got.size >= static_cast<ssize_t>(sizeof(launcher::header)) &&
                     (!got.cut_off || no_room) && answer.head.magic == launcher::magic;
  if (!whole || answer.head.version != launcher::version)
    give_up(EPROTO, "the launcher speaks another version");
  if (got.size != static_cast<ssize_t>(sizeof answer) || answer.head.kind != asked.kind ||
      answer.head.number != asked.number ||
      (got.fds != 0 && got.fds != returned.size() && !no_room))
    give_up(EPROTO, "the launcher answers something else");
  if (no_room) {
    // It runs, and cannot be held.
    if (!signal(asked.number, SIGKILL, true)) give_up(EMFILE, "the launcher takes no order");
    fail(EMFILE, "no room for the handles on a process");
  }
  for (std::size_t n = 0; n < got.fds; ++n) *returned[n] = std::move(came[n]);
  return answer;
}

launcher_link::start_result launcher_link::start(launcher::start_order& order,
                                                 std::span<const int> descriptors) {
  const std::lock_guard lock{one_at_a_time_};
  order.head = {};
  order.head.kind = static_cast<std::uint16_t>(launcher::order_kind::start);
  order.head.number = next_number();
  start_result result;
  std::array<unique_fd*, 3> returned{&result.init, &result.plugin, &result.status};
  result.answer =
      ask<launcher::start_answer>(&order, launcher::size_of(order), descriptors, returned);
  const bool runs = result.answer.stopped_at == launcher::stage::none;
  if (runs != static_cast<bool>(result.status)) give_up(EPROTO, "the launcher contradicts itself");
  return result;
}

launcher::limits_answer launcher_link::change_limits(std::uint64_t instance,
                                                     const resource_limits& limits) {
  const std::lock_guard lock{one_at_a_time_};
  launcher::limits_order order;
  order.head.kind = static_cast<std::uint16_t>(launcher::order_kind::limits);
  order.head.number = next_number();
  order.instance = instance;
  order.limits = limits;
  return ask<launcher::limits_answer>(&order, sizeof order, {}, {});
}

bool launcher_link::signal(std::uint64_t instance, int number, bool all) {
  launcher::signal_order order;
  order.head.kind = static_cast<std::uint16_t>(launcher::order_kind::signal);
  order.head.number = instance;
  order.instance = instance;
  order.number = number;
  order.all = all ? 1 : 0;
  return !broken_ &&
         launcher::send_message(process_.socket.get(), &order, sizeof order, {}, MSG_DONTWAIT);
}

}  // namespace bulkhead
