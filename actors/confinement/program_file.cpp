// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/program_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "actors/plugin_channels.hpp"

namespace bulkhead {
namespace {

// Newer than Debian's headers.
constexpr unsigned memory_exec = 0x10;  // MFD_EXEC, Linux 6.3
constexpr int seal_exec = 0x20;         // F_SEAL_EXEC, likewise
constexpr mode_t execute_only = 0111;
constexpr mode_t readable = 0444;

int check(int rc, const char* call) {
  if (rc < 0) throw std::system_error{errno, std::generic_category(), call};
  return rc;
}

unique_fd open_file(const std::string& path) {
  auto file = open_regular_file(path);
  check(file.get(), "open");
  struct stat found {};
  check(::fstat(file.get(), &found), "fstat");
  if ((found.st_mode & execute_only) == 0)
    throw std::system_error{EACCES, std::generic_category(), "open"};
  return file;
}

unique_fd make_memory() {
  constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int memory = ::memfd_create("plugin", flags | memory_exec);
  if (memory < 0 && errno == EINVAL) memory = ::memfd_create("plugin", flags);
  return unique_fd{check(memory, "memfd_create")};
}

unique_fd unreadable_copy(const unique_fd& file) {
  auto memory = make_memory();
  off_t from = 0;
  constexpr std::size_t piece = std::size_t{1} << 30U;
  while (check(static_cast<int>(::sendfile(memory.get(), file.get(), &from, piece)), "sendfile") >
         0) {
  }
  check(::fchmod(memory.get(), execute_only), "fchmod");
  constexpr int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (::fcntl(memory.get(), F_ADD_SEALS, seals | seal_exec) != 0)
    check(::fcntl(memory.get(), F_ADD_SEALS, seals), "seal");
  return memory;
}

void append(std::vector<placement>& to, std::vector<placement> more) {
  for (auto& each : more) to.push_back(std::move(each));
}

/// A script names its interpreter: what not everybody may run is not the plugin's either.
unique_fd open_interpreter(const std::string& path) {
  auto file = open_file(path);
  struct stat found {};
  check(::fstat(file.get(), &found), "fstat");
  constexpr mode_t everybodys = S_IROTH | S_IXOTH;
  if ((found.st_mode & everybodys) != everybodys)
    throw std::system_error{EACCES, std::generic_category(), "open"};
  return file;
}

/// The script itself in the root, and its interpreter as the program: its path.
std::string interpret(confined_program& program) {
  auto script = program.file;
  const auto wanted = interpreter_of(*script);
  program.form = launcher::program_form::interpreter;
  program.file = std::make_shared<const unique_fd>(open_interpreter(wanted.interpreter));
  std::vector<std::string> arguments{wanted.interpreter};
  if (!wanted.argument.empty()) arguments.push_back(wanted.argument);
  arguments.emplace_back(script_place);
  arguments.insert(arguments.end(), program.arguments.begin() + 1, program.arguments.end());
  program.arguments = std::move(arguments);
  program.contents.push_back(
      {launcher::placement_kind::file, copy_out_of_the_way(*script), script_place});
  append(program.contents, trees_of(wanted.interpreter));
  return wanted.interpreter;
}

}  // namespace

confined_program program_of(const process_spec& spec, extension_libraries& extensions) {
  confined_program program;
  program.file =
      spec.program ? spec.program : std::make_shared<const unique_fd>(open_file(spec.executable));
  program.arguments = {spec.executable};
  program.arguments.insert(program.arguments.end(), spec.arguments.begin(), spec.arguments.end());
  std::string interpreter;
  if (is_script(*program.file)) interpreter = interpret(program);
  auto libraries = libraries_of(*program.file, spec.confined->grants);
  if (!interpreter.empty())
    add_libraries(libraries, extensions.of(interpreter, module_folders_of(interpreter)));
  if (!libraries.empty() && program.form == launcher::program_form::static_program)
    program.form = launcher::program_form::dynamic_program;
  append(program.contents, std::move(libraries));
  append(program.contents, placements_of(spec.confined->grants));
  struct stat found {};
  check(::fstat(program.file->get(), &found), "fstat");
  if ((found.st_mode & readable) != 0)
    program.file = std::make_shared<const unique_fd>(unreadable_copy(*program.file));
  return program;
}

}  // namespace bulkhead
