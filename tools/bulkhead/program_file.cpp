// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/program_file.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>

#include "tools/bulkhead/failure.hpp"

namespace bulkhead::cli {
namespace {

constexpr std::size_t head_bytes_max = 64 * 1024;

std::string machine_name(unsigned machine) {
  switch (machine) {
    case EM_X86_64:
      return "linux-x86_64";
    case EM_AARCH64:
      return "linux-aarch64";
    default:
      return {};
  }
}

/// A structure out of bytes; false when they end before it does.
template <typename T>
bool read_at(std::string_view bytes, std::size_t at, T& to) {
  if (at > bytes.size() || bytes.size() - at < sizeof to) return false;
  std::memcpy(&to, bytes.data() + at, sizeof to);
  return true;
}

/// Whether the program wants a loader. Nothing when its headers are beyond the bytes at hand.
std::optional<bool> wants_loader(std::string_view head, const Elf64_Ehdr& about) {
  for (std::size_t i = 0; i < about.e_phnum; ++i) {
    Elf64_Phdr part = {};
    if (about.e_phoff > head.size() || !read_at(head, about.e_phoff + i * sizeof part, part)) {
      return std::nullopt;
    }
    if (part.p_type == PT_INTERP) return true;
  }
  return false;
}

struct close_file {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

std::optional<program_file> inspect_head(std::string_view head) {
  program_file result;
  if (head.substr(0, 2) == "#!") {
    result.link = trust::link_kind::script;
    return result;
  }
  Elf64_Ehdr about = {};
  if (!read_at(head, 0, about) || std::memcmp(about.e_ident, ELFMAG, SELFMAG) != 0 ||
      about.e_ident[EI_CLASS] != ELFCLASS64 || about.e_ident[EI_DATA] != ELFDATA2LSB ||
      (about.e_type != ET_EXEC && about.e_type != ET_DYN) ||
      about.e_phentsize != sizeof(Elf64_Phdr) || about.e_phnum == 0) {
    return std::nullopt;
  }
  const auto loader = wants_loader(head, about);
  if (!loader) return std::nullopt;
  result.link = *loader ? trust::link_kind::dynamic_link : trust::link_kind::static_link;
  result.os_arch = machine_name(about.e_machine);
  return result;
}

program_file inspect_program(const std::string& path) {
  const std::string name = wire::escape_line(path);
  const auto cannot_read = [&](int why) {
    return failure(why == ENOENT ? exit_code::no_target : exit_code::failed,
                   fmt::format("cannot read '{}'", name), std::generic_category().message(why));
  };
  // Nonblocking: a FIFO is refused and not waited for.
  const int number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (number < 0) throw cannot_read(errno);
  const std::unique_ptr<std::FILE, close_file> file(::fdopen(number, "rb"));
  if (file == nullptr) {
    ::close(number);
    throw cannot_read(ENOMEM);
  }
  struct stat about = {};
  if (::fstat(::fileno(file.get()), &about) != 0) throw cannot_read(errno);
  if (!S_ISREG(about.st_mode)) {
    throw failure(exit_code::failed, fmt::format("'{}' is no regular file", name));
  }
  trust::sha256_hasher hasher;
  std::string head;
  std::uint64_t size = 0;
  std::array<char, 64 * 1024> bytes;
  while (const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), file.get())) {
    hasher.add(bytes.data(), count);
    head.append(bytes.data(), std::min(count, head_bytes_max - head.size()));
    size += count;
  }
  if (std::ferror(file.get()) != 0) throw cannot_read(EIO);
  auto result = inspect_head(head);
  if (!result) {
    throw failure(exit_code::failed, fmt::format("'{}' is no program", name),
                  "it is neither a 64 bit ELF program nor a script that begins with #!");
  }
  result->sha256 = hasher.finish();
  result->size_bytes = size;
  return *result;
}

}  // namespace bulkhead::cli
