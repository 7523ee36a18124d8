// SPDX-License-Identifier: Apache-2.0
// A program that runs confined and tells on stdout what it finds, or tries one thing. Static, and
// free of sanitizers, as a plugin is. Each mode is one word; see main.
#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int link_fd = 3;
constexpr int descriptors_looked_at = 1024;

void tell(const char* key, long value) {
  std::printf("%s=%ld\n", key, value);
}

long limit(__rlimit_resource which) {
  rlimit now{};
  getrlimit(which, &now);
  return static_cast<long>(now.rlim_max);
}

int tell_all(char** environment) {
  tell("pid", getpid());
  tell("parent", getppid());
  tell("uid", getuid());
  tell("gid", getgid());
  utsname host{};
  uname(&host);
  std::printf("host=%s\n", host.nodename);
  long open_ones = 0;
  for (int fd = 0; fd < descriptors_looked_at; ++fd)
    if (fcntl(fd, F_GETFD) != -1) ++open_ones;
  tell("descriptors", open_ones);
  char byte = 0;
  tell("stdin", read(0, &byte, 1));
  tell("passwd", open("/etc/passwd", O_RDONLY) < 0 ? errno : 0);
  tell("core", limit(RLIMIT_CORE));
  tell("files", limit(RLIMIT_NOFILE));
  tell("data", limit(RLIMIT_DATA));
  tell("tasks", limit(RLIMIT_NPROC));
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, nullptr, &blocked);
  tell("child-signal-blocked", sigismember(&blocked, SIGCHLD));
  for (char** each = environment; *each != nullptr; ++each) std::printf("env %s\n", *each);
  return 0;
}

/// 0 when it worked, else errno; or it dies of trying.
int tried(long rc) {
  return rc < 0 ? errno : 0;
}

/// Port 9 of this machine, on which nobody listens.
int try_stream(bool connects) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return errno;
  sockaddr_in there{};
  there.sin_family = AF_INET;
  there.sin_port = htons(9);
  there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* const address = reinterpret_cast<const sockaddr*>(&there);
  return tried(connects ? connect(fd, address, sizeof there) : bind(fd, address, sizeof there));
}

