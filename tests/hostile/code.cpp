// SPDX-License-Identifier: Apache-2.0
// Threat 6: a plugin that runs code other than what was verified: other programs, and memory that
// it wrote itself.
#include <fcntl.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/shm.h>

#include <array>
#include <cstring>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

constexpr std::size_t page = 4096;
constexpr int answer = 42;
constexpr std::array<unsigned char, 6> answering{0xb8, answer, 0, 0, 0, 0xc3};  // mov, ret

char* words_self[] = {const_cast<char*>("hostile"), const_cast<char*>("tell-success"), nullptr};
char* words_none[] = {nullptr};

/// Runs the code at `place`, which must answer 42.
outcome runs(const void* place) {
  int (*function)() = nullptr;
  memcpy(&function, &place, sizeof function);
  return worked_if(function() == answer);
}

char* map(int protection, int flags, int file = -1) {
  return reinterpret_cast<char*>(call(SYS_mmap, nullptr, page, protection, flags, file, 0L));
}

bool mapped(const void* place) {
  return place != MAP_FAILED;
}

outcome writes_and_runs(const targets&) {
  char* place = map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
  if (!mapped(place)) return blocked();
  memcpy(place, answering.data(), answering.size());
  return runs(place);
}

outcome writes_then_runs(bool shared, long protect_call) {
  char* place = map(PROT_READ | PROT_WRITE, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS);
  if (!mapped(place)) return blocked();
  memcpy(place, answering.data(), answering.size());
  const long result = protect_call == SYS_mprotect
                          ? call(SYS_mprotect, place, page, PROT_READ | PROT_EXEC)
                          : call(SYS_pkey_mprotect, place, page, PROT_READ | PROT_EXEC, -1L);
  return result < 0 ? blocked() : runs(place);
}

outcome runs_stack(const targets&) {
  alignas(page) std::array<char, page> place{};
  memcpy(place.data(), answering.data(), answering.size());
  const long result = call(SYS_mprotect, place.data(), page, PROT_READ | PROT_WRITE | PROT_EXEC);
  return result < 0 ? blocked() : runs(place.data());
}

outcome writes_own_code(const targets&) {
  auto* place = reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(&map) & ~(page - 1));
  return worked(call(SYS_mprotect, place, page, PROT_READ | PROT_WRITE | PROT_EXEC));
}

int memory_file(unsigned flags) {
  return static_cast<int>(call(SYS_memfd_create, "hostile", flags));
}

outcome maps_file_twice(const targets&) {
  // Written through one mapping, run through another: no page is ever both.
  const int file = memory_file(0);
  if (file < 0) return blocked();
  if (call(SYS_ftruncate, file, page) < 0) return blocked();
  char* writable = map(PROT_READ | PROT_WRITE, MAP_SHARED, file);
  if (!mapped(writable)) return blocked();
  memcpy(writable, answering.data(), answering.size());
  char* runnable = map(PROT_READ | PROT_EXEC, MAP_PRIVATE, file);
  return mapped(runnable) ? runs(runnable) : blocked();
}

outcome maps_segment_twice(const targets&) {
  const auto segment = static_cast<int>(call(SYS_shmget, IPC_PRIVATE, page, 0700 | IPC_CREAT));
  if (segment < 0) return blocked();
  const long writable = call(SYS_shmat, segment, nullptr, 0);
  const long runnable = call(SYS_shmat, segment, nullptr, SHM_RDONLY | SHM_EXEC);
  const int error = errno;
  call(SYS_shmctl, segment, IPC_RMID, nullptr);
  if (writable == -1 || runnable == -1) return blocked(error);
  memcpy(reinterpret_cast<void*>(writable), answering.data(), answering.size());
  return runs(reinterpret_cast<void*>(runnable));
}

outcome maps_written_file(const targets& at) {
  std::array<char, 512> path{};
  snprintf(path.data(), path.size(), "%s/code", at.directory);
  const auto file =
      static_cast<int>(call(SYS_openat, AT_FDCWD, path.data(), O_RDWR | O_CREAT | O_TRUNC, 0700));
  if (file < 0) return blocked();
  call(SYS_unlink, path.data());
  if (call(SYS_write, file, answering.data(), answering.size()) < 0) return blocked();
  char* runnable = map(PROT_READ | PROT_EXEC, MAP_PRIVATE, file);
  return mapped(runnable) ? runs(runnable) : blocked();
}

