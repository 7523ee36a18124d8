// SPDX-License-Identifier: Apache-2.0
//
// calc: the expressions by themselves, and the typed interface hosted in memory: live functions and
// values, callbacks, the stream.
#include <cmath>

#include "plugins/calc/calculator.hpp"
#include "tests/unit/fake_host.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)
using calc::expression;
using sdk::error_kind;
using test::error_of;

namespace {

double value_of(std::string_view text) {
  return expression::parse(text).evaluate();
}
std::string why_not(std::string_view text) {
  return error_of([&] { expression::parse(text); }).why;
}

/// A function of the caller's: counts its calls, can fail, and tells how many were under way at
/// once.
struct caller_function final : calc::Function::Server {
  struct seen {
    unsigned calls = 0;
    unsigned under_way = 0;
    unsigned under_way_peak = 0;
    bool released = false;
    double fail_at = -1;
  };
  explicit caller_function(std::shared_ptr<seen> what) : seen_(std::move(what)) {}
  ~caller_function() noexcept(false) { seen_->released = true; }

  kj::Promise<void> call(CallContext context) override {
    ++seen_->calls;
    seen_->under_way_peak = std::max(seen_->under_way_peak, ++seen_->under_way);
    double x = context.getParams().getArguments()[0];
    if (x == seen_->fail_at) {
      throw sdk::error(error_kind::FAILED_PRECONDITION, "the caller's function does not like this");
    }
    return kj::evalLast([] {}).then([this, context, x]() mutable {
      --seen_->under_way;
      context.getResults().setValue(x * x);
    });
  }
  std::shared_ptr<seen> seen_;
};

struct caller_sink final : calc::Sink::Server {
  struct seen {
    std::vector<std::pair<double, double>> points;
    bool done = false;
    std::size_t fail_after = SIZE_MAX;
  };
  explicit caller_sink(std::shared_ptr<seen> what) : seen_(std::move(what)) {}

  kj::Promise<void> push(PushContext context) override {
    if (seen_->points.size() == seen_->fail_after) {
      throw sdk::error(error_kind::OVERLOADED, "the sink is full");
    }
    auto point = context.getParams();
    seen_->points.emplace_back(point.getX(), point.getY());
    return kj::READY_NOW;
  }
  kj::Promise<void> done(DoneContext) override {
    seen_->done = true;
    return kj::READY_NOW;
  }
  std::shared_ptr<seen> seen_;
};

sdk::plugin make_plugin() {
  return sdk::plugin("calc", "1.0.0").typed<calc::Calculator>([](sdk::mount_context) {
    return kj::heap<calc::calculator>();
  });
}

struct fixture : test::plugin_fixture {
  fixture() : plugin_fixture(make_plugin()) {
    hello();
    mount();
    calculator = KJ_ASSERT_NONNULL(typed).castAs<calc::Calculator>();
  }
  double evaluate(const char* text) {
    auto call = calculator.evaluateRequest();
    call.setExpression(text);
    return call.send().wait(io.waitScope).getValue();
  }
  calc::Function::Client define(std::vector<const char*> names, const char* body) {
    auto call = calculator.defineRequest();
    auto places = call.initParameters(static_cast<unsigned>(names.size()));
    for (unsigned i = 0; i < places.size(); ++i) places.set(i, names[i]);
    call.setBody(body);
    return call.send().wait(io.waitScope).getFunction();
  }
  double call(calc::Function::Client function, std::vector<double> arguments) {
    auto request = function.callRequest();
    auto places = request.initArguments(static_cast<unsigned>(arguments.size()));
    for (unsigned i = 0; i < places.size(); ++i) places.set(i, arguments[i]);
    return request.send().wait(io.waitScope).getValue();
  }
  std::vector<double> map(calc::Function::Client function, unsigned count) {
    auto request = calculator.mapRequest();
    request.setFunction(kj::mv(function));
    auto places = request.initOver(count);
    for (unsigned i = 0; i < count; ++i) places.set(i, i);
    auto answered = request.send().wait(io.waitScope);
    std::vector<double> result;
    for (double y : answered.getValues()) result.push_back(y);
    return result;
  }
  auto stream(calc::Function::Client function, calc::Sink::Client sink, unsigned count) {
    auto request = calculator.streamRequest();
    request.setFunction(kj::mv(function));
    request.setSink(kj::mv(sink));
    request.setFrom(0);
    request.setTo(count - 1);
    request.setCount(count);
    return request.send();
  }
  calc::Calculator::Client calculator = nullptr;
};

}  // namespace

