// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/mount_table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <kj/async-io.h>
#include <kj/debug.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>

#include "broker/router.hpp"
#include "tools/bench/broker_process.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/samples.hpp"

namespace bulkhead::bench {
namespace {

constexpr unsigned at_once = 64;  // mounts under way
constexpr unsigned repeats = 5;   // of what does not change anything; the least counts
constexpr unsigned look_ups = 2000;
// What doubling may multiply a time by: 2 for linear growth (1 for a figure of one mount), and the
// noise of a shared machine. Quadratic growth would be 4 (and 2).
constexpr double ratio_max = 3.0;
constexpr double ratio_max_per_mount = 1.5;

std::string path_of(unsigned number) {
  return fmt::format("team{}/m{}/", number % 97, number);
}

class table_bench {
 public:
  table_bench(kj::AsyncIoContext& io, const run_options& options)
      : io_(io),
        plugin_(std::filesystem::path(options.echo_plugin).filename().string()),
        broker_(io, options.daemon, {options.echo_plugin}, broker_process::walls::all) {}

  void grow_to(unsigned count) {
    const auto began = now_s();
    const auto before = mounts_;
    auto lanes = kj::heapArrayBuilder<kj::Promise<void>>(at_once);
    for (unsigned i = 0; i < at_once; ++i) lanes.add(mount_next(count));
    kj::joinPromises(lanes.finish()).wait(io_.waitScope);
    note("mount", "us each", true, (now_s() - began) / (count - before) * 1e6);
  }

  void measure() {
    note("list all", "ms", false, least([this] {
                                    const auto answer =
                                        broker_.admin().mountsRequest().send().wait(io_.waitScope);
                                    KJ_REQUIRE(answer.getMounts().size() == mounts_);
                                  }) * 1e3);
    note("tree", "ms", false,
         least([this] { broker_.admin().treeRequest().send().wait(io_.waitScope); }) * 1e3);
    note("status of one", "us CPU", true, status_of_one() * 1e6);
    note("route", "us each", true,
         least([this] {
           for (unsigned i = 0; i < look_ups; ++i) broker_.at(path_of(i * 7919U % mounts_) + "x");
           // Answers come in order: the last one says that all are there.
           broker_.session().whoamiRequest().send().wait(io_.waitScope);
         }) / look_ups *
             1e6);
    note("route table alone", "ns CPU", true, route_table_alone() * 1e9);
    note("restart the broker", "ms", false, broker_.restart() * 1e3);
    note("memory", "KiB each", true,
         static_cast<double>(pss_bytes(broker_.pid())) / 1024 / mounts_);
  }

  std::vector<growth> rows;

 private:
  kj::Promise<void> mount_next(unsigned count) {
    if (mounts_ == count) return kj::READY_NOW;
    auto request = broker_.admin().mountRequest();
    auto spec = request.initSpec();
    spec.setPath(path_of(mounts_++));
    spec.setPlugin(plugin_);
    spec.initLife().setStart(schema::StartMode::LAZY);
    return request.send().ignoreResult().then([this, count] { return mount_next(count); });
  }

  double route_table_alone() {
    route_table<unsigned> table;
    std::vector<std::string> asked;
    for (unsigned i = 0; i < mounts_; ++i) {
      table.insert(path_of(i), i);
      asked.push_back(path_of(i * 7919U % mounts_) + "data/app");
    }
    const auto before = cpu_s(::getpid());
    for (unsigned i = 0; i < repeats; ++i)
      for (const auto& path : asked) KJ_REQUIRE(table.find(path) != std::nullopt);
    return (cpu_s(::getpid()) - before) / repeats / mounts_;
  }

  /// What the broker spends on it: one answer is too short to time on a busy machine.
  double status_of_one() {
    const auto before = cpu_s(broker_.pid());
    for (unsigned i = 0; i < look_ups; ++i) {
      auto request = broker_.admin().statusRequest();
      request.setPath(path_of(i * 7919U % mounts_));
      request.send().wait(io_.waitScope);
    }
    return (cpu_s(broker_.pid()) - before) / look_ups;
  }

  template <class Work>
  double least(Work&& work) {
    double best = 0;
    for (unsigned i = 0; i < repeats; ++i) {
      const auto began = now_s();
      work();
      const auto took = now_s() - began;
      best = i == 0 ? took : std::min(best, took);
    }
    return best;
  }

  void note(const char* what, const char* unit, bool per_mount, double value) {
    const auto known = std::find_if(rows.begin(), rows.end(),
                                    [what](const growth& each) { return each.what == what; });
    if (known != rows.end())
      known->value.push_back(value);
    else
      rows.push_back({what, unit, per_mount, {value}});
  }

  kj::AsyncIoContext& io_;
  std::string plugin_;
  broker_process broker_;
  unsigned mounts_ = 0;
};

double allowed(const growth& of) {
  return of.per_mount ? ratio_max_per_mount : ratio_max;
}

}  // namespace

double growth::ratio() const {
  const auto doublings = static_cast<double>(value.size() - 1);
  return value.front() > 0 ? std::pow(value.back() / value.front(), 1 / doublings) : 0;
}

mount_table_result measure_mount_table(const run_options& options, unsigned mounts) {
  auto io = kj::setupAsyncIo();
  table_bench bench(io, options);
  mount_table_result found;
  found.sizes = {mounts / 4, mounts / 2, mounts};
  for (const auto size : found.sizes) {
    bench.grow_to(size);
    bench.measure();
  }
  found.rows = std::move(bench.rows);
  return found;
}

bool is_linear(const mount_table_result& found) {
  return std::all_of(found.rows.begin(), found.rows.end(),
                     [](const growth& each) { return each.ratio() <= allowed(each); });
}

std::string as_table(const mount_table_result& found) {
  std::string text = fmt::format("{:<20}{:<10}", "mounts", "");
  for (const auto size : found.sizes) text += fmt::format("{:>12}", size);
  text += fmt::format("{:>12}\n", "growth");
  for (const auto& row : found.rows) {
    text += fmt::format("{:<20}{:<10}", row.what, row.unit);
    for (const auto value : row.value) text += fmt::format("{:>12.1f}", value);
    text += fmt::format("{:>11.2f}x  {} (at most {:.1f}x)\n", row.ratio(),
                        row.ratio() <= allowed(row) ? "PASS" : "FAIL", allowed(row));
  }
  return text;
}

std::string as_json(const mount_table_result& found) {
  std::vector<std::string> rows;
  for (const auto& row : found.rows)
    rows.push_back(fmt::format(
        R"({{"what":"{}","unit":"{}","values":[{:.3f}],"growth":{:.3f},"growth_max":{},"met":{}}})",
        row.what, row.unit, fmt::join(row.value, ","), row.ratio(), allowed(row),
        row.ratio() <= allowed(row)));
  return fmt::format("{{\"mounts\":[{}],\"rows\":[{}]}}\n", fmt::join(found.sizes, ","),
                     fmt::join(rows, ","));
}

}  // namespace bulkhead::bench
