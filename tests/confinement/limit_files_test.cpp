// SPDX-License-Identifier: Apache-2.0
// What is written into the files of control groups: of version 2 too, which the machine that the
// tests run on may not have. The files are ordinary ones here.
#include "actors/launcher/limit_files.hpp"

#include <fcntl.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>

#include "actors/unique_fd.hpp"
#include "tools/temporary_directory.hpp"

using bulkhead::resource_limits;
using bulkhead::launcher::controller;

namespace {

using texts = std::map<std::string, std::string>;

struct outcome {
  int error;
  texts files;
  bool operator==(const outcome&) const = default;
};

/// Of a group that has these files.
outcome written(controller which, bool unified, const resource_limits& limits,
                const std::vector<std::string>& files) {
  const bulkhead::temporary_directory base;
  const auto group = std::filesystem::path{base.path()} / "group";
  std::filesystem::create_directory(group);
  for (const auto& each : files) std::ofstream{group / each};
  const bulkhead::unique_fd directory{::open(base.path().c_str(), O_RDONLY | O_DIRECTORY)};
  outcome made{bulkhead::launcher::write_limits(directory.get(), "group", which, unified, limits),
               {}};
  for (const auto& each : files) {
    std::ifstream file{group / each};
    made.files[each] = std::string{std::istreambuf_iterator<char>{file}, {}};
  }
  return made;
}

constexpr bool version_1 = false, version_2 = true;

}  // namespace

TEST_CASE("memory and swap are limits of their own in version 2; version 1 limits the sum") {
  resource_limits limits;
  limits.memory_bytes = 5000;
  limits.swap_bytes = 300;
  CHECK(written(controller::memory, version_2, limits, {"memory.max", "memory.swap.max"}) ==
        outcome{0, {{"memory.max", "5000"}, {"memory.swap.max", "300"}}});
  const std::string memory = "memory.limit_in_bytes", both = "memory.memsw.limit_in_bytes";
  CHECK(written(controller::memory, version_1, limits, {memory, both}) ==
        outcome{0, {{memory, "5000"}, {both, "5300"}}});
  limits.memory_bytes = 0;
  CHECK(written(controller::memory, version_2, limits, {"memory.max", "memory.swap.max"}) ==
        outcome{0, {{"memory.max", "max"}, {"memory.swap.max", "300"}}});
  CHECK(written(controller::memory, version_1, limits, {memory, both}) ==
        outcome{0, {{memory, "-1"}, {both, "-1"}}});
}

TEST_CASE("swap that the machine does not count is no limit that is missing") {
  resource_limits limits;
  limits.memory_bytes = 5000;
  CHECK(written(controller::memory, version_2, limits, {"memory.max"}) ==
        outcome{0, {{"memory.max", "5000"}}});
  CHECK(written(controller::memory, version_1, limits, {"memory.limit_in_bytes"}) ==
        outcome{0, {{"memory.limit_in_bytes", "5000"}}});
  CHECK(written(controller::memory, version_2, limits, {"memory.swap.max"}).error == ENOENT);
  CHECK(written(controller::memory, version_1, limits, {"memory.memsw.limit_in_bytes"}).error ==
        ENOENT);
}

TEST_CASE("a limit of tasks leaves the init its place") {
  resource_limits limits;
  limits.tasks = 10;
  for (const bool unified : {version_1, version_2}) {
    CHECK(written(controller::tasks, unified, limits, {"pids.max"}) ==
          outcome{0, {{"pids.max", "11"}}});
  }
  limits.tasks = 0;
  CHECK(written(controller::tasks, version_2, limits, {"pids.max"}) ==
        outcome{0, {{"pids.max", "max"}}});
  CHECK(written(controller::tasks, version_2, limits, {}).error == ENOENT);
}

TEST_CASE("the processor is limited by a quota of a tenth of a second, and shared by weight") {
  resource_limits limits;
  limits.cpu_percent = 150;
  limits.cpu_weight = 200;
  CHECK(written(controller::cpu, version_2, limits, {"cpu.max", "cpu.weight"}) ==
        outcome{0, {{"cpu.max", "150000 100000"}, {"cpu.weight", "200"}}});
  CHECK(written(controller::cpu, version_1, limits, {"cpu.cfs_quota_us", "cpu.shares"}) ==
        outcome{0, {{"cpu.cfs_quota_us", "150000"}, {"cpu.shares", "2048"}}});
  limits.cpu_percent = 0;
  limits.cpu_weight = 1;
  CHECK(written(controller::cpu, version_2, limits, {"cpu.max", "cpu.weight"}) ==
        outcome{0, {{"cpu.max", "max 100000"}, {"cpu.weight", "1"}}});
  CHECK(written(controller::cpu, version_1, limits, {"cpu.cfs_quota_us", "cpu.shares"}) ==
        outcome{0, {{"cpu.cfs_quota_us", "-1"}, {"cpu.shares", "10"}}});
  for (const auto& [unified, file] : {std::pair{version_2, "cpu.max"},
                                      {version_2, "cpu.weight"},
                                      {version_1, "cpu.cfs_quota_us"},
                                      {version_1, "cpu.shares"}})
    CHECK(written(controller::cpu, unified, limits, {file}).error == ENOENT);
}

TEST_CASE("disks are shared by the weight that their scheduler knows") {
  resource_limits limits;
  limits.io_weight = 300;
  CHECK(written(controller::io, version_2, limits, {"io.weight"}) ==
        outcome{0, {{"io.weight", "300"}}});
  CHECK(written(controller::io, version_2, limits, {"io.bfq.weight"}) ==
        outcome{0, {{"io.bfq.weight", "300"}}});
  CHECK(written(controller::io, version_1, limits, {"blkio.bfq.weight"}) ==
        outcome{0, {{"blkio.bfq.weight", "300"}}});
  for (const bool unified : {version_1, version_2})
    CHECK(written(controller::io, unified, limits, {}).error == ENOENT);
}
