// SPDX-License-Identifier: Apache-2.0
// The broker's end of the launcher's protocol, against a launcher of the test's own: a thread with
// the other end of the socket, which answers as it is told.
#include "actors/confinement/launched_spawner.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <functional>
#include <system_error>
#include <thread>

#include "actors/launcher/messages.hpp"
#include "actors/launcher/orders.hpp"

using namespace bulkhead;
using namespace std::chrono_literals;
using launcher::order_kind;
using launcher::stage;

namespace {

/// What a fake launcher does with each message: returns false to hang up.
using behaviour =
    std::function<bool(int socket, const launcher::start_order& order, std::size_t size)>;

class fake_launchers {
 public:
  ~fake_launchers() {
    for (auto& each : threads_) each.join();
  }

  std::function<launcher_process()> starts(behaviour what) {
    return [this, what] {
      ++started;
      std::array<int, 2> ends{};
      REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
      threads_.emplace_back([socket = unique_fd{ends[1]}, what] {
        auto order = std::make_unique<launcher::start_order>();
        for (;;) {
          std::array<int, 64> fds{};
          const auto got = launcher::receive_message(socket.get(), order.get(), sizeof *order, fds);
          for (std::size_t n = 0; n < got.fds; ++n) ::close(fds[n]);
          if (got.size <= 0) return;
          if (!what(socket.get(), *order, static_cast<std::size_t>(got.size))) return;
        }
      });
      return launcher_process{unique_fd{ends[0]}, nullptr};
    };
  }

  int started = 0;

 private:
  std::vector<std::thread> threads_;
};

bool greets(int socket, const launcher::start_order& order) {
  launcher::hello_answer answer;
  answer.head = order.head;
  return launcher::send_message(socket, &answer, sizeof answer);
}

bool is(const launcher::start_order& order, order_kind kind) {
  return order.head.kind == static_cast<std::uint16_t>(kind);
}

launcher::start_answer answer_to(const launcher::start_order& order) {
  launcher::start_answer answer;
  answer.head = order.head;
  return answer;
}

/// Greets, and answers a start with what `fill` makes of the answer.
behaviour answering(const std::function<void(launcher::start_answer&)>& fill) {
  return [fill](int socket, const launcher::start_order& order, std::size_t) {
    if (is(order, order_kind::hello)) return greets(socket, order);
    auto answer = answer_to(order);
    fill(answer);
    return launcher::send_message(socket, &answer, sizeof answer);
  };
}

process_spec confined_true() {
  process_spec spec;
  spec.executable = "/bin/true";
  spec.confined = std::make_shared<const confinement>();
  return spec;
}

spawn_error failure_of(launched_spawner& by, const process_spec& spec = confined_true()) {
  auto result = by.spawn(spec);
  REQUIRE(std::holds_alternative<spawn_error>(result));
  return std::get<spawn_error>(result);
}

spawn_error failure_with(const behaviour& what) {
  fake_launchers fakes;
  launched_spawner by{{.launcher = "fake", .answer_max = 5s, .starts = fakes.starts(what)}};
  return failure_of(by);
}

}  // namespace

TEST_CASE("a launcher of another version is refused by name") {
  const auto error = failure_with([](int socket, const launcher::start_order& order, std::size_t) {
    launcher::hello_answer answer;
    answer.head = order.head;
    answer.head.version = 99;
    return launcher::send_message(socket, &answer, sizeof answer);
  });
  CHECK(error.failure == spawn_failure::no_launcher);
  CHECK(error.why.find("version") != std::string::npos);
  CHECK_FALSE(error.permanent);
}

TEST_CASE("what is no answer is refused") {
  const auto garbage = [](int socket, const launcher::start_order&, std::size_t) {
    const std::array<char, 3> bytes{'x', 'y', 'z'};
    return launcher::send_message(socket, bytes.data(), bytes.size());
  };
  CHECK(failure_with(garbage).failure == spawn_failure::no_launcher);
  const auto silent_end = [](int, const launcher::start_order&, std::size_t) { return false; };
  CHECK(failure_with(silent_end).failure == spawn_failure::no_launcher);
  CHECK(failure_with(silent_end).why.find("the launcher has ended") != std::string::npos);
}

