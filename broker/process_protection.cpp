// SPDX-License-Identifier: Apache-2.0
#include "broker/process_protection.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>

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
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

}  // namespace bulkhead
