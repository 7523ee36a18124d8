// SPDX-License-Identifier: Apache-2.0
// What a program's file says that it needs, and files that say too much, or nothing that can be.
#include "actors/confinement/elf_file.hpp"

#include <elf.h>
#include <fcntl.h>

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>
#include <functional>

#include "tests/confinement/confined.hpp"

using bulkhead::elf_needs;

namespace {

constexpr std::size_t segments_at = sizeof(Elf64_Ehdr);
constexpr std::size_t dynamic_at = segments_at + 3 * sizeof(Elf64_Phdr);

template <class Part>
void change(std::string& file, std::size_t at, const std::function<void(Part&)>& how) {
  Part part{};
  REQUIRE(at + sizeof part <= file.size());
  std::memcpy(&part, file.data() + at, sizeof part);
  how(part);
  std::memcpy(file.data() + at, &part, sizeof part);
}

std::string good_file(const std::string& folders = "/one") {
  return confined::program_that_needs("/lib/loader.so", "libneeded.so", folders);
}

elf_needs needs_in(const std::string& bytes) {
  const bulkhead::temporary_directory folder;
  confined::write_file(folder / "program", bytes, 0644);
  const bulkhead::unique_fd file{::open((folder / "program").c_str(), O_RDONLY | O_CLOEXEC)};
  return needs_of(file);
}

elf_needs needs_with(const std::function<void(std::string&)>& how) {
  auto file = good_file();
  how(file);
  return needs_in(file);
}

elf_needs needs_with_head(const std::function<void(Elf64_Ehdr&)>& how) {
  return needs_with([&](auto& file) { change<Elf64_Ehdr>(file, 0, how); });
}

bool needs_nothing(const elf_needs& found) {
  return found.loader.empty() && found.libraries.empty() && found.folders.empty();
}

using strings = std::vector<std::string>;

}  // namespace

TEST_CASE("a program's loader, libraries and folders are read") {
  const auto found = needs_in(good_file());
  CHECK(found.loader == "/lib/loader.so");
  CHECK(found.libraries == strings{"libneeded.so"});
  CHECK(found.folders == strings{"/one"});
}

TEST_CASE("what is no ELF file of 64 bits needs nothing") {
  CHECK(needs_nothing(needs_in("")));
  CHECK(needs_nothing(needs_with_head([](auto& head) { head.e_ident[1] = 'e'; })));
  CHECK(needs_nothing(needs_with_head([](auto& head) { head.e_ident[EI_CLASS] = ELFCLASS32; })));
  CHECK(needs_nothing(needs_with_head([](auto& head) { head.e_phentsize -= 1; })));
  CHECK(needs_nothing(needs_with_head([](auto& head) { head.e_phoff = 1U << 30U; })));
}

TEST_CASE("more segments than programs have are not looked at") {
  constexpr Elf64_Half most = 512;
  const auto with_segments = [](Elf64_Half count) {
    return needs_with([&](auto& file) {
      change<Elf64_Ehdr>(file, 0, [&](auto& head) { head.e_phnum = count; });
      file.resize(segments_at + std::size_t{most + 1} * sizeof(Elf64_Phdr));
    });
  };
  CHECK(with_segments(most).loader == "/lib/loader.so");
  CHECK(needs_nothing(with_segments(most + 1)));
}

TEST_CASE("more entries than programs have are not looked at") {
  constexpr std::size_t most = 4096;
  const auto with_entries = [](std::size_t count) {
    return needs_with([&](auto& file) {
      change<Elf64_Phdr>(file, segments_at + 2 * sizeof(Elf64_Phdr),
                         [&](auto& dynamic) { dynamic.p_filesz = count * sizeof(Elf64_Dyn); });
      file.resize(dynamic_at + (most + 1) * sizeof(Elf64_Dyn));
    });
  };
  CHECK(with_entries(most).libraries == strings{"libneeded.so"});
  CHECK(with_entries(most + 1).libraries.empty());
}

TEST_CASE("names need a table, which lies in the file") {
  const auto without_table = [](auto& entry) { entry.d_tag = DT_DEBUG; };
  const auto elsewhere = [](auto& entry) { entry.d_un.d_ptr = 1U << 30U; };
  for (const std::function<void(Elf64_Dyn&)>& how :
       {std::function<void(Elf64_Dyn&)>{without_table}, {elsewhere}})
    CHECK(needs_with([&](auto& file) {
            change<Elf64_Dyn>(file, dynamic_at, how);
          }).libraries.empty());
}

TEST_CASE("what stands behind the end of the list is not on it") {
  const auto found = needs_with([](auto& file) {
    change<Elf64_Dyn>(file, dynamic_at + sizeof(Elf64_Dyn),
                      [](auto& entry) { entry.d_tag = DT_NULL; });
  });
  CHECK(found.libraries.empty());
  CHECK(found.folders.empty());
}

TEST_CASE("no more libraries and folders are taken than the bounds say") {
  constexpr std::size_t entries = bulkhead::elf_libraries_max + 10;
  const auto found = needs_with([](auto& file) {
    change<Elf64_Phdr>(file, segments_at + 2 * sizeof(Elf64_Phdr), [&](auto& dynamic) {
      dynamic.p_offset = file.size();
      dynamic.p_filesz = entries * sizeof(Elf64_Dyn);
    });
    const std::string table{file.data() + dynamic_at, sizeof(Elf64_Dyn)};
    const std::string library{file.data() + dynamic_at + sizeof(Elf64_Dyn), sizeof(Elf64_Dyn)};
    file += table;
    for (std::size_t n = 1; n < entries; ++n) file += library;
  });
  CHECK(found.libraries.size() == bulkhead::elf_libraries_max);

  std::string folders = "relative:";
  for (std::size_t n = 0; n < bulkhead::elf_folders_max + 1; ++n)
    folders += "/" + std::to_string(n) + ":";
  const auto many = needs_in(good_file(folders));
  REQUIRE(many.folders.size() == bulkhead::elf_folders_max);
  CHECK(many.folders.front() == "/0");
  CHECK(many.folders.back() == "/63");
}
