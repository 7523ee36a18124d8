// SPDX-License-Identifier: Apache-2.0

#include "tools/demo/calc_load.hpp"

#include <fmt/format.h>

#include <memory>

#include "plugins/calc/calc.capnp.h"

namespace bulkhead::demo {

namespace {

void check(double answer, double expected) {
  KJ_REQUIRE(answer == expected, "calc answered wrongly", answer, expected);
}

/// Even calls evaluate a text; odd ones call a live object that calc made once and that dies with
/// calc's process.
class caller {
 public:
  explicit caller(calc::Calculator::Client calculator)
      : calculator_(kj::mv(calculator)), square_(define_square()) {}

  kj::Promise<void> operator()(std::uint64_t number) {
    const auto x = static_cast<double>(number % 1000);
    if (number % 2 == 0) {
      auto call = calculator_.evaluateRequest();
      call.setExpression(fmt::format("{} * 7", x));
      return call.send().then([x](auto&& answer) { check(answer.getValue(), x * 7); });
    }
    auto call = square_.callRequest();
    call.initArguments(1).set(0, x);
    return call.send().then([x](auto&& answer) { check(answer.getValue(), x * x + 1); });
  }

 private:
  calc::Function::Client define_square() {
    auto call = calculator_.defineRequest();
    call.initParameters(1).set(0, "x");
    call.setBody("x * x + 1");
    return call.send().getFunction();
  }

  calc::Calculator::Client calculator_;
  calc::Function::Client square_;
};

}  // namespace

lane::call calc_caller(remote::client& broker, const std::string& path) {
  auto calls = std::make_shared<caller>(broker.typed<calc::Calculator>(path));
  return [calls](std::uint64_t number) { return (*calls)(number); };
}

}  // namespace bulkhead::demo
