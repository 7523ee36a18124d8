// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile/filter_policy.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <optional>

namespace hostile {

namespace {

constexpr std::uint32_t allowed = SECCOMP_RET_ALLOW;
constexpr std::uint32_t death = SECCOMP_RET_KILL_PROCESS;

constexpr std::uint32_t error(int number) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(number);
}

/// No argument of these reaches anything but the process itself and what it holds.
constexpr auto free_to_all = {
    // descriptors that it has, and such as are made of nothing
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_close, SYS_lseek, SYS_fstat, SYS_eventfd2,
    SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_poll,
    SYS_ppoll, SYS_signalfd4, SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime,
    SYS_shutdown, SYS_getsockname, SYS_getpeername,
    // time
    SYS_nanosleep, SYS_clock_nanosleep, SYS_clock_gettime, SYS_clock_getres, SYS_gettimeofday,
    SYS_time,
    // what it is
    SYS_getpid, SYS_gettid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid,
    SYS_getrandom, SYS_sched_yield, SYS_sched_getaffinity, SYS_getrusage, SYS_uname, SYS_membarrier,
    // its signals, threads and memory
    SYS_sigaltstack, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_restart_syscall,
    SYS_set_robust_list, SYS_rseq, SYS_set_tid_address, SYS_exit, SYS_exit_group, SYS_brk,
    SYS_munmap, SYS_mremap};

/// What asks for a file by its name: the library of a static program is told that there is none.
constexpr auto file_questions = {SYS_open,       SYS_openat, SYS_access,    SYS_readlink,
                                 SYS_readlinkat, SYS_stat,   SYS_lstat,     SYS_newfstatat,
                                 SYS_statx,      SYS_getcwd, SYS_faccessat, SYS_faccessat2};

/// What writes files: where a grant of a directory lets it.
constexpr auto file_changes = {SYS_pwrite64, SYS_ftruncate, SYS_fsync,    SYS_fdatasync,
                               SYS_mkdir,    SYS_mkdirat,   SYS_rmdir,    SYS_unlink,
                               SYS_unlinkat, SYS_rename,    SYS_renameat, SYS_renameat2};

/// What a language's run time does besides.
constexpr auto free_to_interpreters = {
    SYS_dup,     SYS_dup2,      SYS_dup3,           SYS_chdir,
    SYS_sysinfo, SYS_umask,     SYS_sched_getparam, SYS_sched_getscheduler,
    SYS_capget,  SYS_getgroups, SYS_fadvise64};

constexpr auto free_to_init = {SYS_pread64, SYS_poll,       SYS_waitid,         SYS_write,
                               SYS_close,   SYS_exit_group, SYS_restart_syscall};

bool is_in(std::initializer_list<int> list, std::int64_t number) {
  return std::find(list.begin(), list.end(), number) != list.end();
}

bool one_of(std::uint64_t value, std::initializer_list<std::uint64_t> list) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

std::uint32_t only_if(bool condition) {
  return condition ? allowed : death;
}

bool is_static(filter_kind kind) {
  return kind == filter_kind::static_program || kind == filter_kind::static_reading ||
         kind == filter_kind::static_writing;
}

bool reads_files(filter_kind kind) {
  return kind != filter_kind::static_program;
}

bool writes_files(filter_kind kind) {
  return kind == filter_kind::static_writing || kind == filter_kind::dynamic_writing ||
         kind == filter_kind::interpreter;
}

std::uint32_t control(filter_kind kind, const known_call& call) {
  const std::uint64_t what = call.arguments[1];
  if (call.number == SYS_ioctl) {
    if (what == TCGETS || what == TIOCGWINSZ) return error(ENOTTY);
    return only_if(one_of(what, {FIONBIO, FIOCLEX, FIONREAD}));
  }
  const bool plain = one_of(what, {F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC});
  const bool flags = what == F_SETFL && (call.arguments[2] & (O_ASYNC | O_DIRECT)) == 0;
  const bool locks = writes_files(kind) && one_of(what, {F_SETLK, F_SETLKW, F_GETLK});
  return only_if(plain || flags || locks);
}

/// What a program may ask about a socket. It reads and writes its link as a file: the calls for
/// messages would carry descriptors.
std::uint32_t socket_question(filter_kind kind, const known_call& call) {
  const bool runtimes = kind == filter_kind::interpreter && call.arguments[2] == SO_PROTOCOL;
  return only_if(
      call.arguments[1] == SOL_SOCKET &&
      (runtimes || one_of(call.arguments[2], {SO_TYPE, SO_ERROR, SO_ACCEPTCONN, SO_DOMAIN})));
}

/// Of a program that may read files: writes them if it may that too, and makes none that, where
/// there was none, runs as its owner.
std::uint32_t opening(filter_kind kind, const known_call& call) {
  const std::size_t flags = call.number == SYS_open ? 1 : 2;
  constexpr std::uint64_t made = O_CREAT | 020000000;  // O_TMPFILE without O_DIRECTORY
  if (!writes_files(kind)) {
    const auto writes = call.arguments[flags] & (made | O_WRONLY | O_RDWR | O_TRUNC);
    return writes != 0 ? error(EACCES) : allowed;
  }
  return only_if((call.arguments[flags] & made) == 0 ||
                 (call.arguments[flags + 1] & (S_ISUID | S_ISGID)) == 0);
}

std::uint32_t memory(filter_kind kind, const known_call& call) {
  const bool maps_code = !is_static(kind);
  const bool makes_code = kind == filter_kind::interpreter;
  const std::uint64_t protection = call.arguments[2];
  if (call.number == SYS_mmap) {
    constexpr std::uint64_t never =
        MAP_GROWSDOWN | MAP_HUGETLB | MAP_LOCKED | MAP_POPULATE | MAP_SYNC;
    // Memory that no limit of its own counts.
    const bool shares = (call.arguments[3] & MAP_SHARED) != 0;
    return only_if((maps_code || (protection & PROT_EXEC) == 0) && (makes_code || !shares) &&
                   (call.arguments[3] & never) == 0);
  }
  if (call.number == SYS_mprotect) {
    return only_if((makes_code || (protection & PROT_EXEC) == 0) &&
                   (protection & (PROT_GROWSDOWN | PROT_GROWSUP)) == 0);
  }
  if (call.arguments[2] == MADV_MERGEABLE) return error(EINVAL);
  if (call.arguments[2] == MADV_DONTFORK) return only_if(kind == filter_kind::interpreter);
  return only_if(one_of(call.arguments[2],
                        {MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DONTDUMP}));
}

/// Calls of all programs whose arguments decide; empty: none of them.
std::optional<std::uint32_t> by_arguments(filter_kind kind, const known_call& call,
                                          const filled_in& filled) {
  const auto& with = call.arguments;
  constexpr std::uint64_t thread = 0x3d0f00;  // the flags of pthread_create
  constexpr std::uint64_t set_fs = 0x1002;
  switch (call.number) {
    case SYS_ioctl:
    case SYS_fcntl:
      return control(kind, call);
    case SYS_getsockopt:
      return socket_question(kind, call);
    case SYS_mmap:
    case SYS_mprotect:
    case SYS_madvise:
      return memory(kind, call);
    case SYS_pipe2:
      return only_if((with[1] & 0xffffffffU & ~std::uint64_t{O_CLOEXEC | O_NONBLOCK}) == 0);
    case SYS_futex:
      return only_if(
          one_of(with[1] & 0xffffffffU & ~std::uint64_t{FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME},
                 {FUTEX_WAIT, FUTEX_WAKE, FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET}));
    case SYS_clone:
      return only_if(with[0] == thread);
    case SYS_clone3:
      return error(ENOSYS);
    case SYS_prlimit64:
      return only_if(with[0] == 0 && with[2] == 0);
    case SYS_prctl:
      return only_if(with[0] == PR_SET_NAME);
    case SYS_arch_prctl:
      return only_if(with[0] == set_fs);
    case SYS_tgkill:
      return only_if(with[0] == filled.self);
    case SYS_execveat:
      return only_if(with[4] == AT_EMPTY_PATH && with[5] == filled.once);
    default:
      return std::nullopt;
  }
}

}  // namespace

