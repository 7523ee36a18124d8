// SPDX-License-Identifier: Apache-2.0
// Makes the system call filters of the launcher, when it is built, so that it needs no library for
// them and starts nobody a moment later.
//
// Each is an allow-list; what is not in it kills the process, and that is an event to be looked
// into. Errors are returned only where the C library asks whether something exists and takes no for
// an answer. What the lists are made of is what a Cap'n Proto program on glibc 2.36 (or any
// similar library) needs; they were found by running such programs, and every entry beyond that
// has its reason beside it.
//
//   static            no file is ever opened, no memory becomes executable
//   static_reading    files of the root may be read, for grants; _writing: and written
//   dynamic           they may be mapped executable too
//   interpreter       memory may become executable, and a runtime finds a little more
//   init              the seven calls of an instance's first process
//
// Two kinds of number come before the list: those above what was known when this was built are
// answered with ENOSYS, as an older kernel would, so that a newer C library falls back; those with
// the bit of the x32 interface go on to the list, which kills.
//
// Three words are filled in at each start: the halves of a random number that the sixth argument of
// execveat must be (the kernel ignores it there), so that it works for the launcher and for nobody
// after it, and the process's own number, which tgkill may name and no other.
#if !defined(__x86_64__)
#error "the filters are written for x86-64"
#endif

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <utility>
#include <vector>

namespace {

constexpr std::uint32_t once_high_mark = 0x6d21c5e3;
constexpr std::uint32_t once_low_mark = 0x1f8ab407;
constexpr std::uint32_t self_mark = 0x59e0d37b;
constexpr std::uint32_t x32_bit = 0x40000000;
constexpr int numbers_looked_at = 1024;

void check(int rc, const char* what) {
  if (rc == 0) return;
  std::fprintf(stderr, "filter: %s: %d\n", what, rc);
  std::exit(1);
}

class allow_list {
 public:
  allow_list() : filter_(seccomp_init(SCMP_ACT_KILL_PROCESS)) {
    check(filter_ == nullptr ? -1 : 0, "seccomp_init");
    check(seccomp_attr_set(filter_, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "badarch");
    check(seccomp_attr_set(filter_, SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimize");
  }
  allow_list(const allow_list&) = delete;
  allow_list& operator=(const allow_list&) = delete;
  ~allow_list() { seccomp_release(filter_); }

  void allow(std::initializer_list<int> numbers) {
    for (const int number : numbers) add(SCMP_ACT_ALLOW, number, {});
  }
  void refuse(std::uint32_t error, std::initializer_list<int> numbers) {
    for (const int number : numbers) add(SCMP_ACT_ERRNO(error), number, {});
  }
  void add(std::uint32_t action, int number, std::vector<scmp_arg_cmp> arguments) {
    check(seccomp_rule_add_array(filter_, action, number, static_cast<unsigned>(arguments.size()),
                                 arguments.data()),
          "rule");
  }

  std::vector<sock_filter> compiled() const {
    const int file = ::memfd_create("filter", MFD_CLOEXEC);
    check(seccomp_export_bpf(filter_, file), "export");
    std::vector<sock_filter> code(static_cast<std::size_t>(::lseek(file, 0, SEEK_END)) /
                                  sizeof(sock_filter));
    const auto bytes = code.size() * sizeof(sock_filter);
    check(::pread(file, code.data(), bytes, 0) == static_cast<ssize_t>(bytes) ? 0 : -1, "read");
    ::close(file);
    return code;
  }

 private:
  scmp_filter_ctx filter_;
};

/// The call with an argument that has none of `bits`.
scmp_arg_cmp none_of(unsigned argument, std::uint64_t bits) {
  return SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, bits, 0);
}
scmp_arg_cmp equals(unsigned argument, std::uint64_t value) {
  return SCMP_CMP(argument, SCMP_CMP_EQ, value);
}

void allow_descriptors(allow_list& list) {
  list.allow({SCMP_SYS(read),
              SCMP_SYS(write),
              SCMP_SYS(readv),
              SCMP_SYS(writev),
              SCMP_SYS(close),
              SCMP_SYS(lseek),
              SCMP_SYS(fstat),
              SCMP_SYS(eventfd2),
              SCMP_SYS(epoll_create1),
              SCMP_SYS(epoll_ctl),
              SCMP_SYS(epoll_wait),
              SCMP_SYS(epoll_pwait),
              SCMP_SYS(epoll_pwait2),
              SCMP_SYS(poll),
              SCMP_SYS(ppoll),
              SCMP_SYS(signalfd4),
              SCMP_SYS(timerfd_create),
              SCMP_SYS(timerfd_settime),
              SCMP_SYS(timerfd_gettime),
              SCMP_SYS(shutdown),
              SCMP_SYS(getsockname),
              SCMP_SYS(getpeername)});
  // Not the pipes that keep messages apart, and not those that the kernel sends notices through.
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(pipe2),
           {none_of(1, 0xffffffffU & ~std::uint64_t{O_CLOEXEC | O_NONBLOCK})});
  for (const unsigned request : {FIONBIO, FIOCLEX, FIONREAD})
    list.add(SCMP_ACT_ALLOW, SCMP_SYS(ioctl), {equals(1, request)});
  // Is the stream a terminal, and how wide?
  for (const unsigned request : {TCGETS, TIOCGWINSZ})
    list.add(SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), {equals(1, request)});
  // What is at descriptor 3, and is it well?
  for (const int option : {SO_TYPE, SO_ERROR, SO_ACCEPTCONN, SO_DOMAIN})
    list.add(SCMP_ACT_ALLOW, SCMP_SYS(getsockopt),
             {equals(1, SOL_SOCKET), equals(2, static_cast<std::uint64_t>(option))});
  for (const int command : {F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC})
    list.add(SCMP_ACT_ALLOW, SCMP_SYS(fcntl), {equals(1, static_cast<std::uint64_t>(command))});
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(fcntl), {equals(1, F_SETFL), none_of(2, O_ASYNC | O_DIRECT)});
}

