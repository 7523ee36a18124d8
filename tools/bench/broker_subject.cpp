// SPDX-License-Identifier: Apache-2.0
//
// The path through the broker, and its recovery.
#include <kj/debug.h>
#include <signal.h>

#include "tools/bench/broker_process.hpp"
#include "tools/bench/echo.capnp.h"
#include "tools/bench/lanes.hpp"

namespace bulkhead::bench {

namespace {

class brokered final : public subject {
 public:
  brokered(broker_process& broker, std::string path, bool typed)
      : broker_(broker),
        path_(std::move(path)),
        typed_(typed),
        echo_(broker.at(path_).typedRequest().send().getTyped().castAs<Echo>()),
        backend_(broker.at(path_).backendRequest().send().getBackend()) {}

  const char* name() const override {
    if (broker_.which() == broker_process::walls::none)
      return typed_ ? "unconfined, typed" : "unconfined, request";
    return typed_ ? "broker, typed" : "broker, request";
  }

  std::vector<std::pair<std::string, pid_t>> processes() const override {
    return {{"broker", broker_.pid()}, {"plugin", broker_.plugin_pid(path_)}};
  }

  std::vector<double> one_at_a_time(std::size_t bytes, double seconds) override {
    return time_calls(seconds, broker_.io().waitScope, [&]() { return call(bytes); });
  }

  std::uint64_t many_at_once(std::size_t bytes, unsigned lanes, double seconds) override {
    return count_calls(lanes, seconds, broker_.io().waitScope, [&]() { return call(bytes); });
  }

 private:
  kj::Promise<void> call(std::size_t bytes) { return typed_ ? call_typed(bytes) : request(bytes); }

  kj::Promise<void> call_typed(std::size_t bytes) {
    auto call = echo_.echoRequest(capnp::MessageSize{bytes / sizeof(capnp::word) + 16, 0});
    call.initData(static_cast<capnp::uint>(bytes));
    return call.send().then([bytes](capnp::Response<Echo::EchoResults> answer) {
      KJ_REQUIRE(answer.getData().size() == bytes, "not what was sent");
    });
  }

  kj::Promise<void> request(std::size_t bytes) {
    auto call = backend_.handleRequest(capnp::MessageSize{bytes / sizeof(capnp::word) + 64, 0});
    auto request = call.initRequest();
    request.setOperation(schema::Operation::READ);
    request.setPath("echo");
    auto field = request.initFields(1)[0];
    field.setName("data");
    field.initValue().initData(static_cast<capnp::uint>(bytes));
    return call.send().then([bytes](capnp::Response<schema::Backend::HandleResults> answer) {
      const auto fields = answer.getResponse().getFields();
      KJ_REQUIRE(fields.size() == 1 && fields[0].getValue().getData().size() == bytes,
                 "not what was sent");
    });
  }

  broker_process& broker_;
  std::string path_;
  bool typed_;
  Echo::Client echo_;
  schema::Backend::Client backend_;
};

}  // namespace

std::unique_ptr<subject> broker_subject(broker_process& broker, const std::string& path,
                                        bool typed) {
  return std::make_unique<brokered>(broker, path, typed);
}

/// Plugins crash out of calm: until then the launcher has made what it keeps ready for a start.
constexpr auto calm = 50 * kj::MILLISECONDS;

recovery measure_recovery(broker_process& broker, const std::string& path, unsigned kills) {
  auto& scope = broker.io().waitScope;
  auto echo = broker.at(path).typedRequest().send().getTyped().castAs<Echo>();
  recovery found;
  for (unsigned i = 0; i < kills; ++i) {
    broker.io().provider->getTimer().afterDelay(calm).wait(scope);
    const pid_t victim = broker.plugin_pid(path);
    KJ_REQUIRE(victim > 0, "no instance to kill");
    const double start = now_s();
    KJ_SYSCALL(::kill(victim, SIGKILL));
    for (bool served = false; !served;) {
      auto call = echo.echoRequest();
      call.initData(64);
      served = call.send()
                   .then([](auto&&) { return true; },
                         [&](kj::Exception&& error) {
                           KJ_REQUIRE(now_s() - start < 10, "not served again", error);
                           ++found.calls_failed;
                           return false;
                         })
                   .wait(scope);
    }
    found.ms.push_back((now_s() - start) * 1e3);
  }
  return found;
}

}  // namespace bulkhead::bench
