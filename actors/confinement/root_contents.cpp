// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/root_contents.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <set>

#include "actors/confinement/elf_file.hpp"

namespace bulkhead {
namespace {

namespace fs = std::filesystem;

constexpr std::array library_folders{"/lib/x86_64-linux-gnu",
                                     "/usr/lib/x86_64-linux-gnu",
                                     "/usr/local/lib/x86_64-linux-gnu",
                                     "/usr/local/lib",
                                     "/lib64",
                                     "/usr/lib64",
                                     "/lib",
                                     "/usr/lib"};
constexpr std::array program_folders{"/usr/local/bin", "/usr/bin", "/bin"};
constexpr const char* place_of_libraries = "/lib/x86_64-linux-gnu/";
constexpr std::size_t first_line_max = 256;

unique_fd open_to_read(const fs::path& path) {
  return unique_fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
}

/// A library may be named by a path.
unique_fd find_library(const std::string& name, const std::vector<std::string>& first) {
  if (name.find('/') != std::string::npos) return open_to_read(name);
  for (const auto& folder : first)
    if (auto file = open_to_read(fs::path{folder} / name)) return file;
  for (const auto* const folder : library_folders)
    if (auto file = open_to_read(fs::path{folder} / name)) return file;
  return {};
}

placement place(launcher::placement_kind kind, unique_fd what, std::string where) {
  return {kind, std::move(what), std::move(where)};
}

void add_libraries(const elf_needs& needs, std::set<std::string>& known,
                   std::vector<placement>& found) {
  for (const auto& name : needs.libraries) {
    if (!known.insert(name).second) continue;
    auto file = find_library(name, needs.folders);
    if (!file)
      throw missing_content{fmt::format("a library that it needs, {}, is not there", name)};
    const auto its_needs = needs_of(file);
    const bool by_path = name.find('/') != std::string::npos;
    found.push_back(place(launcher::placement_kind::file, std::move(file),
                          by_path ? name : place_of_libraries + name));
    add_libraries(its_needs, known, found);
  }
}

launcher::placement_kind kind_of(grant_kind kind) {
  switch (kind) {
    case grant_kind::write_directory:
      return launcher::placement_kind::write_directory;
    case grant_kind::device:
      return launcher::placement_kind::device;
    case grant_kind::descriptor:
      return launcher::placement_kind::descriptor;
    default:
      return launcher::placement_kind::read_directory;
  }
}

unique_fd open_granted(const grant& given) {
  const int flags = given.kind == grant_kind::descriptor ? O_RDONLY | O_NOCTTY
                    : given.kind == grant_kind::device   ? O_PATH
                                                         : O_PATH | O_DIRECTORY;
  unique_fd file{::open(given.what.c_str(), flags | O_CLOEXEC)};
  if (file) return file;
  const char* const name = strerrorname_np(errno);
  throw missing_content{fmt::format("the grant {} {} cannot be opened ({})", to_string(given.kind),
                                    given.what, name != nullptr ? name : "?")};
}

}  // namespace

std::vector<placement> libraries_of(const unique_fd& program) {
  std::vector<placement> found;
  const auto needs = needs_of(program);
  if (needs.loader.empty()) return found;
  auto loader = open_to_read(needs.loader);
  if (!loader) throw missing_content{fmt::format("its loader, {}, is not there", needs.loader)};
  found.push_back(place(launcher::placement_kind::file, std::move(loader), needs.loader));
  // Libraries name the loader too, by its file's name; it is loaded already.
  std::set<std::string> known{fs::path{needs.loader}.filename().string()};
  add_libraries(needs, known, found);
  return found;
}

std::vector<placement> trees_of(const std::string& interpreter) {
  const auto name = fs::path{interpreter}.filename().string();
  std::vector<std::string> folders;
  if (name.starts_with("python"))
    folders = {"/usr/lib/" + name, "/usr/lib/python3", "/usr/local/lib/" + name};
  else if (name.starts_with("perl"))
    folders = {"/usr/lib/x86_64-linux-gnu/perl-base", "/usr/share/perl",
               "/usr/lib/x86_64-linux-gnu/perl", "/usr/share/perl5"};
  else if (name.starts_with("node"))
    folders = {"/usr/share/nodejs", "/usr/lib/x86_64-linux-gnu/nodejs", "/usr/share/node_modules"};
  std::vector<placement> found;
  for (auto& folder : folders) {
    unique_fd opened{::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (opened)
      found.push_back(
          place(launcher::placement_kind::read_directory, std::move(opened), std::move(folder)));
  }
  return found;
}

std::vector<placement> placements_of(const std::vector<grant>& grants) {
  std::vector<placement> found;
  for (const auto& each : grants) {
    if (each.kind == grant_kind::environment || each.kind == grant_kind::address) continue;
    const bool placed = each.kind != grant_kind::descriptor;
    found.push_back(place(kind_of(each.kind), open_granted(each),
                          !placed              ? std::string{}
                          : each.where.empty() ? each.what
                                               : each.where));
  }
  return found;
}

script_start interpreter_of(const unique_fd& script) {
  std::array<char, first_line_max> bytes{};
  const auto got = ::pread(script.get(), bytes.data(), bytes.size(), 0);
  std::string line{bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
  line.resize(std::min(line.find('\n'), line.size()));
  constexpr const char* blanks = " \t\r";
  const auto word = [&](std::size_t from) {
    const auto begin = line.find_first_not_of(blanks, from);
    if (begin == std::string::npos) return std::pair{std::string{}, line.size()};
    const auto end = std::min(line.find_first_of(blanks, begin), line.size());
    return std::pair{line.substr(begin, end - begin), end};
  };
  auto [path, end] = word(2);
  auto [argument, rest] = word(end);
  std::string named = path;
  if (path == "/usr/bin/env") {
    named = argument;
    argument.clear();
    for (const auto* const folder : program_folders)
      if (const auto full = fs::path{folder} / named; ::access(full.c_str(), X_OK) == 0) {
        path = full;
        break;
      }
  }
  std::error_code error;
  const auto resolved = fs::canonical(path, error);
  if (path.empty() || error || path == "/usr/bin/env")
    throw missing_content{fmt::format("the interpreter that it names, {}, is not there", named)};
  return {resolved.string(), argument};
}

}  // namespace bulkhead
