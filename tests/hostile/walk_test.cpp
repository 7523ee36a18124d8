// SPDX-License-Identifier: Apache-2.0
// A sample of filter_test's walk for real: each call that the filter stops is made by a confined
// process, with two sets of arguments, and must end as the policy says. Those that it lets through
// are left out: some end the process, or wait.
//
// Two numbers no filter sees: uretprobe and uprobe, which the kernel answers before it asks one
// (since 6.11 and 6.18). They do nothing but for a trampoline that the kernel itself has put into a
// traced process; anywhere else they end in SIGILL or an error.
#include <linux/seccomp.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <iostream>

#include "launcher_filters.hpp"
#include "tests/hostile/campaign.hpp"
#include "tests/hostile/filter_policy.hpp"

namespace hostile {

namespace {

constexpr std::int64_t x32_bit = 0x40000000;
constexpr std::int64_t last_x32 = 547;
constexpr std::int64_t uretprobe = 335;
constexpr std::int64_t uprobe = 336;
constexpr int beyond_known = 64;

std::string expected_end(std::int64_t number, std::uint64_t argument) {
  if (number >= x32_bit) return "SIGSYS";
  if (number == uretprobe || number == uprobe) return "";
  if (number > bulkhead::launcher::last_known_call) return "38";
  const known_call call{number, {argument, argument, argument, argument, argument, argument}};
  const auto answer = wanted_answer(filter_kind::static_program, call, {});
  if (answer == SECCOMP_RET_ALLOW) return "";
  if (answer == SECCOMP_RET_KILL_PROCESS) return "SIGSYS";
  return std::to_string(answer & SECCOMP_RET_DATA);
}

std::string end_of(const observation& seen) {
  if (seen.end.how == bulkhead::exit_status::kind::signaled) {
    return bulkhead::signal_name(seen.end.value);
  }
  const auto at = seen.told.find("blocked ");
  if (at == std::string::npos) return "told '" + seen.told + "'" + seen.refusal;
  return std::to_string(std::atoi(seen.told.c_str() + at + 8));
}

}  // namespace

TEST_CASE("every call that the filter stops is stopped for real") {
  arena in({"walk", bulkhead::profile::strict_unprivileged, {}, false});
  REQUIRE(in.refusal.empty());
  int made = 0;
  const auto check = [&](std::int64_t number) {
    for (const std::string argument : {"0", "0xffffffffffffffff"}) {
      const auto expected = expected_end(number, std::strtoull(argument.c_str(), nullptr, 0));
      if (expected.empty()) continue;
      ++made;
      const auto seen = in.start(
          {"system-call", "system-call=" + std::to_string(number), "argument=" + argument});
      INFO("call " << number << " with " << argument);
      CHECK(end_of(seen) == expected);
    }
  };
  const auto last = static_cast<std::int64_t>(bulkhead::launcher::last_known_call);
  for (std::int64_t number = 0; number <= last + beyond_known; ++number) check(number);
  // Its own numbers begin at 512.
  for (std::int64_t number = 0; number <= last_x32; ++number) check(x32_bit | number);
  std::cout << made << " calls made for real\n";
}

}  // namespace hostile
