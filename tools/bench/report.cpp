// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>

namespace bulkhead::bench {

namespace {

using text = std::string;

template <typename... Args>
void add(text& to, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(to), format, std::forward<Args>(args)...);
}

text cpu_text(const std::map<text, std::vector<double>>& table) {
  std::vector<text> parts;
  parts.reserve(table.size());
  for (const auto& [process, rounds] : table) {
    parts.push_back(fmt::format("{} {:.1f}", process, percentile(rounds, 50)));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

text size_text(std::size_t bytes) {
  return bytes % 1024 == 0 ? fmt::format("{} KiB", bytes / 1024) : fmt::format("{} B", bytes);
}

// How many times as long as the direct call, in the same rounds.
text against_direct(const results& found, const cell& one) {
  const auto* direct = found.find("direct", one.bytes, one.cores);
  if (direct == nullptr) return "-";
  return fmt::format("{:.2f}", percentile(ratios(one.p50_us, direct->p50_us), 50));
}

void add_group(text& out, const results& found, std::size_t bytes, std::size_t cores) {
  add(out, "\n{}, {}\n", size_text(bytes),
      cores == 1 ? "one core" : fmt::format("{} cores", cores));
  add(out, "  {:<22}{:>9}{:>9}{:>8}{:>10}{:>11}{:>8}  {}; {}\n", "path", "p50 us", "p99 us",
      "spread", "x direct", fmt::format("@{} k/s", found.lanes), "spread", "CPU us/call @1",
      fmt::format("@{}", found.lanes));
  for (const auto& one : found.cells) {
    if (one.bytes != bytes || one.cores != cores) continue;
    const auto p50 = summarise(one.p50_us);
    const auto rate = summarise(one.calls_per_s);
    add(out, "  {:<22}{:>9.1f}{:>9.1f}{:>7.0f}%{:>10}{:>11.1f}{:>7.0f}%  {}; {}\n", one.path,
        p50.median, percentile(one.p99_us, 50), p50.spread() * 100, against_direct(found, one),
        rate.median / 1000, rate.spread() * 100, cpu_text(one.cpu_us_one),
        cpu_text(one.cpu_us_many));
  }
}

text json_summary(const std::vector<double>& rounds) {
  const auto s = summarise(rounds);
  return fmt::format(R"({{"median":{:.3f},"min":{:.3f},"max":{:.3f}}})", s.median, s.least, s.most);
}

text json_cpu(const std::map<text, std::vector<double>>& table) {
  std::vector<text> parts;
  parts.reserve(table.size());
  for (const auto& [process, rounds] : table) {
    parts.push_back(fmt::format(R"("{}":{:.3f})", process, percentile(rounds, 50)));
  }
  return fmt::format("{{{}}}", fmt::join(parts, ","));
}

text json_cell(const cell& one) {
  return fmt::format(
      R"({{"path":"{}","bytes":{},"cores":{},"p50_us":{},"p99_us":{},"calls_per_s":{},)"
      R"("cpu_us_per_call_one":{},"cpu_us_per_call_many":{}}})",
      one.path, one.bytes, one.cores, json_summary(one.p50_us), json_summary(one.p99_us),
      json_summary(one.calls_per_s), json_cpu(one.cpu_us_one), json_cpu(one.cpu_us_many));
}

}  // namespace

text as_table(const results& found) {
  text out;
  add(out, "medians of {} interleaved rounds; @{}: calls outstanding\n", found.rounds, found.lanes);
  std::vector<std::pair<std::size_t, std::size_t>> groups;
  for (const auto& one : found.cells) {
    const std::pair group(one.cores, one.bytes);
    if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
  }
  std::sort(groups.begin(), groups.end());
  for (const auto& [cores, bytes] : groups) add_group(out, found, bytes, cores);
  for (const auto& one : found.recoveries) {
    add(out, "\nkill to first served call, {} kills, {} core(s): p50 {:.2f} ms, p99 {:.2f} ms, ",
        one.ms.size(), one.cores, percentile(one.ms, 50), percentile(one.ms, 99));
    add(out, "max {:.2f} ms; {} calls failed\n", percentile(one.ms, 100), one.calls_failed);
  }
  for (const auto& [process, bytes] : found.idle_pss_bytes) {
    add(out, "idle {:<8} {:6.2f} MiB PSS\n", process, static_cast<double>(bytes) / (1 << 20));
  }
  const auto all = bars(found);
  if (!all.empty()) out += "\nbars (one core, 64 B)\n";
  for (const auto& one : all) {
    add(out, "  {}  {}: {:.2f} {}, {} {} {}\n", one.met() ? "PASS" : "FAIL", one.what, one.value,
        one.unit, one.at_least ? "at least" : "at most", one.limit, one.unit);
  }
  return out;
}

text as_json(const results& found) {
  std::vector<text> cells;
  for (const auto& one : found.cells) cells.push_back(json_cell(one));
  std::vector<text> recoveries;
  for (const auto& one : found.recoveries) {
    recoveries.push_back(
        fmt::format(R"({{"cores":{},"kills":{},"p50_ms":{:.3f},"p99_ms":{:.3f},"max_ms":{:.3f},)"
                    R"("calls_failed":{}}})",
                    one.cores, one.ms.size(), percentile(one.ms, 50), percentile(one.ms, 99),
                    percentile(one.ms, 100), one.calls_failed));
  }
  std::vector<text> idle;
  for (const auto& [process, bytes] : found.idle_pss_bytes) {
    idle.push_back(fmt::format(R"("{}":{})", process, bytes));
  }
  std::vector<text> met;
  for (const auto& one : bars(found)) {
    met.push_back(fmt::format(
        R"({{"what":"{}","value":{:.3f},"limit":{},"unit":"{}","at_least":{},"met":{}}})", one.what,
        one.value, one.limit, one.unit, one.at_least, one.met()));
  }
  return fmt::format(R"({{"rounds":{},"outstanding":{},"cells":[{}],"recovery":[{}],)"
                     R"("idle_pss_bytes":{{{}}},"bars":[{}]}})"
                     "\n",
                     found.rounds, found.lanes, fmt::join(cells, ","), fmt::join(recoveries, ","),
                     fmt::join(idle, ","), fmt::join(met, ","));
}

}  // namespace bulkhead::bench
