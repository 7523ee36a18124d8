// SPDX-License-Identifier: Apache-2.0
#include "broker/client/address.hpp"

#include <fmt/format.h>
#include <kj/io.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "schema/wire/error_text.hpp"

namespace bulkhead::remote {
namespace {

constexpr std::string_view unix_scheme = "unix:";

[[noreturn]] void refuse(std::string_view address, std::string why) {
  wire::error_info info;
  info.kind = schema::ErrorKind::INVALID_ARGUMENT;
  info.what = fmt::format("'{}' is no address of a broker", address);
  info.why = std::move(why);
  info.remedy = "an address is unix:PATH, as in unix:/run/bulkhead/bulkhead.sock";
  kj::throwFatalException(wire::make_exception(info));
}

std::string remedy_for(int error, const std::string& path) {
  switch (error) {
    case ENOENT:
      return "start bulkheadd, or name its socket with --address or BULKHEAD_ADDRESS";
    case ECONNREFUSED:
      return fmt::format("start bulkheadd: nobody listens on {}", path);
    case EACCES:
    case EPERM:
      return "run this as the user that runs bulkheadd";
    case EAGAIN:
      return "the broker is busy: try again";
    default:
      return "is this the broker's socket?";
  }
}

[[noreturn]] void cannot_connect(const std::string& path, int error) {
  wire::error_info info;
  info.kind = schema::ErrorKind::BROKER_STOPPING;
  info.what = fmt::format("cannot reach the broker at unix:{}", path);
  info.why = std::generic_category().message(error);
  info.remedy = remedy_for(error, path);
  info.detail.emplace_back("errno", std::to_string(error));
  kj::throwFatalException(wire::make_exception(info));
}

kj::AutoCloseFd connect_to(const std::string& path) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) cannot_connect(path, errno);
  kj::AutoCloseFd socket(descriptor);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&name), bytes) != 0) {
    cannot_connect(path, errno);
  }
  return socket;
}

}  // namespace

std::string socket_path(std::string_view address) {
  std::string_view path = address;
  if (path.substr(0, unix_scheme.size()) == unix_scheme) {
    path.remove_prefix(unix_scheme.size());
  } else if (const auto colon = path.find(':');
             colon != std::string_view::npos && path.substr(0, colon).find('/') == path.npos) {
    refuse(address, fmt::format("the scheme '{}' is not known", path.substr(0, colon)));
  }
  if (path.empty()) refuse(address, "the path is empty");
  if (path.find('\0') != std::string_view::npos) refuse(address, "the path holds a NUL");
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    refuse(address, fmt::format("the path has {} bytes, and a socket's name at most {}",
                                path.size(), sizeof(sockaddr_un::sun_path) - 1));
  }
  return std::string(path);
}

connector unix_connector(kj::LowLevelAsyncIoProvider& io, std::string_view address) {
  return [&io, path = socket_path(address)]() {
    return io.wrapUnixSocketFd(connect_to(path), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC |
                                                     kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK);
  };
}

}  // namespace bulkhead::remote
