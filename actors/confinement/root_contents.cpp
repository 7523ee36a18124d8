// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/root_contents.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <set>

namespace bulkhead {
namespace {

namespace fs = std::filesystem;

constexpr std::array program_folders{"/usr/local/bin", "/usr/bin", "/bin"};
constexpr std::size_t first_line_max = 256;

placement place(launcher::placement_kind kind, unique_fd what, std::string where) {
  return {kind, std::move(what), std::move(where)};
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

bool is_directory(const unique_fd& file) {
  struct stat found {};
  return ::fstat(file.get(), &found) != 0 || S_ISDIR(found.st_mode);
}

unique_fd open_granted(const grant& given) {
  // A pipe waits for its writer with whoever reads it, and not with whoever opens it here.
  const bool to_read = given.kind == grant_kind::descriptor;
  const int flags = to_read                            ? O_RDONLY | O_NOCTTY | O_NONBLOCK
                    : given.kind == grant_kind::device ? O_PATH
                                                       : O_PATH | O_DIRECTORY;
  unique_fd file{::open(given.what.c_str(), flags | O_CLOEXEC)};
  // From a directory ".." leads out of every root.
  if (file && to_read && is_directory(file)) {
    errno = EISDIR;
    file.reset();
  }
  if (file && (!to_read || ::fcntl(file.get(), F_SETFL, O_RDONLY) == 0)) return file;
  const char* const name = strerrorname_np(errno);
  throw missing_content{fmt::format("the grant {} {} cannot be opened ({})", to_string(given.kind),
                                    given.what, name != nullptr ? name : "?")};
}

}  // namespace

std::vector<placement> libraries_of(const unique_fd& program, const std::vector<grant>& grants) {
  const auto needs = needs_of(program);
  if (needs.loader.empty()) return {};
  library_finder finder{grants, launcher::placements_max};  // more are in no order
  finder.add_loader(needs.loader);
  finder.add(needs);
  std::vector<placement> found;
  add_libraries(found, finder.take());
  return found;
}

void add_libraries(std::vector<placement>& to, std::vector<found_library> libraries) {
  std::set<std::string> there;  // by the name that a loader knows them by
  for (const auto& each : to) there.insert(fs::path{each.where}.filename());
  for (auto& each : libraries)
    if (there.insert(fs::path{each.where}.filename()).second)
      to.push_back(
          place(launcher::placement_kind::file, std::move(each.file), std::move(each.where)));
}

std::vector<std::string> module_folders_of(const std::string& interpreter) {
  const auto name = fs::path{interpreter}.filename().string();
  std::vector<std::string> folders;
  if (name.starts_with("python"))
    folders = {"/usr/lib/" + name + "/lib-dynload", "/usr/local/lib/" + name + "/lib-dynload"};
  else if (name.starts_with("perl"))
    folders = {"/usr/lib/x86_64-linux-gnu/perl-base", "/usr/lib/x86_64-linux-gnu/perl"};
  std::erase_if(folders, [](const auto& each) {
    std::error_code error;
    return !fs::is_directory(each, error);
  });
  return folders;
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

bool is_placed(const grant& one) {
  return one.kind != grant_kind::environment && one.kind != grant_kind::address;
}

std::vector<placement> placements_of(const std::vector<grant>& grants) {
  std::vector<placement> found;
  for (const auto& each : grants) {
    if (!is_placed(each)) continue;
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
    throw missing_content{
        fmt::format("the interpreter that it names, {}, is not there", printable(named))};
  return {resolved.string(), argument};
}

}  // namespace bulkhead
