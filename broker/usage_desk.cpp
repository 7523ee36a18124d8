// SPDX-License-Identifier: Apache-2.0
#include "broker/usage_desk.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include "broker/broker_core.hpp"
#include "broker/event_log.hpp"

namespace bulkhead {
namespace {

std::int64_t ms_of(std::chrono::nanoseconds span) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
}

}  // namespace

void usage_desk::begin() {
  if (!services_.sampler) return;
  rounds_ = go_on().eagerlyEvaluate([](kj::Exception&& problem) {
    KJ_LOG(ERROR, "what plugins use is not sampled any more", problem.getDescription());
  });
}

kj::Promise<void> usage_desk::go_on() {
  return services_.reactor.timer()
      .afterDelay(services_.limits.sample_ms.count() * kj::MILLISECONDS)
      .then([this] { return round(); })
      // A sampler that fails is started anew by its supervisor; the next round asks that one.
      .catch_([](kj::Exception&&) {})
      .then([this] { return go_on(); });
}

kj::Promise<void> usage_desk::round() {
  sample_request request;
  asked whom;
  core_.each_mount([&](const mount_route& route) {
    const auto& serving = route.entry->serving;
    if (serving.id == 0) return;
    request.processes.push_back({serving.id, static_cast<pid_t>(serving.pid)});
    whom[serving.id] = {route.entry, serving.generation};
  });
  request.with_pss = count_++ % pss_rounds == 0;
  return ask_.ask<sample_answer>(services_.sampler, std::move(request))
      .then([this, whom = std::move(whom)](sample_answer&& answer) { take(whom, answer); });
}

void usage_desk::take(const asked& whom, const sample_answer& answer) {
  took_ = answer.took;
  mind_memory(answer.own_bytes);
  for (const auto& [id, sample] : answer.samples) {
    const auto found = whom.find(id);
    if (found == whom.end() || !sample.alive) continue;
    const auto entry = found->second.entry.lock();
    // Meanwhile it may have been replaced, or have gone.
    if (entry != nullptr && entry->serving.id == id) keep(*entry, found->second.generation, sample);
  }
}

void usage_desk::mind_memory(std::uint64_t own_bytes) {
  auto& gate = *services_.load;
  const auto most = services_.limits.memory_soft_bytes_max;
  gate.memory_bytes = own_bytes;
  gate.memory_bytes_max = most;
  const bool was = gate.closed;
  gate.closed = own_bytes > (was ? most / 10 * 9 : most);
  if (gate.closed == was) return;
  services_.events.record({}, 0, gate.closed ? "shedding" : "shedding_over",
                          fmt::format("the broker uses {}, of {} (memory_soft_bytes_max)",
                                      bytes_text(own_bytes), bytes_text(most)));
}

void usage_desk::keep(mount_entry& entry, std::uint64_t generation, const process_sample& sample) {
  usage_sample now;
  now.unix_ms = unix_ms_now();
  now.monotonic_ms = ms_of(services_.clock.now().time_since_epoch());
  now.generation = generation;
  now.process = sample;
  if (const auto* link =
          entry.serving.protocol == nullptr ? nullptr : entry.serving.protocol->link) {
    now.bytes_in = link->meter().bytes_in;
    now.bytes_out = link->meter().bytes_out;
  }
  now.calls = entry.slot->counters().total;
  // Who is killed for that is most often the only process, and then there is nothing to sample.
  now.process.oom_kills += entry.out_of_memory_ends;
  auto& ring = entry.samples;
  compare_with(now, ring.empty() ? nullptr : &ring.back());
  ring.push_back(std::move(now));
  while (ring.size() > services_.limits.samples_kept) ring.pop_front();
  const auto passed = judge_usage(entry.spec.thresholds, ring);
  // An event when it begins, and not with every sample.
  if (passed && entry.passed != passed->name)
    services_.events.record(entry.spec.path, generation, "over_threshold", "it " + passed->reason);
  entry.passed = passed ? passed->name : std::string();
  if (passed && passed->act != threshold_act::warn && entry.pass) entry.pass(*passed);
}

void write_usage(const usage_sample& from, schema::Usage::Builder to) {
  const auto& process = from.process;
  to.setUnixMs(from.unix_ms);
  to.setGeneration(from.generation);
  to.setRssBytes(process.rss_bytes);
  to.setPssBytes(process.pss_bytes);
  to.setCpuMs(process.cpu_ms);
  to.setCpuPercent(static_cast<float>(from.cpu_percent));
  to.setThreads(process.threads);
  to.setFds(process.descriptors);
  to.setMinorFaults(process.minor_faults);
  to.setMajorFaults(process.major_faults);
  to.setThrottledMs(process.throttled_ms);
  to.setOomKills(process.oom_kills);
  to.setTasksRefused(process.tasks_refused);
  to.setBytesIn(from.bytes_in);
  to.setBytesOut(from.bytes_out);
  to.setCalls(from.calls);
  auto unread = to.initUnread(static_cast<unsigned>(process.unread.size()));
  for (unsigned i = 0; i < unread.size(); ++i) unread.set(i, process.unread[i].c_str());
}

}  // namespace bulkhead
