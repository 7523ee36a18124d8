// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/cgroups.hpp"

#include <sys/stat.h>

#include "actors/launcher/group_base.hpp"

namespace bulkhead::launcher {
namespace {

constexpr std::array<const char*, controllers> old_names{"memory", "pids", "cpu", "blkio"};
static_assert(controllers + 1 <= group_sweep::tops_max);

/// Of version 1.
const char* old_name_of(controller which) {
  return old_names[static_cast<std::size_t>(which)];
}

/// -1 and errno, EPERM for another user's.
int open_base(const path_text& path) {
  const int base = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct stat found {};
  if (base < 0 || (::fstat(base, &found) == 0 && is_safe_owner(found.st_uid))) return base;
  ::close(base);
  return errno = EPERM, -1;
}

int open_in(int base, const group_name& group, std::string_view file, int flags) {
  path_text path;
  path << group.view() << "/" << file;
  return ::openat(base, path.c_str(), flags | O_CLOEXEC);
}

/// 0, or errno. To the groups beneath.
int hand_on(int base, controller which) {
  short_text<16> add;
  add << "+" << controller_names[static_cast<std::size_t>(which)];
  return write_file(base, "cgroup.subtree_control", add.view());
}

}  // namespace

void group_entry::close_all() const {
  for (const int each : {join[0], join[1], join[2], join[3], unified, memory_events})
    if (each >= 0) ::close(each);
}

void cgroups::find_unified() {
  group_place found;
  path_text base;
  unified_.unified = true;
  unified_.error = unified_place(found);
  if (unified_.error == 0) unified_.error = find_group_base(found, base);
  if (unified_.error == 0) {
    unified_.base = open_base(base);
    if (unified_.base < 0) unified_.error = errno;
  }
  if (unified_.base >= 0) mark(unified_, found.top);
  for (const auto which : all_controllers) {
    auto& entry = controllers_[static_cast<std::size_t>(which)];
    entry.error = unified_.error;
    if (entry.error == 0) entry.error = hand_on(unified_.base, which);
    if (entry.error == 0) entry = unified_;
  }
}

void cgroups::find_old(controller which) {
  auto& entry = controllers_[static_cast<std::size_t>(which)];
  if (entry.base >= 0) return;
  group_place found;
  const int error = old_place(old_name_of(which), found);
  if (error != 0) return;  // and that of version 2 stays
  entry = {open_base(found.own), 0, false};
  if (entry.base < 0)
    entry.error = errno;
  else
    mark(entry, found.top);
}

/// Who can set no mark can make no groups, and has none to remove.
void cgroups::mark(hierarchy& where, const path_text& top) {
  where.marked = set_mark(where.base, mark_);
  if (where.marked) sweep_.add(top);
}

void cgroups::find() {
  mark_ = new_mark();
  find_unified();
  for (const auto which : all_controllers) find_old(which);
}

group_name cgroups::next_group() {
  group_name name;
  name << mark_.view() << "-" << ++made_;
  return name;
}

group_entry cgroups::make(birth_report& report, std::uint64_t wanted,
                          const group_name& name) const {
  group_entry entry;
  const auto make_in = [&](const hierarchy& where) {
    if (where.base < 0) return where.error;
    return ::mkdirat(where.base, name.c_str(), 0755) == 0 || errno == EEXIST ? 0 : errno;
  };
  bool born_into = has(wanted, wall::cgroup_kill);
  for (const auto which : all_controllers) {
    if (!has(wanted, wall_of(which))) continue;
    const auto& where = of(which);
    born_into = born_into || where.unified;
    int error = make_in(where);
    int& join = entry.join[static_cast<std::size_t>(which)];
    if (error == 0 && !where.unified) {
      join = open_in(where.base, name, "tasks", O_WRONLY);
      if (join < 0) error = errno;
    }
    if (error != 0)
      missing(report, wall_of(which), error);
    else
      stands(report, wall_of(which));
    if (which == controller::memory && error == 0)
      entry.memory_events = open_in(
          where.base, name, where.unified ? "memory.events" : "memory.oom_control", O_RDONLY);
  }
  if (!born_into) return entry;
  int error = make_in(unified_);
  if (error == 0) {
    entry.unified = ::openat(unified_.base, name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (entry.unified < 0) error = errno;
  }
  if (!has(wanted, wall::cgroup_kill)) return entry;
  if (error == 0 && ::faccessat(entry.unified, "cgroup.kill", F_OK, 0) != 0) error = errno;
  if (error != 0)
    missing(report, wall::cgroup_kill, error);
  else
    stands(report, wall::cgroup_kill);
  return entry;
}

void cgroups::not_entered(birth_report& report, std::uint64_t wanted, int error) const {
  const auto note = [&](wall which) {
    if (has(wanted, which) && is_up(report, which)) missing(report, which, error);
  };
  for (const auto which : all_controllers)
    if (of(which).unified) note(wall_of(which));
  note(wall::cgroup_kill);
}

int cgroups::write(controller which, const group_name& name, const resource_limits& limits) const {
  return write_limits(of(which).base, name.view(), which, of(which).unified, limits);
}

void cgroups::limit(birth_report& report, std::uint64_t wanted, const group_name& name,
                    const resource_limits& limits) const {
  for (const auto which : all_controllers) {
    if (!has(wanted, wall_of(which)) || !is_up(report, wall_of(which))) continue;
    const int error = write(which, name, limits);
    if (error != 0) missing(report, wall_of(which), error);
  }
}

int cgroups::change(const group_name& name, const resource_limits& limits,
                    std::uint8_t& which) const {
  int done = ENOSYS;
  for (const auto each : all_controllers) {
    path_text path;
    path << name.view();
    if (of(each).base < 0 || ::faccessat(of(each).base, path.c_str(), F_OK, 0) != 0) continue;
    const int error = write(each, name, limits);
    const bool as_without = each == controller::io && limits.io_weight == io_weight_common;
    if (error == ENOENT && as_without) continue;
    if (error != 0) {
      which = static_cast<std::uint8_t>(index_of(wall_of(each)));
      return error;
    }
    done = 0;
  }
  return done;
}

bool cgroups::remove(const group_name& name) const {
  bool all = true;
  if (unified_.base >= 0) {
    kill_group(unified_.base, name.c_str());
    all = remove_group(unified_.base, name.c_str());
  }
  for (const auto& each : controllers_)
    if (each.base >= 0 && !each.unified) all = remove_group(each.base, name.c_str()) && all;
  return all;
}

void cgroups::leave() const {
  if (unified_.marked) remove_group(unified_.base, mark_.c_str());
  for (const auto& each : controllers_)
    if (each.marked && !each.unified) remove_group(each.base, mark_.c_str());
}

}  // namespace bulkhead::launcher
