// SPDX-License-Identifier: Apache-2.0
//
// Load for the system tests, and a stopwatch that is fine enough for percentiles: clients of a real
// broker, each with a connection of its own.
//
// They are a closed loop by default: each has one question under way, and with --every-us it asks
// at most once in that time. Such clients wait for a slow broker, fall into step with one another,
// and so hide the latency that they are to show. With --open each asks when its time has come,
// whether or not it has its answers: at times that are random (exponential, of mean --every-us),
// the same after every `go`. What a question took counts from the moment at which it was due, so
// that a late start of it counts too.
//
//     system-load --address unix:PATH MODE [--clients N] [--every-us N] [--open] WORD...
//
//     calls PATH...     reads a path of each client's own, in turn
//     crash PATH        writes mode=exit-7-on-call to a bad plugin, which ends its instance
//     admin PATH MOUNT  asks for the status of PATH, for the tree, and stops and starts MOUNT
//
// It is told what to do on stdin, line by line, and answers each line with one of JSON: `go` and
// `halt` (it begins halted; `halt` answers when nothing is under way any more) and `mark`: what
// happened since the last `mark`, by kind of question: how many, how many failed, the first
// failure's text, and p50, p99 and the slowest in microseconds. It ends with its stdin.
#include <fmt/format.h>
#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/debug.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "broker/client/client.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace): this is a program

namespace {

using microseconds = std::chrono::duration<double, std::micro>;
using steady = std::chrono::steady_clock;

struct tally {
  std::vector<double> us;  // of questions that were answered
  std::uint64_t failed = 0;
  std::string first_failure;
};

/// The value at `percent` of sorted values, by nearest rank.
double percentile(const std::vector<double>& sorted, double percent) {
  if (sorted.empty()) return 0;
  const auto rank = static_cast<std::size_t>(percent / 100 * static_cast<double>(sorted.size()));
  return sorted[std::min(rank, sorted.size() - 1)];
}

std::string json_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char byte : text) {
    const auto code = static_cast<unsigned char>(byte);
    if (byte == '"' || byte == '\\') quoted += '\\';
    if (code < 0x20)
      quoted += fmt::format("\\u{:04x}", code);
    else
      quoted += byte;
  }
  return quoted + "\"";
}

std::string json(const std::string& kind, tally& of) {
  std::sort(of.us.begin(), of.us.end());
  return fmt::format(
      R"({}:{{"answered":{},"failed":{},"first_failure":{},"p50_us":{:.1f},"p99_us":{:.1f},)"
      R"("most_us":{:.1f}}})",
      json_text(kind), of.us.size(), of.failed, json_text(of.first_failure), percentile(of.us, 50),
      percentile(of.us, 99), of.us.empty() ? 0.0 : of.us.back());
}

using question = std::function<kj::Promise<void>()>;

/// What one client asks, one after the other, each under the name of its kind.
using questions = std::vector<std::pair<std::string, question>>;

/// An alarm at an exact time; KJ's own timers are late by up to a millisecond.
class alarm_clock {
 public:
  explicit alarm_clock(kj::UnixEventPort& port)
      : fd_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
        observer_(port, fd_, kj::UnixEventPort::FdObserver::OBSERVE_READ) {}

  /// Resolves at `when`, at once when that has passed. One at a time.
  kj::Promise<void> at(steady::time_point when) {
    const auto since =
        std::max<std::chrono::nanoseconds>(when.time_since_epoch(), std::chrono::nanoseconds(1));
    const auto whole = std::chrono::floor<std::chrono::seconds>(since);
    itimerspec time{};
    time.it_value.tv_sec = whole.count();
    time.it_value.tv_nsec = (since - whole).count();
    KJ_SYSCALL(::timerfd_settime(fd_, TFD_TIMER_ABSTIME, &time, nullptr));
    return observer_.whenBecomesReadable().then([this] {
      std::uint64_t times = 0;
      KJ_SYSCALL(::read(fd_, &times, sizeof times));
    });
  }

 private:
  kj::AutoCloseFd fd_;
  kj::UnixEventPort::FdObserver observer_;
};

/// When each of some clients asks next, each by chance and none by the others' leave.
class arrivals {
 public:
  arrivals(std::size_t clients, unsigned every_us, steady::time_point begin)
      : wait_us_(1.0 / every_us) {
    for (std::size_t i = 0; i < clients; ++i) {
      random_.emplace_back(i + 1);
      plan(i, begin);
    }
  }

  steady::time_point next() const { return due_.begin()->first; }

  /// The client whose time it is, and plans its next question.
  std::size_t take() {
    const auto [at, client] = *due_.begin();
    due_.erase(due_.begin());
    plan(client, at);
    return client;
  }

