// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/cgroup_places.hpp"

namespace bulkhead::launcher {
namespace {

/// A file of /proc, in lines; what is beyond its room is not looked at.
class lines_of {
 public:
  explicit lines_of(const char* path) {
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    for (;;) {
      const auto got = ::read(file, bytes_.data() + size_, bytes_.size() - size_);
      if (got <= 0) break;
      size_ += static_cast<std::size_t>(got);
    }
    ::close(file);
  }

  bool next(std::string_view& line) {
    if (at_ >= size_) return false;
    const std::string_view rest{bytes_.data() + at_, size_ - at_};
    line = rest.substr(0, rest.find('\n'));
    at_ += line.size() + 1;
    return true;
  }

 private:
  std::array<char, 64U << 10U> bytes_;
  std::size_t size_ = 0;
  std::size_t at_ = 0;
};

/// Takes the next word off.
std::string_view word(std::string_view& text, char end = ' ') {
  const auto length = std::min(text.find(end), text.size());
  const auto found = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return found;
}

bool names(std::string_view list, std::string_view item) {
  while (!list.empty())
    if (word(list, ',') == item) return true;
  return false;
}

struct mount_point {
  path_text root;   // which group is mounted there
  path_text place;  // where
};

/// Empty controller: version 2.
bool find_mount(std::string_view controller, mount_point& found) {
  lines_of mounts{"/proc/self/mountinfo"};
  for (std::string_view line; mounts.next(line);) {
    for (int n = 0; n < 3; ++n) word(line);
    const auto root = word(line), place = word(line);
    const auto dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    line.remove_prefix(dash + 3);
    const auto type = word(line);
    const bool right =
        controller.empty() ? type == "cgroup2" : type == "cgroup" && names(line, controller);
    if (!right) continue;
    found.root << root;
    found.place << place;
    return true;
  }
  return false;
}

/// The group of this process, as in "/system.slice/x".
bool find_group(std::string_view controller, path_text& group) {
  lines_of groups{"/proc/self/cgroup"};
  for (std::string_view line; groups.next(line);) {
    const auto number = word(line, ':');
    const auto list = word(line, ':');
    const bool right = controller.empty() ? number == "0" && list.empty() : names(list, controller);
    if (!right) continue;
    group << line;
    return true;
  }
  return false;
}

int find_place(std::string_view controller, group_place& found) {
  mount_point mounted;
  path_text group;
  if (!find_mount(controller, mounted) || !find_group(controller, group)) return ENOENT;
  found.top << mounted.place.view();
  auto rest = group.view();
  const auto root = mounted.root.view();
  // Only a part of the tree may be mounted, as in a container.
  if (root != "/") {
    if (!rest.starts_with(root)) return ENOENT;
    rest.remove_prefix(root.size());
  }
  found.own << mounted.place.view() << (rest == "/" ? "" : rest);
  return found.own.fits() ? 0 : ENAMETOOLONG;
}

}  // namespace

int unified_place(group_place& found) {
  return find_place("", found);
}

int old_place(std::string_view controller, group_place& found) {
  return find_place(controller, found);
}

}  // namespace bulkhead::launcher
