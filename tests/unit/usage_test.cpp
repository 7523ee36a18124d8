// SPDX-License-Identifier: Apache-2.0
//
// What processes use: how it is read, and what thresholds make of it.
#include "broker/usage.hpp"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>

#include "tests/bars.hpp"
#include "tools/temporary_directory.hpp"

using namespace bulkhead;

namespace {

usage_sample sample(std::uint64_t generation, std::int64_t at_ms, std::uint64_t rss = 0,
                    std::uint64_t cpu_ms = 0) {
  usage_sample made;
  made.generation = generation;
  made.monotonic_ms = at_ms;
  made.process.rss_bytes = rss;
  made.process.cpu_ms = cpu_ms;
  return made;
}

constexpr const char* stat_text =
    "4127 (a) (b) c) S 1 4127 4127 0 -1 4194304 9421 0 17 0 250 50 0 0 20 0 5 0 1000 99 300 "
    "18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0\n";

}  // namespace

TEST_CASE("an instance is replaced for what it uses the less often the less that helps") {
  manual_clock clock;
  seeded_random random(1);
  replacement_pace pace;
  std::chrono::nanoseconds expected = replacement_wait_first;
  for (int n = 0; n < 20; ++n) {
    pace.above(replacement_helps - std::chrono::milliseconds(1));
    REQUIRE(pace.is_due(clock.now()));
    pace.replaced(clock.now(), random);
    CHECK(pace.wait(clock.now()) == expected);
    clock.advance(expected - std::chrono::nanoseconds(1));
    CHECK_FALSE(pace.is_due(clock.now()));
    clock.advance(std::chrono::nanoseconds(1));
    expected = std::min<std::chrono::nanoseconds>(2 * expected, replacement_wait_max);
  }
  CHECK(expected == replacement_wait_max);
  pace.above(replacement_helps - std::chrono::milliseconds(1));
  pace.replaced(clock.now(), random);
  CHECK_FALSE(pace.is_due(clock.now()));
  pace.above(replacement_helps);
  CHECK(pace.is_due(clock.now()));
  CHECK(pace.wait(clock.now()).count() == 0);
}

TEST_CASE("the kernel's line on a process is read, whatever its name holds") {
  process_sample found;
  REQUIRE(parse_process_stat(stat_text, 100, 4096, found));
  CHECK(found.minor_faults == 9421);
  CHECK(found.major_faults == 17);
  CHECK(found.cpu_ms == 3000);
  CHECK(found.threads == 5);
  CHECK(found.started_ticks == 1000);
  CHECK(found.rss_bytes == 300 * 4096);
  CHECK_FALSE(parse_process_stat("", 100, 4096, found));
  CHECK_FALSE(parse_process_stat("1 (x) S 1 2", 100, 4096, found));
  CHECK_FALSE(parse_process_stat(stat_text, 0, 4096, found));
}

TEST_CASE("a figure is found by the whole of its name") {
  const char* text = "Pss_Dirty: 5 kB\nPss:       12 kB\noom_kill 3\nempty\n";
  CHECK(number_after(text, "Pss") == 12);
  CHECK(number_after(text, "oom_kill") == 3);
  CHECK(number_after(text, "oom") == std::nullopt);
  CHECK(number_after(text, "empty") == std::nullopt);
}

TEST_CASE("the files of an instance's control groups are found in both versions, in part too") {
  const std::string own = "bulkhead-12.7-3";
  const std::string mounts =
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "33 31 0:30 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
      "35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw master:9 - cgroup cgroup rw,memory\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
  const auto old = control_group_files_of(
      "5:memory:/docker/1/" + own + "\n4:cpu,cpuacct:/" + own + "\n3:pids:/" + own + "\n", mounts);
  CHECK(old.memory_events == "/sys/fs/cgroup/memory/" + own + "/memory.oom_control");
  CHECK(old.cpu_stat == "/sys/fs/cgroup/cpu,cpuacct/" + own + "/cpu.stat");
  CHECK(old.pids_events == "/sys/fs/cgroup/pids/" + own + "/pids.events");
  const auto unified = control_group_files_of("0::/" + own + "\n", mounts);
  CHECK(unified.memory_events == "/sys/fs/cgroup/unified/" + own + "/memory.events");
  CHECK(unified.cpu_stat == "/sys/fs/cgroup/unified/" + own + "/cpu.stat");
  CHECK(unified.pids_events == "/sys/fs/cgroup/unified/" + own + "/pids.events");
}

TEST_CASE("a group that others share tells nothing of an instance; one that cannot be seen is") {
  const std::string mounts = "41 31 0:38 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
  for (const auto* const shared : {"0::/docker/1\n", "0::/\n", "4:cpu:/x\n5:memory:/\n", "", "x"}) {
    const auto found = control_group_files_of(shared, mounts);
    CHECK_FALSE(found.cpu_stat);
    CHECK_FALSE(found.memory_events);
    CHECK_FALSE(found.pids_events);
  }
  for (const auto* const unseen : {"0::/docker/2/bulkhead-12.7-3\n", "4:cpu:/bulkhead-12.7-3\n"})
    CHECK(control_group_files_of(unseen, mounts).cpu_stat == "");
}