TEST_CASE("expressions follow the usual order") {
  CHECK(value_of("2 + 3 * 4") == 14);
  CHECK(value_of("(2 + 3) * 4") == 20);
  CHECK(value_of("10 - 3 - 2") == 5);
  CHECK(value_of("2 ^ 3 ^ 2") == 512);
  CHECK(value_of("-2 ^ 2") == -4);
  CHECK(value_of("2 ^ -1") == 0.5);
  CHECK(value_of("7 % 4 / 2") == 1.5);
  CHECK(value_of("--3 + +1") == 4);
  CHECK(value_of(" 1.5e3\t*\n2 ") == 3000);
  CHECK(value_of(".5") == 0.5);
}

TEST_CASE("expressions know functions and constants") {
  CHECK(value_of("sqrt(16) + max(2, 3)") == 7);
  CHECK(value_of("cos(2 * pi)") == Approx(1));
  CHECK(value_of("ln(e)") == Approx(1));
  CHECK(value_of("hypot(3, pow(2, 2))") == 5);
  CHECK(value_of("sign(-3)") == -1);
}

TEST_CASE("what IEEE 754 makes a value is no error") {
  CHECK(std::isinf(value_of("1 / 0")));
  CHECK(std::isnan(value_of("sqrt(-1)")));
  CHECK(std::isnan(value_of("0 % 0")));
}

TEST_CASE("an expression that does not read names the position") {
  CHECK(why_not("") == "at byte 1: it ends too early");
  CHECK(why_not("1 +") == "at byte 4: it ends too early");
  CHECK(why_not("(1") == "at byte 3: a closing parenthesis was expected");
  CHECK(why_not("1 2") == "at byte 3: an operator or the end was expected");
  CHECK(why_not("1)") == "at byte 2: an operator or the end was expected");
  CHECK(why_not("sqr(2)") ==
        "at byte 1: 'sqr' is no parameter, constant or function (did you mean 'sqrt'?)");
  CHECK(why_not("sqrt 2") == "at byte 6: 'sqrt' needs its arguments in parentheses");
  CHECK(why_not("max(1)") == "at byte 6: 'max' takes 2 arguments");
  CHECK(why_not("sin(1, 2)") == "at byte 6: 'sin' takes 1 argument");
  CHECK(why_not("1e999") == "at byte 1: the number is out of range");
  CHECK(why_not(".") == "at byte 1: the number does not read");
  CHECK(why_not(std::string_view("1\0", 2)) == "at byte 2: an operator or the end was expected");
  CHECK(why_not("1 $ 2").find("at byte 3") == 0);
}

TEST_CASE("expressions are bounded in length, depth and parts") {
  auto nested = [](unsigned levels) {
    return std::string(levels, '(') + "1" + std::string(levels, ')');
  };
  CHECK(value_of(nested(calc::expression_depth_max - 1)) == 1);
  CHECK(why_not(nested(calc::expression_depth_max)).find("levels deep") != std::string::npos);
  CHECK(why_not(std::string(100, '-') + "1").find("levels deep") != std::string::npos);
  std::string powers = "2";
  for (int i = 0; i < 100; ++i) powers += "^1";
  CHECK(why_not(powers).find("levels deep") != std::string::npos);
  CHECK(value_of(std::string(calc::expression_bytes_max - 1, ' ') + "1") == 1);
  CHECK(why_not(std::string(calc::expression_bytes_max, ' ') + "1").find("bytes of at most") !=
        std::string::npos);
  // The longest text has fewer parts than are allowed, so that limit guards against a longer one.
  std::string sum = "1";
  while (sum.size() + 2 <= calc::expression_bytes_max) sum += "+1";
  CHECK(value_of(sum) == 2048);
}

