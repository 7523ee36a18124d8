// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile/filter_machine.hpp"

#include <cstring>
#include <stdexcept>

namespace hostile {

namespace {

std::uint32_t loaded(const seccomp_data& call, std::uint32_t offset) {
  if (offset % 4 != 0 || offset + 4 > sizeof call)
    throw std::runtime_error("a load beside the call");
  std::uint32_t word = 0;
  std::memcpy(&word, reinterpret_cast<const char*>(&call) + offset, sizeof word);
  return word;
}

bool compares(const sock_filter& step, std::uint32_t accumulator) {
  switch (BPF_OP(step.code)) {
    case BPF_JEQ:
      return accumulator == step.k;
    case BPF_JGT:
      return accumulator > step.k;
    case BPF_JGE:
      return accumulator >= step.k;
    case BPF_JSET:
      return (accumulator & step.k) != 0;
    default:
      throw std::runtime_error("an unknown comparison");
  }
}

std::uint32_t computed(const sock_filter& step, std::uint32_t accumulator) {
  switch (BPF_OP(step.code)) {
    case BPF_AND:
      return accumulator & step.k;
    case BPF_OR:
      return accumulator | step.k;
    default:
      throw std::runtime_error("an unknown operation");
  }
}

}  // namespace

std::uint32_t answer_of(std::span<const sock_filter> filter, const seccomp_data& call) {
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < filter.size(); ++at) {
    const sock_filter& step = filter[at];
    if (step.code == (BPF_RET | BPF_K)) return step.k;
    if (step.code == (BPF_LD | BPF_W | BPF_ABS)) {
      accumulator = loaded(call, step.k);
    } else if (step.code == (BPF_JMP | BPF_JA)) {
      at += step.k;
    } else if (BPF_CLASS(step.code) == BPF_JMP && BPF_SRC(step.code) == BPF_K) {
      at += compares(step, accumulator) ? step.jt : step.jf;
    } else if (BPF_CLASS(step.code) == BPF_ALU && BPF_SRC(step.code) == BPF_K) {
      accumulator = computed(step, accumulator);
    } else {
      throw std::runtime_error("an unknown instruction");
    }
  }
  throw std::runtime_error("the end without an answer");
}

}  // namespace hostile
