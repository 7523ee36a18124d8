// SPDX-License-Identifier: Apache-2.0
#include "actors/exit_status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace bulkhead {
namespace {

struct named_signal {
  int number;
  std::string_view name;  // without SIG
};

constexpr std::array named_signals = {
    named_signal{SIGHUP, "HUP"},   named_signal{SIGINT, "INT"},
    named_signal{SIGQUIT, "QUIT"}, named_signal{SIGILL, "ILL"},
    named_signal{SIGTRAP, "TRAP"}, named_signal{SIGABRT, "ABRT"},
    named_signal{SIGBUS, "BUS"},   named_signal{SIGFPE, "FPE"},
    named_signal{SIGKILL, "KILL"}, named_signal{SIGUSR1, "USR1"},
    named_signal{SIGSEGV, "SEGV"}, named_signal{SIGUSR2, "USR2"},
    named_signal{SIGPIPE, "PIPE"}, named_signal{SIGALRM, "ALRM"},
    named_signal{SIGTERM, "TERM"}, named_signal{SIGSTKFLT, "STKFLT"},
    named_signal{SIGCHLD, "CHLD"}, named_signal{SIGCONT, "CONT"},
    named_signal{SIGSTOP, "STOP"}, named_signal{SIGTSTP, "TSTP"},
    named_signal{SIGTTIN, "TTIN"}, named_signal{SIGTTOU, "TTOU"},
    named_signal{SIGURG, "URG"},   named_signal{SIGXCPU, "XCPU"},
    named_signal{SIGXFSZ, "XFSZ"}, named_signal{SIGVTALRM, "VTALRM"},
    named_signal{SIGPROF, "PROF"}, named_signal{SIGWINCH, "WINCH"},
    named_signal{SIGIO, "IO"},     named_signal{SIGPWR, "PWR"},
    named_signal{SIGSYS, "SYS"},
};

constexpr int signal_max = 64;

std::optional<int> number_in(std::string_view digits, int low, int high) {
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  if (value < low || value > high) return std::nullopt;
  return value;
}

}  // namespace

exit_status exit_status_from(const siginfo_t& info) {
  switch (info.si_code) {
    case CLD_EXITED:
      return exit_status::exited(info.si_status);
    case CLD_KILLED:
      return exit_status::signaled(info.si_status, false);
    case CLD_DUMPED:
      return exit_status::signaled(info.si_status, true);
    default:
      return {};
  }
}

std::string sentence(const exit_status& status) {
  switch (status.how) {
    case exit_status::kind::exited:
      return fmt::format("exited with status {}", status.value);
    case exit_status::kind::signaled:
      return fmt::format("was killed by {}{}", signal_name(status.value),
                         status.core_dumped ? " and dumped core" : "");
    case exit_status::kind::unknown:
      break;
  }
  return "ended, and its status was lost";
}

std::string signal_name(int signal) {
  for (const auto& known : named_signals) {
    if (known.number == signal) return fmt::format("SIG{}", known.name);
  }
  if (signal == SIGRTMIN) return "SIGRTMIN";
  if (signal > SIGRTMIN && signal <= SIGRTMAX) return fmt::format("SIGRTMIN+{}", signal - SIGRTMIN);
  return fmt::format("signal {}", signal);
}

std::optional<int> signal_number(std::string_view name) {
  if (const auto number = number_in(name, 1, signal_max)) return number;
  std::string upper{name};
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  std::string_view bare = upper;
  if (bare.substr(0, 3) == "SIG") bare.remove_prefix(3);
  for (const auto& known : named_signals) {
    if (known.name == bare) return known.number;
  }
  if (bare == "RTMIN") return SIGRTMIN;
  if (bare.substr(0, 6) == "RTMIN+") {
    if (const auto offset = number_in(bare.substr(6), 0, SIGRTMAX - SIGRTMIN)) {
      return SIGRTMIN + *offset;
    }
  }
  return std::nullopt;
}

}  // namespace bulkhead
