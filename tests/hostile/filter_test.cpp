// SPDX-License-Identifier: Apache-2.0
// The filters as they are built, asked about calls that are not made: every number there is and
// many that are not, with grids of arguments, through all three doors of a 64-bit kernel.
#include <fcntl.h>
#include <linux/audit.h>
#include <sys/syscall.h>

#include <array>
#include <catch2/catch.hpp>
#include <iostream>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "launcher_filters.hpp"
#include "tests/hostile/filter_machine.hpp"
#include "tests/hostile/filter_policy.hpp"

namespace hostile {

namespace {

namespace made = bulkhead::launcher;

constexpr std::uint32_t x32_bit = 0x40000000;
constexpr std::uint32_t death = SECCOMP_RET_KILL_PROCESS;
constexpr std::uint32_t unknown_call = SECCOMP_RET_ERRNO | ENOSYS;
constexpr std::array<std::uint32_t, 4> other_doors{AUDIT_ARCH_I386, AUDIT_ARCH_ARM,
                                                   AUDIT_ARCH_AARCH64, 0};
constexpr filled_in filled{0x0123456789abcdefULL, 2};

/// One built filter with its numbers filled in.
struct built_filter {
  std::string name;
  filter_kind kind;
  std::vector<sock_filter> code;
};

template <class Filter>
built_filter built(std::string name, filter_kind kind, const Filter& filter) {
  built_filter one{std::move(name), kind, {filter.code.begin(), filter.code.end()}};
  if (filter.self != 0) {
    one.code[filter.once_high].k = static_cast<std::uint32_t>(filled.once >> 32U);
    one.code[filter.once_low].k = static_cast<std::uint32_t>(filled.once);
    one.code[filter.self].k = filled.self;
  }
  return one;
}

std::vector<built_filter> all_filters() {
  using kind = filter_kind;
  return {built("static", kind::static_program, made::static_filter),
          built("static, reading", kind::static_reading, made::static_reading_filter),
          built("static, writing", kind::static_writing, made::static_writing_filter),
          built("dynamic", kind::dynamic_program, made::dynamic_filter),
          built("dynamic, writing", kind::dynamic_writing, made::dynamic_writing_filter),
          built("interpreter", kind::interpreter, made::interpreter_filter),
          built("init", kind::init, made::init_filter)};
}

seccomp_data data_of(const known_call& call, std::uint32_t architecture = AUDIT_ARCH_X86_64) {
  seccomp_data data{};
  data.nr = static_cast<int>(call.number);
  data.arch = architecture;
  for (std::size_t each = 0; each < 6; ++each) data.args[each] = call.arguments[each];
  return data;
}

/// Every bit by itself, small numbers, and what calls are really made with.
std::vector<std::uint64_t> many_values() {
  std::set<std::uint64_t> values;
  for (unsigned bit = 0; bit < 64; ++bit) values.insert(std::uint64_t{1} << bit);
  for (std::uint64_t small = 0; small < 40; ++small) values.insert(small);
  for (const std::uint64_t each : {0x3d0f00ULL,
                                   0x3d0f01ULL,
                                   0x01200011ULL,
                                   0x5401ULL,
                                   0x5412ULL,
                                   0x5421ULL,
                                   0x5451ULL,
                                   0x541bULL,
                                   0x1001ULL,
                                   0x1002ULL,
                                   0x1003ULL,
                                   0x2400ULL,
                                   0x4000ULL,
                                   0x81ULL,
                                   0x89ULL,
                                   0x8aULL,
                                   0x109ULL,
                                   0x189ULL,
                                   0x18aULL,
                                   0x22ULL,
                                   0x20022ULL,
                                   0x406ULL,
                                   0xffffffffULL,
                                   0xfffffffffffffffeULL,
                                   0xffffffffffffffffULL}) {
    values.insert(each);
    values.insert(each | std::uint64_t{1} << 32U);
    values.insert(each | std::uint64_t{1} << 63U);
  }
  values.insert(filled.once);
  values.insert(filled.once ^ 1U);
  values.insert(filled.once ^ std::uint64_t{1} << 32U);
  values.insert(filled.once & 0xffffffffU);
  return {values.begin(), values.end()};
}

const std::vector<std::uint64_t> few_values{O_CREAT,
                                            O_TMPFILE,
                                            0644,
                                            04755,
                                            02755,
                                            0,
                                            1,
                                            2,
                                            3,
                                            4,
                                            15,
                                            30,
                                            39,
                                            40,
                                            0x1000,
                                            0x2002,
                                            0x22,
                                            0x3d0f00,
                                            0x5421,
                                            0x8000000000000000ULL,
                                            0xffffffffffffffffULL,
                                            filled.once,
                                            0x100000000ULL};

template <class Visitor>
void each_argument(std::int64_t number, const std::vector<std::uint64_t>& values, Visitor visit) {
  for (std::size_t place = 0; place < 6; ++place) {
    for (const std::uint64_t rest : {0ULL, ~0ULL}) {
      known_call call{number, {rest, rest, rest, rest, rest, rest}};
      for (const std::uint64_t value : values) {
        call.arguments[place] = value;
        visit(call);
      }
    }
  }
}

template <class Visitor>
void each_pair(std::int64_t number, Visitor visit) {
  for (std::size_t first = 0; first < 6; ++first) {
    for (std::size_t second = first + 1; second < 6; ++second) {
      for (const std::uint64_t one : few_values) {
        for (const std::uint64_t other : few_values) {
          known_call call{number, {}};
          call.arguments[first] = one;
          call.arguments[second] = other;
          visit(call);
        }
      }
    }
  }
}

std::string text_of(const built_filter& filter, const known_call& call) {
  std::string text = filter.name + ": call " + std::to_string(call.number) + " with";
  for (const auto each : call.arguments) text += " " + std::to_string(each);
  return text;
}

const std::int64_t last_known = made::last_known_call;

TEST_CASE("the filters answer every known call as the policy says, on a grid of arguments") {
  const auto values = many_values();
  std::uint64_t asked = 0;
  for (const auto& filter : all_filters()) {
    for (std::int64_t number = 0; number <= last_known; ++number) {
      const auto check = [&](const known_call& call) {
        ++asked;
        const auto wanted = wanted_answer(filter.kind, call, filled);
        if (answer_of(filter.code, data_of(call)) == wanted) return;
        FAIL(text_of(filter, call) << ": wanted " << std::hex << wanted << ", is "
                                   << answer_of(filter.code, data_of(call)));
      };
      each_argument(number, values, check);
      each_pair(number, check);
    }
  }
  std::cout << asked << " calls asked about\n";
}

/// Of one number, with a grid of arguments.
void is_deadly(const built_filter& filter, std::int64_t number, std::uint32_t door) {
  each_argument(number, few_values, [&](const known_call& call) {
    if (answer_of(filter.code, data_of(call, door)) == death) return;
    FAIL(text_of(filter, call) << " by door " << std::hex << door);
  });
}

TEST_CASE("a filter kills what comes through the doors of other instruction sets") {
  for (const auto& filter : all_filters()) {
    for (std::int64_t number = 0; number < 1024; ++number) {
      for (const std::uint32_t door : other_doors) is_deadly(filter, number, door);
      is_deadly(filter, static_cast<std::int64_t>(x32_bit) + number, AUDIT_ARCH_X86_64);
    }
    for (const std::int64_t none : {-1, -2, -1024, -0x40000000, -0x7fffffff}) {
      is_deadly(filter, none, AUDIT_ARCH_X86_64);
    }
  }
}

TEST_CASE("a filter answers calls that did not exist when it was built as an older kernel would") {
  for (const auto& filter : all_filters()) {
    for (std::int64_t number = last_known + 1; number < 4096; ++number) {
      const known_call call{number, {}};
      if (answer_of(filter.code, data_of(call)) != unknown_call) FAIL(text_of(filter, call));
    }
  }
}

TEST_CASE("few calls are free, and the count is printed") {
  constexpr int free_max_static = 55;
  const auto values = many_values();
  for (const auto& filter : all_filters()) {
    int free = 0;
    int conditional = 0;
    for (std::int64_t number = 0; number <= last_known; ++number) {
      std::set<std::uint32_t> answers;
      each_argument(number, values, [&](const known_call& call) {
        answers.insert(answer_of(filter.code, data_of(call)));
      });
      const bool sometimes = answers.count(SECCOMP_RET_ALLOW) != 0;
      free += sometimes && answers.size() == 1 ? 1 : 0;
      conditional += sometimes && answers.size() > 1 ? 1 : 0;
    }
    std::cout << filter.name << ": " << free << " calls free and " << conditional
              << " by their arguments, of " << last_known + 1 << " numbers; " << filter.code.size()
              << " instructions\n";
    if (filter.kind == filter_kind::static_program) CHECK(free <= free_max_static);
  }
}

TEST_CASE("the machine runs a filter by the definition of its instructions") {
  const sock_filter load = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
  const known_call five{5, {}};
  const auto answer = [&](std::vector<sock_filter> code) { return answer_of(code, data_of(five)); };
  const sock_filter yes = BPF_STMT(BPF_RET | BPF_K, 1);
  const sock_filter no = BPF_STMT(BPF_RET | BPF_K, 0);
  CHECK(answer({load, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 5, 0, 1), yes, no}) == 1);
  CHECK(answer({load, BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 5, 0, 1), yes, no}) == 0);
  CHECK(answer({load, BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 5, 0, 1), yes, no}) == 1);
  CHECK(answer({load, BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 2, 0, 1), yes, no}) == 0);
  CHECK(answer({load, BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 4),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 1), yes, no}) == 1);
  CHECK(answer({BPF_STMT(BPF_JMP | BPF_JA, 1), no, yes}) == 1);
  CHECK_THROWS_AS(answer({load}), std::runtime_error);
  CHECK_THROWS_AS(answer({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), yes}), std::runtime_error);
  CHECK_THROWS_AS(answer({BPF_STMT(BPF_ST, 0), yes}), std::runtime_error);
}

}  // namespace

}  // namespace hostile
