// SPDX-License-Identifier: Apache-2.0
#include "broker/listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <kj/debug.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "broker/convert.hpp"

namespace bulkhead {
namespace {

constexpr auto accept_pause = 100 * kj::MILLISECONDS;
constexpr int backlog = 128;

std::string errno_text(int number) {
  return std::generic_category().message(number);
}

[[noreturn]] void fail(const std::string& path, const char* step, int number) {
  kj::throwFatalException(exception(
      error_kind::invalid_argument, fmt::format("cannot listen on {}", path),
      fmt::format("{}: {}", step, errno_text(number)), "choose another path with --socket"));
}

identity peer_of(kj::AsyncIoStream& stream) {
  ucred who{};
  kj::uint size = sizeof who;
  stream.getsockopt(SOL_SOCKET, SO_PEERCRED, &who, &size);
  return {who.uid, static_cast<std::uint32_t>(who.pid)};
}

}  // namespace

listener::listener(reactor& loop, std::string path, std::uint32_t clients_max,
                   std::uint64_t flow_words_max, greet make)
    : loop_(loop),
      path_(std::move(path)),
      clients_max_(clients_max),
      flow_words_max_(flow_words_max),
      greet_(std::move(make)),
      connections_(*this) {
  lock();
  take_reserve();
  auto socket = bind();
  socket_ = socket.get();
  receiver_ = loop_.low_level().wrapListenSocketFd(
      kj::mv(socket),
      kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC | kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK);
  accepting_ = accept_loop().eagerlyEvaluate(
      [this](kj::Exception&& problem) { taskFailed(kj::mv(problem)); });
}

listener::~listener() noexcept(false) {
  close();
  ::unlink(path_.c_str());
  ::unlink((path_ + ".lock").c_str());
}

void listener::close() {
  accepting_ = nullptr;
  receiver_ = nullptr;
  socket_ = -1;
}

void listener::lock() {
  const auto file = path_ + ".lock";
  for (;;) {
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) fail(path_, "its lock file cannot be opened", errno);
    lock_ = kj::AutoCloseFd(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
      kj::throwFatalException(exception(
          error_kind::already_exists, fmt::format("another broker listens on {}", path_),
          fmt::format("it holds {}", file), "stop it, or choose another path with --socket"));
    // The broker before this one may have removed the file between our open and our lock.
    struct stat ours {};
    struct stat there {};
    if (::fstat(fd, &ours) == 0 && ::stat(file.c_str(), &there) == 0 && ours.st_ino == there.st_ino)
      return;
  }
}

kj::AutoCloseFd listener::bind() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path)
    kj::throwFatalException(exception(
        error_kind::invalid_argument, fmt::format("cannot listen on {}", path_),
        fmt::format("the path of a unix socket has at most {} bytes", sizeof address.sun_path - 1),
        "choose a shorter path with --socket"));
  std::memcpy(static_cast<char*>(address.sun_path), path_.c_str(), path_.size() + 1);
  struct stat there {};
  if (::lstat(path_.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode))
      kj::throwFatalException(exception(error_kind::invalid_argument,
                                        fmt::format("cannot listen on {}", path_),
                                        "there is a file of that name that is no socket",
                                        "remove it, or choose another path with --socket"));
    ::unlink(path_.c_str());  // stale: we hold its lock
  }
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) fail(path_, "no socket", errno);
  kj::AutoCloseFd socket(fd);
  // The mode that the socket is born with: set on the descriptor before it gets its name.
  if (::fchmod(fd, 0600) != 0) fail(path_, "its mode cannot be set", errno);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail(path_, "bind", errno);
  if (::chmod(path_.c_str(), 0600) != 0) fail(path_, "its mode cannot be set", errno);
  if (::listen(fd, backlog) != 0) fail(path_, "listen", errno);
  return socket;
}

kj::Promise<void> listener::accept_loop() {
  // A failure may be thrown and not promised; it must not end the loop either way.
  return kj::evalNow([this] { return receiver_->accept(); })
      .then(
          [this](kj::Own<kj::AsyncIoStream>&& stream) -> kj::Promise<void> {
            KJ_IF_MAYBE (problem, kj::runCatchingExceptions([&] { serve(kj::mv(stream)); }))
              taskFailed(kj::mv(*problem));
            return kj::READY_NOW;
          },
          [this](kj::Exception&& problem) -> kj::Promise<void> {
            KJ_LOG(WARNING, "a connection could not be accepted", problem.getDescription());
            turn_away();
            return loop_.timer().afterDelay(accept_pause);
          })
      .then([this] { return accept_loop(); });
}

void listener::take_reserve() {
  reserve_ = unique_fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

/// Without a free descriptor a connection would stay in the queue, its client waiting, and be tried
/// for ever. The one in reserve is given up for as long as it takes to close the connection.
void listener::turn_away() {
  if (!reserve_) return take_reserve();
  const unique_fd probe(::fcntl(reserve_.get(), F_DUPFD_CLOEXEC, 0));
  if (probe || errno != EMFILE) return;
  reserve_.reset();
  unique_fd turned(::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (turned) ++turned_away_;
  turned.reset();
  take_reserve();
}

void listener::serve(kj::Own<kj::AsyncIoStream> stream) {
  if (clients_ >= clients_max_) return;  // closed by going out of scope
  const auto peer = peer_of(*stream);
  wire::connection_options options;
  options.timer = loop_.timer();
  options.flow_words_max = flow_words_max_;
  auto connection =
      kj::heap<wire::connection>(stream.downcast<kj::AsyncCapabilityStream>(),
                                 wire::connection::side::SERVER, greet_(peer), options);
  ++clients_;
  auto ended = connection->on_disconnect();
  connections_.add(ended.attach(kj::mv(connection), kj::defer([this] { --clients_; })));
}

void listener::taskFailed(kj::Exception&& problem) {
  KJ_LOG(ERROR, "a client's connection failed", problem.getDescription());
}

}  // namespace bulkhead