TEST_CASE("an answer to something else breaks the link") {
  const auto something_else = [](const std::function<void(launcher::start_answer&)>& change) {
    const auto error = failure_with(answering([&](auto& answer) {
      answer.stopped_at = stage::full;
      change(answer);
    }));
    CHECK(error.error_number == EPROTO);
  };
  something_else([](auto& answer) { answer.head.number += 1; });
  something_else([](auto& answer) { answer.head.kind += 1; });
  // "It runs", and no handle on it.
  CHECK(failure_with(answering([](auto&) {})).error_number == EPROTO);
}

TEST_CASE("a launcher that is silent is given up after its time") {
  fake_launchers fakes;
  const auto silent = [](int socket, const launcher::start_order& order, std::size_t) {
    return is(order, order_kind::hello) ? greets(socket, order) : true;
  };
  launched_spawner by{{.launcher = "fake", .answer_max = 50ms, .starts = fakes.starts(silent)}};
  CHECK(failure_of(by).error_number == ETIMEDOUT);
  CHECK(fakes.started == 2);  // the second was asked too
}

TEST_CASE("where a start stopped becomes the name of the failure") {
  const auto failed = [](stage at, int error_number, std::uint8_t which = launcher::no_wall) {
    return failure_with(answering([=](auto& answer) {
      answer.stopped_at = at;
      answer.error_number = error_number;
      answer.wall = which;
    }));
  };
  const auto wall_missing = failed(stage::wall, EACCES, index_of(wall::cgroup_memory));
  CHECK(wall_missing.failure == spawn_failure::no_wall);
  CHECK(wall_missing.permanent);
  CHECK(wall_missing.missing == wall::cgroup_memory);
  CHECK(wall_missing.why == "the wall cg.memory of profile strict does not stand (EACCES)");
  CHECK(wall_missing.report);
  const auto short_of_it = failed(stage::wall, EAGAIN, index_of(wall::cgroup_memory));
  CHECK(short_of_it.failure == spawn_failure::too_many_processes);
  CHECK_FALSE(short_of_it.permanent);
  CHECK(failed(stage::grant, ENOMEM).failure == spawn_failure::no_memory);
  const auto no_part = failed(stage::grant, EINVAL);
  CHECK(no_part.why == "a part of its root cannot be mounted (EINVAL)");
  CHECK(no_part.permanent);
  CHECK(failed(stage::program, ENOEXEC).failure == spawn_failure::bad_format);
  CHECK(failed(stage::full, EAGAIN).failure == spawn_failure::too_many_processes);
  CHECK(failed(stage::birth, ENOMEM).failure == spawn_failure::no_memory);
  CHECK(failed(stage::descriptors, EMFILE).failure == spawn_failure::too_many_descriptors);
  const auto odd = failed(stage::root, EBUSY);
  CHECK(odd.failure == spawn_failure::other);
  CHECK(odd.why == "its root could not be made (EBUSY)");
}

TEST_CASE("a launcher that cannot be started is not asked for at every start") {
  auto now = std::chrono::steady_clock::time_point{1h};
  int asked = 0;
  bool there = false;
  fake_launchers fakes;
  const auto fake = fakes.starts(answering([](auto& answer) { answer.stopped_at = stage::full; }));
  launched_spawner by{{.launcher = "fake",
                       .starts = [&]() -> launcher_process {
                         ++asked;
                         if (there) return fake();
                         throw std::system_error{ENOENT, std::generic_category(), "no file"};
                       },
                       .now = [&] { return now; }}};
  CHECK(failure_of(by).failure == spawn_failure::no_launcher);
  CHECK(failure_of(by).failure == spawn_failure::no_launcher);
  CHECK(asked == 1);
  now += 100ms;
  CHECK(failure_of(by).failure == spawn_failure::no_launcher);
  now += 199ms;
  CHECK_FALSE(by.prepare());
  CHECK(asked == 2);
  now += 1ms;
  there = true;
  CHECK(by.prepare());
  CHECK(failure_of(by).failure == spawn_failure::too_many_processes);
  CHECK(asked == 3);
}