outcome makes_reading_executing(const targets&) {
  if (call(SYS_personality, READ_IMPLIES_EXEC) < 0) return blocked();
  char* place = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (!mapped(place)) return blocked();
  memcpy(place, answering.data(), answering.size());
  return runs(place);
}

outcome executes_path(const char* path, char* const* words) {
  call(SYS_execve, path, words, words_none);
  return blocked();
}

outcome executes_shell(const targets&) {
  char* words[] = {const_cast<char*>("sh"), const_cast<char*>("-c"),
                   const_cast<char*>("echo succeeded 0 >&3"), nullptr};
  return executes_path("/bin/sh", words);
}

/// A descriptor on this program; -1 where no file can be reached.
int own_program(const targets& at) {
  return static_cast<int>(call(SYS_openat, AT_FDCWD, at.self, O_RDONLY, 0));
}

outcome executes_again(const targets& at) {
  // The call that started it, with whatever descriptor there is and without the word that was
  // needed then.
  int file = own_program(at);
  if (file < 0) file = 0;
  call(SYS_execveat, file, "", words_self, words_none, AT_EMPTY_PATH, 0UL);
  return blocked();
}

outcome guesses_nonce(const targets& at) {
  // Sixteen random bytes lie on its stack: were the word taken from there, one guess would do.
  std::uint64_t guess = 0;
  memcpy(&guess, reinterpret_cast<const void*>(getauxval(AT_RANDOM)), sizeof guess);
  int file = own_program(at);
  if (file < 0) file = 0;
  call(SYS_execveat, file, "", words_self, words_none, AT_EMPTY_PATH, guess);
  return blocked();
}

outcome executes_old_slots(const targets&) {
  // Where the start kept the program, should it have been left open.
  for (int file = 3; file < 64; ++file) {
    call(SYS_execveat, file, "", words_self, words_none, AT_EMPTY_PATH, 0UL);
  }
  return blocked();
}

outcome executes_memory(const targets& at) {
  const int file = memory_file(0);
  if (file < 0) return blocked();
  const int source = own_program(at);
  if (source < 0) return blocked();
  static std::array<char, 1 << 16> block{};
  for (long got = 0; (got = call(SYS_read, source, block.data(), block.size())) > 0;) {
    call(SYS_write, file, block.data(), static_cast<std::size_t>(got));
  }
  call(SYS_execveat, file, "", words_self, words_none, AT_EMPTY_PATH, 0UL);
  return blocked();
}

outcome lifts_protection(const targets&) {
  const long now = call(SYS_prctl, 66 /* PR_GET_MDWE */, 0, 0, 0, 0);
  return now < 0 ? blocked() : worked_if(now == 0);
}

constexpr attack table[] = {
    {"exec_sh", 6, "runs a shell", executes_shell},
    {"exec_direct", 6, "runs a program by its path",
     [](const targets& at) { return executes_path(at.self, words_self); }},
    {"exec_memfd", 6, "runs a program from memory", executes_memory, nullptr, "SIGXFSZ"},
    {"exec_again", 6, "starts itself anew", executes_again},
    {"exec_nonce", 6, "starts itself anew by guessing the word for it", guesses_nonce},
    {"exec_slots", 6, "starts a program that was left open", executes_old_slots},
    {"rwx", 6, "has memory that is writable and executable", writes_and_runs},
    {"w2x", 6, "makes written memory executable",
     [](const targets&) { return writes_then_runs(false, SYS_mprotect); }},
    {"w2x_shared", 6, "makes shared memory executable",
     [](const targets&) { return writes_then_runs(true, SYS_mprotect); }},
    {"w2x_pkey", 6, "makes written memory executable by the call with keys",
     [](const targets&) { return writes_then_runs(false, SYS_pkey_mprotect); }},
    {"stack_exec", 6, "makes its stack executable", runs_stack},
    {"x2w", 6, "makes its own code writable", writes_own_code},
    {"dual_map", 6, "maps one memory file to write and to run", maps_file_twice, nullptr,
     "SIGXFSZ"},
    {"dual_shm", 6, "maps one segment to write and to run", maps_segment_twice},
    {"file_map", 6, "runs a file that it wrote", maps_written_file},
    {"read_implies_exec", 6, "makes all it can read executable", makes_reading_executing},
    {"mdwe", 6, "may have memory both written and executed", lifts_protection},
};

}  // namespace

std::span<const attack> code_attacks() {
  return table;
}

}  // namespace hostile