 private:
  void plan(std::size_t client, steady::time_point from) {
    const microseconds wait(wait_us_(random_[client]));
    due_.emplace(from + std::chrono::duration_cast<steady::duration>(wait), client);
  }

  std::exponential_distribution<double> wait_us_;
  std::vector<std::mt19937_64> random_;
  std::multimap<steady::time_point, std::size_t> due_;
};

/// What all clients share: whether they are to ask, and what they found.
class run final : private kj::TaskSet::ErrorHandler {
 public:
  run(kj::Timer& timer, kj::Duration every) : timer_(timer), every_(every), open_(*this) {}

  /// Asks the first question of each of `lists` when its time has come, for ever.
  kj::Promise<void> open_loop(const std::vector<questions>& lists, alarm_clock& alarm) {
    return allowed(0 * kj::SECONDS)
        .then([this, &lists, &alarm] {
          const auto every_us = static_cast<unsigned>(every_ / kj::MICROSECONDS);
          auto due = kj::heap<arrivals>(lists.size(), every_us, steady::now());
          auto& times = *due;
          return ask_in_time(lists, alarm, times).attach(kj::mv(due));
        })
        .then([this, &lists, &alarm] { return open_loop(lists, alarm); });
  }

  /// Asks the questions of `list`, from that at `at` on, for ever; after a `go` it begins `late`,
  /// so that clients with a pace of their own do not all ask in the same moment.
  kj::Promise<void> client(const questions& list, kj::Duration late, std::size_t at = 0) {
    return allowed(late).then([this, &list, late, at] {
      const auto next = timer_.now() + every_;
      return timed(list[at])
          .then([this, next] { return timer_.atTime(next); })
          .then([this, &list, late, at] { return client(list, late, (at + 1) % list.size()); });
    });
  }

  void go() {
    halted_ = false;
    ++round_;
    for (auto& each : waiting_) each->fulfill();
    waiting_.clear();
  }

  kj::Promise<void> halt() {
    halted_ = true;
    return quiet();
  }

  std::string mark() {
    std::string text;
    for (auto& [kind, of] : tallies_) text += (text.empty() ? "" : ",") + json(kind, of);
    tallies_.clear();
    return "{" + text + "}";
  }

 private:
  kj::Promise<void> allowed(kj::Duration late) {
    if (!halted_) return kj::READY_NOW;
    auto wait = kj::newPromiseAndFulfiller<void>();
    waiting_.push_back(kj::mv(wait.fulfiller));
    return wait.promise.then([this, late] { return timer_.afterDelay(late); });
  }

  kj::Promise<void> quiet() {
    if (under_way_ == 0) return kj::READY_NOW;
    return timer_.afterDelay(1 * kj::MILLISECONDS).then([this] { return quiet(); });
  }

  /// Until the next `halt`.
  kj::Promise<void> ask_in_time(const std::vector<questions>& lists, alarm_clock& alarm,
                                arrivals& times) {
    const auto same = [this, round = round_] { return !halted_ && round == round_; };
    return alarm.at(times.next()).then([this, &lists, &alarm, &times, same]() -> kj::Promise<void> {
      while (same() && times.next() <= steady::now()) {
        const auto due = times.next();
        open_.add(timed(lists[times.take()].front(), due));
      }
      if (!same()) return kj::READY_NOW;
      return ask_in_time(lists, alarm, times);
    });
  }

  void taskFailed(kj::Exception&& problem) override {
    KJ_LOG(FATAL, "a question could not be asked", problem.getDescription());
  }

  kj::Promise<void> timed(const std::pair<std::string, question>& asked,
                          steady::time_point began = steady::now()) {
    ++under_way_;
    return kj::evalNow(asked.second)
        .then(
            [this, began, kind = asked.first] {
              tallies_[kind].us.push_back(microseconds(steady::now() - began).count());
            },
            [this, kind = asked.first](kj::Exception&& problem) {
              auto& found = tallies_[kind];
              if (found.failed++ == 0) found.first_failure = problem.getDescription().cStr();
            })
        .then([this] { --under_way_; });
  }

  kj::Timer& timer_;
  kj::Duration every_;
  bool halted_ = true;
  unsigned round_ = 0;  // how often `go` was said
  unsigned under_way_ = 0;
  std::map<std::string, tally> tallies_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> waiting_;
  kj::TaskSet open_;
};

struct settings {
  std::string address;
  std::string mode;
  unsigned clients = 1;
  unsigned every_us = 0;
  bool open = false;
  std::vector<std::string> words;
};

