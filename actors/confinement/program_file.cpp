// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/program_file.hpp"

#include <elf.h>
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
constexpr std::size_t segments_max = 512;

int check(int rc, const char* call) {
  if (rc < 0) throw std::system_error{errno, std::generic_category(), call};
  return rc;
}

unique_fd open_file(const process_spec& spec) {
  unique_fd file{check(::open(spec.executable.c_str(), O_RDONLY | O_CLOEXEC), "open")};
  struct stat found {};
  check(::fstat(file.get(), &found), "fstat");
  if (!S_ISREG(found.st_mode) || (found.st_mode & execute_only) == 0)
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

/// Whatever is no ELF file with a loader counts as static: the kernel says what is wrong with it.
bool names_a_loader(const unique_fd& file) {
  Elf64_Ehdr head{};
  if (::pread(file.get(), &head, sizeof head, 0) != static_cast<ssize_t>(sizeof head)) return false;
  if (std::string_view{reinterpret_cast<const char*>(head.e_ident), SELFMAG} != ELFMAG ||
      head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phnum > segments_max)
    return false;
  std::vector<Elf64_Phdr> segments(head.e_phnum);
  const auto bytes = segments.size() * sizeof(Elf64_Phdr);
  if (::pread(file.get(), segments.data(), bytes, static_cast<off_t>(head.e_phoff)) !=
      static_cast<ssize_t>(bytes))
    return false;
  for (const auto& each : segments)
    if (each.p_type == PT_INTERP) return true;
  return false;
}

}  // namespace

confined_program program_of(const process_spec& spec) {
  confined_program program;
  program.file = spec.program ? spec.program : std::make_shared<const unique_fd>(open_file(spec));
  program.script = is_script(*program.file);
  if (program.script)
    program.form = launcher::program_form::interpreter;
  else if (names_a_loader(*program.file))
    program.form = launcher::program_form::dynamic_program;
  struct stat found {};
  check(::fstat(program.file->get(), &found), "fstat");
  if ((found.st_mode & readable) != 0 && !program.script)
    program.file = std::make_shared<const unique_fd>(unreadable_copy(*program.file));
  return program;
}

}  // namespace bulkhead
