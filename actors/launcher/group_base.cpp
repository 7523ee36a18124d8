// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/group_base.hpp"

#include <sys/stat.h>
#include <sys/xattr.h>

#include "actors/launcher/limit_files.hpp"

namespace bulkhead::launcher {
namespace {

constexpr int rounds_max = 8;  // of moving processes, which may make others meanwhile

/// As much of a file as fits; empty, too, when it cannot be read.
std::string_view read_some(std::string_view group, const char* name, std::array<char, 4096>& text) {
  path_text path;
  path << group << "/" << name;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  const auto got = ::read(file, text.data(), text.size());
  ::close(file);
  return {text.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

int write_to(std::string_view group, const char* name, std::string_view text) {
  path_text path;
  path << group << "/" << name;
  return write_file(AT_FDCWD, path.c_str(), text);
}

/// Was this directory handed over to us by systemd?
bool is_delegated(std::string_view group) {
  path_text path;
  path << group;
  char value = 0;
  for (const char* const mark : {"user.delegate", "trusted.delegate"})
    if (::getxattr(path.c_str(), mark, &value, 1) == 1 && value == '1') return true;
  return false;
}

/// Alone it has no type.
bool is_topmost_of_all(std::string_view group) {
  path_text path;
  path << group << "/cgroup.type";
  return ::access(path.c_str(), F_OK) != 0;
}

bool has_processes(std::string_view group) {
  std::array<char, 4096> text;
  return !read_some(group, "cgroup.procs", text).empty();
}

/// Whoever owns a group can change what is beneath it.
bool is_anothers(std::string_view group) {
  path_text path;
  path << group;
  struct stat found {};
  return ::stat(path.c_str(), &found) != 0 || !is_safe_owner(found.st_uid);
}

bool has_controllers(std::string_view top) {
  std::array<char, 4096> text;
  auto all = read_some(top, "cgroup.controllers", text);
  while (!all.empty()) {
    const auto word = all.substr(0, all.find_first_of(" \n"));
    for (const auto* const each : controller_names)
      if (word == each) return true;
    all.remove_prefix(std::min(word.size() + 1, all.size()));
  }
  return false;
}

/// 0, or errno; it may be there already.
int make_group(const path_text& path) {
  return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST ? 0 : errno;
}

int move_processes(std::string_view from, const path_text& to) {
  std::array<char, 4096> text;
  for (int round = 0; round < rounds_max; ++round) {
    auto all = read_some(from, "cgroup.procs", text);
    if (all.empty()) return 0;
    while (!all.empty()) {
      const auto number = all.substr(0, all.find('\n'));
      // Who cannot be moved is found again.
      write_to(to.view(), "cgroup.procs", number);
      all.remove_prefix(std::min(number.size() + 1, all.size()));
    }
  }
  return EBUSY;
}

int empty_into_rest(std::string_view group) {
  path_text rest;
  rest << group << "/rest";
  const int error = make_group(rest);
  return error != 0 ? error : move_processes(group, rest);
}

/// From `top` down to `group`, both included. What may not be is left to whoever misses it.
void hand_on(std::string_view top, std::string_view group) {
  for (auto length = top.size();; length = std::min(group.find('/', length + 1), group.size())) {
    for (const auto* const each : controller_names) {
      short_text<16> add;
      add << "+" << each;
      write_to(group.substr(0, length), "cgroup.subtree_control", add.view());
    }
    if (length >= group.size()) return;
  }
}

}  // namespace

int find_group_base(const group_place& place, path_text& base) {
  const auto own = place.own.view(), top = place.top.view();
  path_text longest;  // of all that is looked at
  longest << own << "/cgroup.subtree_control";
  if (!longest.fits()) return ENAMETOOLONG;
  auto above = own.substr(0, own.rfind('/'));
  if (own != top && is_delegated(above)) return base << above, 0;
  const bool ours = is_delegated(own);
  if (!ours && (is_topmost_of_all(own) || !has_controllers(top))) return base << own, 0;
  if (ours || own == top) return base << own, empty_into_rest(own);
  while (is_anothers(above) || (has_processes(above) && !is_topmost_of_all(above))) {
    if (above == top) return EBUSY;
    above = above.substr(0, above.rfind('/'));
  }
  hand_on(top, above);
  base << above << "/bulkhead";
  return make_group(base);
}

}  // namespace bulkhead::launcher