TEST_CASE("a launcher that ran makes the waiting short again") {
  auto now = std::chrono::steady_clock::time_point{1h};
  int asked = 0;
  fake_launchers fakes;
  const auto hangs_up = [](int socket, const launcher::start_order& order, std::size_t) {
    return is(order, order_kind::hello) && greets(socket, order);
  };
  const auto fake = fakes.starts(hangs_up);
  launched_spawner by{{.launcher = "fake",
                       .starts = [&]() -> launcher_process {
                         if (++asked == 3) return fake();
                         throw std::system_error{ENOENT, std::generic_category(), "no file"};
                       },
                       .now = [&] { return now; }}};
  CHECK_FALSE(by.prepare());
  now += 100ms;
  CHECK_FALSE(by.prepare());
  now += 200ms;
  CHECK(by.prepare());
  CHECK(failure_of(by).failure == spawn_failure::no_launcher);  // it ended, and there is no other
  now += 99ms;
  CHECK_FALSE(by.prepare());
  CHECK(asked == 4);
  now += 1ms;
  CHECK_FALSE(by.prepare());
  CHECK(asked == 5);
}

TEST_CASE("without a launcher there is no instance whose limits could be changed") {
  launched_spawner by{{.launcher = "fake"}};
  CHECK(by.set_limits(1, {}) == ESRCH);
}

TEST_CASE("what does not fit an order is refused by what it is too much of") {
  fake_launchers fakes;
  launched_spawner by{{.launcher = "fake", .starts = fakes.starts(answering([](auto&) {}))}};
  auto spec = confined_true();
  spec.arguments = {std::string(launcher::text_bytes_max, 'x')};
  CHECK(failure_of(by, spec).why.find("the arguments and the environment") != std::string::npos);
  spec = confined_true();
  spec.arguments.assign(launcher::arguments_max, "x");
  CHECK(failure_of(by, spec).why.find("the number of arguments") != std::string::npos);
  spec = confined_true();
  confinement how;
  for (int n = 0; n <= launcher::placements_max; ++n)
    how.grants.push_back({grant_kind::descriptor, "/dev/null", ""});
  spec.confined = std::make_shared<const confinement>(how);
  CHECK(failure_of(by, spec).why.find("its libraries and grants") != std::string::npos);
}

TEST_CASE("descriptors beyond the room for them are not taken") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const unique_fd from{ends[0]}, to{ends[1]};
  char byte = 1;
  REQUIRE(launcher::send_message(from.get(), &byte, 1, std::array{0, 1}));
  // The kernel rounds the room up: a second descriptor would fit behind a single one.
  std::array<int, 2> room{-1, -1};
  const auto got =
      launcher::receive_message(to.get(), &byte, 1, std::span<int>{room.data(), std::size_t{1}});
  CHECK(got.fds == 1);
  CHECK(got.cut_off);
  CHECK(room[0] >= 0);
  CHECK(room[1] == -1);
  ::close(room[0]);
}

namespace {

/// Does nothing more once it has greeted, until its other end closes.
launcher_process deaf_launcher(std::vector<std::thread>& threads) {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  threads.emplace_back([socket = unique_fd{ends[1]}] {
    auto order = std::make_unique<launcher::start_order>();
    std::array<int, 1> fd{-1};
    launcher::receive_message(socket.get(), order.get(), sizeof *order, fd);
    ::close(fd[0]);
    greets(socket.get(), *order);
    pollfd end{socket.get(), POLLRDHUP, 0};
    ::poll(&end, 1, -1);
  });
  return {unique_fd{ends[0]}, nullptr};
}

}  // namespace

TEST_CASE("a launcher that reads nothing makes nobody wait for longer than its time") {
  std::vector<std::thread> threads;
  {
    launcher_link link{deaf_launcher(threads), 100ms};
    int taken = 0;
    while (link.signal(1, SIGTERM, false)) REQUIRE(++taken < 1'000'000);
    CHECK(taken > 0);
    launcher::start_order order;
    order.text_bytes = 1;
    try {
      link.start(order, {});
      FAIL("it answers");
    } catch (const std::system_error& failed) {
      CHECK(failed.code().value() == ETIMEDOUT);
    }
    CHECK(link.broken());
  }
  for (auto& each : threads) each.join();
}