std::uint32_t wanted_answer(filter_kind kind, const known_call& call, const filled_in& filled) {
  if (kind == filter_kind::init) return only_if(is_in(free_to_init, call.number));
  if (is_in(free_to_all, call.number)) return allowed;
  if (const auto answer = by_arguments(kind, call, filled)) return *answer;
  if (is_in(file_questions, call.number))
    return !reads_files(kind)                                     ? error(EACCES)
           : call.number == SYS_open || call.number == SYS_openat ? opening(kind, call)
                                                                  : allowed;
  const bool reads = call.number == SYS_pread64 || call.number == SYS_getdents64;
  if (reads) return only_if(reads_files(kind));
  if (is_in(file_changes, call.number)) return only_if(writes_files(kind));
  if (kind != filter_kind::interpreter) return death;
  if (call.number == SYS_socket) return error(EACCES);
  // Run times ask whether there is such a thing, and take no for an answer.
  if (call.number == SYS_pkey_alloc || call.number == SYS_io_uring_setup) return error(ENOSYS);
  if (call.number == SYS_setsockopt) return error(ENOPROTOOPT);
  if (call.number == SYS_recvfrom || call.number == SYS_sendto)
    return only_if((call.arguments[3] & MSG_OOB) == 0);
  // A pair of streams, which writes to its other end and to no name in a granted directory.
  constexpr std::uint64_t unix_family = 1, type_bits = 0xf;
  if (call.number == SYS_socketpair) {
    return only_if(call.arguments[0] == unix_family &&
                   (call.arguments[1] & type_bits) == SOCK_STREAM);
  }
  return only_if(is_in(free_to_interpreters, call.number));
}

}  // namespace hostile
