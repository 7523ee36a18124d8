// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/library_finder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

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
constexpr const char* place_of_libraries = "/lib/x86_64-linux-gnu/";

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

}  // namespace

unique_fd open_regular_file(const std::string& path) {
  const unique_fd named{::open(path.c_str(), O_PATH | O_CLOEXEC)};
  struct stat found {};
  if (!named || ::fstat(named.get(), &found) != 0) return {};
  if (!S_ISREG(found.st_mode)) return errno = EACCES, unique_fd{};
  // Who holds a lease on it (fcntl(2)) could keep this waiting.
  unique_fd file{::open(fmt::format("/proc/self/fd/{}", named.get()).c_str(),
                        O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (file && ::fcntl(file.get(), F_SETFL, O_RDONLY) != 0) file.reset();
  return file;
}

std::string printable(std::string_view name) {
  constexpr std::size_t shown_bytes_max = 200;
  return wire::escape_line(name.substr(0, shown_bytes_max));
}

std::span<const char* const> folders_of_libraries() {
  return library_folders;
}

library_finder::library_finder(const std::vector<grant>& grants, std::size_t libraries_max)
    : roots_{library_roots.begin(), library_roots.end()}, libraries_max_{libraries_max} {
  for (const auto& each : grants) {
    if (each.kind != grant_kind::read_directory && each.kind != grant_kind::write_directory)
      continue;
    std::error_code error;
    auto folder = fs::canonical(each.what, error);
    if (error) continue;
    roots_.emplace_back(each.what);  // as a program may name it
    roots_.push_back(std::move(folder));
  }
}

void library_finder::add_loader(const std::string& name) {
  auto loader = library_at(name);
  if (!loader) refuse("its loader", name);
  found_.push_back({std::move(loader), name, name});
  // Libraries name the loader too, by its file's name; it is loaded already.
  known_.insert(fs::path{name}.filename().string());
}

void library_finder::add(const elf_needs& needs) {
  add(needs, absence::refused);
}

void library_finder::add_if_there(const elf_needs& needs) {
  add(needs, absence::passed_over);
}

void library_finder::add(const elf_needs& needs, absence when_absent) {
  for (const auto& name : needs.libraries) {
    if (found_.size() > libraries_max_) return;
    if (!known_.insert(name).second) continue;
    auto library = find(name, needs.folders);
    if (!library.file && when_absent == absence::passed_over) continue;
    if (!library.file) refuse("a library that it needs", name);
    const auto its_needs = needs_of(library.file);
    found_.push_back(std::move(library));
    add(its_needs, when_absent);
  }
}

/// A library may be named by a path.
found_library library_finder::find(const std::string& name, const std::vector<std::string>& first) {
  if (name.find('/') != std::string::npos) return {library_at(name), name, name};
  std::vector<std::string> folders{first};
  folders.insert(folders.end(), library_folders.begin(), library_folders.end());
  for (const auto& folder : folders) {
    const auto path = fs::path{folder} / name;
    if (auto file = library_at(path)) return {std::move(file), path, place_of_libraries + name};
  }
  return {};
}

/// Nothing is opened but what lies in a folder of libraries by its name, and by where that leads.
unique_fd library_finder::library_at(const fs::path& path) {
  const auto at_home = [this](const fs::path& place) {
    return std::any_of(roots_.begin(), roots_.end(),
                       [&](const auto& each) { return is_beneath(place, each); });
  };
  const bool named_at_home = at_home(path.lexically_normal());
  auto file = named_at_home ? open_regular_file(path.string()) : unique_fd{};
  if (file && at_home(path_of(file)) && is_public(file) && is_shared_object(file)) return file;
  refused_ = refused_ || file || !named_at_home;
  return {};
}

void library_finder::refuse(std::string_view what, const std::string& name) const {
  throw missing_content{
      fmt::format("{}, {}, {}", what, printable(name),
                  refused_ ? "is no library that everybody may read in a folder of libraries, or "
                             "in one that was granted"
                           : "is not there")};
}

}  // namespace bulkhead
