// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/terminal_input.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "tools/bulkhead/environment.hpp"

namespace bulkhead::cli {

terminal_input::terminal_input(kj::UnixEventPort& port, kj::WaitScope& scope, int descriptor,
                               std::function<kj::Promise<void>()> interrupted)
    : scope_(scope), descriptor_(descriptor), interrupted_(std::move(interrupted)) {
  // epoll refuses regular files and some devices.
  kj::runCatchingExceptions([&]() {
    observer_ = kj::heap<kj::UnixEventPort::FdObserver>(
        port, descriptor, kj::UnixEventPort::FdObserver::OBSERVE_READ);
  });
}

/// False when interrupted. The observer tells of edges only, so the state is asked for first.
bool terminal_input::fill() {
  KJ_IF_MAYBE (observer, observer_) {
    while (true) {
      pollfd state{descriptor_, POLLIN, 0};
      if (::poll(&state, 1, 0) != 0) break;
      bool stop = false;
      (*observer)
          ->whenBecomesReadable()
          .exclusiveJoin(interrupted_().then([&stop]() { stop = true; }))
          .wait(scope_);
      if (stop) return false;
    }
  }
  constexpr std::size_t chunk = 4096;
  std::array<char, chunk> bytes{};
  ssize_t count = 0;
  do {
    count = ::read(descriptor_, bytes.data(), bytes.size());
  } while (count < 0 && errno == EINTR);
  buffer_.assign(bytes.data(), count > 0 ? static_cast<std::size_t>(count) : 0);
  at_ = 0;
  return true;
}

terminal_input::result terminal_input::read_byte(char& byte) {
  if (at_ == buffer_.size() && !fill()) return result::interrupted;
  if (at_ == buffer_.size()) return result::end;
  byte = buffer_[at_++];
  return result::byte;
}

/// False at the end.
bool terminal_input::append_byte(std::string& text) {
  char byte = 0;
  switch (read_byte(byte)) {
    case result::interrupted:
      throw failure(exit_code::interrupted, "interrupted");
    case result::end:
      return false;
    case result::byte:
      break;
  }
  if (text.size() == input_bytes_max)
    throw usage("a line, or a value, of standard input has more than 16 MiB");
  text += byte;
  return true;
}

std::optional<std::string> terminal_input::read_line() {
  std::string line;
  while (append_byte(line)) {
    if (line.back() != '\n') continue;
    line.pop_back();
    return line;
  }
  if (line.empty()) return std::nullopt;
  return line;
}

std::string terminal_input::read_all() {
  std::string all;
  while (append_byte(all)) {
  }
  return all;
}

}  // namespace bulkhead::cli
