// SPDX-License-Identifier: Apache-2.0
//
// Every way in which a plugin can misbehave, by name, in one program: what the supervisor, the link
// and the gateway are tested against.
//
// The mode comes from the program's own name, because a mount names a file and gives no arguments:
// bad_plugin-exit-7 is a hard link. Under the name `bad_plugin` it behaves, and echoes. A release
// of the catalog has arguments: mode=M, and name=N, version=V and storage=S (the layout of what it
// stores) for what it says at hello. From
// the first call on, the mode can also be given by the mount option `mode`, and by the field `mode`
// of a request. Options and fields: mode, ms (a delay), bytes (a size). tests/README.md says what
// each mode does.
//
// It does not use the SDK: the SDK keeps the contract, and this program must be free to break it.
// Whatever it does, it ends by SIGALRM after five minutes, so that a failed test leaves nothing
// behind for long. Confined, where no alarm can be set, it goes with its launcher.
#include <fcntl.h>
#include <fmt/format.h>
#include <kj/async-unix.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <system_error>
#include <thread>

#include "schema/plugin.capnp.h"
#include "schema/wire/connection.hpp"
#include "schema/wire/error_text.hpp"
#include "tests/bad_link.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace): this is a program

namespace {

constexpr int link_fd = 3;
constexpr unsigned life_s_max = 300;
constexpr unsigned exit_delay_us = 50'000;  // below the broker's patience for an exit status
constexpr unsigned slow_ms_default = 1000;
constexpr std::size_t big_reply_bytes = 40U << 20U;  // above frame_bytes_max
constexpr unsigned host_calls_under_way = 64;
constexpr unsigned tasks_max = 100;  // above what a plugin may have by default

struct settings {
  std::string mode;
  std::string name = "bad";
  std::string version = "0.0.1";
  std::uint32_t storage = 0;  // the layout of what it stores; 0: it stores nothing
  unsigned ms = slow_ms_default;
  std::size_t bytes = big_reply_bytes;

