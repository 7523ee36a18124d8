// SPDX-License-Identifier: Apache-2.0
// What each wall is good for: all attacks with one wall taken away, with groups of them taken away,
// and with one wall standing alone.
//
// The second is what keeps the walls behind the filter honest: as long as the filter stands nearly
// nothing reaches them, and whether they stand would not show. So what may get through without it
// is listed, attack by attack; one that is not in the list must be stopped by what is left.
#include <catch2/catch.hpp>
#include <iostream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "tests/hostile/campaign.hpp"

namespace hostile {

namespace {

std::set<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

const wall_set namespaces = walls({wall::user_namespace, wall::pid_namespace, wall::mount_namespace,
                                   wall::net_namespace, wall::ipc_namespace, wall::uts_namespace,
                                   wall::cgroup_namespace, wall::namespace_limits});

/// What the filter alone stands before: parts of the kernel that neither a namespace nor Landlock
/// nor a limit keeps anybody from.
const char* const only_filtered =
    "process_mrelease shm_make sem_make msg_make keyring key_persistent key_session inet6 "
    "netlink netlink_diag vsock socketpair ifconf reconnect setsockopt oob recvmsg scm "
    "unshare_files clone3 dual_shm perf uffd ldt personality seccomp seccomp_listener splice "
    "vmsplice tee adjtimex timer itimer memfd memfd_secret aio landlock futex_pi "
    "futex_requeue_old futex_wake_op ksm ksm_process madvise_fork growsdown getcpu_sysinfo "
    "mseal_pkey set_mempolicy mbind remap_file_pages subreaper user_dispatch set_mm_size tsc "
    "thp_disable timer_slack arch_get_fs amx listmount statmount futex2_wake futex2_wait "
    "futex2_waitv futex2_requeue mseal lsm_list i386 i386_socket i386_fork pipesz rlimit_set "
    "fork clone vfork clone_files pdeathsig close_range dup_link pipe_direct dumpable "
    "oob_message ";

/// What cannot stand either where these do not: the limits on namespaces are a user namespace's, as
/// the other namespaces are of who is not root; and an init that might gain privileges may have
/// neither Landlock nor a filter.
wall_set fallen_with(const wall_set& without) {
  wall_set fallen;
  if (without.test(index_of(wall::user_namespace))) {
    fallen |= the_world().changes_user() ? walls({wall::namespace_limits}) : namespaces;
  }
  if (without.test(index_of(wall::no_new_privileges))) {
    fallen |= walls({wall::landlock, wall::seccomp});
  }
  return fallen;
}

/// Runs it, prints what got through of what is not in `expected`, and allows of that `allowed`.
void shows(const std::string& name, const wall_set& without, const std::string& allowed,
           const std::string& expected = "") {
  const campaign done = run({name, best_profile(), without, false});
  INFO(name << ": " << done.refusal);
  CHECK(done.refusal.empty());
  if (must_work()) CHECK(names_of(done.unexcused & ~fallen_with(without)) == "nothing");
  const auto through = words_of(got_through(done.found));
  const auto base = words_of(expected);
  const auto listed = words_of(allowed);
  std::cout << name << ": " << through.size() << " of " << done.found.size();
  if (!base.empty()) std::cout << ", beside what only the filter stops";
  for (const std::string& each : through) {
    if (base.count(each) != 0) continue;
    std::cout << " " << each;
    INFO(each << " got through " << name);
    CHECK(listed.count(each) == 1);
  }
  std::cout << std::endl;
  for (const auto& [attack, found] : done.found) {
    INFO(attack << ": " << found.how);
    CHECK(found.what != result::broken);
  }
}

/// What one wall alone stops, where the filter stands.
const std::map<wall, std::string> with_filter{
    {wall::user_namespace, "host_uid"},
    // Root is not held to a number of tasks by a limit, and owns the link.
    {wall::own_uid, "threads fchmod_link"},
    {wall::pid_namespace, "host_pid"},
    {wall::uts_namespace, "host_name"},
    {wall::resource_limits, "mem_heap mem_remap vmem threads sigqueue_thread fds fds_dup fds_high"},
    {wall::cgroup_memory, "mem_protected"},
    {wall::seccomp, only_filtered},
};

/// And where it does not.
const std::map<wall, std::string> without_filter{
    {wall::user_namespace, "unshare_user clone_user clone_all clone3_user"},  // nor limits of them
    {wall::namespace_limits, "unshare_user clone_user clone_all clone3_user"},
    {wall::pid_namespace, "getsid kill_all kill_probe orphan peercred pidfd_open sigio"},
    {wall::mount_namespace,
     "chdir file_getattr inotify name_to_handle open_tree proc_self_exe stat_probe statfs "
     "statx_probe"},
    {wall::net_namespace, "udp"},
    {wall::no_capabilities, "bounding_set keepcaps"},
    {wall::no_new_privileges, "traceme"},  // nor Landlock
    {wall::landlock, "kill_parent listen pidfd_signal_parent traceme"},
    {wall::no_writable_code, "mdwe read_implies_exec rwx stack_exec w2x w2x_pkey w2x_shared x2w"},
    {wall::resource_limits,
     "dual_map forkbomb iouring iouring_register iouring_thread map_locked mlock mlockall "
     "sigqueue"},
    {wall::own_session, "setsid"},
};

/// Besides, for a broker without root: its plugins have its own uid, and keep its groups. Without a
/// user namespace there is then no other.
const char* const same_user = "fchmod_link groups";
const std::map<wall, std::string> without_filter_same_user{
    {wall::user_namespace,
     "getsid kill_all kill_probe orphan peercred pidfd_open sigio host_pid host_name affinity "
     "ioprio_victim nice_victim rlimit_other sched_setattr chdir file_getattr inotify "
     "name_to_handle open_tree proc_self_exe stat_probe statfs statx_probe access_probe chmod "
     "fanotify getxattrat setxattr unix_path send_named udp shm key_search bounding_set keepcaps "
     "threads "
     "forkbomb"},
    {wall::pid_namespace, "affinity ioprio_victim nice_victim rlimit_other"},
    {wall::ipc_namespace, "shm"},
    {wall::mount_namespace, "access_probe chmod fanotify getxattrat setxattr unix_path send_named"},
    {wall::no_capabilities, "dumpable_at_start"},
};
const std::map<wall, std::string> with_filter_same_user{
    {wall::user_namespace, "host_name host_pid threads"},
};

std::string listed(const std::map<wall, std::string>& in, wall which) {
  const auto found = in.find(which);
  return found == in.end() ? "" : found->second;
}

/// What may get through without this wall, and without the filter if `unfiltered`.
std::string allowed_without(wall which, bool unfiltered) {
  const bool user = !the_world().changes_user();
  std::string names = listed(with_filter, which);
  if (user) names += " mem_protected " + listed(with_filter_same_user, which);  // who has no groups
  if (user && which == wall::seccomp) names += std::string(" ") + same_user;
  if (!unfiltered) return names;
  names += " " + listed(without_filter, which);
  if (user) names += std::string(" ") + same_user;
  if (user) names += " " + listed(without_filter_same_user, which);
  return names;
}

/// The wall, and that which cannot be seen to stand without it: a process with capabilities in its
/// namespace may read its program, and so be read.
wall_set with_dependents(wall which) {
  if (which == wall::no_capabilities) return walls({which, wall::not_dumpable});
  return walls({which});
}

/// The wall, and that which it cannot stand without.
wall_set with_foundations(wall which) {
  if (which == wall::not_dumpable) return walls({which, wall::no_capabilities});
  return walls({which});
}

template <class Visitor>
void each_wall(Visitor visit) {
  for (std::size_t each = 0; each < bulkhead::wall_count; ++each) visit(static_cast<wall>(each));
}

}  // namespace

TEST_CASE("with one wall taken away, nothing gets through but what it alone stops") {
  each_wall([](wall which) {
    shows("without " + std::string(to_string(which)), with_dependents(which),
          allowed_without(which, false));
  });
}

TEST_CASE("without the filter and one wall more, nothing gets through but what those two stop") {
  each_wall([](wall which) {
    shows("without seccomp, " + std::string(to_string(which)),
          walls({wall::seccomp}) | with_dependents(which), allowed_without(which, true),
          only_filtered);
  });
}

TEST_CASE("with all namespaces taken away, and one wall more") {
  std::string all;
  std::string unfiltered;
  for (std::size_t each = 0; each < bulkhead::wall_count; ++each) {
    if (!namespaces.test(each)) continue;
    all += " " + allowed_without(static_cast<wall>(each), false);
    unfiltered += " " + allowed_without(static_cast<wall>(each), true);
  }
  shows("without namespaces", namespaces, all);
  shows("without landlock, namespaces", walls({wall::landlock}) | namespaces, all);
  shows("without seccomp, namespaces", walls({wall::seccomp}) | namespaces, unfiltered,
        only_filtered);
}

namespace {

/// An attack that a wall alone stops, once what else stops it has been taken away.
struct worth {
  wall which;
  wall_set besides;
  std::string attack;
};

/// Whether it gets through without these. What this user cannot have is as good as taken away, when
/// the report says so.
bool gets_through(const worth& of, const wall_set& without) {
  configuration how{of.attack, best_profile(), without};
  how.only = {of.attack};
  how.waived = walls({of.which});
  const campaign done = run(how);
  CHECK(done.refusal.empty());
  const judgement& found = done.found.at(of.attack);
  INFO(of.attack << ": " << found.how);
  CHECK(found.what != result::broken);
  const std::size_t at = index_of(of.which);
  if (without.test(at) || !found.missing.test(at)) return found.got_through();
  std::cout << to_string(of.which) << " is not to be had\n";
  CHECK_FALSE(the_world().changes_user());
  return false;
}

}  // namespace

TEST_CASE("with a control group taken away, what it alone stops gets through, and not before") {
  const wall_set filter = walls({wall::seccomp});
  const wall_set process_limits = walls({wall::resource_limits});
  for (const worth& each : std::vector<worth>{
           {wall::cgroup_cpu, {}, "cpu"},
           {wall::cgroup_memory, filter, "mem_shared"},
           {wall::cgroup_memory, process_limits, "mem"},
           {wall::cgroup_memory, {}, "mem_protected"},
           {wall::cgroup_tasks, process_limits, "threads"},
           {wall::cgroup_kill, filter | walls({wall::pid_namespace}), "orphan"},
       }) {
    INFO(to_string(each.which) << " against " << each.attack);
    CHECK_FALSE(gets_through(each, each.besides));
    CHECK(gets_through(each, each.besides | walls({each.which})));
  }
}

TEST_CASE("how many walls stop each attack by themselves") {
  const wall_set none = ~walls({wall::own_uid});  // nothing runs as root
  std::map<std::string, std::set<wall>> stopped_by;
  const auto open = run({"none", best_profile(), none, false});
  REQUIRE(open.refusal.empty());
  each_wall([&](wall which) {
    const auto alone = run({"", best_profile(), none & ~with_foundations(which), false});
    int count = 0;
    for (const auto& [name, found] : alone.found) {
      INFO(name << ": " << found.how << " with " << to_string(which) << " alone");
      CHECK(found.what != result::broken);
      if (!open.found.at(name).got_through() || found.got_through()) continue;
      stopped_by[name].insert(which);
      ++count;
    }
    std::cout << to_string(which) << " alone stops " << count << "\n";
  });
  std::map<std::size_t, std::string> by_count;
  int real = 0;
  for (const auto& [name, found] : open.found) {
    if (!found.got_through()) continue;
    ++real;
    by_count[stopped_by[name].size()] += " " + name;
  }
  std::cout << real << " attacks get through where no wall stands; by the walls that stop each:\n";
  for (const auto& [count, names] : by_count) {
    std::cout << "  " << count << " (" << words_of(names).size() << "):" << names << "\n";
  }
}

}  // namespace hostile