void allow_process(allow_list& list) {
  list.allow({SCMP_SYS(nanosleep),
              SCMP_SYS(clock_nanosleep),
              SCMP_SYS(clock_gettime),
              SCMP_SYS(clock_getres),
              SCMP_SYS(gettimeofday),
              SCMP_SYS(time),
              SCMP_SYS(getpid),
              SCMP_SYS(gettid),
              SCMP_SYS(getppid),
              SCMP_SYS(getuid),
              SCMP_SYS(geteuid),
              SCMP_SYS(getgid),
              SCMP_SYS(getegid),
              SCMP_SYS(getrandom),
              SCMP_SYS(sched_yield),
              SCMP_SYS(sched_getaffinity),
              SCMP_SYS(sigaltstack),
              SCMP_SYS(rt_sigaction),
              SCMP_SYS(rt_sigprocmask),
              SCMP_SYS(rt_sigreturn),
              SCMP_SYS(restart_syscall),
              SCMP_SYS(set_robust_list),
              SCMP_SYS(rseq),
              SCMP_SYS(set_tid_address),
              SCMP_SYS(exit),
              SCMP_SYS(exit_group),
              SCMP_SYS(getrusage),
              SCMP_SYS(uname),
              SCMP_SYS(membarrier)});
  // Not the operations on several futexes, or with priorities: condition variables need none.
  constexpr std::uint64_t command = 0xffffffffU & ~std::uint64_t{128 | 256};
  for (const unsigned operation : {0U, 1U, 9U, 10U})  // wait, wake, and both by bits
    list.add(SCMP_ACT_ALLOW, SCMP_SYS(futex),
             {SCMP_CMP(1, SCMP_CMP_MASKED_EQ, command, operation)});
  // A thread as pthread_create makes it, and no process. clone3 hides its flags behind a pointer,
  // so the library is sent back to clone.
  constexpr std::uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                   CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                                   CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(clone), {equals(0, thread)});
  list.refuse(ENOSYS, {SCMP_SYS(clone3)});
  // Limits can be read, of itself.
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), {equals(0, 0), equals(2, 0)});
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(prctl), {equals(0, PR_SET_NAME)});
  constexpr std::uint64_t set_fs = 0x1002;  // ARCH_SET_FS
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(arch_prctl), {equals(0, set_fs)});
  // raise and abort.
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(tgkill), {equals(0, self_mark)});
  constexpr std::uint64_t once = std::uint64_t{once_high_mark} << 32U | once_low_mark;
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(execveat), {equals(4, AT_EMPTY_PATH), equals(5, once)});
}

enum class code_pages { never, of_files, of_anything };