  bool is(std::string_view name) const { return mode == name; }
  /// To `shutdown`, SIGTERM and the end of the link.
  bool is_deaf() const { return is("ignores-sigterm") || is("forks-twice"); }
};

[[noreturn]] void live_on() {
  for (;;) ::pause();
}

void write_all(int fd, const void* data, std::size_t size) {
  const auto* at = static_cast<const char*>(data);
  while (size > 0) {
    auto written = ::write(fd, at, size);
    if (written < 0 && errno == EAGAIN) continue;
    if (written <= 0) return;
    at += written;
    size -= static_cast<std::size_t>(written);
  }
}

void write_words(std::initializer_list<std::uint32_t> words) {
  for (auto word : words) write_all(link_fd, &word, sizeof(word));
}

void write_garbage() {
  std::array<std::uint32_t, 16384> words{};
  std::mt19937 random(7);
  for (auto& word : words) word = random();
  write_all(link_fd, words.data(), sizeof(words));
}

/// A null dereference that no compiler sees through.
void crash() {
  ::signal(SIGSEGV, SIG_DFL);
  ::raise(SIGSEGV);
}

void flood(int fd, bool lines) {
  std::thread([fd, lines] {
    std::string chunk(4096, 'x');
    if (lines) {
      for (std::size_t i = 63; i < chunk.size(); i += 64) chunk[i] = '\n';
    }
    for (;;) write_all(fd, chunk.data(), chunk.size());
  }).detach();
}

/// In pieces, so that no single one of them is what cannot be had.
void eat_memory(std::size_t bytes) {
  constexpr std::size_t piece = 4096;
  for (std::size_t eaten = 0; eaten < bytes; eaten += piece)
    std::memset(::operator new(piece), 'x', piece);
}

void spin() {
  std::thread([] {
    for (const volatile bool forever = true; forever;) {
    }
  }).detach();
}

/// Until it is given no more. Each waits for good, in a way that a confined one may.
void make_tasks() {
  static const std::atomic<bool> over{false};
  try {
    for (unsigned made = 0; made < tasks_max; ++made)
      std::thread([] { over.wait(false); }).detach();
  } catch (const std::system_error&) {
  }
}

/// A grandchild that keeps the link and the log open and is deaf to SIGTERM.
void fork_orphan(bool own_session) {
  if (::fork() != 0) return;
  if (own_session) ::setsid();
  ::signal(SIGTERM, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  ::alarm(life_s_max);
  live_on();
}

/// The same, of a parent that has ended.
void fork_twice() {
  const auto child = ::fork();
  if (child == 0) {
    fork_orphan(false);
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
}

[[noreturn]] void fail(schema::ErrorKind kind, const std::string& what) {
  wire::error_info info;
  info.kind = kind;
  info.what = what;
  kj::throwFatalException(wire::make_exception(info));
}

/// Modes of the first moment, before any protocol. Returns when the mode is none of them.
void misbehave_at_start(const settings& how) {
  if (how.is("never-hello")) live_on();
  if (how.is("exit-0")) ::_exit(0);
  if (how.is("exit-7")) {
    write_all(STDERR_FILENO, "bad_plugin: exiting with 7\n", 27);
    ::_exit(7);
  }
  if (how.is("garbage")) {
    write_garbage();
    live_on();
  }
  if (how.is("evil-frame")) {
    write_words({0xffffffffU, 0});
    live_on();
  }
  if (how.is("truncated-frame")) {
    write_words({0, 16, 1, 2});
    live_on();
  }
  if (how.is("huge-frame")) {
    write_words({0, 0x1fffffffU});
    live_on();
  }
  if (how.is("closes-fd3")) {
    ::close(link_fd);
    live_on();
  }
}

class bad_backend final : public schema::Backend::Server {
 public:
  bad_backend(settings how, schema::Host::Client host, kj::Timer& timer)
      : how_(std::move(how)),
        host_(kj::mv(host)),
        view_(host_.viewRequest().send().getView()),
        timer_(timer) {}

 protected:
  kj::Promise<void> handle(HandleContext context) override {
    auto how = how_;
    for (auto field : context.getParams().getRequest().getFields()) {
      if (field.getName() == "mode" && field.getValue().isText())
        how.mode = field.getValue().getText();
    }
    misbehave(how);
    if (how.is("slow-call")) {
      return timer_.afterDelay(how.ms * kj::MILLISECONDS).then([this, context]() mutable {
        echo(context);
      });
    }
    if (how.is("never-answers")) return kj::NEVER_DONE;
    if (how.is("big-reply")) {
      auto field = context.getResults().initResponse().initFields(1)[0];
      field.setName("big");
      auto place = field.initValue().initText(static_cast<unsigned>(how.bytes));
      std::memset(place.begin(), 'x', place.size());
      return kj::READY_NOW;
    }
    if (how.is("stores-value")) {
      auto put = view_.putRequest();
      put.setKey("big");
      put.initValue(static_cast<unsigned>(how.bytes));
      return put.send().ignoreResult().then([context]() mutable { echo(context); });
    }
    if (how.is("calls-host-forever")) {
      for (unsigned i = 0; i < host_calls_under_way; ++i) {
        call_host().detach([](kj::Exception&&) {});
      }
    }
    echo(context);
    return kj::READY_NOW;
  }

 private:
  void misbehave(const settings& how) {
    attack_link(how.mode);
    if (how.is("segv-on-call")) crash();
    if (how.is("exit-on-call")) ::_exit(0);
    if (how.is("exit-7-on-call")) ::_exit(7);
    if (how.is("abort-on-call")) std::abort();
    if (how.is("hang-on-call")) live_on();
    if (how.is("stops-self")) ::raise(SIGSTOP);
    if (how.is("eats-memory")) eat_memory(how.bytes);
    if (how.is("spins-on-call")) spin();
    if (how.is("makes-tasks")) make_tasks();
    if (how.is("garbage-on-call")) write_garbage();
    if (how.is("evil-frame-on-call")) write_words({0xffffffffU, 0});
    if (how.is("huge-frame-on-call")) write_words({0, 0x1fffffffU});
    if (how.is("closes-fd3-on-call")) {
      ::close(link_fd);
      live_on();
    }
    if (how.is("closes-fd3-then-exits-7")) {
      ::close(link_fd);
      ::usleep(exit_delay_us);
      ::_exit(7);
    }
    if (how.is("prints-on-call")) write_all(STDOUT_FILENO, "a stray printf\n", 15);
    if (how.is("error-on-call")) {
      // Escape codes, a line that pretends to be the broker's, a megabyte, and the pretence once
      // more at the end.
      std::string text = "\x1b[2J\x1b]0;owned\x07 broken\ndetail: kind=quarantined mount=other/\n";
      text.append(1U << 20U, 'x');
      text += "\ndetail: kind=quarantined mount=other/";
      kj::throwFatalException(
          kj::Exception(kj::Exception::Type::FAILED, "bad_plugin", 0, kj::str(text)));
    }
  }

  kj::Promise<void> call_host() {
    auto call = view_.getRequest();
    call.setKey("never there");
    return call.send().then([this](auto&&) { return call_host(); });
  }

  static void echo(HandleContext& context) {
    auto request = context.getParams().getRequest();
    auto from = request.getFields();
    auto to = context.getResults().initResponse().initFields(from.size() + 1);
    to[0].setName("path");
    to[0].initValue().setText(request.getPath());
    for (unsigned i = 0; i < from.size(); ++i) to.setWithCaveats(i + 1, from[i]);
  }

  settings how_;
  schema::Host::Client host_;
  schema::View::Client view_;
  kj::Timer& timer_;
};

class bad_plugin final : public schema::Plugin::Server {
 public:
  bad_plugin(settings how, kj::Timer& timer) : how_(std::move(how)), timer_(timer) {}

 protected:
  kj::Promise<void> hello(HelloContext context) override {
    if (how_.is("crash-in-hello")) crash();
    if (how_.is("wrong-protocol")) {
      fail(schema::ErrorKind::UNSUPPORTED, "this plugin speaks protocol 900 only");
    }
    if (how_.is("hangs-in-hello")) return kj::NEVER_DONE;
    auto info = context.getResults().initPlugin();
    info.setProtocol(how_.is("lies-about-protocol") ? 900 : 1);
    info.setName(how_.is("bad-name") ? "../\x1b[31mEvil Name" : how_.name.c_str());
    info.setVersion(how_.version.c_str());
    info.setStorageVersion(how_.storage);
    declare_options(info);
    auto paths = info.initPaths(1);
    paths[0].setPattern("{path*}");
    paths[0].setSummary("Misbehaves, or echoes.");
    constexpr std::array operations{schema::Operation::READ, schema::Operation::WRITE,
                                    schema::Operation::LIST, schema::Operation::DELETE};
    auto specs = paths[0].initOperations(operations.size());
    for (unsigned i = 0; i < specs.size(); ++i) specs[i].setOperation(operations.at(i));
    if (how_.is("slow-start")) return timer_.afterDelay(how_.ms * kj::MILLISECONDS);
    return kj::READY_NOW;
  }

  kj::Promise<void> mount(MountContext context) override {
    read_options(context.getParams().getMount().getOptions());
    if (how_.is("abort-in-mount")) std::abort();
    if (how_.is("fails-mount"))
      fail(schema::ErrorKind::FAILED_PRECONDITION, "this plugin does not like the mount");
    if (how_.is("hangs-in-mount")) return kj::NEVER_DONE;
    if (how_.is_deaf()) ::signal(SIGTERM, SIG_IGN);
    if (how_.is("forks-orphan")) fork_orphan(false);
    if (how_.is("forks-daemon")) fork_orphan(true);
    if (how_.is("forks-twice")) fork_twice();
    if (how_.is("floods-stdout")) flood(STDOUT_FILENO, true);
    if (how_.is("floods-stderr")) flood(STDERR_FILENO, false);
    if (!how_.is("no-backend")) {
      context.getResults().setBackend(
          kj::heap<bad_backend>(how_, context.getParams().getHost(), timer_));
    }
    if (how_.is("slow-mount")) return timer_.afterDelay(how_.ms * kj::MILLISECONDS);
    if (how_.storage > 0) return store(context.getParams().getHost(), "mounted");
    return kj::READY_NOW;
  }

  kj::Promise<void> migrate(MigrateContext context) override {
    return store(context.getParams().getHost(), "half").then([this]() -> kj::Promise<void> {
      if (how_.is("fails-migrate"))
        fail(schema::ErrorKind::FAILED_PRECONDITION, "this plugin does not like the storage");
      if (how_.is("crashes-in-migrate")) crash();
      if (how_.is("hangs-in-migrate")) return kj::NEVER_DONE;
      return kj::READY_NOW;
    });
  }

  kj::Promise<void> unmount(UnmountContext) override { return kj::READY_NOW; }
  kj::Promise<void> invalidate(InvalidateContext) override { return kj::READY_NOW; }
  kj::Promise<void> ping(PingContext) override { return kj::READY_NOW; }
  kj::Promise<void> shutdown(ShutdownContext) override {
    if (how_.is_deaf()) return kj::NEVER_DONE;
    ::_exit(0);
  }

 private:
  /// One key, with its layout and `what` in it.
  kj::Promise<void> store(schema::Host::Client host, const std::string& what) const {
    auto put = host.viewRequest().send().getView().putRequest();
    const auto value = fmt::format("{} {}", how_.storage, what);
    put.setKey("state");
    put.setValue(kj::StringPtr(value.c_str()).asBytes());
    return put.send().ignoreResult();
  }

  static void declare_options(schema::PluginInfo::Builder info) {
    auto options = info.initOptions(3);
    options[0].setName("mode");
    options[0].setSummary("How to misbehave.");
    options[1].setName("ms");
    options[1].setType(schema::FieldType::INT);
    options[2].setName("bytes");
    options[2].setType(schema::FieldType::INT);
  }

  void read_options(capnp::List<schema::Option>::Reader from) {
    for (auto option : from) {
      std::string name = option.getName();
      std::string value = option.getValue();
      if (name == "mode") {
        how_.mode = value;
      } else if (name == "ms") {
        how_.ms = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
      } else if (name == "bytes") {
        how_.bytes = std::strtoul(value.c_str(), nullptr, 10);
      } else {
        fail(schema::ErrorKind::INVALID_ARGUMENT, "bad_plugin has no option '" + name + "'");
      }
    }
  }

  settings how_;
  kj::Timer& timer_;
};

std::string mode_of(std::string_view program) {
  static constexpr std::string_view prefix = "bad_plugin-";
  program.remove_prefix(program.rfind('/') + 1);
  return std::string(program.substr(0, prefix.size()) == prefix ? program.substr(prefix.size())
                                                                : "echo");
}

/// Those of a release: name=, version=, mode=, storage=.
void read_arguments(settings& how, char** arguments) {
  for (; *arguments != nullptr; ++arguments) {
    const std::string_view word = *arguments;
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string value(word.substr(equals + 1));
    if (word.substr(0, equals) == "name") how.name = value;
    if (word.substr(0, equals) == "version") how.version = value;
    if (word.substr(0, equals) == "mode") how.mode = value;
    if (word.substr(0, equals) == "storage")
      how.storage = static_cast<std::uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
  }
}

}  // namespace

int main(int, char** argv) {
  if (::access("/proc/self", F_OK) == 0) ::alarm(life_s_max);
  ::signal(SIGPIPE, SIG_IGN);
  settings how;
  how.mode = mode_of(argv[0]);
  read_arguments(how, argv + 1);
  misbehave_at_start(how);
  auto io = kj::setupAsyncIo();
  capnp::Capability::Client server(kj::heap<bad_plugin>(how, io.provider->getTimer()));
  wire::connection_options options;
  options.limits.fds_per_message = wire::plugin_fds_per_message_max;
  // Not owned: a mode closes the descriptor, or writes to it, behind the back of the event loop.
  wire::connection link(io.lowLevelProvider->wrapUnixSocketFd(link_fd),
                        wire::connection::side::SERVER, kj::mv(server), kj::mv(options));
  link.on_disconnect().wait(io.waitScope);
  if (how.is_deaf() || how.is("ignores-eof")) live_on();
  return 0;
}
