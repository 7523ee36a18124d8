// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/granted.hpp"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

#include "actors/launcher/kernel.hpp"
#include "actors/launcher/root.hpp"

namespace bulkhead::launcher {
namespace {

constexpr std::uint32_t ids_end = 0xffffffff;  // which is no id
constexpr mode_t everybody_reads = S_IROTH | S_IXOTH;

using map_text = short_text<256>;

void add_range(map_text& map, std::uint32_t from, std::uint32_t to, std::uint32_t count) {
  if (count != 0) map << from << " " << to << " " << count << "\n";
}

/// On the disk `id`, to the instance `as`; all others are the same on both sides, but for `as`
/// itself, which is nobody.
map_text map_of(std::uint32_t id, std::uint32_t as) {
  const auto low = std::min(id, as), high = std::max(id, as);
  map_text map;
  add_range(map, 0, 0, low);
  add_range(map, id, as, 1);
  if (id != as) add_range(map, low + 1, low + 1, high - low - 1);
  add_range(map, high + 1, high + 1, ids_end - high - 1);
  return map;
}

map_text same_ids() {
  map_text map;
  add_range(map, 0, 0, ids_end);
  return map;
}

/// A process that is there for its user namespace, until it is killed, or its parent is gone.
pid_t hold_user_namespace(int& handle) {
  const pid_t parent = ::getpid();
  const pid_t holder = copy_process(CLONE_NEWUSER, handle);
  if (holder != 0) return holder;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  while (::getppid() == parent) ::pause();
  ::_exit(0);
}

/// The namespace of that process, or -1 and errno.
int mapped_namespace(pid_t holder, const map_text& users, const map_text& groups) {
  path_text process, path;
  process << "/proc/" << static_cast<std::uint64_t>(holder) << "/";
  path << process.view() << "uid_map";
  errno = write_file(AT_FDCWD, path.c_str(), users.view());
  if (errno != 0) return -1;
  path = {};
  path << process.view() << "gid_map";
  errno = write_file(AT_FDCWD, path.c_str(), groups.view());
  if (errno != 0) return -1;
  path = {};
  path << process.view() << "ns/user";
  return ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
}

}  // namespace

granted_directories::granted_directories(std::span<const int> descriptors, std::uint32_t broker)
    : count_{descriptors.size()}, broker_{broker} {
  std::copy(descriptors.begin(), descriptors.end(), fds_.begin());
}

granted_directories::~granted_directories() {
  for (std::size_t n = 0; n < made_count_; ++n) ::close(made_[n]);
  if (map_ >= 0) ::close(map_);
}

/// -1 and errno when there is none. It stays this object's.
int granted_directories::id_map(std::uint32_t owner, std::uint32_t group, std::uint32_t user) {
  if (map_ >= 0 && map_owner_ == owner && map_group_ == group) return map_;
  if (map_ >= 0) ::close(map_);
  map_ = -1;
  int handle = -1;
  const pid_t holder = hold_user_namespace(handle);
  if (holder < 0) return -1;
  map_ =
      mapped_namespace(holder, map_of(owner, user), group != 0 ? map_of(group, user) : same_ids());
  const int error = errno;
  ::syscall(SYS_pidfd_send_signal, handle, SIGKILL, nullptr, 0);
  siginfo_t ignored{};
  ::waitid(P_PIDFD, static_cast<id_t>(handle), &ignored, WEXITED | __WALL);
  ::close(handle);
  map_owner_ = owner;
  map_group_ = group;
  errno = error;
  return map_;
}

int granted_directories::open_one(int& fd, placement_kind kind, std::uint32_t user, bool mounts) {
  struct stat found {};
  if (::fstat(fd, &found) != 0) return errno;
  const bool writes = kind == placement_kind::write_directory;
  const bool roots = found.st_uid == 0;
  const bool open_to_all = !writes && (found.st_mode & everybody_reads) == everybody_reads;
  const bool others = roots || (broker_ != 0 && found.st_uid != broker_);
  if (others && !open_to_all) return roots && writes ? EPERM : EACCES;
  if (!mounts) return open_to_all ? 0 : EOPNOTSUPP;
  int tree = -1;
  if (!others) {
    const int map = id_map(found.st_uid, found.st_gid, user);
    if (map >= 0) tree = make_tree(fd, kind, map);
    if (tree < 0 && !open_to_all) return errno;
  }
  if (tree < 0) tree = make_tree(fd, kind);
  if (tree < 0) return errno;
  fd = made_[made_count_++] = tree;
  return 0;
}

int granted_directories::open(const start_order& order, std::uint32_t user, bool mounts) {
  for (std::size_t n = 0; n < order.placements; ++n) {
    const auto kind = order.placed[n];
    if (kind != placement_kind::read_directory && kind != placement_kind::write_directory) continue;
    const int error = open_one(fds_[start_fds + n], kind, user, mounts);
    if (error == 0) continue;
    failed_ = static_cast<std::uint8_t>(n);
    return error;
  }
  return 0;
}

}  // namespace bulkhead::launcher