TEST_CASE("hello ships the interface and all that it refers to") {
  test::plugin_fixture host(make_plugin());
  auto answer = host.hello();
  auto info = answer.getPlugin();
  CHECK(info.getTypedId() == capnp::typeId<calc::Calculator>());
  CHECK(info.getPaths().size() == 0);
  // As a shell would: load what came, and look the methods up.
  capnp::SchemaLoader loader;
  for (auto node : info.getSchema()) loader.load(node);
  auto interface = loader.get(info.getTypedId()).asInterface();
  CHECK(interface.getMethods().size() == 6);
  auto define = interface.getMethodByName("define");
  auto function = define.getResultType().getFieldByName("function").getType().asInterface();
  CHECK(function.getMethodByName("call").getOrdinal() == 0);
  auto stream = interface.getMethodByName("stream");
  auto sink = stream.getParamType().getFieldByName("sink").getType().asInterface();
  CHECK(sink.getMethodByName("push").getParamType().getFields().size() == 2);
}

TEST_CASE_METHOD(fixture, "evaluate answers, and refuses with the kind and the reason") {
  CHECK(evaluate("6 * 7") == 42);
  auto problem = error_of([&] { evaluate("6 * "); });
  CHECK(problem.kind == error_kind::INVALID_ARGUMENT);
  CHECK(problem.what == "the expression does not read");
  auto wrong = KJ_ASSERT_NONNULL(typed).castAs<calc::Value>().readRequest();
  CHECK(error_of([&] { wrong.send().wait(io.waitScope); }).kind == error_kind::UNSUPPORTED);
}

