// SPDX-License-Identifier: Apache-2.0
//
// Cap'n Proto direct, through a byte relay, and through a bare proxy that passes the capability on.
// On libcapnp's own streams these are what the broker is measured against.
#include <capnp/rpc-twoparty.h>
#include <kj/async-io.h>

#include "schema/wire/connection.hpp"
#include "tools/bench/echo.capnp.h"
#include "tools/bench/lanes.hpp"
#include "tools/bench/subject.hpp"

namespace bulkhead::bench {

namespace {

class rpc final : public subject {
 public:
  rpc(middle what, streams kind, kj::AsyncIoContext& io)
      : what_(what), kind_(kind), scope_(io.waitScope) {
    const std::string prefix = kind == streams::stock ? "rpc" : "link";
    auto [here, there] = socket_pair();
    if (what == middle::none) {
      children_.emplace_back("server", start_role(prefix + "-echo", {there}));
    } else {
      auto [left, right] = socket_pair();
      const bool relay = what == middle::relay;
      children_.emplace_back(relay ? "relay" : "proxy",
                             start_role(relay ? "relay" : prefix + "-proxy", {there, left}));
      children_.emplace_back("server", start_role(prefix + "-echo", {right}));
    }
    auto stream = io.lowLevelProvider->wrapUnixSocketFd(
        here.release(), kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP);
    if (kind == streams::stock) {
      connect_stock(kj::mv(stream));
    } else {
      wire::connection_options options;
      options.timer = io.provider->getTimer();
      link_ = kj::heap<wire::connection>(kj::mv(stream), wire::connection::side::CLIENT, nullptr,
                                         options);
      echo_ = link_->bootstrap().castAs<Echo>();
    }
  }

  const char* name() const override {
    const bool stock = kind_ == streams::stock;
    switch (what_) {
      case middle::none:
        return stock ? "direct" : "direct, link stream";
      case middle::relay:
        return stock ? "byte relay" : "byte relay, link str.";
      case middle::proxy:
        return stock ? "stock proxy" : "proxy, link stream";
    }
    return "";
  }

  std::vector<std::pair<std::string, pid_t>> processes() const override {
    std::vector<std::pair<std::string, pid_t>> all;
    for (const auto& [role, process] : children_) all.emplace_back(role, process.pid());
    return all;
  }

  std::vector<double> one_at_a_time(std::size_t bytes, double seconds) override {
    return time_calls(seconds, scope_, [&]() { return call(bytes); });
  }

  std::uint64_t many_at_once(std::size_t bytes, unsigned lanes, double seconds) override {
    return count_calls(lanes, seconds, scope_, [&]() { return call(bytes); });
  }

 private:
  void connect_stock(kj::Own<kj::AsyncIoStream> stream) {
    stream_ = kj::mv(stream);
    network_ = kj::heap<capnp::TwoPartyVatNetwork>(*stream_, capnp::rpc::twoparty::Side::CLIENT);
    rpc_ = kj::heap(capnp::makeRpcClient(*network_));
    capnp::MallocMessageBuilder message(4);
    auto vat = message.getRoot<capnp::rpc::twoparty::VatId>();
    vat.setSide(capnp::rpc::twoparty::Side::SERVER);
    echo_ = rpc_->bootstrap(vat).castAs<Echo>();
  }

  kj::Promise<void> call(std::size_t bytes) {
    auto request = echo_.echoRequest(capnp::MessageSize{bytes / sizeof(capnp::word) + 16, 0});
    request.initData(static_cast<capnp::uint>(bytes));
    return request.send().then([bytes](capnp::Response<Echo::EchoResults> answer) {
      KJ_REQUIRE(answer.getData().size() == bytes, "not what was sent");
    });
  }

  middle what_;
  streams kind_;
  kj::WaitScope& scope_;
  std::vector<std::pair<std::string, child>> children_;
  kj::Own<kj::AsyncIoStream> stream_;
  kj::Own<capnp::TwoPartyVatNetwork> network_;
  kj::Own<capnp::RpcSystem<capnp::rpc::twoparty::VatId>> rpc_;
  kj::Own<wire::connection> link_;
  Echo::Client echo_ = nullptr;
};

}  // namespace

std::unique_ptr<subject> rpc_subject(middle what, streams kind, kj::AsyncIoContext& io) {
  return std::make_unique<rpc>(what, kind, io);
}

}  // namespace bulkhead::bench
