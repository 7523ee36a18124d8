// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/extension_libraries.hpp"

#include <algorithm>
#include <filesystem>

namespace bulkhead {
namespace {

namespace fs = std::filesystem;

/// The modules and folders beneath a folder, itself among them; links are not followed.
struct folder_contents {
  std::vector<std::string> folders;
  std::vector<std::string> modules;
};

folder_contents contents_of(const std::string& folder) {
  folder_contents found;
  std::error_code error;
  found.folders.push_back(folder);
  for (fs::recursive_directory_iterator each{folder, error}, end; !error && each != end;
       each.increment(error)) {
    std::error_code ignored;
    if (each->is_symlink(ignored)) continue;
    if (each->is_directory(ignored))
      found.folders.push_back(each->path());
    else if (each->path().extension() == ".so")
      found.modules.push_back(each->path());
  }
  std::sort(found.modules.begin(), found.modules.end());
  return found;
}

}  // namespace

extension_libraries::identity extension_libraries::identity_of(const struct stat& found) {
  return {found.st_dev, found.st_ino, found.st_size, found.st_ctim.tv_sec, found.st_ctim.tv_nsec};
}

/// One that is not there has an identity too, so that its coming is noticed.
void extension_libraries::note_folder(const std::string& path, known_libraries& known) {
  struct stat found {};
  known.folders.push_back(
      {path, ::stat(path.c_str(), &found) == 0 ? identity_of(found) : identity{}});
}

bool extension_libraries::open_all(const known_libraries& known,
                                   std::vector<found_library>& opened) {
  for (const auto& folder : known.folders) {
    struct stat found {};
    const auto now = ::stat(folder.path.c_str(), &found) == 0 ? identity_of(found) : identity{};
    if (now != folder.was) return false;
  }
  for (const auto& [library, where] : known.libraries) {
    auto file = open_regular_file(library.path);
    struct stat found {};
    if (!file || ::fstat(file.get(), &found) != 0 || identity_of(found) != library.was)
      return false;
    opened.push_back({std::move(file), library.path, where});
  }
  return true;
}

std::vector<found_library> extension_libraries::search(const std::vector<std::string>& folders,
                                                       known_libraries& known) const {
  // What changes while it is looked at has another identity by the next time.
  for (const auto* const folder : folders_of_libraries()) note_folder(folder, known);
  std::vector<std::string> modules;
  for (const auto& folder : folders) {
    auto contents = contents_of(folder);
    for (const auto& each : contents.folders) note_folder(each, known);
    modules.insert(modules.end(), contents.modules.begin(), contents.modules.end());
  }
  if (modules.size() > bounds_.files_max) modules.resize(bounds_.files_max);
  library_finder finder{{}, bounds_.libraries_max};
  for (const auto& each : modules)
    if (const auto file = open_regular_file(each)) finder.add_if_there(needs_of(file));
  auto found = finder.take();
  if (found.size() > bounds_.libraries_max) found.resize(bounds_.libraries_max);
  for (const auto& each : found) {
    struct stat now {};
    if (::fstat(each.file.get(), &now) == 0)
      known.libraries.push_back({{each.path, identity_of(now)}, each.where});
  }
  return found;
}

std::vector<found_library> extension_libraries::of(const std::string& interpreter,
                                                   const std::vector<std::string>& folders) {
  if (folders.empty()) return {};
  std::shared_ptr<const known_libraries> before;
  {
    const std::lock_guard lock{mutex_};
    if (const auto at = known_.find(interpreter); at != known_.end()) before = at->second;
  }
  std::vector<found_library> opened;
  if (before && open_all(*before, opened)) return opened;
  auto known = std::make_shared<known_libraries>();
  opened = search(folders, *known);
  const std::lock_guard lock{mutex_};
  ++searches_;
  if (known_.size() >= bounds_.interpreters_max) known_.clear();
  known_.insert_or_assign(interpreter, std::move(known));
  return opened;
}

std::uint64_t extension_libraries::searches() const {
  const std::lock_guard lock{mutex_};
  return searches_;
}

}  // namespace bulkhead