void allow_memory(allow_list& list, code_pages code) {
  list.allow({SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap)});
  constexpr std::uint64_t odd_mappings =
      MAP_GROWSDOWN | MAP_HUGETLB | MAP_LOCKED | MAP_POPULATE | MAP_SYNC;
  constexpr std::uint64_t odd_protection = PROT_GROWSDOWN | PROT_GROWSUP;
  const std::uint64_t mapped = code == code_pages::never ? PROT_EXEC : 0;
  const std::uint64_t changed = code == code_pages::of_anything ? 0 : PROT_EXEC;
  // Shared memory is not counted by the limit of data, and with whom would it be shared.
  const std::uint64_t shared = code == code_pages::of_anything ? 0 : MAP_SHARED;
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(mmap), {none_of(2, mapped), none_of(3, odd_mappings | shared)});
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(mprotect), {none_of(2, changed | odd_protection)});
  for (const int advice : {MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP})
    list.add(SCMP_ACT_ALLOW, SCMP_SYS(madvise), {equals(2, static_cast<std::uint64_t>(advice))});
  // Pages that are shared with others tell what those hold, by their timing.
  list.add(SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(madvise), {equals(2, MADV_MERGEABLE)});
}

/// The C library looks at paths when it starts, and takes no for an answer.
void refuse_files(allow_list& list) {
  list.refuse(EACCES,
              {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(readlink),
               SCMP_SYS(readlinkat), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat),
               SCMP_SYS(statx), SCMP_SYS(getcwd), SCMP_SYS(faccessat), SCMP_SYS(faccessat2)});
}

constexpr std::uint64_t makes_file = O_CREAT | (O_TMPFILE & ~O_DIRECTORY);

/// Landlock before Linux 6.2 lets a file that may be read be emptied.
void allow_opening_to_read(allow_list& list) {
  constexpr std::uint64_t writes = O_WRONLY | O_RDWR | O_TRUNC | makes_file;
  for (const auto& [call, flags] : {std::pair{SCMP_SYS(open), 1U}, {SCMP_SYS(openat), 2U}}) {
    list.add(SCMP_ACT_ALLOW, call, {none_of(flags, writes)});
    for (std::uint64_t each = 1; each <= writes; each <<= 1U)
      if ((writes & each) != 0)
        list.add(SCMP_ACT_ERRNO(EACCES), call, {SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, each, each)});
  }
}

/// No file is made that runs as its owner: in a granted directory that is a user of the host. The
/// mode of what is not made means nothing, and may be anything.
void allow_opening_to_write(allow_list& list) {
  for (const auto& [call, flags] : {std::pair{SCMP_SYS(open), 1U}, {SCMP_SYS(openat), 2U}}) {
    list.add(SCMP_ACT_ALLOW, call, {none_of(flags, makes_file)});
    list.add(SCMP_ACT_ALLOW, call, {none_of(flags + 1, S_ISUID | S_ISGID)});
  }
}

/// What the root does not hold, and Landlock does not let through, is not there to be opened.
void allow_looking_at_files(allow_list& list) {
  list.allow({SCMP_SYS(access), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(stat),
              SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(getcwd),
              SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(pread64), SCMP_SYS(getdents64)});
}

void allow_writing_files(allow_list& list) {
  allow_opening_to_write(list);
  list.allow({SCMP_SYS(pwrite64), SCMP_SYS(ftruncate), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
              SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(unlink),
              SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2)});
  // Advisory locks, as databases take them.
  for (const int command : {F_SETLK, F_SETLKW, F_GETLK})
    list.add(SCMP_ACT_ALLOW, SCMP_SYS(fcntl), {equals(1, static_cast<std::uint64_t>(command))});
}

void allow_runtime(allow_list& list) {
  list.allow({SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(chdir), SCMP_SYS(sysinfo),
              SCMP_SYS(umask), SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler),
              SCMP_SYS(capget), SCMP_SYS(getgroups), SCMP_SYS(fadvise64)});
  // Of streams nothing is sent out of band: a corner of the kernel that nobody else asks into.
  for (const int call : {SCMP_SYS(recvfrom), SCMP_SYS(sendto)})
    list.add(SCMP_ACT_ALLOW, call, {none_of(3, MSG_OOB)});
  // No option of a socket is a plugin's to choose: some of them are programs for the kernel.
  list.refuse(ENOPROTOOPT, {SCMP_SYS(setsockopt)});
  // A pair of its own, as event loops wake themselves with; no other socket. Of streams: one that
  // keeps messages apart could be told where to send them, to any socket of the host's with a name
  // in a granted directory.
  constexpr std::uint64_t type_bits = 0xf;  // without SOCK_CLOEXEC and SOCK_NONBLOCK
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(socketpair),
           {equals(0, AF_UNIX), SCMP_CMP(1, SCMP_CMP_MASKED_EQ, type_bits, SOCK_STREAM)});
  list.refuse(EACCES, {SCMP_SYS(socket)});
  // Node asks for both when it starts, to guard its code and to wait for files, and does without.
  list.refuse(ENOSYS, {SCMP_SYS(pkey_alloc), SCMP_SYS(io_uring_setup)});
  // And keeps memory from children that it cannot have.
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(madvise), {equals(2, MADV_DONTFORK)});
  // Python looks at this too when it takes descriptor 3 for a socket.
  list.add(SCMP_ACT_ALLOW, SCMP_SYS(getsockopt), {equals(1, SOL_SOCKET), equals(2, SO_PROTOCOL)});
}

