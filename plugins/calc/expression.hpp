// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic expressions: text to a program, a program and arguments to a number. Pure.
//
// The text comes from strangers, so everything about it is bounded: its length, the depth of
// nesting (the parser recurses), the number of parts. A program is a list of steps for a stack
// machine: evaluating it neither recurses nor loops, so its cost is bounded by its length. Errors
// are `invalidArgument` and name the position, counted in bytes from 1. Division by zero and roots
// of negative numbers are what IEEE 754 says: infinities and NaN are values, not errors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::calc {

inline constexpr std::size_t expression_bytes_max = 4096;  ///< longer texts are refused
inline constexpr unsigned expression_depth_max = 64;       ///< deeper nesting is refused
inline constexpr std::size_t expression_steps_max = 4096;  ///< programs of more parts are refused
inline constexpr std::size_t parameters_max = 16;  ///< functions of more parameters are refused

/// A parsed expression. Immutable; may outlive the text.
class expression {
 public:
  /// Parses. Names that `parameters` does not hold must be constants or functions. Throws
  /// sdk::error.
  static expression parse(std::string_view text, const std::vector<std::string>& parameters = {});

  /// The value for arguments in the order of the parameters; `arguments` must have that many.
  double evaluate(const std::vector<double>& arguments = {}) const;
  std::size_t parameter_count() const { return parameter_count_; }

 private:
  friend class parser;
  using function1 = double (*)(double);
  using function2 = double (*)(double, double);
  enum class code : std::uint8_t { number, argument, call1, call2 };
  struct step {
    code what;
    double number = 0;
    std::size_t index = 0;
    function1 one = nullptr;
    function2 two = nullptr;
  };

  std::vector<step> steps_;
  std::size_t parameter_count_ = 0;
};

}  // namespace bulkhead::calc
