// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/limit_files.hpp"

#include "actors/launcher/kernel.hpp"

namespace bulkhead::launcher {
namespace {

constexpr std::uint64_t period_us = 100'000;
constexpr std::uint64_t us_per_percent = period_us / 100;
constexpr std::uint64_t shares_of_100 = 1024;  // of version 1, for weight 100
constexpr std::string_view no_limit = "-1";    // of version 1

int write_in(int base, std::string_view group, std::string_view file, std::string_view text) {
  path_text path;
  path << group << "/" << file;
  return write_file(base, path.c_str(), text);
}

int write_number(int base, std::string_view group, std::string_view file, std::uint64_t number) {
  short_text<24> text;
  text << number;
  return write_in(base, group, file, text.view());
}

int write_bytes(int base, std::string_view group, std::string_view file, std::uint64_t bytes,
                std::string_view none) {
  return bytes == 0 ? write_in(base, group, file, none) : write_number(base, group, file, bytes);
}

int limit_memory(int base, bool unified, std::string_view group, const resource_limits& limits) {
  if (unified) {
    const int error = write_bytes(base, group, "memory.max", limits.memory_bytes, "max");
    const int swap = write_number(base, group, "memory.swap.max", limits.swap_bytes);
    return error != 0 || swap == ENOENT ? error : swap;
  }
  // The sum of both may never be below the memory alone, so a change in either direction takes two
  // attempts at one of them.
  const auto sum = limits.memory_bytes == 0 ? 0 : limits.memory_bytes + limits.swap_bytes;
  constexpr std::string_view memory = "memory.limit_in_bytes";
  constexpr std::string_view both = "memory.memsw.limit_in_bytes";
  int error = write_bytes(base, group, memory, limits.memory_bytes, no_limit);
  int swap = write_bytes(base, group, both, sum, no_limit);
  if (error != 0) error = write_bytes(base, group, memory, limits.memory_bytes, no_limit);
  if (swap == ENOENT) swap = 0;  // the machine does not count swap
  return error != 0 ? error : swap;
}

int limit_tasks(int base, std::string_view group, const resource_limits& limits) {
  // The init is one.
  if (limits.tasks != 0)
    return write_number(base, group, "pids.max", std::uint64_t{limits.tasks} + 1);
  return write_in(base, group, "pids.max", "max");
}

int limit_cpu(int base, bool unified, std::string_view group, const resource_limits& limits) {
  short_text<48> quota;
  if (limits.cpu_percent != 0)
    quota << limits.cpu_percent * us_per_percent;
  else
    quota << (unified ? "max" : no_limit);
  if (unified) {
    quota << " " << period_us;
    const int error = write_in(base, group, "cpu.max", quota.view());
    return error != 0 ? error : write_number(base, group, "cpu.weight", limits.cpu_weight);
  }
  const int error = write_in(base, group, "cpu.cfs_quota_us", quota.view());
  if (error != 0) return error;
  const auto shares = limits.cpu_weight * shares_of_100 / 100;
  return write_number(base, group, "cpu.shares", shares < 2 ? 2 : shares);
}

/// By whichever scheduler of the disk shares by weight: its cost model, or BFQ. ENOENT: none does.
int limit_io(int base, bool unified, std::string_view group, const resource_limits& limits) {
  if (!unified) return write_number(base, group, "blkio.bfq.weight", limits.io_weight);
  const int error = write_number(base, group, "io.weight", limits.io_weight);
  return error != ENOENT ? error : write_number(base, group, "io.bfq.weight", limits.io_weight);
}

}  // namespace

int write_limits(int base, std::string_view group, controller which, bool unified,
                 const resource_limits& limits) {
  switch (which) {
    case controller::memory:
      return limit_memory(base, unified, group, limits);
    case controller::tasks:
      return limit_tasks(base, group, limits);
    case controller::cpu:
      return limit_cpu(base, unified, group, limits);
    case controller::io:
      return limit_io(base, unified, group, limits);
  }
  return EINVAL;
}

}  // namespace bulkhead::launcher