enum class files { none, read, written };

std::vector<sock_filter> program_filter(code_pages code, files reach, bool runtime = false) {
  allow_list list;
  allow_descriptors(list);
  allow_process(list);
  allow_memory(list, code);
  if (reach == files::none) refuse_files(list);
  if (reach != files::none) allow_looking_at_files(list);
  if (reach == files::read) allow_opening_to_read(list);
  if (reach == files::written) allow_writing_files(list);
  if (runtime) allow_runtime(list);
  return list.compiled();
}

std::vector<sock_filter> init_filter() {
  allow_list list;
  list.allow({SCMP_SYS(poll), SCMP_SYS(waitid), SCMP_SYS(write), SCMP_SYS(close), SCMP_SYS(pread64),
              SCMP_SYS(exit_group), SCMP_SYS(restart_syscall)});
  return list.compiled();
}

std::uint32_t last_known_number() {
  int last = 0;
  for (int number = 0; number < numbers_looked_at; ++number) {
    char* const name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, number);
    if (name != nullptr) last = number;
    std::free(name);
  }
  return static_cast<std::uint32_t>(last);
}

/// ENOSYS for numbers nobody knows, before the list.
void put_in_front(std::vector<sock_filter>& code, std::uint32_t last_known) {
  const auto load = [](std::size_t offset) -> sock_filter {
    return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
  };
  const std::vector<sock_filter> front{
      load(offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 4),
      load(offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, x32_bit, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last_known, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
  };
  code.insert(code.begin(), front.begin(), front.end());
}

/// The places of a mark; there must be `wanted` of them.
std::size_t place_of(const std::vector<sock_filter>& code, std::uint32_t mark, bool wanted) {
  std::size_t place = 0, found = 0;
  for (std::size_t n = 0; n < code.size(); ++n)
    if (code[n].k == mark) place = n, ++found;
  check(found == (wanted ? 1U : 0U) ? 0 : -1, "a mark is not there once");
  return place;
}

void print(const char* name, std::vector<sock_filter> code, std::uint32_t last_known,
           bool with_marks) {
  put_in_front(code, last_known);
  std::printf("inline constexpr filter_code<%zu> %s{{{\n", code.size(), name);
  for (const auto& each : code)
    std::printf("    {0x%x, %u, %u, 0x%x},\n", each.code, each.jt, each.jf, each.k);
  std::printf("}}, %zu, %zu, %zu};\n\n", place_of(code, once_high_mark, with_marks),
              place_of(code, once_low_mark, with_marks), place_of(code, self_mark, with_marks));
}

}  // namespace

int main() {
  const auto last_known = last_known_number();
  std::puts("// Made by make_filters when the launcher is built.");
  std::puts("#pragma once\n\n#include \"actors/launcher/filter_code.hpp\"\n");
  std::puts("namespace bulkhead::launcher {\n");
  std::printf("inline constexpr unsigned last_known_call = %u;\n\n", last_known);
  const auto print_program = [&](const char* name, code_pages code, files reach, bool runtime) {
    print(name, program_filter(code, reach, runtime), last_known, true);
  };
  print_program("static_filter", code_pages::never, files::none, false);
  print_program("static_reading_filter", code_pages::never, files::read, false);
  print_program("static_writing_filter", code_pages::never, files::written, false);
  print_program("dynamic_filter", code_pages::of_files, files::read, false);
  print_program("dynamic_writing_filter", code_pages::of_files, files::written, false);
  print_program("interpreter_filter", code_pages::of_anything, files::written, true);
  print("init_filter", init_filter(), last_known, false);
  std::puts("}  // namespace bulkhead::launcher");
  return 0;
}
