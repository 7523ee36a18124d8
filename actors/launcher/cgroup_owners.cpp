// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/cgroup_owners.hpp"

#include <dirent.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

namespace bulkhead::launcher {
namespace {

constexpr std::string_view our_prefix = "bulkhead-";
constexpr int mark_tries = 10;
constexpr int entries_of_a_step = 256;
constexpr int removals_of_a_step = 32;  // the kernel takes a tenth of a millisecond for one
constexpr int rounds_in_vain_max = 8;
constexpr int first_rest_ms = 20;  // then twice that, and so on

/// Takes the digits off; false when there are none.
bool take_number(std::string_view& text) {
  const auto length = std::min(text.find_first_not_of("0123456789"), text.size());
  text.remove_prefix(length);
  return length > 0;
}

bool is_mark(std::string_view name) {
  if (!name.starts_with(our_prefix)) return false;
  name.remove_prefix(our_prefix.size());
  if (!take_number(name) || !name.starts_with('.')) return false;
  name.remove_prefix(1);
  return take_number(name) && name.empty();
}

bool is_group_of(std::string_view mark, std::string_view name) {
  if (!name.starts_with(mark)) return false;
  name.remove_prefix(mark.size());
  if (!name.starts_with('-')) return false;
  name.remove_prefix(1);
  return take_number(name) && name.empty();
}

/// A group of an instance: nothing is looked for beneath it.
bool is_group(std::string_view name) {
  const auto dash = name.rfind('-');
  return dash != std::string_view::npos && is_mark(name.substr(0, dash)) &&
         is_group_of(name.substr(0, dash), name);
}

int open_directory(int base, const char* name) {
  return ::openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/// Of a mark of this user: a descriptor that holds its lock, or -1.
int lock_mark(int base, const char* name) {
  const int mark = open_directory(base, name);
  if (mark < 0) return -1;
  struct stat opened {
  }, named{};
  // Whom it was locked away from may have removed it meanwhile.
  if (::flock(mark, LOCK_EX | LOCK_NB) == 0 && ::fstat(mark, &opened) == 0 &&
      ::fstatat(base, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && opened.st_ino == named.st_ino &&
      opened.st_uid == ::geteuid())
    return mark;
  ::close(mark);
  return -1;
}

/// The next entry of a buffer that getdents64 fills; null at the end of the directory.
const dirent64* next_entry(int directory, char* bytes, std::size_t room, long& size, long& at) {
  if (at >= size) {
    size = ::syscall(SYS_getdents64, directory, bytes, room);
    at = 0;
    if (size <= 0) return nullptr;
  }
  const auto* const entry = reinterpret_cast<const dirent64*>(bytes + at);
  at += entry->d_reclen;
  return entry;
}

}  // namespace

mark_name new_mark() {
  std::uint32_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) random = 0;
  mark_name name;
  name << our_prefix << static_cast<std::uint64_t>(::getpid()) << "." << random;
  return name;
}

bool set_mark(int base, const mark_name& mark) {
  for (int tries = 0; tries < mark_tries; ++tries) {
    if (::mkdirat(base, mark.c_str(), S_IRWXU) != 0 && errno != EEXIST) return false;
    if (lock_mark(base, mark.c_str()) >= 0) return true;  // it stays open
    // A sweep came in between, and is about to remove it.
    ::poll(nullptr, 0, 1);
  }
  return false;
}

bool remove_group(int base, const char* name) {
  return ::unlinkat(base, name, AT_REMOVEDIR) == 0 || errno != EBUSY;
}

void kill_group(int base, const char* name) {
  group_name group;
  group << name << "/cgroup.kill";
  write_file(base, group.c_str(), "1");
}

void group_sweep::add(const path_text& top) {
  tops_[top_count_++] = top;
  over_ = false;
}

int group_sweep::due_in(std::int64_t now_ms) const {
  if (over_) return -1;
  return now_ms >= not_before_ms_ ? 0 : static_cast<int>(not_before_ms_ - now_ms);
}

void group_sweep::step(std::int64_t now_ms) {
  for (int n = 0; n < entries_of_a_step; ++n) {
    if (depth_ == 0 && !enter_next_top()) return rest(now_ms);
    if (depth_ > 0) look_at_next(levels_[depth_ - 1]);
  }
}

bool group_sweep::enter_next_top() {
  if (next_top_ == top_count_) return false;
  enter(open_directory(AT_FDCWD, tops_[next_top_++].c_str()));
  return true;
}

void group_sweep::enter(int directory) {
  if (directory < 0) return;
  levels_[depth_++].directory = directory;  // of which nothing has been read
}

void group_sweep::look_at_next(level& here) {
  const auto* const entry =
      next_entry(here.directory, here.entries.data(), here.entries.size(), here.size, here.at);
  if (entry == nullptr) {
    ::close(here.directory);
    --depth_;
    return;
  }
  const std::string_view name{entry->d_name};
  if (entry->d_type != DT_DIR || name == "." || name == ".." || is_group(name)) return;
  if (is_mark(name))
    judge(here.directory, name);
  else if (depth_ < depth_max)
    enter(open_directory(here.directory, entry->d_name));
}

void group_sweep::judge(int base, std::string_view mark) {
  mark_name name;
  name << mark;
  const int lock = lock_mark(base, name.c_str());
  if (lock < 0) return;  // its owner lives, or it is another user's
  if (remove_groups_of(base, mark) && remove_group(base, name.c_str()))
    removed_some_ = true;
  else
    left_some_ = true;
  ::close(lock);
}

/// False: some are left.
bool group_sweep::remove_groups_of(int base, std::string_view mark) {
  const int again = open_directory(base, ".");
  if (again < 0) return false;
  alignas(8) std::array<char, 4096> bytes;
  bool all = true;
  int removals = 0;
  for (long size = 0, at = 0; removals < removals_of_a_step;) {
    const auto* const entry = next_entry(again, bytes.data(), bytes.size(), size, at);
    if (entry == nullptr) break;
    if (!is_group_of(mark, entry->d_name)) continue;
    ++removals;
    kill_group(base, entry->d_name);
    const bool gone = remove_group(base, entry->d_name);
    removed_some_ = removed_some_ || gone;
    all = all && gone;
  }
  ::close(again);
  return all && removals < removals_of_a_step;
}

/// After a round. Another one when there is something to come back to.
void group_sweep::rest(std::int64_t now_ms) {
  rounds_in_vain_ = removed_some_ ? 0 : rounds_in_vain_ + 1;
  over_ = !left_some_ || rounds_in_vain_ > rounds_in_vain_max;
  not_before_ms_ = now_ms + (first_rest_ms << rounds_in_vain_);
  left_some_ = removed_some_ = false;
  next_top_ = 0;
}

}  // namespace bulkhead::launcher
