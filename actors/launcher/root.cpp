// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/root.hpp"

#include <sys/mount.h>

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
  const int error = errno;
  ::close(plan);
  errno = error;
  return made;
}

/// Puts the mount on top of the root and then in its place; the host's goes.
int move_into_place(int root) {
  if (::move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) return -1;
  if (::fchdir(root) != 0) return -1;
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  if (::mount_setattr(root, "", AT_EMPTY_PATH, &read_only, sizeof read_only) != 0) return -1;
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return -1;
  if (::umount2(".", MNT_DETACH) != 0) return -1;
  return ::chdir("/");
}

}  // namespace

int make_empty_root() {
  // What happens to the mounts here stays here.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
  const int root = make_tmpfs("4k", "2", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  if (root < 0) return errno;
  const int error = move_into_place(root) == 0 ? 0 : errno;
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