TEST_CASE_METHOD(fixture, "a defined function lives as long as it is held") {
  auto hypotenuse = define({"a", "b"}, "sqrt(a^2 + b^2)");
  CHECK(call(hypotenuse, {3, 4}) == 5);
  CHECK(call(hypotenuse, {5, 12}) == 13);
  auto problem = error_of([&] { call(hypotenuse, {1}); });
  CHECK(problem.why == "it takes 2, not 1");
  CHECK(error_of([&] { define({"a", "a"}, "a"); }).kind == error_kind::INVALID_ARGUMENT);
  CHECK(error_of([&] { define({"1a"}, "1"); }).kind == error_kind::INVALID_ARGUMENT);
  CHECK(error_of([&] { define({"a"}, "b"); }).kind == error_kind::INVALID_ARGUMENT);
  CHECK(error_of([&] { define(std::vector<const char*>(17, "a"), "1"); }).kind ==
        error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "a tree mixes numbers, texts, live values and live functions") {
  auto square = define({"x"}, "x^2");
  auto first = calculator.evaluateTreeRequest();
  auto apply = first.initExpression().initApply();
  apply.setFunction(square);
  apply.initArguments(1)[0].setText("1 + 2");
  auto nine = first.send().getValue();  // pipelined: not waited for
  auto second = calculator.evaluateTreeRequest();
  auto outer = second.initExpression().initApply();
  outer.setFunction(define({"a", "b"}, "a - b"));
  auto arguments = outer.initArguments(2);
  arguments[0].setValue(nine);
  arguments[1].setLiteral(4);
  auto five = second.send().wait(io.waitScope).getValue();
  CHECK(five.readRequest().send().wait(io.waitScope).getValue() == 5);
}

TEST_CASE_METHOD(fixture, "a tree that is too deep, too large or incomplete is refused") {
  auto deep = calculator.evaluateTreeRequest();
  auto at = deep.initExpression();
  auto identity = define({"x"}, "x");
  for (unsigned i = 0; i <= calc::tree_depth_max; ++i) {
    auto apply = at.initApply();
    apply.setFunction(identity);
    at = apply.initArguments(1)[0];
  }
  CHECK(error_of([&] { deep.send().wait(io.waitScope); }).kind == error_kind::INVALID_ARGUMENT);
  auto wide = calculator.evaluateTreeRequest();
  auto apply = wide.initExpression().initApply();
  apply.setFunction(identity);
  apply.initArguments(calc::tree_nodes_max);
  CHECK(error_of([&] { wide.send().wait(io.waitScope); }).what ==
        "the expression tree is too large");
  auto hollow = calculator.evaluateTreeRequest();
  hollow.initExpression().initApply();
  CHECK(error_of([&] { hollow.send().wait(io.waitScope); }).kind == error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "map calls the caller's function, a bounded number at a time, in order") {
  auto seen = std::make_shared<caller_function::seen>();
  auto values = map(kj::heap<caller_function>(seen), 200);
  REQUIRE(values.size() == 200);
  CHECK(values[7] == 49);
  CHECK(values[199] == 199.0 * 199.0);
  CHECK(seen->calls == 200);
  CHECK(seen->under_way_peak == calc::calls_under_way_max);
  settle();
  CHECK(seen->released);
}

TEST_CASE_METHOD(fixture, "what the caller's function says passes through") {
  auto seen = std::make_shared<caller_function::seen>();
  seen->fail_at = 3;
  auto problem = error_of([&] { map(kj::heap<caller_function>(seen), 10); });
  CHECK(problem.what.find("does not like this") != std::string::npos);
  CHECK(problem.kind == error_kind::FAILED_PRECONDITION);
}

TEST_CASE_METHOD(fixture, "a function of ours can be handed back to us") {
  CHECK(map(define({"x"}, "x + 1"), 3) == std::vector<double>{1, 2, 3});
}

TEST_CASE_METHOD(fixture, "integrate is Simpson's rule") {
  auto request = calculator.integrateRequest();
  request.setFunction(define({"x"}, "x^2"));
  request.setFrom(0);
  request.setTo(3);
  CHECK(request.send().wait(io.waitScope).getArea() == Approx(9));
  for (unsigned steps : {0U, 1U, 3U, calc::points_max + 2}) {
    CAPTURE(steps);
    auto bad = calculator.integrateRequest();
    bad.setFunction(define({"x"}, "x"));
    bad.setSteps(steps);
    CHECK(error_of([&] { bad.send().wait(io.waitScope); }).kind == error_kind::INVALID_ARGUMENT);
  }
}

TEST_CASE_METHOD(fixture, "stream pushes all points in order and then says that it is done") {
  auto seen = std::make_shared<caller_sink::seen>();
  auto sent = stream(define({"x"}, "2 * x"), kj::heap<caller_sink>(seen), 1000).wait(io.waitScope);
  CHECK(sent.getSent() == 1000);
  CHECK(seen->done);
  REQUIRE(seen->points.size() == 1000);
  CHECK(seen->points[0] == std::pair<double, double>(0, 0));
  CHECK(seen->points[999] == std::pair<double, double>(999, 1998));
}

TEST_CASE_METHOD(fixture, "a sink that fails ends the stream with its error") {
  auto seen = std::make_shared<caller_sink::seen>();
  seen->fail_after = 10;
  auto problem = error_of(
      [&] { stream(define({"x"}, "x"), kj::heap<caller_sink>(seen), 100'000).wait(io.waitScope); });
  CHECK(problem.what.find("the sink is full") != std::string::npos);
  CHECK_FALSE(seen->done);
}

TEST_CASE_METHOD(fixture, "more points than the limit are refused") {
  auto seen = std::make_shared<caller_sink::seen>();
  CHECK(error_of([&] {
          stream(define({"x"}, "x"), kj::heap<caller_sink>(seen), calc::points_max + 1)
              .wait(io.waitScope);
        }).what == "too many points");
}