TEST_CASE("a launcher is given as long to take an order as to answer it") {
  std::vector<std::thread> threads;
  {
    auto process = deaf_launcher(threads);
    const unique_fd same{::dup(process.socket.get())};
    const launcher_link link{std::move(process), 2750ms};
    timeval most{};
    socklen_t size = sizeof most;
    REQUIRE(::getsockopt(same.get(), SOL_SOCKET, SO_SNDTIMEO, &most, &size) == 0);
    CHECK(most.tv_sec == 2);
    CHECK(most.tv_usec / 10'000 == 75);  // the kernel counts in its own ticks
    ::shutdown(same.get(), SHUT_RDWR);
  }
  for (auto& each : threads) each.join();
}

TEST_CASE("an order that cannot be sent, or whose handles cannot be taken, breaks no link") {
  std::vector<std::uint64_t> killed;
  std::uint64_t lost = 0;
  int asked = 0;
  auto fakes = std::make_unique<fake_launchers>();
  const auto what = [&](int socket, const launcher::start_order& order, std::size_t) {
    if (is(order, order_kind::hello)) return greets(socket, order);
    if (is(order, order_kind::signal)) {
      const auto& signal = reinterpret_cast<const launcher::signal_order&>(order);
      if (signal.all == 1) killed.push_back(signal.instance);
      return true;
    }
    ++asked;
    const auto answer = answer_to(order);  // it runs
    return launcher::send_message(socket, &answer, sizeof answer, std::array{0, 1, 2});
  };
  {
    launcher_link link{fakes->starts(what)(), 5s};
    launcher::start_order order;
    order.text_bytes = 1;
    CHECK_THROWS_AS(link.start(order, std::array{-1}), std::system_error);
    CHECK_FALSE(link.broken());

    // No descriptor is left here but two, of the three that come. The fake's own have been opened.
    const int lowest = ::dup(0);
    REQUIRE(lowest > 0);
    ::close(lowest);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit few = before;
    few.rlim_cur = static_cast<rlim_t>(lowest) + 2;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    int error = 0;
    try {
      link.start(order, {});
    } catch (const std::system_error& failed) {
      error = failed.code().value();
    }
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(error == EMFILE);
    CHECK_FALSE(link.broken());
    lost = order.head.number;
    const auto again = link.start(order, {});
    CHECK(again.status);
  }
  fakes.reset();
  CHECK(asked == 2);
  CHECK(killed == std::vector{lost});
}

TEST_CASE("the order carries the profile's walls, less the waived and those left out") {
  std::uint64_t wanted = 0, required = 0;
  std::string arguments;
  fake_launchers fakes;
  wall_set without;
  without.set(index_of(wall::landlock));
  {
    launched_spawner by{
        {.launcher = "fake",
         .without = without,
         .starts = fakes.starts([&](int socket, const launcher::start_order& order, std::size_t) {
           if (is(order, order_kind::hello)) return greets(socket, order);
           wanted = order.wanted;
           required = order.required;
           arguments = launcher::text_of(order, 1);
           auto answer = answer_to(order);
           answer.stopped_at = stage::full;
           return launcher::send_message(socket, &answer, sizeof answer);
         })}};
    auto spec = confined_true();
    spec.arguments = {"--first"};
    confinement how;
    how.waived.set(index_of(wall::cgroup_cpu));
    spec.confined = std::make_shared<const confinement>(how);
    failure_of(by, spec);
  }
  const auto all = wanted_walls(profile::strict);
  CHECK(wanted == (all & ~without).to_ullong());
  CHECK(required ==
        (required_walls(profile::strict) & ~without & ~wall_set{1ULL << index_of(wall::cgroup_cpu)})
            .to_ullong());
  CHECK(arguments == "--first");
}
