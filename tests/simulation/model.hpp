// SPDX-License-Identifier: Apache-2.0
// What the simulator knows of what it simulates: a model runs one life from a seed, and says what
// it saw. simulation.cpp draws seeds, counts, and prints; a second model needs nothing of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace bulkhead::simulation {

/// An invariant does not hold. Ends the run.
class violation : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// How often states were reached that a run reaches only sometimes. A simulation that never gets
/// there proves nothing about them, so each has to be reached over all seeds.
class rare_states {
 public:
  explicit rare_states(const std::vector<std::string>& names) {
    for (const auto& name : names) counts_[name] = 0;
  }

  /// A state that the model did not name is an error of the model.
  void reached(const std::string& name) { ++counts_.at(name); }
  const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

 private:
  std::map<std::string, std::uint64_t> counts_;
};

struct run_options {
  std::uint64_t seed = 0;
  std::string plant;  // the bug that the model plants into what it simulates; empty: none
  std::function<void(const std::string&)> trace;  // every step, in words; may be empty
};

class model {
 public:
  model() = default;
  model(const model&) = delete;
  model& operator=(const model&) = delete;
  virtual ~model() = default;

  virtual std::string name() const = 0;
  /// The names of the states that are counted.
  virtual std::vector<std::string> rare() const = 0;
  /// The bugs that it can plant.
  virtual std::vector<std::string> plants() const = 0;
  /// One life. Answers how much time passed while there were faults; throws `violation`.
  virtual std::chrono::nanoseconds run(const run_options& options, rare_states& rare) = 0;
};

std::unique_ptr<model> make_supervision_model();

}  // namespace bulkhead::simulation
