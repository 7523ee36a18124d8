// SPDX-License-Identifier: Apache-2.0
// The attacks as one program, to be started where a plugin would be: linked statically, and a
// second time with libraries, which may also be named by a script as its interpreter.
//
//   hostile --list                      the table, a line each
//   hostile ATTACK [NAME=VALUE ...]     tries one; the values are what the runner set up
//   hostile as-script PATH ATTACK ...   likewise, where a script begins "#!/.../hostile as-script"
//
// The outcome is told twice, because a wall may stand before either: as the last line on
// descriptor 3 ("succeeded 0", "blocked 13", "not-applicable 0", with errno), and as the exit
// status (0, 10, 11; 2: no such attack, 3: it is the machine's root, 4: it was not told to begin).
// A process that dies tells nothing, and that is an answer as well.
//
// An attack begins when it is told to, by a byte on descriptor 3: then its start has been judged,
// and what it does to itself is not taken for a wall that was not built.
//
// Three words are no attacks but ends of some: `tell-success` is what a second program says that
// should never have run, `tell-set-uid` what a set-uid one says, and `system-call` makes one call
// by its number.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <array>
#include <string_view>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"
#include "tests/hostile/victim.hpp"

namespace hostile {

namespace {

int tell(const outcome& result) {
  constexpr std::array<const char*, 3> words{"succeeded", "blocked", "not-applicable"};
  constexpr std::array<int, 3> codes{0, 10, 11};
  const auto which = static_cast<std::size_t>(result.what);
  std::array<char, 64> line{};
  const int size =
      snprintf(line.data(), line.size(), "\n%s %d\n", words[which], result.error_number);
  call(SYS_write, 3, line.data(), static_cast<std::size_t>(size));
  return codes[which];
}

template <typename Number>
void take(Number& into, const char* value) {
  into = static_cast<Number>(strtoull(value, nullptr, 0));
}

void take(const char*& into, const char* value) {
  into = value;
}

/// True when `word` is `name`=...; the value goes `into`.
template <typename Value>
bool taken(const char* word, const char* name, Value& into) {
  const std::size_t size = strlen(name);
  if (strncmp(word, name, size) != 0 || word[size] != '=') return false;
  take(into, word + size + 1);
  return true;
}

bool take_target(targets& at, const char* word) {
  return taken(word, "victim", at.victim) || taken(word, "secret-at", at.secret_at) ||
         taken(word, "victim-descriptor", at.victim_descriptor) ||
         taken(word, "tcp-port", at.tcp_port) || taken(word, "udp-port", at.udp_port) ||
         taken(word, "shared-memory", at.shared_memory) || taken(word, "key", at.key) ||
         taken(word, "canary", at.canary) || taken(word, "directory", at.directory) ||
         taken(word, "unix-socket", at.unix_socket) ||
         taken(word, "abstract-socket", at.abstract_socket) || taken(word, "queue", at.queue) ||
         taken(word, "self", at.self) || taken(word, "set-uid", at.set_uid) ||
         taken(word, "outside", at.outside) || taken(word, "node", at.node) ||
         taken(word, "datagrams", at.datagrams) || taken(word, "scratch", at.scratch) ||
         taken(word, "memory-bytes", at.memory_bytes) || taken(word, "tasks", at.tasks) ||
         taken(word, "descriptors", at.descriptors) ||
         taken(word, "pending-signals", at.pending_signals) ||
         taken(word, "system-call", at.system_call) || taken(word, "argument", at.argument);
}

int list() {
  each_attack([](const attack& one) {
    printf("%-20s %3d  %s%s%s\n", one.name, one.threat, one.meaning,
           one.vacuous == nullptr ? "" : "; may be vacuous: ",
           one.vacuous == nullptr ? "" : one.vacuous);
  });
  return 0;
}

outcome make_call(const targets& at) {
  const long it = at.argument;
  return worked(call(at.system_call, it, it, it, it, it, it));
}

/// True for the real root of the machine, on whom no attack may be let loose: a mistake of the
/// runner would else be a success.
bool is_root_of_host() {
  if (call(SYS_geteuid) != 0) return false;
  std::array<char, 64> map{};
  const auto file = static_cast<int>(call(SYS_openat, AT_FDCWD, "/proc/self/uid_map", O_RDONLY, 0));
  if (file < 0) return true;  // cannot be told
  call(SYS_read, file, map.data(), map.size() - 1);
  call(SYS_close, file);
  unsigned inside = 0;
  unsigned outside = 0;
  unsigned count = 0;
  sscanf(map.data(), "%u %u %u", &inside, &outside, &count);
  return outside == 0;
}

/// False when the runner has gone, or does not want it any more.
bool is_told_to_begin() {
  char word = 0;
  return call(SYS_read, 3, &word, sizeof word) == sizeof word;
}

int run(std::string_view name, const targets& at) {
  constexpr int too_mighty = 3;
  constexpr int not_wanted = 4;
  if (is_root_of_host()) return too_mighty;
  if (name == "tell-success") return tell(succeeded());
  if (name == "tell-set-uid") return tell(worked_if(call(SYS_geteuid) != call(SYS_getuid)));
  if (!is_told_to_begin()) return not_wanted;
  if (name == "system-call") return tell(make_call(at));
  const attack* found = nullptr;
  each_attack([&](const attack& one) {
    if (name == one.name) found = &one;
  });
  constexpr int no_such_attack = 2;
  return found == nullptr ? no_such_attack : tell(found->run(at));
}

}  // namespace

}  // namespace hostile

int main(int argc, char** argv) {
  // Started for a script: behind this word stands the script's path.
  constexpr int script_words = 2;
  if (argc > script_words && std::string_view(argv[1]) == "as-script") {
    argc -= script_words;
    argv += script_words;
  }
  const std::string_view first = argc > 1 ? argv[1] : "--list";
  if (first == "--list") return hostile::list();
  if (first == "victim") return hostile::serve_as_victim(argc > 2 ? argv[2] : "");
  if (first == "parent") return hostile::serve_as_parent(argv + 2);
  hostile::targets at;
  for (int each = 2; each < argc; ++each) {
    if (!hostile::take_target(at, argv[each])) {
      fprintf(stderr, "hostile: what is '%s'?\n", argv[each]);
      return 2;
    }
  }
  return hostile::run(first, at);
}
