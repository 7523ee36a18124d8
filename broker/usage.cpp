// SPDX-License-Identifier: Apache-2.0
#include "broker/usage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bulkhead {
namespace {

enum class figure : std::uint8_t { rss, cpu, threads, fds };

constexpr std::array<std::string_view, 4> figure_words{"rss", "cpu", "threads", "fds"};
constexpr std::array<std::string_view, 3> act_words{"warn", "restart", "quarantine"};

struct threshold_key {
  figure of = figure::rss;
  threshold_act act = threshold_act::warn;
};

std::optional<threshold_key> key_of(std::string_view name) {
  for (std::size_t of = 0; of < figure_words.size(); ++of)
    for (std::size_t act = 0; act < act_words.size(); ++act)
      if (name == fmt::format("{}-{}", figure_words[of], act_words[act]))
        return threshold_key{static_cast<figure>(of), static_cast<threshold_act>(act)};
  return std::nullopt;
}

double value_of(const usage_sample& from, figure what) {
  switch (what) {
    case figure::rss:
      return static_cast<double>(from.process.rss_bytes);
    case figure::cpu:
      return from.cpu_percent;
    case figure::threads:
      return from.process.threads;
    case figure::fds:
      break;
  }
  return from.process.descriptors;
}

std::string sentence_of(const usage_sample& from, figure what, const named_number& limit) {
  switch (what) {
    case figure::rss:
      return fmt::format("uses {} of memory, above {} ({})", bytes_text(from.process.rss_bytes),
                         bytes_text(limit.value), limit.name);
    case figure::cpu:
      return fmt::format("uses {:.0f} % of a core, above {} % ({})", from.cpu_percent, limit.value,
                         limit.name);
    case figure::threads:
      return fmt::format("has {} threads, above {} ({})", from.process.threads, limit.value,
                         limit.name);
    case figure::fds:
      break;
  }
  return fmt::format("has {} descriptors, above {} ({})", from.process.descriptors, limit.value,
                     limit.name);
}

}  // namespace

void compare_with(usage_sample& now, const usage_sample* before) {
  if (before == nullptr || before->generation != now.generation ||
      now.monotonic_ms <= before->monotonic_ms)
    return;
  // Of those taken seldom the last one stands.
  if (now.process.pss_bytes == 0) now.process.pss_bytes = before->process.pss_bytes;
  const auto spent = now.process.cpu_ms - std::min(now.process.cpu_ms, before->process.cpu_ms);
  now.cpu_percent = 100.0 * static_cast<double>(spent) /
                    static_cast<double>(now.monotonic_ms - before->monotonic_ms);
}

const std::vector<std::string>& threshold_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const auto of : figure_words)
      for (const auto act : act_words) all.push_back(fmt::format("{}-{}", of, act));
    return all;
  }();
  return names;
}

std::string threshold_problem(const std::vector<named_number>& thresholds) {
  for (auto each = thresholds.begin(); each != thresholds.end(); ++each) {
    if (!key_of(each->name))
      return fmt::format("there is none of that name; they are {}",
                         fmt::join(threshold_names(), ", "));
    if (each->value == 0) return fmt::format("{} is 0: leave it out", each->name);
    if (std::any_of(thresholds.begin(), each,
                    [each](const named_number& other) { return other.name == each->name; }))
      return fmt::format("{} is given twice", each->name);
  }
  return {};
}

std::optional<passed_threshold> judge_usage(const std::vector<named_number>& thresholds,
                                            const std::deque<usage_sample>& samples) {
  if (samples.size() < threshold_samples) return std::nullopt;
  const auto first = samples.end() - threshold_samples;
  std::optional<passed_threshold> gravest;
  for (const auto& each : thresholds) {
    const auto key = key_of(each.name);
    if (!key || (gravest && gravest->act >= key->act)) continue;
    const bool above = std::all_of(first, samples.end(), [&](const usage_sample& sample) {
      return sample.generation == samples.back().generation &&
             value_of(sample, key->of) > static_cast<double>(each.value);
    });
    if (above)
      gravest = passed_threshold{each.name, key->act, sentence_of(samples.back(), key->of, each)};
  }
  return gravest;
}

void replacement_pace::above(std::chrono::nanoseconds run) {
  waits_.ran(run);
  if (waits_.failures() == 0) due_ = {};
}

std::chrono::nanoseconds replacement_pace::wait(instant now) const {
  return std::max(due_ - now, std::chrono::nanoseconds::zero());
}

void replacement_pace::replaced(instant now, random_source& random) {
  due_ = now + waits_.next(random);
}

std::string bytes_text(std::uint64_t bytes) {
  static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  const bool whole = value == static_cast<double>(static_cast<std::uint64_t>(value));
  return whole ? fmt::format("{:.0f} {}", value, units.at(unit))
               : fmt::format("{:.1f} {}", value, units.at(unit));
}

}  // namespace bulkhead
