// SPDX-License-Identifier: Apache-2.0
// simulation: lives of supervisors from seeds.
//
//   simulation [--seeds N] [--first SEED]     N lives; 1,000 from seed 1 if nothing is said
//   simulation --seed SEED                    one life, step by step
//   simulation --plant BUG [--seeds N]        the canary: ends well only if BUG is found
//   simulation --list                         bugs and states
//
// A life that breaks an invariant is run again with its trace and ends the program with 1. So does
// a state that no life has reached, when there were enough lives to ask for that. The last line but
// one has seeds per second and the ratio of simulated to real time; they are for people.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string_view>

#include "tests/simulation/model.hpp"

namespace {

using namespace bulkhead::simulation;
using std::chrono::duration;

/// So many lives must have reached every state.
constexpr std::uint64_t seeds_for_rare_states = 10'000;

struct request {
  std::uint64_t first = 1;
  std::uint64_t seeds = 1'000;
  bool one = false;
  bool list = false;
  std::string plant;
};

struct outcome {
  std::uint64_t lives = 0;
  std::optional<std::uint64_t> bad_seed;
  std::string what;
  duration<double> simulated{0};
  duration<double> took{0};
};

void say(const std::string& line) {
  std::puts(line.c_str());
}

std::optional<request> parse(int argc, char** argv) {
  request wanted;
  for (int at = 1; at < argc; ++at) {
    const std::string_view option = argv[at];
    if (option == "--list") {
      wanted.list = true;
      continue;
    }
    if (++at == argc) return std::nullopt;
    const std::string_view value = argv[at];
    if (option == "--plant") {
      wanted.plant = value;
      continue;
    }
    auto& number = option == "--seeds" ? wanted.seeds : wanted.first;
    if (option != "--seeds" && option != "--first" && option != "--seed") return std::nullopt;
    const auto* end = value.data() + value.size();
    if (std::from_chars(value.data(), end, number).ptr != end) return std::nullopt;
    if (option == "--seed") {
      wanted.one = true;
      wanted.seeds = 1;
    }
  }
  return wanted;
}

outcome run_lives(model& simulated, const request& wanted, rare_states& rare) {
  outcome came;
  const auto begin = std::chrono::steady_clock::now();
  run_options options;
  options.plant = wanted.plant;
  if (wanted.one) options.trace = say;
  for (; came.lives < wanted.seeds && !came.bad_seed; ++came.lives) {
    options.seed = wanted.first + came.lives;
    try {
      came.simulated += simulated.run(options, rare);
    } catch (const violation& broken) {
      came.bad_seed = options.seed;
      came.what = broken.what();
    }
  }
  came.took = std::chrono::steady_clock::now() - begin;
  return came;
}

/// A canary has been put in: the simulation must notice.
int judge_plant(const request& wanted, const outcome& came) {
  if (!came.bad_seed) {
    say(fmt::format("{} was NOT found in {} seeds", wanted.plant, came.lives));
    return 1;
  }
  say(fmt::format("{} was found after {} seeds, by seed {}: {}", wanted.plant, came.lives,
                  *came.bad_seed, came.what));
  return 0;
}

int judge(model& simulated, const request& wanted, const outcome& came, const rare_states& rare) {
  if (came.bad_seed) {
    if (!wanted.one) {
      rare_states again{simulated.rare()};
      run_lives(simulated, {*came.bad_seed, 1, true, false, wanted.plant}, again);
    }
    say(fmt::format("seed {} broke an invariant: {}\nagain: simulation --seed {}", *came.bad_seed,
                    came.what, *came.bad_seed));
    return 1;
  }
  bool complete = true;
  for (const auto& [name, count] : rare.counts()) {
    if (!wanted.one) say(fmt::format("{:>9} times {}", count, name));
    complete = complete && count > 0;
  }
  say(fmt::format("{:.0f} seeds/s; {:.1f} h of {} passed in {:.1f} s: {:.0f} times real time",
                  static_cast<double>(came.lives) / came.took.count(),
                  came.simulated.count() / 3600, simulated.name(), came.took.count(),
                  came.simulated / came.took));
  if (!complete && came.lives >= seeds_for_rare_states) {
    say(fmt::format("{} seeds kept every invariant, but not every state was reached", came.lives));
    return 1;
  }
  say(fmt::format("{} seeds from {}: every invariant held", came.lives, wanted.first));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto wanted = parse(argc, argv);
  const auto simulated = make_supervision_model();
  const auto plants = simulated->plants();
  const bool is_known = wanted && (wanted->plant.empty() ||
                                   std::count(plants.begin(), plants.end(), wanted->plant) == 1);
  if (!is_known) {
    std::fputs(
        "usage: simulation [--seeds N] [--first SEED] [--seed SEED] [--plant BUG] [--list]\n",
        stderr);
    return 2;
  }
  if (wanted->list) {
    for (const auto& plant : plants) say("bug " + plant);
    for (const auto& state : simulated->rare()) say("state " + state);
    return 0;
  }
  rare_states rare{simulated->rare()};
  const auto came = run_lives(*simulated, *wanted, rare);
  return wanted->plant.empty() ? judge(*simulated, *wanted, came, rare)
                               : judge_plant(*wanted, came);
}
