// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/mount_context.hpp"

#include "plugins/sdk/outbound.hpp"

namespace bulkhead::sdk {
namespace {

kj::Promise<void> send_line(schema::Host::Client& host, log_level level, const std::string& line) {
  auto call = host.logRequest();
  call.setLevel(level);
  call.setText(capnp::Text::Reader(line.c_str(), line.size()));
  return call.send().ignoreResult();
}

}  // namespace

const std::string& mount_context::path() const {
  return state_->path;
}
const std::string& mount_context::uuid() const {
  return state_->uuid;
}
std::uint64_t mount_context::generation() const {
  return state_->generation;
}
const fields& mount_context::options() const {
  return state_->options;
}

sdk::view mount_context::view() const {
  KJ_IF_MAYBE (known, state_->storage) {
    return sdk::view(*known);
  }
  auto client = state_->host.viewRequest().send().getView();
  state_->storage = client;
  return sdk::view(kj::mv(client));
}

void mount_context::log_text(log_level level, const std::string& line) const {
  if (state_->lines_under_way >= log_lines_under_way_max) {
    ++state_->lines_dropped;
    return;
  }
  if (state_->lines_dropped > 0) {
    auto remark = fmt::format(
        "{} log lines of this plugin were dropped: it logs faster than the broker takes",
        std::exchange(state_->lines_dropped, 0));
    send_line(state_->host, log_level::WARN, remark).detach([](kj::Exception&&) {});
  }
  ++state_->lines_under_way;
  // Two temporaries: a function that is passed by name would be kept by reference.
  send_line(state_->host, level, line)
      .then([state = state_] { --state->lines_under_way; },
            [state = state_](kj::Exception&&) { --state->lines_under_way; })
      .detach([](kj::Exception&&) {});
}

kj::Promise<std::int64_t> mount_context::now() const {
  return state_->host.nowRequest().send().then(
      [](auto&& answer) -> std::int64_t { return answer.getUnixMs(); });
}

kj::Promise<kj::Own<kj::AsyncIoStream>> mount_context::connect(const std::string& address) const {
  auto call = state_->host.connectRequest();
  call.setAddress(address.c_str());
  return call.send().then([](auto&& answer) { return make_stream(answer.getConnection()); });
}

busy_guard mount_context::busy() const {
  return busy_guard(state_->work);
}

void work_counter::end() {
  if (--count_ > 0) return;
  KJ_IF_MAYBE (idle, idle_) {
    (*idle)->fulfill();
  }
  idle_ = nullptr;
}

kj::Promise<void> work_counter::when_idle() {
  if (count_ == 0) return kj::READY_NOW;
  auto pair = kj::newPromiseAndFulfiller<void>();
  idle_ = kj::mv(pair.fulfiller);
  return kj::mv(pair.promise);
}

}  // namespace bulkhead::sdk
