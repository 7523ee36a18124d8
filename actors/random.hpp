// SPDX-License-Identifier: Apache-2.0
// Randomness as a parameter.
//
// Supervision needs randomness for one thing: jitter, so that many children that failed together do
// not come back together. It need not be secret, it must be replaceable: a test passes a
// `fixed_random`, a simulation a `seeded_random` whose seed reproduces the run. Nothing that guards
// a secret may use this header.
#pragma once

#include <cstdint>

namespace bulkhead {

/// A source of numbers that are good enough for jitter. For one thread.
class random_source {
 public:
  random_source() = default;
  random_source(const random_source&) = delete;
  random_source& operator=(const random_source&) = delete;
  virtual ~random_source() = default;

  /// The next number, evenly distributed in [0, 1).
  virtual double unit() = 0;
};

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, the whole period of 2^64, any seed is
/// good.
class seeded_random final : public random_source {
 public:
  explicit seeded_random(std::uint64_t seed) : state_{seed} {}

  double unit() override {
    constexpr double two_to_minus_53 = 1.0 / 9007199254740992.0;
    return static_cast<double>(bits() >> 11U) * two_to_minus_53;
  }

  std::uint64_t bits() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t word = state_;
    word = (word ^ (word >> 30U)) * 0xbf58476d1ce4e5b9U;
    word = (word ^ (word >> 27U)) * 0x94d049bb133111ebU;
    return word ^ (word >> 31U);
  }

 private:
  std::uint64_t state_;
};

/// Answers always the same number, for tests; `value` in [0, 1).
class fixed_random final : public random_source {
 public:
  explicit fixed_random(double value) : value_{value} {}
  double unit() override { return value_; }

 private:
  double value_;
};

}  // namespace bulkhead