TEST_CASE("the files of control groups are read, and what cannot be read is named") {
  const temporary_directory folder;
  const auto write = [&](const char* name, const char* text) {
    std::ofstream{folder.path() + "/" + name} << text;
    return folder.path() + "/" + name;
  };
  process_sample found;
  read_control_groups(
      {write("cpu.stat", "nr_throttled 9\nthrottled_usec 7000\n"),
       write("memory.events", "max 4\noom 5\noom_kill 2\n"), write("pids.events", "max 3\n")},
      found);
  CHECK(found.throttled_ms == 7);
  CHECK(found.oom_kills == 2);
  CHECK(found.tasks_refused == 3);
  read_control_groups({write("cpu.stat", "nr_throttled 9\nthrottled_time 8000000\n"), {}, {}},
                      found);
  CHECK(found.throttled_ms == 8);
  CHECK(found.oom_kills == 0);
  CHECK(found.tasks_refused == 0);
  CHECK(found.unread.empty());
  read_control_groups({"", folder.path() + "/none", ""}, found);
  CHECK(found.throttled_ms == 0);
  CHECK(found.unread == std::vector<std::string>{"throttled: ENOENT", "oom_kills: ENOENT",
                                                 "tasks_refused: ENOENT"});
}

TEST_CASE("this process can be sampled; one that is not there is not alive") {
  sampled_process own(::getpid());
  const auto found = own.sample(true);
  CHECK(found.alive);
  CHECK(found.rss_bytes > 0);
  CHECK(found.pss_bytes > 0);
  CHECK(found.threads >= 1);
  sampled_process nobody(-1);
  CHECK_FALSE(nobody.sample(true).alive);
}

TEST_CASE("a sample of a hundred processes is cheap enough for every two seconds") {
  std::vector<sampled_process> all;
  all.reserve(100);
  for (int i = 0; i < 100; ++i) all.emplace_back(::getpid());
  // 20 ms in 2 s are a hundredth of one core.
  CHECK(bars::met([&] {
    const auto begin = std::chrono::steady_clock::now();
    for (auto& each : all) CHECK(each.sample(false).alive);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
    WARN("100 processes: " << took.count() << " ms");
    return took.count() < 20 * bars::slow_factor;
  }));
}

TEST_CASE("the use of the processor is that between two samples of one instance") {
  const auto before = sample(1, 1000, 0, 100);
  auto now = sample(1, 3000, 0, 600);
  compare_with(now, &before);
  CHECK(now.cpu_percent == Approx(25.0));
  now = sample(2, 3000, 0, 600);
  compare_with(now, &before);
  CHECK(now.cpu_percent == 0);
  now = sample(1, 1000, 0, 600);
  compare_with(now, &before);
  CHECK(now.cpu_percent == 0);
  now = sample(1, 3000, 0, 50);  // no clock of the kernel's runs back
  compare_with(now, &before);
  CHECK(now.cpu_percent == 0);
  compare_with(now, nullptr);
}

TEST_CASE("a share of memory that is read seldom stands until it is read again") {
  auto before = sample(1, 1000);
  before.process.pss_bytes = 77;
  auto now = sample(1, 2000);
  compare_with(now, &before);
  CHECK(now.process.pss_bytes == 77);
}

TEST_CASE("a threshold acts on samples in a row, all of one instance, and the gravest goes first") {
  const std::vector<named_number> thresholds{
      {"rss-warn", 10}, {"rss-quarantine", 30}, {"rss-restart", 20}};
  const auto verdict = [&](std::deque<usage_sample> samples) {
    const auto passed = judge_usage(thresholds, samples);
    return passed ? passed->name : std::string();
  };
  CHECK(verdict({}).empty());
  CHECK(verdict({sample(1, 0, 99)}).empty());
  CHECK(verdict({sample(1, 0, 10), sample(1, 1, 10)}).empty());
  CHECK(verdict({sample(1, 0, 11), sample(1, 1, 11)}) == "rss-warn");
  CHECK(verdict({sample(1, 0, 31), sample(1, 1, 21)}) == "rss-restart");
  CHECK(verdict({sample(1, 0, 31), sample(1, 1, 31)}) == "rss-quarantine");
  CHECK(verdict({sample(1, 0, 31), sample(1, 1, 31), sample(1, 2, 5)}).empty());
  CHECK(verdict({sample(1, 0, 31), sample(2, 1, 31)}).empty());
}

TEST_CASE("each figure has its thresholds, which say what they are about") {
  auto busy = sample(1, 0);
  busy.cpu_percent = 150;
  busy.process.threads = 40;
  busy.process.descriptors = 50;
  const std::deque<usage_sample> samples{busy, busy};
  CHECK(judge_usage({{"cpu-warn", 100}}, samples)->reason ==
        "uses 150 % of a core, above 100 % (cpu-warn)");
  CHECK(judge_usage({{"threads-restart", 39}}, samples)->reason ==
        "has 40 threads, above 39 (threads-restart)");
  CHECK(judge_usage({{"fds-quarantine", 49}}, samples)->act == threshold_act::quarantine);
  CHECK_FALSE(judge_usage({{"fds-quarantine", 50}}, samples));
}

TEST_CASE("thresholds that make no sense are refused by name") {
  CHECK(threshold_names().size() == 12);
  for (const auto& name : threshold_names()) CHECK(threshold_problem({{name, 1}}).empty());
  CHECK(threshold_problem({{"rss", 1}}).find("there is none of that name; they are rss-warn") == 0);
  CHECK(threshold_problem({{"rss-warn", 0}}) == "rss-warn is 0: leave it out");
  CHECK(threshold_problem({{"rss-warn", 1}, {"rss-warn", 2}}) == "rss-warn is given twice");
}

TEST_CASE("bytes are written in the largest unit that holds one") {
  CHECK(bytes_text(0) == "0 B");
  CHECK(bytes_text(1023) == "1023 B");
  CHECK(bytes_text(1024) == "1 KiB");
  CHECK(bytes_text(1536) == "1.5 KiB");
  CHECK(bytes_text(300U << 20U) == "300 MiB");
}
