// SPDX-License-Identifier: Apache-2.0
#include "plugins/calc/expression.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

#include "plugins/sdk/error.hpp"

namespace bulkhead::calc {
namespace {

struct named_constant {
  std::string_view name;
  double value;
};
constexpr std::array<named_constant, 3> constants{
    {{"pi", std::numbers::pi}, {"e", std::numbers::e}, {"tau", 2 * std::numbers::pi}}};

struct named_function1 {
  std::string_view name;
  double (*run)(double);
};
double sign(double x) {
  return x > 0 ? 1 : x < 0 ? -1 : x;
}
const std::array<named_function1, 20> functions1{{{"sqrt", [](double x) { return std::sqrt(x); }},
                                                  {"cbrt", [](double x) { return std::cbrt(x); }},
                                                  {"exp", [](double x) { return std::exp(x); }},
                                                  {"ln", [](double x) { return std::log(x); }},
                                                  {"log2", [](double x) { return std::log2(x); }},
                                                  {"log10", [](double x) { return std::log10(x); }},
                                                  {"sin", [](double x) { return std::sin(x); }},
                                                  {"cos", [](double x) { return std::cos(x); }},
                                                  {"tan", [](double x) { return std::tan(x); }},
                                                  {"asin", [](double x) { return std::asin(x); }},
                                                  {"acos", [](double x) { return std::acos(x); }},
                                                  {"atan", [](double x) { return std::atan(x); }},
                                                  {"sinh", [](double x) { return std::sinh(x); }},
                                                  {"cosh", [](double x) { return std::cosh(x); }},
                                                  {"tanh", [](double x) { return std::tanh(x); }},
                                                  {"abs", [](double x) { return std::fabs(x); }},
                                                  {"floor", [](double x) { return std::floor(x); }},
                                                  {"ceil", [](double x) { return std::ceil(x); }},
                                                  {"round", [](double x) { return std::round(x); }},
                                                  {"sign", sign}}};

struct named_function2 {
  std::string_view name;
  double (*run)(double, double);
};
const std::array<named_function2, 5> functions2{
    {{"pow", [](double x, double y) { return std::pow(x, y); }},
     {"hypot", [](double x, double y) { return std::hypot(x, y); }},
     {"atan2", [](double y, double x) { return std::atan2(y, x); }},
     {"min", [](double x, double y) { return std::fmin(x, y); }},
     {"max", [](double x, double y) { return std::fmax(x, y); }}}};

double add(double x, double y) {
  return x + y;
}
double subtract(double x, double y) {
  return x - y;
}
double multiply(double x, double y) {
  return x * y;
}
double divide(double x, double y) {
  return x / y;
}
double remainder(double x, double y) {
  return std::fmod(x, y);
}
double power(double x, double y) {
  return std::pow(x, y);
}
double negate(double x) {
  return -x;
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

/// Recursive descent; each level of the grammar is one function.
class parser {
 public:
  parser(std::string_view text, const std::vector<std::string>& parameters)
      : text_(text), parameters_(parameters) {}

  expression run() {
    if (text_.size() > expression_bytes_max) {
      throw sdk::error(
          sdk::error_kind::INVALID_ARGUMENT, "the expression is too long",
          fmt::format("it has {} bytes of at most {}", text_.size(), expression_bytes_max));
    }
    made_.parameter_count_ = parameters_.size();
    sum();
    if (next() != '\0' || at_ < text_.size()) fail("an operator or the end was expected");
    return std::move(made_);
  }

 private:
  using code = expression::code;

  [[noreturn]] void fail(const std::string& why) const {
    throw sdk::error(sdk::error_kind::INVALID_ARGUMENT, "the expression does not read",
                     fmt::format("at byte {}: {}", at_ + 1, why));
  }

  char next() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n'))
      ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  bool take(char wanted) {
    if (next() != wanted || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }

  void emit(expression::step step) {
    if (made_.steps_.size() >= expression_steps_max) {
      fail(fmt::format("it has more than {} parts", expression_steps_max));
    }
    made_.steps_.push_back(step);
  }
  void emit(expression::function1 run) { emit({code::call1, 0, 0, run, nullptr}); }
  void emit(expression::function2 run) { emit({code::call2, 0, 0, nullptr, run}); }

  void sum() {
    product();
    for (;;) {
      if (take('+')) {
        product();
        emit(add);
      } else if (take('-')) {
        product();
        emit(subtract);
      } else {
        return;
      }
    }
  }

  void product() {
    signed_term();
    for (;;) {
      if (take('*')) {
        signed_term();
        emit(multiply);
      } else if (take('/')) {
        signed_term();
        emit(divide);
      } else if (take('%')) {
        signed_term();
        emit(remainder);
      } else {
        return;
      }
    }
  }

  // Every recursion passes here, so here it is bounded.
  void signed_term() {
    if (++depth_ > expression_depth_max) {
      fail(fmt::format("it is nested more than {} levels deep", expression_depth_max));
    }
    if (take('-')) {
      signed_term();
      emit(negate);
    } else if (take('+')) {
      signed_term();
    } else {
      atom();
      if (take('^')) {
        signed_term();
        emit(power);
      }
    }
    --depth_;
  }

  void atom() {
    char c = next();
    if (take('(')) {
      sum();
      if (!take(')')) fail("a closing parenthesis was expected");
    } else if (is_digit(c) || c == '.') {
      number();
    } else if (is_letter(c)) {
      name();
    } else {
      fail(at_ < text_.size() ? "a number, a name or a parenthesis was expected"
                              : "it ends too early");
    }
  }

  void number() {
    double value = 0;
    auto [end, code] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (code == std::errc::result_out_of_range) fail("the number is out of range");
    if (code != std::errc()) fail("the number does not read");
    at_ = static_cast<std::size_t>(end - text_.data());
    emit({code::number, value, 0, nullptr, nullptr});
  }

  void name() {
    auto start = at_;
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
    auto word = text_.substr(start, at_ - start);
    auto found = std::find(parameters_.begin(), parameters_.end(), word);
    if (found != parameters_.end()) {
      emit({code::argument, 0, static_cast<std::size_t>(found - parameters_.begin()), nullptr,
            nullptr});
      return;
    }
    for (const auto& constant : constants) {
      if (constant.name == word) {
        emit({code::number, constant.value, 0, nullptr, nullptr});
        return;
      }
    }
    if (call(word)) return;
    at_ = start;
    std::vector<std::string> known(parameters_);
    for (const auto& constant : constants) known.emplace_back(constant.name);
    for (const auto& function : functions1) known.emplace_back(function.name);
    for (const auto& function : functions2) known.emplace_back(function.name);
    fail(fmt::format("'{}' is no parameter, constant or function{}", word,
                     sdk::did_you_mean(word, known)));
  }

  bool call(std::string_view word) {
    auto arguments = [&](unsigned count) {
      if (!take('(')) fail(fmt::format("'{}' needs its arguments in parentheses", word));
      for (unsigned i = 0; i < count; ++i) {
        if (i > 0 && !take(',')) fail(fmt::format("'{}' takes {} arguments", word, count));
        sum();
      }
      if (!take(')'))
        fail(fmt::format("'{}' takes {} argument{}", word, count, count == 1 ? "" : "s"));
    };
    for (const auto& function : functions1) {
      if (function.name != word) continue;
      arguments(1);
      emit(function.run);
      return true;
    }
    for (const auto& function : functions2) {
      if (function.name != word) continue;
      arguments(2);
      emit(function.run);
      return true;
    }
    return false;
  }

  std::string_view text_;
  const std::vector<std::string>& parameters_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
  expression made_;
};

expression expression::parse(std::string_view text, const std::vector<std::string>& parameters) {
  if (parameters.size() > parameters_max) {
    throw sdk::error(sdk::error_kind::INVALID_ARGUMENT, "the function has too many parameters",
                     fmt::format("{} of at most {}", parameters.size(), parameters_max));
  }
  for (const auto& name : parameters) {
    bool legal =
        !name.empty() && name.size() <= 64 && is_letter(name.front()) &&
        std::all_of(name.begin(), name.end(), [](char c) { return is_letter(c) || is_digit(c); });
    if (!legal || std::count(parameters.begin(), parameters.end(), name) > 1) {
      throw sdk::error(
          sdk::error_kind::INVALID_ARGUMENT, "a parameter's name is not usable",
          fmt::format("'{}' must be letters and digits, at most 64, and not stand twice", name));
    }
  }
  return parser(text, parameters).run();
}

double expression::evaluate(const std::vector<double>& arguments) const {
  std::vector<double> stack;
  stack.reserve(steps_.size());
  auto pop = [&stack] {
    double top = stack.back();
    stack.pop_back();
    return top;
  };
  for (const auto& step : steps_) {
    switch (step.what) {
      case code::number:
        stack.push_back(step.number);
        break;
      case code::argument:
        stack.push_back(arguments.at(step.index));
        break;
      case code::call1:
        stack.back() = step.one(stack.back());
        break;
      case code::call2: {
        double right = pop();
        stack.back() = step.two(stack.back(), right);
        break;
      }
    }
  }
  return stack.back();
}

}  // namespace bulkhead::calc
