// SPDX-License-Identifier: Apache-2.0
#include "tools/bench/run.hpp"

#include <fmt/format.h>
#include <kj/async-io.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "tools/bench/broker_process.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/subject.hpp"

namespace bulkhead::bench {

namespace {

using progress = std::function<void(const std::string&)>;

constexpr double warm_up_s = 0.05;
constexpr unsigned settle_us = 500'000;
constexpr const char* echo_path = "bench/";

std::vector<pid_t> pids_of(const std::vector<std::pair<std::string, pid_t>>& processes) {
  std::vector<pid_t> all{::getpid()};
  for (const auto& [role, pid] : processes) all.push_back(pid);
  return all;
}

// The meter of the CPU that each process on a path uses while it runs.
class cpu_watch {
 public:
  explicit cpu_watch(const subject& path) : processes_(path.processes()) {
    processes_.emplace_back("client", ::getpid());
    for (const auto& [role, pid] : processes_) before_.push_back(cpu_s(pid));
  }

  void add_to(std::map<std::string, std::vector<double>>& table, double calls) const {
    for (std::size_t i = 0; i < processes_.size(); ++i) {
      const double used = cpu_s(processes_[i].second) - before_[i];
      table[processes_[i].first].push_back(calls > 0 ? used / calls * 1e6 : 0);
    }
  }

 private:
  std::vector<std::pair<std::string, pid_t>> processes_;
  std::vector<double> before_;
};

void measure(subject& path, cell& into, const run_options& options) {
  const double seconds = options.round_ms * 1e-3;
  {
    const cpu_watch watch(path);
    const auto times = path.one_at_a_time(into.bytes, seconds);
    watch.add_to(into.cpu_us_one, static_cast<double>(times.size()));
    into.p50_us.push_back(percentile(times, 50));
    into.p99_us.push_back(percentile(times, 99));
  }
  const cpu_watch watch(path);
  const double start = now_s();
  const auto calls = static_cast<double>(path.many_at_once(into.bytes, options.lanes, seconds));
  into.calls_per_s.push_back(calls / (now_s() - start));
  watch.add_to(into.cpu_us_many, calls);
}

cell& cell_of(results& found, const char* path, std::size_t bytes, std::size_t cores) {
  for (auto& known : found.cells) {
    if (known.path == path && known.bytes == bytes && known.cores == cores) return known;
  }
  cell fresh;
  fresh.path = path;
  fresh.bytes = bytes;
  fresh.cores = cores;
  found.cells.push_back(std::move(fresh));
  return found.cells.back();
}

// One core, and all of them when there are two or more.
std::vector<std::vector<int>> placements() {
  const auto cores = usable_cores();
  std::vector<std::vector<int>> all{{cores.back()}};
  if (cores.size() > 1) all.push_back({cores[cores.size() - 2], cores.back()});
  return all;
}

void mount_echo(broker_process& broker, const run_options& options) {
  broker.mount(echo_path, std::filesystem::path(options.echo_plugin).filename().string());
}

void measure_idle(broker_process& broker, const std::vector<std::string>& paths, results& found) {
  ::usleep(settle_us);
  found.idle_pss_bytes["broker"] = pss_bytes(broker.pid());
  for (const auto& path : paths) found.idle_pss_bytes[path] = pss_bytes(broker.plugin_pid(path));
}

std::unique_ptr<broker_process> start_broker(kj::AsyncIoContext& io, const run_options& options,
                                             results& found, const progress& say) {
  auto files = options.idle_plugins;
  files.push_back(options.echo_plugin);
  auto broker =
      std::make_unique<broker_process>(io, options.daemon, files, broker_process::walls::all);
  std::vector<std::string> paths;
  for (const auto& file : options.idle_plugins) {
    const auto name = std::filesystem::path(file).filename().string();
    paths.push_back(name + "/");
    broker->mount(paths.back(), name);
  }
  if (options.only.empty()) measure_idle(*broker, paths, found);
  mount_echo(*broker, options);
  say("broker is up");
  return broker;
}

}  // namespace

results run(const run_options& options, const progress& say) {
  auto io = kj::setupAsyncIo();
  results found;
  found.rounds = options.rounds;
  found.lanes = options.lanes;
  std::unique_ptr<broker_process> broker;
  std::unique_ptr<broker_process> unconfined;
  std::vector<std::unique_ptr<subject>> paths;
  paths.push_back(raw_subject(1));
  paths.push_back(raw_subject(2));
  for (auto what : {middle::none, middle::relay, middle::proxy}) {
    paths.push_back(rpc_subject(what, streams::stock, io));
  }
  if (options.link_streams) {
    for (auto what : {middle::none, middle::proxy}) {
      paths.push_back(rpc_subject(what, streams::link, io));
    }
  }
  if (options.broker) {
    broker = start_broker(io, options, found, say);
    for (bool typed : {true, false}) paths.push_back(broker_subject(*broker, echo_path, typed));
    unconfined = std::make_unique<broker_process>(
        io, options.daemon, std::vector{options.echo_plugin}, broker_process::walls::none);
    mount_echo(*unconfined, options);
    for (bool typed : {true, false}) paths.push_back(broker_subject(*unconfined, echo_path, typed));
  }
  if (!options.only.empty()) {
    std::erase_if(paths, [&](const auto& path) { return options.only.count(path->name()) == 0; });
  }
  for (auto& path : paths) path->one_at_a_time(options.sizes.front(), warm_up_s);
  for (unsigned round = 1; round <= options.rounds; ++round) {
    say(fmt::format("round {} of {}", round, options.rounds));
    for (const auto& cores : placements()) {
      for (const auto& path : paths) place(pids_of(path->processes()), cores);
      for (auto bytes : options.sizes) {
        for (auto& path : paths) {
          measure(*path, cell_of(found, path->name(), bytes, cores.size()), options);
        }
      }
    }
  }
  if (broker != nullptr && options.kills > 0) {
    for (const auto& cores : placements()) {
      say(fmt::format("{} kills on {} core(s)", options.kills, cores.size()));
      place({::getpid(), broker->pid()}, cores);
      auto recovery = measure_recovery(*broker, echo_path, options.kills);
      found.recoveries.push_back({cores.size(), std::move(recovery.ms), recovery.calls_failed});
    }
  }
  paths.clear();
  return found;
}

}  // namespace bulkhead::bench
