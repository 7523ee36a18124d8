// SPDX-License-Identifier: Apache-2.0
// Threat 3 and 14: from a plugin to the files of the host.
#include <dirent.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <string_view>

#include "tests/hostile/attack.hpp"
#include "tests/hostile/calls.hpp"

namespace hostile {

namespace {

using path_text = std::array<char, 512>;

path_text inside(const targets& at, const char* name) {
  path_text path{};
  snprintf(path.data(), path.size(), "%s/%s", at.directory, name);
  return path;
}

int open_at(const char* path, int flags) {
  return static_cast<int>(call(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600));
}

/// Success: the file opens and has bytes.
outcome reads(const char* path) {
  const int file = open_at(path, O_RDONLY);
  if (file < 0) return blocked();
  char byte = 0;
  const long got = call(SYS_read, file, &byte, 1UL);
  call(SYS_close, file);
  return got < 0 ? blocked() : worked_if(got == 1);
}

outcome reads_of_victim(const targets& at, const char* name) {
  path_text path{};
  snprintf(path.data(), path.size(), "/proc/%d/%s", at.victim, name);
  return reads(path.data());
}

outcome reads_canary_by(const targets& at, long number) {
  if (number == SYS_open) {
    const auto file = static_cast<int>(call(SYS_open, at.canary, O_RDONLY, 0));
    return file < 0 ? blocked() : reads_secret(file);
  }
  struct {
    std::uint64_t flags, mode, resolve;
  } how{O_RDONLY, 0, 0};
  const auto file = static_cast<int>(call(SYS_openat2, AT_FDCWD, at.canary, &how, sizeof how));
  return file < 0 ? blocked() : reads_secret(file);
}

outcome writes_new(const char* path) {
  const int file = open_at(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (file < 0) return blocked();
  const long put = call(SYS_write, file, "x", 1UL);
  const outcome result = worked(put);
  call(SYS_close, file);
  call(SYS_unlink, path);
  return result;
}

outcome fills_disk(const targets& at) {
  const auto path = inside(at, "disk");
  const int file = open_at(path.data(), O_WRONLY | O_CREAT | O_TRUNC);
  if (file < 0) return blocked();
  static std::array<char, 1 << 16> block{};
  outcome result = succeeded();
  for (int count = 0; count < 128 && result.what == verdict::succeeded; ++count) {
    result = worked(call(SYS_write, file, block.data(), block.size()));
  }
  call(SYS_close, file);
  call(SYS_unlink, path.data());
  return result;
}

outcome lists(const char* path) {
  const int directory = open_at(path, O_RDONLY | O_DIRECTORY);
  if (directory < 0) return blocked();
  alignas(8) std::array<char, 4096> entries{};
  const long size = call(SYS_getdents64, directory, entries.data(), entries.size());
  call(SYS_close, directory);
  if (size < 0) return blocked();
  constexpr long dots = 48;  // what an empty directory answers: itself and its parent
  return worked_if(size > dots);
}

outcome makes_hard_link(const targets& at) {
  const auto path = inside(at, "hard-link");
  if (call(SYS_linkat, AT_FDCWD, at.canary, AT_FDCWD, path.data(), 0) < 0) return blocked();
  call(SYS_unlink, path.data());
  return succeeded();
}

outcome makes_symbolic_link(const targets& at) {
  const auto path = inside(at, "symbolic-link");
  if (call(SYS_symlinkat, "/etc", AT_FDCWD, path.data()) < 0) return blocked();
  call(SYS_unlink, path.data());
  return succeeded();
}

outcome makes_node(const targets& at, unsigned mode, unsigned device) {
  const auto path = inside(at, "node");
  if (call(SYS_mknodat, AT_FDCWD, path.data(), mode | 0600U, device) < 0) return blocked();
  call(SYS_unlink, path.data());
  return succeeded();
}

outcome makes_directory(const targets& at) {
  const auto path = inside(at, "made");
  if (call(SYS_mkdirat, AT_FDCWD, path.data(), 0700) < 0) return blocked();
  call(SYS_rmdir, path.data());
  return succeeded();
}

outcome renames(const targets& at) {
  const auto from = inside(at, "from");
  const auto onto = inside(at, "onto");
  const int file = open_at(from.data(), O_WRONLY | O_CREAT);
  if (file >= 0) call(SYS_close, file);
  const outcome result =
      worked(call(SYS_renameat2, AT_FDCWD, from.data(), AT_FDCWD, onto.data(), 0));
  call(SYS_unlink, onto.data());
  return result;
}

struct file_handle_text {
  unsigned bytes = 128;
  int type = 0;
  std::array<unsigned char, 128> value{};
};

outcome opens_by_handle(const targets& at, bool open) {
  file_handle_text handle;
  int mount = 0;
  if (call(SYS_name_to_handle_at, AT_FDCWD, at.canary, &handle, &mount, 0) < 0) return blocked();
  if (!open) return succeeded();
  const auto file = static_cast<int>(call(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY));
  return file < 0 ? blocked() : reads_secret(file);
}

outcome watches(const targets& at) {
  const auto watch = static_cast<int>(call(SYS_inotify_init1, 0));
  if (watch < 0) return blocked();
  return worked(call(SYS_inotify_add_watch, watch, at.directory, IN_ALL_EVENTS));
}

outcome watches_all(const targets& at) {
  const auto watch =
      static_cast<int>(call(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY));
  if (watch < 0) return blocked();
  return worked(
      call(SYS_fanotify_mark, watch, FAN_MARK_ADD, std::uint64_t{FAN_OPEN}, AT_FDCWD, at.canary));
}

outcome unmounts(const targets& at) {
  // The directory is not a mount: EINVAL tells that one would have been unmounted.
  const long result = call(SYS_umount2, at.directory, UMOUNT_NOFOLLOW);
  return worked_if(result == 0 || errno == EINVAL);
}

outcome probes(const targets& at) {
  struct stat found {};
  return worked(call(SYS_newfstatat, AT_FDCWD, at.canary, &found, 0));
}

outcome probes_by_statx(const targets& at) {
  struct statx found {};
  return worked(call(SYS_statx, AT_FDCWD, at.canary, 0, STATX_BASIC_STATS, &found));
}

outcome reads_link(const char* path) {
  path_text target{};
  return worked(call(SYS_readlinkat, AT_FDCWD, path, target.data(), target.size()));
}

outcome climbs_out(const targets&) {
  // Up from wherever it stands: a root that is only a chroot lets one through.
  for (int step = 0; step < 64; ++step) call(SYS_chdir, "..");
  return reads("etc/passwd");
}

/// Of the length of files.
constexpr const char* over_its_limit = "SIGXFSZ";

constexpr attack table[] = {
    {"read_canary", 3, "reads a file of its user's",
     [](const targets& at) {
       const int file = open_at(at.canary, O_RDONLY);
       return file < 0 ? blocked() : reads_secret(file);
     }},
    {"read_by_open", 3, "reads a file by the old call",
     [](const targets& at) { return reads_canary_by(at, SYS_open); }},
    {"read_by_openat2", 3, "reads a file by the new call",
     [](const targets& at) { return reads_canary_by(at, SYS_openat2); }},
    {"read_passwd", 3, "reads a file of the system",
     [](const targets&) { return reads("/etc/passwd"); }},
    {"climb", 3, "leaves its root by the parent directory", climbs_out},
    {"write_file", 3, "writes a file",
     [](const targets& at) { return writes_new(inside(at, "written").data()); }, nullptr,
     over_its_limit},
    {"write_tmp", 3, "writes into the temporary directory",
     [](const targets& at) { return writes_new(at.scratch); }, nullptr, over_its_limit},
    {"write_shm", 3, "writes into the directory of shared memory",
     [](const targets& at) {
       path_text path{};
       const char* name = strrchr(at.scratch, '/');
       snprintf(path.data(), path.size(), "/dev/shm%s", name == nullptr ? "/x" : name);
       return writes_new(path.data());
     },
     nullptr, over_its_limit},
    {"write_root", 3, "writes into its own root",
     [](const targets&) { return writes_new("/written"); }, "the root directory belongs to root",
     over_its_limit},
    {"mkdir", 3, "makes a directory", makes_directory},
    {"rename", 3, "renames a file", renames},
    {"truncate", 3, "changes a file by its name",
     [](const targets& at) { return worked(call(SYS_truncate, at.canary, 4096L)); }},
    {"chmod", 3, "changes the rights of a file",
     [](const targets& at) { return worked(call(SYS_fchmodat, AT_FDCWD, at.canary, 0600)); }},
    {"setxattr", 3, "attaches bytes to a file",
     [](const targets& at) {
       return worked(call(SYS_setxattr, at.canary, "user.hostile", "x", 1UL, 0));
     },
     "a file system may be without extended attributes"},
    {"list_root", 3, "lists the root", [](const targets&) { return lists("/"); }},
    {"stat_probe", 3, "learns that a file exists", probes},
    {"statx_probe", 3, "learns that a file exists, by the new call", probes_by_statx},
    {"access_probe", 3, "learns what it may do with a file",
     [](const targets& at) { return worked(call(SYS_faccessat, AT_FDCWD, at.canary, R_OK)); }},
    {"statfs", 3, "learns about a file system",
     [](const targets& at) {
       alignas(8) std::array<char, 256> found{};
       return worked(call(SYS_statfs, at.directory, found.data()));
     }},
    {"proc_environ", 3, "reads another process's environment",
     [](const targets& at) { return reads_of_victim(at, "environ"); }},
    {"proc_cmdlines", 3, "reads another process's command line",
     [](const targets& at) { return reads_of_victim(at, "cmdline"); }},
    {"proc_maps", 3, "reads another process's memory map",
     [](const targets& at) { return reads_of_victim(at, "maps"); }},
    {"proc_self_exe", 3, "learns where its file lies",
     [](const targets&) { return reads_link("/proc/self/exe"); }},
    {"proc_mounts", 3, "learns what is mounted",
     [](const targets&) { return reads("/proc/self/mounts"); }},
    {"proc_sys", 3, "reads settings of the kernel",
     [](const targets&) { return reads("/proc/sys/kernel/random/boot_id"); }},
    {"proc_net", 3, "learns who is connected",
     [](const targets&) { return reads("/proc/self/net/unix"); }},
    {"sysfs", 3, "reads what the machine is made of",
     [](const targets&) { return reads("/sys/devices/system/cpu/online"); }},
    {"cgroupfs", 3, "lists the control groups",
     [](const targets&) { return lists("/sys/fs/cgroup"); }},
    {"dev", 3, "opens a device", [](const targets&) { return reads("/dev/zero"); }},
    {"dev_ptmx", 3, "opens a terminal",
     [](const targets&) { return worked(open_at("/dev/ptmx", O_RDWR | O_NOCTTY)); }},
    {"mknod", 3, "makes a device", [](const targets& at) { return makes_node(at, S_IFCHR, 0x103); },
     "needs root"},
    {"mkfifo", 3, "makes a named pipe",
     [](const targets& at) { return makes_node(at, S_IFIFO, 0); }},
    {"hardlink", 3, "links a file elsewhere", makes_hard_link},
    {"symlink", 3, "makes a symbolic link", makes_symbolic_link},
    {"handle", 3, "opens a file by its number",
     [](const targets& at) { return opens_by_handle(at, true); }, "needs root"},
    {"name_to_handle", 3, "learns a file's number",
     [](const targets& at) { return opens_by_handle(at, false); }},
    {"chroot", 3, "changes its root",
     [](const targets& at) { return worked(call(SYS_chroot, at.directory)); }, "needs root"},
    {"chdir", 3, "enters a directory",
     [](const targets& at) { return worked(call(SYS_chdir, at.directory)); }},
    {"pivot_root", 3, "exchanges its root",
     [](const targets& at) { return worked(call(SYS_pivot_root, at.directory, at.directory)); },
     "needs root"},
    {"mount", 3, "mounts a file system",
     [](const targets& at) {
       return worked(call(SYS_mount, "none", at.directory, "tmpfs", MS_NOSUID, nullptr));
     },
     "needs root"},
    {"umount", 3, "unmounts", unmounts, "needs root"},
    {"fsopen", 3, "begins a mount",
     [](const targets&) { return worked(call(SYS_fsopen, "tmpfs", 0)); }, "needs root"},
    {"open_tree", 3, "gets a handle on a mount",
     [](const targets& at) { return worked(call(SYS_open_tree, AT_FDCWD, at.directory, 0)); }},
    {"inotify", 3, "watches a directory", watches},
    {"fanotify", 3, "watches a file", watches_all},
    {"disk", 14, "fills the disk", fills_disk, nullptr, over_its_limit},
};

}  // namespace

std::span<const attack> file_attacks() {
  return table;
}

}  // namespace hostile
