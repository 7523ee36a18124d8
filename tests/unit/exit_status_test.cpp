// SPDX-License-Identifier: Apache-2.0
#include "actors/exit_status.hpp"

#include <catch2/catch.hpp>

using bulkhead::exit_status;
using bulkhead::exit_status_from;
using bulkhead::signal_name;
using bulkhead::signal_number;

namespace {

siginfo_t info_of(int code, int status) {
  siginfo_t info{};
  info.si_code = code;
  info.si_status = status;
  return info;
}

}  // namespace

TEST_CASE("an exit keeps its code and a death by signal its signal") {
  CHECK(exit_status_from(info_of(CLD_EXITED, 7)) == exit_status::exited(7));
  CHECK(exit_status_from(info_of(CLD_KILLED, SIGKILL)) == exit_status::signaled(SIGKILL, false));
  CHECK(exit_status_from(info_of(CLD_DUMPED, SIGSEGV)) == exit_status::signaled(SIGSEGV, true));
  CHECK(exit_status_from(info_of(CLD_STOPPED, SIGSTOP)).how == exit_status::kind::unknown);
}

TEST_CASE("only exit code 0 is a success") {
  CHECK(exit_status::exited(0).success());
  CHECK_FALSE(exit_status::exited(1).success());
  CHECK_FALSE(exit_status::signaled(SIGTERM, false).success());
  CHECK_FALSE(exit_status{}.success());
}

TEST_CASE("an end reads as a sentence") {
  CHECK(sentence(exit_status::exited(7)) == "exited with status 7");
  CHECK(sentence(exit_status::signaled(SIGKILL, false)) == "was killed by SIGKILL");
  CHECK(sentence(exit_status::signaled(SIGSEGV, true)) == "was killed by SIGSEGV and dumped core");
  CHECK(sentence(exit_status{}) == "ended, and its status was lost");
}

TEST_CASE("every signal has a name that leads back to its number") {
  for (int signal = 1; signal <= 64; ++signal) {
    const auto name = signal_name(signal);
    if (name.rfind("SIG", 0) == 0) CHECK(signal_number(name) == signal);
    CHECK(signal_number(std::to_string(signal)) == signal);
  }
  CHECK(signal_name(SIGRTMIN + 3) == "SIGRTMIN+3");
  CHECK(signal_name(99) == "signal 99");
}

TEST_CASE("a signal is known by name in any case, with and without SIG") {
  for (const auto* name : {"SIGKILL", "sigkill", "KILL", "kill", "9"}) {
    CHECK(signal_number(name) == SIGKILL);
  }
  CHECK(signal_number("RTMIN+1") == SIGRTMIN + 1);
  for (const auto* name : {"", "SIG", "0", "65", "-9", "9x", "SIGNOPE", "RTMIN+99", "RTMIN+"}) {
    CHECK(signal_number(name) == std::nullopt);
  }
}
