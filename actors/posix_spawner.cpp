// SPDX-License-Identifier: Apache-2.0
#include "actors/posix_spawner.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <system_error>

namespace bulkhead {
namespace {

constexpr int first_safe_fd = 10;  // above every descriptor that a child gets

/// Throws std::system_error with errno when `rc` is negative.
int check(int rc, const char* call) {
  if (rc < 0) throw std::system_error{errno, std::generic_category(), call};
  return rc;
}

/// posix_spawn's functions return their errno.
void check_code(int code, const char* call) {
  if (code != 0) throw std::system_error{code, std::generic_category(), call};
}

/// The same file at a descriptor that no dup2 to 0..3 can overwrite.
unique_fd out_of_the_way(unique_fd fd) {
  if (fd.get() >= first_safe_fd) return fd;
  const int copy = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, first_safe_fd);
  if (copy < 0 && errno == EINVAL) errno = EMFILE;  // RLIMIT_NOFILE is below `first_safe_fd`
  return unique_fd{check(copy, "fcntl")};
}

void make_nonblocking(const unique_fd& fd) {
  const int flags = check(::fcntl(fd.get(), F_GETFL), "fcntl");
  check(::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK), "fcntl");
}

struct two_ends {
  unique_fd ours;
  unique_fd theirs;
};

two_ends make_link() {
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  two_ends link{unique_fd{ends[0]}, unique_fd{ends[1]}};
  make_nonblocking(link.ours);
  link.theirs = out_of_the_way(std::move(link.theirs));
  return link;
}

two_ends make_output_pipe() {
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
  two_ends pipe{unique_fd{ends[0]}, unique_fd{ends[1]}};
  make_nonblocking(pipe.ours);
  pipe.theirs = out_of_the_way(std::move(pipe.theirs));
  return pipe;
}

class file_actions {
 public:
  file_actions() { check_code(::posix_spawn_file_actions_init(&actions_), "file_actions_init"); }
  file_actions(const file_actions&) = delete;
  file_actions& operator=(const file_actions&) = delete;
  ~file_actions() { ::posix_spawn_file_actions_destroy(&actions_); }

  void place(const unique_fd& source, int target) {
    check_code(::posix_spawn_file_actions_adddup2(&actions_, source.get(), target), "adddup2");
  }
  void close_from(int lowest) {
    check_code(::posix_spawn_file_actions_addclosefrom_np(&actions_, lowest), "addclosefrom");
  }
  void enter(const std::string& directory) {
    if (directory.empty()) return;
    check_code(::posix_spawn_file_actions_addchdir_np(&actions_, directory.c_str()), "addchdir");
  }
  const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

/// A session of its own, no blocked signal, all dispositions at their default.
class spawn_attributes {
 public:
  spawn_attributes() {
    check_code(::posix_spawnattr_init(&attributes_), "attr_init");
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setflags(&attributes_,
                               POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  spawn_attributes(const spawn_attributes&) = delete;
  spawn_attributes& operator=(const spawn_attributes&) = delete;
  ~spawn_attributes() { ::posix_spawnattr_destroy(&attributes_); }

  const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_{};
};

/// A null-terminated array as exec wants it; points into `texts`.
std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

pid_t start(const process_spec& spec, const file_actions& actions) {
  // Made absolute: the working directory changes before the program is looked up.
  const std::string path = std::filesystem::absolute(spec.executable).string();
  std::vector<std::string> arguments{spec.executable};
  arguments.insert(arguments.end(), spec.arguments.begin(), spec.arguments.end());
  std::vector<std::string> environment = spec.environment;
  const spawn_attributes attributes;
  pid_t pid = -1;
  check_code(::posix_spawn(&pid, path.c_str(), actions.get(), attributes.get(),
                           pointers_to(arguments).data(), pointers_to(environment).data()),
             "posix_spawn");
  return pid;
}

unique_fd open_pidfd(pid_t pid) {
  const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (fd >= 0) return unique_fd{fd};
  const int error_number = errno;
  // Without a handle there is no supervision. By number, which is safe: it is our child and not
  // reaped.
  ::kill(-pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  throw std::system_error{error_number, std::generic_category(), "pidfd_open"};
}

}  // namespace

spawn_result posix_spawner::spawn(const process_spec& spec) {
  try {
    spawned_process started;
    auto link = make_link();
    auto output = make_output_pipe();
    auto error = make_output_pipe();
    const auto null = out_of_the_way(
        unique_fd{check(::open("/dev/null", O_RDONLY | O_CLOEXEC), "open /dev/null")});

    file_actions actions;
    actions.place(null, STDIN_FILENO);
    actions.place(output.theirs, STDOUT_FILENO);
    actions.place(error.theirs, STDERR_FILENO);
    actions.place(link.theirs, plugin_link_fd);
    actions.close_from(plugin_link_fd + 1);
    actions.enter(spec.working_directory);

    const pid_t pid = start(spec, actions);
    started.process = make_posix_child(pid, open_pidfd(pid));
    started.link = std::move(link.ours);
    started.standard_output = std::move(output.ours);
    started.standard_error = std::move(error.ours);
    return started;
  } catch (const std::system_error& failed) {
    return explain_spawn_failure(spec, failed.code().value());
  }
}

}  // namespace bulkhead