int attempt(std::string_view what) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  if (what == "socket") return tried(socket(AF_UNIX, SOCK_STREAM, 0));
  if (what == "fork") return tried(syscall(SYS_fork));
  if (what == "clone3") return tried(syscall(SYS_clone3, nullptr, 0));
  if (what == "unknown-call") return tried(syscall(900));
  if (what == "x32") return tried(syscall(0x40000000 | SYS_getpid));
  if (what == "open") return tried(open("/", O_RDONLY | O_DIRECTORY));
  const int made_to_write = O_WRONLY | O_CREAT;
  if (what == "setuid-file") return tried(open("/data/made", made_to_write, 04755));
  if (what == "setgid-file") return tried(open("/data/made", made_to_write, 02755));
  if (what == "chmod") return tried(chmod("/data/note", 04755));
  if (what == "chown") return tried(chown("/data/note", 0, 0));
  if (what == "symbolic-link") return tried(symlink("/etc/passwd", "/data/made"));
  if (what == "hard-link") return tried(link("/data/note", "/data/made"));
  if (what == "pipe-file") return tried(mkfifo("/data/made", 0777));
  if (what == "set-id-directory") return tried(mkdir("/data/made", 06777));
  if (what == "mkdir") return tried(mkdir("/x", 0777));
  if (what == "exec") return tried(execl("/proc/self/exe", "again", nullptr));
  if (what == "execveat")
    return tried(syscall(SYS_execveat, 0, "", nullptr, nullptr, AT_EMPTY_PATH, 0L));
  if (what == "executable-page")
    return mmap(nullptr, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) == MAP_FAILED
               ? errno
               : 0;
  if (what == "code-change") {
    void* const memory =
        mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return tried(mprotect(memory, page, PROT_READ | PROT_EXEC));
  }
  if (what == "user-namespace") return tried(unshare(CLONE_NEWUSER));
  if (what == "memory-file") {
    const auto file = static_cast<int>(syscall(SYS_memfd_create, "x", 0x10));  // MFD_EXEC
    return tried(file);
  }
  if (what == "keep-capabilities") return tried(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
  if (what == "dumpable") return prctl(PR_GET_DUMPABLE);
  if (what == "signal-parent") return tried(kill(getppid(), 0));
  if (what == "signal-all") return tried(kill(-1, 0));
  if (what == "keyring")
    return tried(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
  if (what == "connect-inet") {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    return fd < 0 ? errno : 0;
  }
  if (what == "connect-stream") return try_stream(true);
  if (what == "bind-stream") return try_stream(false);
  if (what == "memory") {
    std::size_t got = 0;
    while (got < (std::size_t{4} << 30U)) {
      void* const memory = mmap(nullptr, std::size_t{1} << 20U, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) return errno;
      got += std::size_t{1} << 20U;
    }
    return 0;
  }
  return -1;
}

int say_result(long rc) {
  std::puts(rc < 0 ? strerrorname_np(errno) : "0");
  return 0;
}

int copy_out(int fd) {
  if (fd < 0) return say_result(fd);
  char bytes[4096];
  for (ssize_t got = 0; (got = read(fd, bytes, sizeof bytes)) > 0;)
    std::fwrite(bytes, 1, static_cast<std::size_t>(got), stdout);
  return 0;
}

int write_to(const char* path, int flags) {
  const int fd = open(path, O_WRONLY | flags, 0644);
  return say_result(fd < 0 ? fd : write(fd, "text\n", 5));
}

/// Sorted, without what begins with a dot.
int list(const char* path) {
  DIR* const folder = opendir(path);
  if (folder == nullptr) return say_result(-1);
  std::vector<std::string> names;
  while (const dirent* const entry = readdir(folder))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  for (const auto& name : names) std::puts(name.c_str());
  return 0;
}

/// Takes that many megabytes, and writes to all of them.
int touch(int megabytes) {
  for (int n = 0; n < megabytes; ++n) {
    void* const memory = mmap(nullptr, std::size_t{1} << 20U, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 1;
    std::memset(memory, n + 1, std::size_t{1} << 20U);
  }
  return 0;
}

int start_threads(int wanted) {
  std::mutex held;
  held.lock();
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, std::size_t{64} << 10U);
  const auto wait = [](void* lock) -> void* {
    const std::lock_guard guard{*static_cast<std::mutex*>(lock)};
    return nullptr;
  };
  int made = 0;
  std::vector<pthread_t> all(static_cast<std::size_t>(wanted));
  while (made < wanted &&
         pthread_create(&all[static_cast<std::size_t>(made)], &small, wait, &held) == 0)
    ++made;
  tell("threads", made);
  std::fflush(stdout);
  held.unlock();
  for (int n = 0; n < made; ++n) pthread_join(all[static_cast<std::size_t>(n)], nullptr);
  return 0;
}

/// Leaves a process of its own to its init, and that one ends.
int leave_orphan() {
  const pid_t parent = fork();
  if (parent == 0) {
    fork();
    _exit(0);
  }
  return waitpid(parent, nullptr, 0) == parent ? say_result(0) : 1;
}

/// A process of its own that goes on.
int leave_child() {
  const pid_t child = fork();
  if (child == 0)
    for (;;) pause();
  return say_result(child > 0 ? 0 : -1);
}

/// Until the other end of the link is closed.
int wait_for_link() {
  char byte = 0;
  while (read(link_fd, &byte, 1) > 0) {
  }
  return 0;
}

int run(int count, char** words, char** environment) {
  const std::string_view mode = count > 1 ? words[1] : "";
  const char* const word = count > 2 ? words[2] : "";
  if (mode == "all") return tell_all(environment);
  if (mode == "try") {
    // What it has done to itself must not be taken for how it was started: its start is over.
    char go = 0;
    if (read(3, &go, 1) != 1) return 98;
    const int result = attempt(word);
    if (result < 0) return 99;
    tell("result", result);
    return 0;
  }
  if (mode == "wait") return wait_for_link();
  if (mode == "list") return list(word);
  if (mode == "read") return copy_out(open(word, O_RDONLY));
  if (mode == "read-descriptor") return copy_out(std::atoi(word));
  if (mode == "write") return write_to(word, O_CREAT);
  if (mode == "append") return write_to(word, O_APPEND);
  if (mode == "make-directory") return say_result(mkdir(word, 0755));
  if (mode == "touch") return touch(std::atoi(word));
  if (mode == "threads") return start_threads(std::atoi(word));
  if (mode == "greet") return write(1, "!", 1) == 1 ? wait_for_link() : 1;
  if (mode == "orphan") return leave_orphan() + std::fflush(stdout) + wait_for_link();
  if (mode == "leave-child") return leave_child() + std::fflush(stdout) + wait_for_link();
  if (mode == "exit") return std::atoi(word);
  if (mode == "abort") std::abort();
  if (mode == "say") return std::puts(word) < 0;
  if (mode == "arguments") {
    for (int n = 0; n < count; ++n) std::puts(words[n]);
    return 0;
  }
  return 98;
}

}  // namespace

int main(int count, char** words, char** environment) {
  const int code = run(count, words, environment);
  std::fflush(stdout);
  return code;
}
