// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/launcher_keeper.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "actors/launcher/messages.hpp"

namespace bulkhead {
namespace {

constexpr char another_one = 'n';
constexpr const char* no_keeper =
    "the launcher's keeper has ended, and only a new start of the broker brings another";

/// With the launcher's socket, unless there is an error.
struct keeper_answer {
  std::int32_t error_number = 0;
};

[[noreturn]] void fail(int error_number, const char* what) {
  throw std::system_error{error_number, std::generic_category(), what};
}

bool await(int fd, int ms_max) {
  pollfd wait{fd, POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&wait, 1, ms_max);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

void end(std::unique_ptr<child_process>& launcher) {
  if (!launcher) return;
  launcher->signal(SIGKILL);
  await(launcher->exit_fd(), launcher_keeper::close_down_ms_max);
  launcher->reap();
  launcher = nullptr;
}

bool answer(int error_number, int socket) {
  const keeper_answer text{error_number};
  const std::array fds{socket};
  return launcher::send_message(
      launcher::socket_fd, &text, sizeof text,
      std::span<const int>{fds}.first(error_number == 0 ? fds.size() : 0));
}

/// False: there is nobody to start one for.
bool start_another(const std::string& path, std::uint32_t broker,
                   std::unique_ptr<child_process>& running) {
  end(running);
  try {
    auto started = start_launcher(path, broker);
    running = std::move(started.process);
    return answer(0, started.socket.get());
  } catch (const std::system_error& failed) {
    return answer(failed.code().value(), -1);
  }
}

}  // namespace

launcher_keeper::launcher_keeper(const std::vector<std::string>& command) {
  auto started = start_with_socket(command);
  socket_ = std::move(started.socket);
  process_ = std::move(started.process);
}

launcher_keeper::~launcher_keeper() {
  socket_.reset();
  await(process_->exit_fd(), close_down_ms_max);
}

launcher_process launcher_keeper::next() {
  const std::lock_guard lock{one_at_a_time_};
  if (!socket_ ||
      !launcher::send_message(socket_.get(), &another_one, sizeof another_one, {}, MSG_DONTWAIT))
    fail(EPIPE, no_keeper);
  keeper_answer told;
  std::array<int, 1> came{-1};
  launcher::received_message got;
  if (await(socket_.get(), answer_ms_max))
    got = launcher::receive_message(socket_.get(), &told, sizeof told, came, MSG_DONTWAIT);
  unique_fd socket{came[0]};
  const bool whole = got.size == static_cast<ssize_t>(sizeof told) && !got.cut_off;
  if (!whole && !got.fds_lost) {
    socket_.reset();  // what it says from now on would be the answer to something else
    fail(EPIPE, no_keeper);
  }
  if (told.error_number != 0) fail(told.error_number, "the launcher does not start");
  if (!socket) fail(EMFILE, "no room for the launcher's socket");
  return {std::move(socket), nullptr};
}

int run_launcher_keeper(const std::string& path, std::uint32_t broker) {
  if (broker == 0) return 2;
  // A service manager tells all processes of a service to end; this one ends with its broker.
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::prctl(PR_SET_NAME, "bulkhead-keeper", 0, 0, 0);
  ::fcntl(launcher::socket_fd, F_SETFD, FD_CLOEXEC);
  std::unique_ptr<child_process> running;
  for (;;) {
    char order = 0;
    std::array<int, 1> none{-1};
    const auto got = launcher::receive_message(launcher::socket_fd, &order, sizeof order, none);
    if (none[0] >= 0) ::close(none[0]);
    if (got.size != sizeof order || got.cut_off || got.fds != 0 || order != another_one) break;
    if (!start_another(path, broker, running)) break;
  }
  if (!running) return 0;
  await(running->exit_fd(), launcher_keeper::close_down_ms_max);
  running->reap();
  return 0;
}

}  // namespace bulkhead
