// SPDX-License-Identifier: Apache-2.0
#include "plugins/calc/calculator.hpp"

#include <fmt/format.h>

#include "plugins/sdk/error.hpp"

namespace bulkhead::calc {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& why) {
  throw sdk::error(sdk::error_kind::INVALID_ARGUMENT, what, why);
}

std::string_view to_view(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

std::vector<double> to_numbers(capnp::List<double>::Reader from) {
  std::vector<double> result;
  result.reserve(from.size());
  for (double number : from) result.push_back(number);
  return result;
}

class fixed_value final : public Value::Server {
 public:
  explicit fixed_value(double value) : value_(value) {}

 protected:
  kj::Promise<void> read(ReadContext context) override {
    context.getResults().setValue(value_);
    return kj::READY_NOW;
  }

 private:
  double value_;
};

class defined_function final : public Function::Server {
 public:
  explicit defined_function(expression body) : body_(std::move(body)) {}

 protected:
  kj::Promise<void> call(CallContext context) override {
    auto arguments = to_numbers(context.getParams().getArguments());
    if (arguments.size() != body_.parameter_count()) {
      refuse("the function was called with the wrong number of arguments",
             fmt::format("it takes {}, not {}", body_.parameter_count(), arguments.size()));
    }
    context.getResults().setValue(body_.evaluate(arguments));
    return kj::READY_NOW;
  }

 private:
  expression body_;
};

kj::Promise<double> call(Function::Client& function, const std::vector<double>& arguments) {
  auto request = function.callRequest();
  auto places = request.initArguments(static_cast<unsigned>(arguments.size()));
  for (unsigned i = 0; i < places.size(); ++i) places.set(i, arguments[i]);
  return request.send().then([](auto&& answer) -> double { return answer.getValue(); });
}

/// Calls a function of one argument for many numbers, calls_under_way_max at a time, and keeps the
/// results in order.
struct many_calls {
  Function::Client function;
  std::vector<double> arguments;
  std::vector<double> values;

  static kj::Promise<std::vector<double>> run(Function::Client function,
                                              std::vector<double> arguments) {
    auto self = kj::heap<many_calls>(many_calls{kj::mv(function), std::move(arguments), {}});
    auto done = self->from(0);
    return done.then([&all = *self] { return std::move(all.values); }).attach(kj::mv(self));
  }

  kj::Promise<void> from(std::size_t start) {
    if (start >= arguments.size()) return kj::READY_NOW;
    auto end = std::min<std::size_t>(start + calls_under_way_max, arguments.size());
    auto batch = kj::heapArrayBuilder<kj::Promise<double>>(end - start);
    for (auto i = start; i < end; ++i) batch.add(call(function, {arguments[i]}));
    return kj::joinPromises(batch.finish()).then([this, end](kj::Array<double>&& answers) {
      values.insert(values.end(), answers.begin(), answers.end());
      return from(end);
    });
  }
};

kj::Promise<double> evaluate_tree(Expression::Reader tree, unsigned depth, unsigned& nodes) {
  if (depth > tree_depth_max || ++nodes > tree_nodes_max) {
    refuse("the expression tree is too large",
           fmt::format("at most {} levels and {} nodes", tree_depth_max, tree_nodes_max));
  }
  switch (tree.which()) {
    case Expression::LITERAL:
      return tree.getLiteral();
    case Expression::TEXT:
      return expression::parse(to_view(tree.getText())).evaluate();
    case Expression::VALUE:
      if (!tree.hasValue()) refuse("the expression tree holds no value", "a node `value` is null");
      return tree.getValue().readRequest().send().then(
          [](auto&& answer) -> double { return answer.getValue(); });
    case Expression::APPLY:
      break;
    default:
      refuse("the expression tree holds a node of an unknown kind",
             "the caller knows a newer calc");
  }
  auto apply = tree.getApply();
  if (!apply.hasFunction())
    refuse("the expression tree holds no function", "a node `apply` is null");
  auto from = apply.getArguments();
  auto arguments = kj::heapArrayBuilder<kj::Promise<double>>(from.size());
  for (auto argument : from) arguments.add(evaluate_tree(argument, depth + 1, nodes));
  return kj::joinPromises(arguments.finish())
      .then([function = apply.getFunction()](kj::Array<double>&& values) mutable {
        return call(function, {values.begin(), values.end()});
      });
}

struct span {
  double from;
  double to;
  unsigned count;  // points, both ends included

  double at(unsigned i) const {
    return count < 2 ? from
                     : from + (to - from) * static_cast<double>(i) / static_cast<double>(count - 1);
  }
};

/// Pushes points one by one; each push waits for the flow control of the caller's connection.
struct pusher {
  Function::Client function;
  Sink::Client sink;
  span where;

  kj::Promise<void> from(unsigned i) {
    if (i >= where.count) return kj::READY_NOW;
    double x = where.at(i);
    return call(function, {x}).then([this, i, x](double y) {
      auto push = sink.pushRequest();
      push.setX(x);
      push.setY(y);
      return push.send().then([this, i] { return from(i + 1); });
    });
  }
};

void check_points(std::uint64_t count, const char* what) {
  if (count > points_max) {
    refuse(fmt::format("too many {}", what), fmt::format("{} of at most {}", count, points_max));
  }
}

}  // namespace

