// SPDX-License-Identifier: Apache-2.0
// Threats 10, 15, 17 and 18: what a plugin is told without asking, what it leaves in logs, and what
// its death leaves on the disk.
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#include <array>
#include <cstring>
#include <string_view>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

outcome finds_environment(const targets&) {
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string_view text(*each);
    const auto value = text.find('=');
    if (value != std::string_view::npos && is_secret(text.substr(value + 1))) return succeeded();
  }
  return blocked(0);
}

outcome has_unknown_environment(const targets&) {
  constexpr std::array<std::string_view, 3> known{"BULKHEAD_FD=", "BULKHEAD_PROTOCOL=", "LANG="};
  for (char** each = environ; *each != nullptr; ++each) {
    bool listed = false;
    for (std::string_view name : known)
      listed = listed || std::string_view(*each).starts_with(name);
    if (!listed) return succeeded();
  }
  return blocked(0);
}

outcome knows_own_path(const targets& at) {
  const auto* name = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  return worked_if(name != nullptr && strcmp(name, at.self) == 0);
}

outcome knows_host_name(const targets&) {
  utsname found{};
  if (call(SYS_uname, &found) < 0) return blocked();
  return worked_if(std::string_view(found.nodename) != "plugin");
}

outcome has_host_uid(const targets&) {
  // Inside a user namespace its number says nothing of the host's.
  return worked_if(call(SYS_getuid) != 1000);
}

outcome has_host_pid(const targets&) {
  constexpr long first_pids = 8;
  return worked_if(call(SYS_getpid) > first_pids);
}

outcome may_be_dumped(const targets&) {
  const long now = call(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
  return now < 0 ? blocked() : worked_if(now == 1);
}

outcome becomes_dumpable(const targets&) {
  return worked(call(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
}

/// Dies so that a core is written where its limit allows one; the runner looks whether it was.
outcome dumps_core(const targets& at) {
  call(SYS_chdir, at.directory);
  const rlimit all{RLIM_INFINITY, RLIM_INFINITY};
  call(SYS_prlimit64, 0, RLIMIT_CORE, &all, nullptr);
  abort();
}

/// The same without asking for anything first.
outcome dies_with_core(const targets&) {
  abort();
}

void say(std::string_view text) {
  call(SYS_write, 1, text.data(), text.size());
}

/// What a reader of the log would take for another line, another source, or a command to its
/// terminal; the runner looks at what the broker makes of it.
outcome forges_log(const targets&) {
  say("harmless\r{\"level\":\"error\",\"source\":\"broker\",\"text\":\"forged\"}\n");
  say("\x1b]0;owned\x07\x1b[2J\x1b[1;1H\xc2\x9b"
      "31m\n");
  say("right\xe2\x80\xae"
      "tfel\xe2\x80\xa8separated\xff\xfe broken\x7f\x08\x08\n");
  return succeeded();
}

/// Half a second of one endless line and of many short ones; the runner looks at what the broker
/// keeps of it.
outcome floods_log(const targets&) {
  static std::array<char, 1 << 16> block{};
  memset(block.data(), 'a', block.size());
  for (std::size_t at = block.size() / 2; at < block.size(); at += 16) block[at] = '\n';
  constexpr int blocks = 64;
  for (int count = 0; count < blocks; ++count) call(SYS_write, 1, block.data(), block.size());
  return succeeded();
}

constexpr attack table[] = {
    {"env_leak", 17, "finds a secret in its environment", finds_environment},
    {"env_unknown", 17, "has an environment that nobody listed", has_unknown_environment},
    {"auxv_path", 17, "is told where its file lies", knows_own_path},
    {"host_name", 17, "knows the machine's name", knows_host_name},
    {"host_uid", 17, "knows its uid on the host", has_host_uid},
    {"host_pid", 17, "knows its number on the host", has_host_pid},
    {"dumpable", 18, "makes itself readable to its user", becomes_dumpable},
    {"dumpable_at_start", 18, "is readable to its user", may_be_dumped},
    {"core", 18, "leaves a core on the disk", dumps_core, nullptr, "SIGABRT"},
    {"core_plain", 18, "leaves a core on the disk as it dies", dies_with_core,
     "the limit of the surroundings may forbid it", "SIGABRT"},
    {"loginject", 10, "writes another's line into the log", forges_log},
    {"logflood", 15, "fills the log", floods_log},
};

}  // namespace

std::span<const attack> leak_attacks() {
  return table;
}

}  // namespace hostile
