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

#include "actors/confinement/elf_file.hpp"
#include "schema/wire/error_text.hpp"

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
// Where the links of the above lead: a library is taken from beneath these.
constexpr std::array library_roots{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"};
constexpr std::array program_folders{"/usr/local/bin", "/usr/bin", "/bin"};
constexpr const char* place_of_libraries = "/lib/x86_64-linux-gnu/";
constexpr std::size_t first_line_max = 256;

/// A name out of a plugin's file, fit to be printed.
std::string shown(std::string_view name) {
  constexpr std::size_t shown_bytes_max = 200;
  return wire::escape_line(name.substr(0, shown_bytes_max));
}

placement place(launcher::placement_kind kind, unique_fd what, std::string where) {
  return {kind, std::move(what), std::move(where)};
}

/// Where an open file lies, links resolved.
fs::path path_of(const unique_fd& file) {
  std::error_code error;
  return fs::read_symlink(fmt::format("/proc/self/fd/{}", file.get()), error);
}

bool is_beneath(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

/// May everybody on this machine read it?
bool is_public(const unique_fd& file) {
  struct stat found {};
  return ::fstat(file.get(), &found) == 0 && (found.st_mode & S_IROTH) != 0;
}

/// Finds the libraries of one program, which names them and is not to be trusted: a name in its
/// file must not read a key of the host's into its root.
class library_finder {
 public:
  explicit library_finder(const std::vector<grant>& grants)
      : roots_{library_roots.begin(), library_roots.end()} {
    for (const auto& each : grants) {
      if (each.kind != grant_kind::read_directory && each.kind != grant_kind::write_directory)
        continue;
      std::error_code error;
      auto folder = fs::canonical(each.what, error);
      if (!error) roots_.push_back(std::move(folder));
    }
  }

  void add_loader(const std::string& name) {
    auto loader = library_at(name);
    if (!loader) refuse("its loader", name);
    found_.push_back(place(launcher::placement_kind::file, std::move(loader), name));
    // Libraries name the loader too, by its file's name; it is loaded already.
    known_.insert(fs::path{name}.filename().string());
  }

  void add(const elf_needs& needs) {
    for (const auto& name : needs.libraries) {
      if (found_.size() > launcher::placements_max) return;  // and so no order takes them
      if (!known_.insert(name).second) continue;
      auto file = find(name, needs.folders);
      if (!file) refuse("a library that it needs", name);
      const auto its_needs = needs_of(file);
      const bool by_path = name.find('/') != std::string::npos;
      found_.push_back(place(launcher::placement_kind::file, std::move(file),
                             by_path ? name : place_of_libraries + name));
      add(its_needs);
    }
  }

  std::vector<placement> take() { return std::move(found_); }

 private:
  /// A library may be named by a path.
  unique_fd find(const std::string& name, const std::vector<std::string>& first) {
    if (name.find('/') != std::string::npos) return library_at(name);
    for (const auto& folder : first)
      if (auto file = library_at(fs::path{folder} / name)) return file;
    for (const auto* const folder : library_folders)
      if (auto file = library_at(fs::path{folder} / name)) return file;
    return {};
  }

  unique_fd library_at(const fs::path& path) {
    auto file = open_regular_file(path.string());
    if (!file) return file;
    const auto real = path_of(file);
    const bool at_home = std::any_of(roots_.begin(), roots_.end(),
                                     [&](const auto& each) { return is_beneath(real, each); });
    if (at_home && is_public(file) && is_shared_object(file)) return file;
    refused_ = true;
    return {};
  }

  [[noreturn]] void refuse(std::string_view what, const std::string& name) const {
    throw missing_content{
        fmt::format("{}, {}, {}", what, shown(name),
                    refused_ ? "is no library that everybody may read in a folder of libraries, or "
                               "in one that was granted"
                             : "is not there")};
  }

  std::vector<fs::path> roots_;
  std::set<std::string> known_;
  std::vector<placement> found_;
  bool refused_ = false;  // something of a name was there
};

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
  // A pipe waits for its writer with whoever reads it, and not with whoever opens it here.
  const bool to_read = given.kind == grant_kind::descriptor;
  const int flags = to_read                            ? O_RDONLY | O_NOCTTY | O_NONBLOCK
                    : given.kind == grant_kind::device ? O_PATH
                                                       : O_PATH | O_DIRECTORY;
  unique_fd file{::open(given.what.c_str(), flags | O_CLOEXEC)};
  if (file && (!to_read || ::fcntl(file.get(), F_SETFL, O_RDONLY) == 0)) return file;
  const char* const name = strerrorname_np(errno);
  throw missing_content{fmt::format("the grant {} {} cannot be opened ({})", to_string(given.kind),
                                    given.what, name != nullptr ? name : "?")};
}

}  // namespace

unique_fd open_regular_file(const std::string& path) {
  const unique_fd named{::open(path.c_str(), O_PATH | O_CLOEXEC)};
  struct stat found {};
  if (!named || ::fstat(named.get(), &found) != 0) return {};
  if (!S_ISREG(found.st_mode)) return errno = EACCES, unique_fd{};
  return unique_fd{
      ::open(fmt::format("/proc/self/fd/{}", named.get()).c_str(), O_RDONLY | O_CLOEXEC)};
}

std::vector<placement> libraries_of(const unique_fd& program, const std::vector<grant>& grants) {
  const auto needs = needs_of(program);
  if (needs.loader.empty()) return {};
  library_finder finder{grants};
  finder.add_loader(needs.loader);
  finder.add(needs);
  return finder.take();
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
    throw missing_content{
        fmt::format("the interpreter that it names, {}, is not there", shown(named))};
  return {resolved.string(), argument};
}

}  // namespace bulkhead