kj::Promise<void> calculator::evaluate(EvaluateContext context) {
  auto parsed = expression::parse(to_view(context.getParams().getExpression()));
  context.getResults().setValue(parsed.evaluate());
  return kj::READY_NOW;
}

kj::Promise<void> calculator::evaluateTree(EvaluateTreeContext context) {
  unsigned nodes = 0;
  return evaluate_tree(context.getParams().getExpression(), 0, nodes)
      .then([context](double value) mutable {
        context.getResults().setValue(kj::heap<fixed_value>(value));
      });
}

kj::Promise<void> calculator::define(DefineContext context) {
  auto params = context.getParams();
  std::vector<std::string> names;
  for (auto name : params.getParameters()) names.emplace_back(to_view(name));
  context.getResults().setFunction(
      kj::heap<defined_function>(expression::parse(to_view(params.getBody()), names)));
  return kj::READY_NOW;
}

kj::Promise<void> calculator::map(MapContext context) {
  auto params = context.getParams();
  if (!params.hasFunction()) refuse("`map` needs a function", "it is null");
  check_points(params.getOver().size(), "numbers");
  return many_calls::run(params.getFunction(), to_numbers(params.getOver()))
      .then([context](std::vector<double>&& values) mutable {
        auto places = context.getResults().initValues(static_cast<unsigned>(values.size()));
        for (unsigned i = 0; i < places.size(); ++i) places.set(i, values[i]);
      });
}

kj::Promise<void> calculator::integrate(IntegrateContext context) {
  auto params = context.getParams();
  if (!params.hasFunction()) refuse("`integrate` needs a function", "it is null");
  auto steps = params.getSteps();
  check_points(steps, "steps");
  if (steps < 2 || steps % 2 != 0)
    refuse("`steps` is not usable", "Simpson's rule needs an even number from 2");
  span where{params.getFrom(), params.getTo(), steps + 1};
  std::vector<double> at;
  for (unsigned i = 0; i <= steps; ++i) at.push_back(where.at(i));
  double width = (where.to - where.from) / steps;
  return many_calls::run(params.getFunction(), std::move(at))
      .then([context, width, steps](std::vector<double>&& values) mutable {
        double sum = values.front() + values.back();
        for (unsigned i = 1; i < steps; ++i) sum += values[i] * (i % 2 == 1 ? 4 : 2);
        context.getResults().setArea(sum * width / 3);
      });
}

kj::Promise<void> calculator::stream(StreamContext context) {
  auto params = context.getParams();
  if (!params.hasFunction() || !params.hasSink())
    refuse("`stream` needs a function and a sink", "one is null");
  check_points(params.getCount(), "points");
  auto count = params.getCount();
  auto work = kj::heap<pusher>(
      pusher{params.getFunction(), params.getSink(), {params.getFrom(), params.getTo(), count}});
  auto pushed = work->from(0);
  return pushed.then([&all = *work] { return all.sink.doneRequest().send().ignoreResult(); })
      .then([context, count]() mutable { context.getResults().setSent(count); })
      .attach(kj::mv(work));
}

}  // namespace bulkhead::calc
