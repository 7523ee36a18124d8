// SPDX-License-Identifier: Apache-2.0
#include "broker/images/program_kind.hpp"

#include <elf.h>
#include <fmt/format.h>
#include <limits.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "broker/images/image_error.hpp"

namespace bulkhead {
namespace {

using elf_header = ElfW(Ehdr);
using program_header = ElfW(Phdr);

constexpr std::size_t script_line_bytes = 256;            // as far as the kernel looks
constexpr std::size_t program_headers_bytes_max = 65536;  // the kernel's limit

#if defined(__x86_64__)
constexpr unsigned machine_here = EM_X86_64;
#elif defined(__aarch64__)
constexpr unsigned machine_here = EM_AARCH64;
#elif defined(__riscv)
constexpr unsigned machine_here = EM_RISCV;
#else
#error "name the ELF machine of this architecture"
#endif
constexpr unsigned char class_here = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
constexpr unsigned char order_here =
    std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;

class file_view {
 public:
  file_view(int fd, std::uint64_t size, const std::string& name)
      : fd_(fd), size_(size), name_(name) {}

  std::uint64_t size() const { return size_; }
  bool holds(std::uint64_t offset, std::uint64_t bytes) const {
    return offset <= size_ && bytes <= size_ - offset;
  }

  /// Exactly these bytes, which the file must hold.
  void read(void* into, std::size_t bytes, std::uint64_t offset) const {
    if (!holds(offset, bytes)) refuse_truncated();
    const auto got = ::pread(fd_, into, bytes, static_cast<off_t>(offset));
    if (got < 0) throw std::system_error{errno, std::generic_category(), "pread"};
    if (static_cast<std::size_t>(got) != bytes) refuse_truncated();
  }

  [[noreturn]] void refuse(image_failure failure, const std::string& why,
                           const std::string& remedy) const {
    throw image_error{failure, fmt::format("{} cannot be run", name_), why, remedy};
  }
  [[noreturn]] void refuse_truncated() const {
    refuse(image_failure::truncated, "it ends before its own headers say that it does",
           "copy the file again, whole");
  }

 private:
  int fd_;
  std::uint64_t size_;
  const std::string& name_;
};

void check_machine(const file_view& file, const elf_header& header) {
  const auto refuse = [&](const char* why) {
    file.refuse(image_failure::wrong_machine, why, "build it for this machine");
  };
  if (header.e_ident[EI_CLASS] != class_here) refuse("it is for a machine of another word size");
  if (header.e_ident[EI_DATA] != order_here) refuse("it is for a machine of another byte order");
  if (header.e_machine != machine_here) refuse("it is for another kind of processor");
  const auto abi = header.e_ident[EI_OSABI];
  if (abi != ELFOSABI_NONE && abi != ELFOSABI_GNU) refuse("it is for another operating system");
}

std::vector<program_header> read_program_headers(const file_view& file, const elf_header& header) {
  const std::size_t bytes = std::size_t{header.e_phnum} * sizeof(program_header);
  if (header.e_phentsize != sizeof(program_header) || header.e_phnum == 0 ||
      bytes > program_headers_bytes_max) {
    file.refuse(image_failure::not_a_program, "it is an ELF file without a program in it",
                "name an executable");
  }
  std::vector<program_header> headers(header.e_phnum);
  file.read(headers.data(), bytes, header.e_phoff);
  return headers;
}

std::string read_loader(const file_view& file, const program_header& where) {
  std::string path(std::min<std::uint64_t>(where.p_filesz, PATH_MAX), '\0');
  file.read(path.data(), path.size(), where.p_offset);
  path.resize(std::strlen(path.c_str()));
  if (path.empty() || path.front() != '/') {
    file.refuse(image_failure::not_a_program, "it names no loader by an absolute path",
                "build it again, with the usual linker options");
  }
  return path;
}

program_kind inspect_elf(const file_view& file) {
  elf_header header{};
  // Class and machine lie at the same place in headers of either size.
  file.read(&header, std::min<std::uint64_t>(sizeof header, file.size()), 0);
  if (file.size() >= EI_NIDENT + 4) check_machine(file, header);
  if (file.size() < sizeof header) file.refuse_truncated();
  const auto headers = read_program_headers(file, header);
  program_kind kind;
  for (const auto& each : headers) {
    if (each.p_type == PT_LOAD && !file.holds(each.p_offset, each.p_filesz))
      file.refuse_truncated();
    // Of several the kernel takes the first.
    if (each.p_type == PT_INTERP && kind.interpreter.empty())
      kind = {link_kind::dynamic_program, read_loader(file, each)};
  }
  const bool library = header.e_type == ET_DYN && header.e_entry == 0;
  if ((header.e_type != ET_EXEC && header.e_type != ET_DYN) || library) {
    file.refuse(image_failure::not_a_program,
                "it is an ELF file, but a library or an object and not a program",
                "name an executable");
  }
  return kind;
}

program_kind inspect_script(const file_view& file) {
  std::string line(std::min<std::uint64_t>(script_line_bytes, file.size()), '\0');
  file.read(line.data(), line.size(), 0);
  const auto refuse = [&](const char* why) {
    file.refuse(image_failure::bad_script, why, "begin it as in #!/bin/sh");
  };
  const auto end = line.find('\n');
  if (end == std::string::npos && file.size() >= script_line_bytes)
    refuse("its first line is longer than the kernel reads");
  line.resize(std::min(end, line.size()));
  const auto begin = line.find_first_not_of(" \t", 2);
  if (begin == std::string::npos) refuse("its first line names no interpreter");
  auto path = line.substr(begin, line.find_first_of(" \t", begin) - begin);
  if (path.front() != '/' || path.find('\0') != std::string::npos)
    refuse("its first line does not name the interpreter by an absolute path");
  return {link_kind::script, std::move(path)};
}

}  // namespace

std::string_view to_string(link_kind kind) {
  switch (kind) {
    case link_kind::static_program:
      return "static";
    case link_kind::dynamic_program:
      return "dynamic";
    case link_kind::script:
      break;
  }
  return "script";
}

program_kind inspect_program(int fd, std::uint64_t size, const std::string& name) {
  const file_view file{fd, size, name};
  std::array<char, SELFMAG> start{};
  const auto length = std::min<std::uint64_t>(start.size(), size);
  file.read(start.data(), length, 0);
  const std::string_view magic{start.data(), length};
  if (magic == std::string_view{ELFMAG, SELFMAG}) return inspect_elf(file);
  if (magic.substr(0, 2) == "#!") return inspect_script(file);
  file.refuse(image_failure::not_a_program, "it is neither an ELF program nor a script",
              "name an executable; a script needs a first line as in #!/bin/sh");
}

}  // namespace bulkhead
