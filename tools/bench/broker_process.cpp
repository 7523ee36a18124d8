// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/broker_process.hpp"

#include <kj/debug.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace bulkhead::bench {

namespace {

namespace fs = std::filesystem;

constexpr unsigned start_ms_max = 60'000;
constexpr unsigned restart_ms_max = 60'000;
constexpr unsigned stop_ms_max = 10'000;
constexpr std::uint32_t restarts_max = 10'000;  // the most that a broker takes

// A connected socket, or nothing while nobody listens.
kj::AutoCloseFd try_connect(const std::string& path) {
  int fd = -1;
  KJ_SYSCALL(fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  kj::AutoCloseFd socket(fd);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  KJ_REQUIRE(path.size() < sizeof address.sun_path, "the path of the socket is too long");
  std::memcpy(address.sun_path, path.data(), path.size());
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return {};
  }
  return socket;
}

std::string contents(const std::string& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

broker_process::broker_process(kj::AsyncIoContext& io, const std::string& daemon,
                               const std::vector<std::string>& plugin_files, walls which)
    : io_(io), daemon_file_(daemon), which_(which) {
  const auto plugins = directory_ / "plugins";
  fs::create_directory(plugins);
  for (const auto& file : plugin_files) fs::copy(file, plugins);
  start();
  for (const auto& file : plugin_files) {
    auto request = admin_.registerReleaseRequest();
    request.initSpec().setName(fs::path(file).filename().string());
    request.send().wait(io_.waitScope);
  }
}

void broker_process::start() {
  const auto socket = directory_ / "socket";
  std::vector<std::string> command{
      daemon_file_,          "--socket", socket, "--state", directory_ / "state", "--plugins",
      directory_ / "plugins"};
  if (which_ == walls::none) command.emplace_back("--unconfined");
  daemon_ = child(command, {}, directory_ / "log");
  connect(socket);
}

double broker_process::restart() {
  connection_ = nullptr;
  daemon_.stop(restart_ms_max);
  const auto began = now_s();
  start();
  return now_s() - began;
}

void broker_process::connect(const std::string& socket) {
  kj::AutoCloseFd fd;
  for (unsigned waited = 0; fd == nullptr; waited += 5) {
    if (waited >= start_ms_max) {
      throw std::runtime_error("the broker does not answer; it says:\n" +
                               contents(directory_ / "log"));
    }
    ::usleep(5000);
    fd = try_connect(socket);
  }
  auto stream = io_.lowLevelProvider->wrapUnixSocketFd(
      kj::mv(fd), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC);
  wire::connection_options options;
  options.timer = io_.provider->getTimer();
  connection_ =
      kj::heap<wire::connection>(kj::mv(stream), wire::connection::side::CLIENT, nullptr, options);
  auto login = connection_->bootstrap().castAs<schema::Gateway>().loginRequest();
  login.initCredential().setPeer();
  session_ = login.send().getSession();
  admin_ = session_.adminRequest().send().getAdmin();
  admin_.brokerStatusRequest().send().wait(io_.waitScope);
}

broker_process::~broker_process() {
  connection_ = nullptr;
  daemon_.stop(stop_ms_max);
}

void broker_process::mount(const std::string& path, const std::string& plugin) {
  auto request = admin_.mountRequest();
  auto spec = request.initSpec();
  spec.setPath(path);
  spec.setPlugin(plugin);
  auto supervision = spec.initSupervision();
  supervision.setIntensity(restarts_max);
  supervision.setBackoffFirstMs(0);
  supervision.setBackoffMaxMs(0);
  const auto answer = request.send().wait(io_.waitScope);
  const auto status = answer.getStatus();
  KJ_REQUIRE(status.getState() == schema::MountState::READY, path, status.getReason());
}

pid_t broker_process::plugin_pid(const std::string& path) {
  auto request = admin_.statusRequest();
  request.setPath(path);
  return static_cast<pid_t>(request.send().wait(io_.waitScope).getStatus().getPid());
}

schema::Mount::Client broker_process::at(const std::string& path) {
  auto request = session_.mountRequest();
  request.setPath(path);
  return request.send().getMount();
}

}  // namespace bulkhead::bench
