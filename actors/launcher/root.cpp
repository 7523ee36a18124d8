// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/root.hpp"

#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "actors/launcher/kernel.hpp"

namespace bulkhead::launcher {
namespace {

/// A tmpfs that is mounted nowhere yet: its descriptor, or -1.
int make_tmpfs(const char* bytes, const char* files, unsigned attributes) {
  const int plan = ::fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (plan < 0) return -1;
  int made = -1;
  if (::fsconfig(plan, FSCONFIG_SET_STRING, "size", bytes, 0) == 0 &&
      ::fsconfig(plan, FSCONFIG_SET_STRING, "nr_inodes", files, 0) == 0 &&
      ::fsconfig(plan, FSCONFIG_SET_STRING, "mode", "0555", 0) == 0 &&
      ::fsconfig(plan, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
    made = ::fsmount(plan, FSMOUNT_CLOEXEC, attributes);
  close_keeping_errno(plan);
  return made;
}

/// Puts the mount on top of the root; the working directory is then in it.
int cover_root(int root) {
  if (::move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) return -1;
  return ::fchdir(root);
}

/// What covers the root becomes it, read-only; the host's goes.
int move_into_place(int root) {
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  if (::mount_setattr(root, "", AT_EMPTY_PATH, &read_only, sizeof read_only) != 0) return -1;
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return -1;
  if (::umount2(".", MNT_DETACH) != 0) return -1;
  return ::chdir("/");
}

/// What happens to the mounts here stays here.
int keep_mounts_private() {
  return ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
}

/// Makes the directories above `place`, a valid one, beneath the working directory.
int make_parents(const char* place) {
  path_text path;
  for (const char* part = place + 1;;) {
    const char* const end = std::strchr(part, '/');
    if (end == nullptr) return 0;
    path << std::string_view{part, static_cast<std::size_t>(end - part)};
    if (!path.fits()) return errno = ENAMETOOLONG, -1;
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return -1;
    path << "/";
    part = end + 1;
  }
}

int copy_file(int from, const char* to) {
  struct stat file {};
  if (::fstat(from, &file) != 0) return -1;
  const int made = ::open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0555);
  if (made < 0) return -1;
  off_t done = 0;
  ssize_t rc = 1;
  while (rc > 0 && done < file.st_size)
    rc = ::sendfile(made, from, &done, static_cast<std::size_t>(file.st_size - done));
  const int error = rc < 0 ? errno : done == file.st_size ? 0 : EIO;
  ::close(made);
  errno = error;
  return error == 0 ? 0 : -1;
}

/// A copy of the mount that the descriptor lies on, from there down, found by its path: a mount of
/// the broker's namespace cannot be used in this one.
int tree_of(int what) {
  path_text link;
  link << "/proc/self/fd/" << static_cast<std::uint64_t>(what);
  std::array<char, 4096> path{};
  const auto length = ::readlink(link.c_str(), path.data(), path.size() - 1);
  if (length < 0) return -1;
  const int tree =
      ::open_tree(AT_FDCWD, path.data(),
                  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
  if (tree < 0) return -1;
  struct stat meant {
  }, found{};
  if (::fstat(what, &meant) == 0 && ::fstat(tree, &found) == 0 && meant.st_dev == found.st_dev &&
      meant.st_ino == found.st_ino)
    return tree;
  ::close(tree);
  return errno = ESTALE, -1;
}

int bind(int what, placement_kind kind, const char* place, bool is_tree) {
  const int tree = is_tree ? what : make_tree(what, kind);
  if (tree < 0) return -1;
  const int rc = ::move_mount(tree, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH);
  if (!is_tree) close_keeping_errno(tree);
  return rc;
}

/// `place` begins with a slash, and means the working directory.
int put(int what, placement_kind kind, const char* place, bool trees) {
  if (make_parents(place) != 0) return -1;
  const char* const path = place + 1;
  if (kind == placement_kind::file) return copy_file(what, path);
  if (kind == placement_kind::device) {
    const int made = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444);
    if (made < 0) return -1;
    ::close(made);
  } else if (::mkdir(path, 0755) != 0 && errno != EEXIST) {
    return -1;
  }
  return bind(what, kind, path, trees && kind != placement_kind::device);
}

struct room {
  std::uint64_t bytes = 4096;
  std::uint64_t files = 2;
};

room room_for(const start_order& order, std::span<const int> fds) {
  constexpr std::uint64_t page = 4096;
  room needed;
  for (std::size_t n = 0; n < order.placements; ++n) {
    for (const char* place = place_of(order, n); *place != '\0'; ++place)
      if (*place == '/') ++needed.files, needed.bytes += page;
    struct stat file {};
    if (order.placed[n] == placement_kind::file && ::fstat(fds[n], &file) == 0)
      needed.bytes += (static_cast<std::uint64_t>(file.st_size) + page - 1) / page * page;
  }
  return needed;
}

int fill(const start_order& order, std::span<const int> fds, bool trees) {
  for (std::size_t n = 0; n < order.placements; ++n)
    if (order.placed[n] != placement_kind::descriptor &&
        put(fds[n], order.placed[n], place_of(order, n), trees) != 0)
      return -1;
  return 0;
}

}  // namespace

int make_tree(int what, placement_kind kind, int id_map) {
  mount_attr how{};
  how.attr_set = MOUNT_ATTR_NOSUID;
  if (kind != placement_kind::device) how.attr_set |= MOUNT_ATTR_NODEV;
  // What can be written cannot become code, as a file that is mapped to be executed.
  how.attr_set |= kind == placement_kind::read_directory ? MOUNT_ATTR_RDONLY : MOUNT_ATTR_NOEXEC;
  if (id_map >= 0) {
    how.attr_set |= MOUNT_ATTR_IDMAP;
    how.userns_fd = static_cast<std::uint64_t>(id_map);
  }
  const int tree = tree_of(what);
  if (tree < 0) return -1;
  if (::mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &how, sizeof how) == 0) return tree;
  close_keeping_errno(tree);
  return -1;
}

int make_empty_root() {
  if (keep_mounts_private() != 0) return errno;
  const int root = make_tmpfs("4k", "2", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (root < 0) return errno;
  const int error = cover_root(root) == 0 && move_into_place(root) == 0 ? 0 : errno;
  ::close(root);
  return error;
}

int make_filled_root(const start_order& order, std::span<const int> fds, bool trees) {
  if (keep_mounts_private() != 0) return errno;
  const auto needed = room_for(order, fds);
  short_text<32> bytes, files;
  bytes << needed.bytes;
  files << needed.files;
  const unsigned noexec = order.form == program_form::static_program ? MOUNT_ATTR_NOEXEC : 0;
  const int root =
      make_tmpfs(bytes.c_str(), files.c_str(), MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | noexec);
  if (root < 0) return errno;
  ::umask(0);
  const int error =
      cover_root(root) == 0 && fill(order, fds, trees) == 0 && move_into_place(root) == 0 ? 0
                                                                                          : errno;
  ::close(root);
  return error;
}

void raise_namespace_limits(birth_report& report, int directory) {
  int error = directory < 0 ? ENOENT : 0;
  for (const char* const name : {"max_user_namespaces", "max_pid_namespaces", "max_mnt_namespaces",
                                 "max_net_namespaces", "max_ipc_namespaces", "max_uts_namespaces",
                                 "max_cgroup_namespaces", "max_time_namespaces"}) {
    if (error == 0) error = write_file(directory, name, "0");
  }
  if (error == 0)
    stands(report, wall::namespace_limits);
  else
    missing(report, wall::namespace_limits, error);
}

}  // namespace bulkhead::launcher
