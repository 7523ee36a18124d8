// SPDX-License-Identifier: Apache-2.0
#include "broker/process_protection.hpp"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "actors/confinement/confinement.hpp"
#include "broker/error.hpp"

namespace bulkhead {
namespace {

// More of them only make tables larger: every mount takes four, every client one.
constexpr rlim_t descriptors_wanted = 65'536;

}  // namespace

void protect_this_process(const protection& how) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, descriptors_wanted));
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (how.memory_bytes_max != 0 && ::getrlimit(RLIMIT_DATA, &limit) == 0) {
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, how.memory_bytes_max);
    ::setrlimit(RLIMIT_DATA, &limit);
  }
  if (!how.unreadable) return;
  const rlimit none{no_core_bytes, no_core_bytes};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

user_account find_user(const std::string& name) {
  const auto* const found = ::getpwnam(name.c_str());
  if (found == nullptr)
    throw error(error_kind::invalid_argument, fmt::format("there is no user '{}'", name), {},
                "make it, as with useradd --system");
  if (found->pw_uid == 0)
    throw error(error_kind::invalid_argument, fmt::format("'{}' is root", name),
                "a broker that is to give root up has to be somebody else", "name another user");
  return {name, found->pw_uid, found->pw_gid};
}

void become_user(const user_account& user) {
  const bool done = ::initgroups(user.name.c_str(), user.gid) == 0 &&
                    ::setresgid(user.gid, user.gid, user.gid) == 0 &&
                    ::setresuid(user.uid, user.uid, user.uid) == 0 &&
                    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  if (!done)
    throw error(error_kind::failed_precondition,
                fmt::format("cannot become the user '{}'", user.name),
                std::generic_category().message(errno), "start it as root, or without --user");
  if (::setresuid(0, 0, 0) == 0 || ::setresgid(0, 0, 0) == 0)
    throw error(error_kind::failed_precondition, "root could not be given up",
                "it could be taken again", {});
}

}  // namespace bulkhead