settings parse(int argc, char** argv) {
  settings found;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] {
      KJ_REQUIRE(i + 1 < argc, "a flag needs a value", word);
      return std::string(argv[++i]);
    };
    if (word == "--address")
      found.address = value();
    else if (word == "--clients")
      found.clients = static_cast<unsigned>(std::stoul(value()));
    else if (word == "--every-us")
      found.every_us = static_cast<unsigned>(std::stoul(value()));
    else if (word == "--open")
      found.open = true;
    else if (found.mode.empty())
      found.mode = word;
    else
      found.words.push_back(word);
  }
  KJ_REQUIRE(!found.words.empty(), "what is to be asked?");
  KJ_REQUIRE(!found.open || found.every_us > 0, "--open needs the time between two questions");
  return found;
}

questions one_call(remote::client& broker, const std::string& path, schema::Operation operation,
                   const std::string& mode) {
  const auto backend = std::make_shared<schema::Backend::Client>(broker.backend(path));
  return {{"calls", [backend, path, operation, mode] {
             auto call = backend->handleRequest();
             auto request = call.initRequest();
             request.setOperation(operation);
             request.setPath(path.substr(path.find('/') + 1).c_str());
             if (!mode.empty()) {
               auto field = request.initFields(1)[0];
               field.setName("mode");
               field.initValue().setText(mode.c_str());
             }
             return call.send().ignoreResult();
           }}};
}

/// The operator's questions that must be answered at any moment.
questions admin_questions(remote::client& broker, const std::string& path,
                          const std::string& mount) {
  const auto stop = [&broker, mount] {
    auto call = broker.admin().stopRequest();
    call.setPath(mount.c_str());
    return call.send().ignoreResult();
  };
  const auto start = [&broker, mount] {
    auto call = broker.admin().startRequest();
    call.setPath(mount.c_str());
    return call.send().ignoreResult();
  };
  const auto status = [&broker, path] {
    auto call = broker.admin().statusRequest();
    call.setPath(path.c_str());
    return call.send().ignoreResult();
  };
  const auto tree = [&broker] { return broker.admin().treeRequest().send().ignoreResult(); };
  return {{"status", status}, {"tree", tree}, {"status", status}, {"stop", stop},
          {"status", status}, {"tree", tree}, {"status", status}, {"start", start}};
}

questions questions_of(const settings& how, remote::client& broker, unsigned index) {
  if (how.mode == "calls")
    return one_call(broker, how.words[index % how.words.size()], schema::Operation::READ, {});
  if (how.mode == "crash")
    return one_call(broker, how.words[0], schema::Operation::WRITE, "exit-7-on-call");
  KJ_REQUIRE(how.mode == "admin" && how.words.size() == 2, "no such mode", how.mode);
  return admin_questions(broker, how.words[0], how.words[1]);
}

void answer(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

/// Reads orders until the end of stdin.
void obey(run& load, kj::AsyncIoContext& io) {
  auto input = io.lowLevelProvider->wrapInputFd(STDIN_FILENO);
  std::string line;
  for (char byte = 0; input->tryRead(&byte, 1, 1).wait(io.waitScope) == 1;) {
    if (byte != '\n') {
      line += byte;
      continue;
    }
    if (line == "go")
      load.go();
    else if (line == "halt")
      load.halt().wait(io.waitScope);
    else
      KJ_REQUIRE(line == "mark", "no such order", line);
    answer(line == "mark" ? load.mark() : "{}");
    line.clear();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto how = parse(argc, argv);
  auto io = kj::setupAsyncIo();
  std::vector<std::unique_ptr<remote::client>> brokers;  // go last: questions are asked over them
  std::vector<questions> asked(how.clients);
  alarm_clock alarm(io.unixEventPort);
  run load(io.provider->getTimer(), how.every_us * kj::MICROSECONDS);
  std::vector<kj::Promise<void>> clients;
  const auto begin = [&clients](kj::Promise<void> asking) {
    clients.push_back(asking.eagerlyEvaluate([](kj::Exception&& problem) {
      std::fprintf(stderr, "system-load: %s\n", problem.getDescription().cStr());
      std::exit(1);
    }));
  };
  for (unsigned i = 0; i < how.clients; ++i) {
    brokers.push_back(std::make_unique<remote::client>(
        remote::unix_connector(*io.lowLevelProvider, how.address)));
    brokers.back()->connect();
    asked[i] = questions_of(how, *brokers.back(), i);
    const auto late = how.every_us * kj::MICROSECONDS * i / how.clients;
    if (!how.open) begin(load.client(asked[i], late));
  }
  if (how.open) begin(load.open_loop(asked, alarm));
  obey(load, io);
  clients.clear();  // before what they run on
  return 0;
}
