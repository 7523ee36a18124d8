// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/elf_file.hpp"

#include <elf.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace bulkhead {
namespace {

constexpr std::size_t segments_max = 512;
constexpr std::size_t entries_max = 4096;
constexpr std::size_t name_bytes_max = 4096;

class elf_file {
 public:
  explicit elf_file(const unique_fd& file) : file_{file} {}

  elf_needs needs() {
    elf_needs found;
    if (!read_segments()) return found;
    for (const auto& each : segments_)
      if (each.p_type == PT_INTERP) found.loader = text_at(each.p_offset);
    for (const auto& each : segments_)
      if (each.p_type == PT_DYNAMIC) read_dynamic(each, found);
    return found;
  }

 private:
  template <class Item>
  bool read(std::vector<Item>& items, std::uint64_t offset) const {
    const auto bytes = items.size() * sizeof(Item);
    return ::pread(file_.get(), items.data(), bytes, static_cast<off_t>(offset)) ==
           static_cast<ssize_t>(bytes);
  }

  bool read_segments() {
    std::vector<Elf64_Ehdr> head(1);
    if (!read(head, 0)) return false;
    const auto& file = head.front();
    if (std::memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 || file.e_ident[EI_CLASS] != ELFCLASS64 ||
        file.e_phentsize != sizeof(Elf64_Phdr) || file.e_phnum > segments_max)
      return false;
    segments_.resize(file.e_phnum);
    return read(segments_, file.e_phoff);
  }

  /// Where the byte of an address in memory lies in the file.
  std::optional<std::uint64_t> offset_of(std::uint64_t address) const {
    for (const auto& each : segments_)
      if (each.p_type == PT_LOAD && address >= each.p_vaddr &&
          address - each.p_vaddr < each.p_filesz)
        return each.p_offset + (address - each.p_vaddr);
    return std::nullopt;
  }

  std::string text_at(std::uint64_t offset) const {
    std::vector<char> bytes(name_bytes_max);
    const auto got = ::pread(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    const std::string_view read{bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
    const auto end = read.find('\0');
    return end == std::string_view::npos ? std::string{} : std::string{read.substr(0, end)};
  }

  void read_dynamic(const Elf64_Phdr& segment, elf_needs& found) const {
    const auto count = segment.p_filesz / sizeof(Elf64_Dyn);
    if (count > entries_max) return;
    std::vector<Elf64_Dyn> entries(count);
    if (!read(entries, segment.p_offset)) return;
    std::optional<std::uint64_t> names;
    for (const auto& each : entries)
      if (each.d_tag == DT_STRTAB) names = offset_of(each.d_un.d_ptr);
    if (!names) return;
    for (const auto& each : entries) {
      if (each.d_tag == DT_NULL || found.libraries.size() == elf_libraries_max) break;
      if (each.d_tag == DT_NEEDED) found.libraries.push_back(text_at(*names + each.d_un.d_val));
      if (each.d_tag == DT_RUNPATH || each.d_tag == DT_RPATH)
        add_folders(text_at(*names + each.d_un.d_val), found.folders);
    }
  }

  /// Absolute ones alone: what stands beside a program is not beside its copy.
  static void add_folders(std::string_view list, std::vector<std::string>& folders) {
    while (!list.empty() && folders.size() < elf_folders_max) {
      const auto end = std::min(list.find(':'), list.size());
      if (list.front() == '/') folders.emplace_back(list.substr(0, end));
      list.remove_prefix(std::min(end + 1, list.size()));
    }
  }

  const unique_fd& file_;
  std::vector<Elf64_Phdr> segments_;
};

}  // namespace

elf_needs needs_of(const unique_fd& file) {
  return elf_file{file}.needs();
}

bool is_shared_object(const unique_fd& file) {
  Elf64_Ehdr head{};
  return ::pread(file.get(), &head, sizeof head, 0) == static_cast<ssize_t>(sizeof head) &&
         std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_ident[EI_CLASS] == ELFCLASS64 &&
         head.e_type == ET_DYN;
}

}  // namespace bulkhead
