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

#include "tests/hostile/campaign.hpp"

namespace hostile {

namespace {

bulkhead::profile best_profile() {
  return the_world().changes_user() ? bulkhead::profile::strict
                                    : bulkhead::profile::strict_unprivileged;
}

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
    "fork clone vfork clone_files pdeathsig close_range dup_link pipe_direct dumpable ";

/// Runs it, prints what got through of what is not in `expected`, and allows of that `allowed`.
campaign shows(const std::string& name, const wall_set& without, const std::string& allowed,
               const std::string& expected = "") {
  const campaign done = run({name, best_profile(), without, false});
  INFO(name << ": " << done.refusal);
  CHECK(done.refusal.empty());
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
  return done;
}

/// What one wall alone stops, where the filter stands.
const std::map<wall, std::string> with_filter{
    {wall::user_namespace, "host_uid"},
    {wall::own_uid, "threads"},  // root is not held to a number of tasks
    {wall::pid_namespace, "host_pid"},
    {wall::uts_namespace, "host_name"},
    {wall::resource_limits, "mem_heap mem_remap vmem threads sigqueue_thread fds fds_dup fds_high"},
    {wall::seccomp, only_filtered},
};

/// And where it does not.
const std::map<wall, std::string> without_filter{};

std::string listed(const std::map<wall, std::string>& in, wall which) {
  const auto found = in.find(which);
  return found == in.end() ? "" : found->second;
}

template <class Visitor>
void each_wall(Visitor visit) {
  for (std::size_t each = 0; each < bulkhead::wall_count; ++each) visit(static_cast<wall>(each));
}

}  // namespace

TEST_CASE("with one wall taken away, nothing gets through but what it alone stops") {
  each_wall([](wall which) {
    shows("without " + std::string(to_string(which)), walls({which}), listed(with_filter, which));
  });
}

TEST_CASE("without the filter and one wall more, nothing gets through but what those two stop") {
  each_wall([](wall which) {
    shows("without seccomp, " + std::string(to_string(which)), walls({wall::seccomp, which}),
          listed(with_filter, which) + " " + listed(without_filter, which), only_filtered);
  });
}

TEST_CASE("with groups of walls taken away") {
  shows("without namespaces", namespaces, "host_name host_uid host_pid");
  shows("without landlock, namespaces", walls({wall::landlock}) | namespaces,
        "host_name host_uid host_pid");
  shows("without seccomp, namespaces", walls({wall::seccomp}) | namespaces, "", only_filtered);
}

TEST_CASE("how many walls stop each attack by themselves") {
  const wall_set none = ~walls({wall::own_uid});  // nothing runs as root
  std::map<std::string, std::set<wall>> stopped_by;
  const auto open = run({"none", best_profile(), none, false});
  REQUIRE(open.refusal.empty());
  each_wall([&](wall which) {
    const auto alone = run({"", best_profile(), none & ~walls({which}), false});
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
