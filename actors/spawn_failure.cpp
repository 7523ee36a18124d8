// SPDX-License-Identifier: Apache-2.0
// What a failed start means to a person. The kernel answers ENOENT for a missing program, a missing
// interpreter and a missing directory alike, and EACCES for five things: the file system is asked
// afterwards which of them it was. That look comes late (the file may have appeared meanwhile),
// which can blur the explanation but not the outcome.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "actors/posix_spawner.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

namespace fs = std::filesystem;

/// The first line of the program, as far as the kernel looks.
std::string first_line(const process_spec& spec) {
  constexpr std::size_t line_bytes_max = 256;  // BINPRM_BUF_SIZE of the kernel
  std::string line(line_bytes_max, '\0');
  unique_fd by_path;
  if (!spec.program) by_path = unique_fd{::open(spec.executable.c_str(), O_RDONLY | O_CLOEXEC)};
  const int fd = spec.program ? spec.program->get() : by_path.get();
  const auto got = ::pread(fd, line.data(), line.size(), 0);
  line.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return line.substr(0, line.find('\n'));
}

/// The interpreter that a script names in its first line; empty when the file is no script.
std::string interpreter_of(const process_spec& spec) {
  const auto line = first_line(spec);
  if (line.rfind("#!", 0) != 0) return {};
  const auto begin = line.find_first_not_of(" \t", 2);
  if (begin == std::string::npos) return {};
  return line.substr(begin, line.find_first_of(" \t", begin) - begin);
}

struct verdict {
  spawn_failure failure;
  bool permanent;
  std::string why;
  std::string remedy;
};

verdict explain_missing(const process_spec& spec) {
  std::error_code ignored;
  if (!spec.program && !fs::exists(spec.executable, ignored)) {
    return {spawn_failure::not_found, true, "there is no such file",
            "put the program there, or name another"};
  }
  if (!spec.working_directory.empty() && !fs::is_directory(spec.working_directory, ignored)) {
    return {spawn_failure::no_working_directory, true,
            fmt::format("its working directory {} does not exist", spec.working_directory),
            "make the directory, or name another"};
  }
  const auto interpreter = interpreter_of(spec);
  if (interpreter.empty()) {
    return {spawn_failure::no_interpreter, true, "the dynamic loader that it names does not exist",
            "build it for this system, or link it statically"};
  }
  return {spawn_failure::no_interpreter, true,
          fmt::format("the interpreter that it names, {}, does not exist",
                      wire::escape_line(interpreter)),
          "install the interpreter, or correct the first line of the file"};
}

verdict explain_denied(const process_spec& spec) {
  std::error_code ignored;
  if (!spec.program && fs::exists(spec.executable, ignored) &&
      !fs::is_regular_file(spec.executable, ignored)) {
    return {spawn_failure::not_executable, true, "it is not a file", "name a program"};
  }
  if (!spec.working_directory.empty() && ::access(spec.working_directory.c_str(), X_OK) != 0) {
    return {spawn_failure::no_working_directory, true,
            fmt::format("its working directory {} cannot be entered", spec.working_directory),
            "permit the broker's user to enter the directory"};
  }
  if (spec.program) {
    return {spawn_failure::not_executable, true,
            "the kernel does not execute it (its mode, or a rule of the machine's)",
            "look at vm.memfd_noexec and at the machine's security modules"};
  }
  return {spawn_failure::not_executable, true,
          "the broker's user may not execute it (permissions, or a file system mounted noexec)",
          fmt::format("chmod +x {}", spec.executable)};
}

verdict explain(const process_spec& spec, int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return explain_missing(spec);
    case EACCES:
    case EPERM:
      return explain_denied(spec);
    case ENOEXEC:
    case ELIBBAD:
      return {spawn_failure::bad_format, true, "it is not a program for this machine",
              "build it for this machine; a script needs a first line as in #!/bin/sh"};
    case E2BIG:
      return {spawn_failure::arguments_too_long, true,
              "its arguments and environment are longer than the kernel accepts",
              "pass less by arguments"};
    case ETXTBSY:
      return {spawn_failure::busy, false, "the file is being written", ""};
    case EAGAIN:
      return {spawn_failure::too_many_processes, false,
              "a limit on processes is reached (RLIMIT_NPROC, or the cgroup's pids.max)",
              "raise the limit of the broker's user or service, or run fewer plugins"};
    case EMFILE:
      return {spawn_failure::too_many_descriptors, false,
              "the broker's limit on open files is reached (RLIMIT_NOFILE)",
              "raise the limit, as in LimitNOFILE= of its service"};
    case ENFILE:
      return {spawn_failure::too_many_descriptors, false,
              "the machine's limit on open files is reached (fs.file-max)", "raise fs.file-max"};
    case ENOMEM:
      return {spawn_failure::no_memory, false, "the kernel has no memory for another process",
              "free memory, or raise the limit of the broker's service"};
    default:
      return {spawn_failure::other, false, std::generic_category().message(error_number), ""};
  }
}

}  // namespace

spawn_error explain_spawn_failure(const process_spec& spec, int error_number) {
  auto verdict = explain(spec, error_number);
  return {verdict.failure,        error_number,
          verdict.permanent,      fmt::format("cannot start {}", spec.executable),
          std::move(verdict.why), std::move(verdict.remedy)};
}

}  // namespace bulkhead
