// SPDX-License-Identifier: Apache-2.0

#include "tools/demo/kv_load.hpp"

#include <fmt/format.h>

namespace bulkhead::demo {

namespace {

constexpr std::uint64_t calls_per_write = 5;

std::string secret_of(std::uint64_t number) {
  return fmt::format("load/{}", number);
}

}  // namespace

kv_load::kv_load(remote::client& broker, std::string path) : backend_(broker.backend(path)) {}

lane::call kv_load::caller() {
  return [this](std::uint64_t number) -> kj::Promise<void> {
    const auto written = number - number % calls_per_write;
    if (number == written || acknowledged_.empty()) return write(number);
    return read_newest();
  };
}

lane::call kv_load::reader() {
  return [this](std::uint64_t) { return read_newest(); };
}

kj::Promise<void> kv_load::read_newest() {
  KJ_REQUIRE(!acknowledged_.empty(), "no write was acknowledged before the kill");
  return holds(*acknowledged_.rbegin()).then([](bool held) {
    KJ_REQUIRE(held, "a write that was acknowledged could not be read");
  });
}

kj::Promise<void> kv_load::write(std::uint64_t number) {
  auto call = backend_.handleRequest();
  auto request = call.initRequest();
  request.setOperation(schema::Operation::WRITE);
  request.setPath(secret_of(number));
  auto field = request.initFields(1)[0];
  field.setName("n");
  field.initValue().setInt(static_cast<std::int64_t>(number));
  return call.send().ignoreResult().then([this, number] { acknowledged_.insert(number); });
}

kj::Promise<bool> kv_load::holds(std::uint64_t number) {
  auto call = backend_.handleRequest();
  auto request = call.initRequest();
  request.setOperation(schema::Operation::READ);
  request.setPath(secret_of(number));
  return call.send().then([number](auto&& answer) {
    for (auto field : answer.getResponse().getFields()) {
      if (field.getName() != "n") continue;
      const auto value = field.getValue();
      return value.isInt() && value.getInt() == static_cast<std::int64_t>(number);
    }
    return false;
  });
}

kj::Promise<std::uint64_t> kv_load::missing() {
  auto answers = kj::heapArrayBuilder<kj::Promise<bool>>(acknowledged_.size());
  for (const auto number : acknowledged_) {
    answers.add(holds(number).catch_([](kj::Exception&&) { return false; }));
  }
  return kj::joinPromises(answers.finish()).then([](kj::Array<bool> held) {
    std::uint64_t missing = 0;
    for (const bool one : held) missing += one ? 0 : 1;
    return missing;
  });
}

}  // namespace bulkhead::demo
