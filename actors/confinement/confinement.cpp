// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/confinement.hpp"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "actors/wipe.hpp"

namespace bulkhead {
namespace {

template <class Enum>
using word = std::pair<Enum, std::string_view>;

constexpr std::array<word<wall>, wall_count> wall_words{{
    {wall::user_namespace, "user-ns"},
    {wall::own_uid, "uid"},
    {wall::no_groups, "groups"},
    {wall::pid_namespace, "pid-ns"},
    {wall::mount_namespace, "mount-ns"},
    {wall::net_namespace, "net-ns"},
    {wall::ipc_namespace, "ipc-ns"},
    {wall::uts_namespace, "uts-ns"},
    {wall::cgroup_namespace, "cgroup-ns"},
    {wall::namespace_limits, "ns-limits"},
    {wall::memfd_noexec, "memfd-noexec"},
    {wall::no_capabilities, "capabilities"},
    {wall::no_new_privileges, "no-new-privs"},
    {wall::landlock, "landlock"},
    {wall::seccomp, "seccomp"},
    {wall::no_writable_code, "mdwe"},
    {wall::resource_limits, "rlimits"},
    {wall::descriptors, "descriptors"},
    {wall::own_session, "session"},
    {wall::not_dumpable, "not-dumpable"},
    {wall::oom_first, "oom-first"},
    {wall::parent_death, "parent-death"},
    {wall::lifeline, "lifeline"},
    {wall::speculation, "speculation"},
    {wall::cgroup_memory, "cg.memory"},
    {wall::cgroup_tasks, "cg.tasks"},
    {wall::cgroup_cpu, "cg.cpu"},
    {wall::cgroup_kill, "cg.kill"},
    {wall::cgroup_io, "cg.io"},
}};

constexpr std::array<word<wall_state>, 4> state_words{{
    {wall_state::off, "off"},
    {wall_state::enforced, "enforced"},
    {wall_state::unavailable, "unavailable"},
    {wall_state::failed, "failed"},
}};

constexpr std::array<word<grant_kind>, 6> grant_words{{
    {grant_kind::read_directory, "read-dir"},
    {grant_kind::write_directory, "write-dir"},
    {grant_kind::device, "device"},
    {grant_kind::descriptor, "file"},
    {grant_kind::environment, "env"},
    {grant_kind::address, "net"},
}};

constexpr std::array<word<profile>, 4> profile_words{{
    {profile::strict, "strict"},
    {profile::strict_unprivileged, "strict-unprivileged"},
    {profile::no_userns, "no-userns"},
    {profile::interpreter, "interpreter"},
}};

template <class Enum, std::size_t N>
std::string_view word_of(const std::array<word<Enum>, N>& words, Enum value) {
  for (const auto& [each, text] : words)
    if (each == value) return text;
  return "?";
}

template <class Enum, std::size_t N>
std::optional<Enum> value_of(const std::array<word<Enum>, N>& words, std::string_view text) {
  for (const auto& [each, name] : words)
    if (name == text) return each;
  return std::nullopt;
}

template <class... Walls>
wall_set walls(Walls... which) {
  wall_set set;
  (set.set(index_of(which)), ...);
  return set;
}

const wall_set& namespaces() {
  static const wall_set set =
      walls(wall::user_namespace, wall::pid_namespace, wall::mount_namespace, wall::net_namespace,
            wall::ipc_namespace, wall::uts_namespace, wall::cgroup_namespace,
            wall::namespace_limits, wall::memfd_noexec);
  return set;
}

/// What takes root, or a part of the control group tree that was handed over.
const wall_set& privileged() {
  static const wall_set set =
      walls(wall::own_uid, wall::no_groups, wall::memfd_noexec, wall::cgroup_memory,
            wall::cgroup_tasks, wall::cgroup_cpu, wall::cgroup_kill, wall::cgroup_io);
  return set;
}

}  // namespace

grant::~grant() {
  wipe(what);
}

std::string_view to_string(wall which) {
  return word_of(wall_words, which);
}
std::optional<wall> wall_named(std::string_view name) {
  return value_of(wall_words, name);
}
std::string_view to_string(wall_state state) {
  return word_of(state_words, state);
}
std::string_view to_string(grant_kind kind) {
  return word_of(grant_words, kind);
}
std::optional<grant_kind> grant_kind_named(std::string_view name) {
  return value_of(grant_words, name);
}
std::string_view to_string(profile which) {
  return word_of(profile_words, which);
}
std::optional<profile> profile_named(std::string_view name) {
  return value_of(profile_words, name);
}

wall_set wanted_walls(profile which) {
  wall_set wanted;
  wanted.set();
  if (which == profile::no_userns) wanted &= ~namespaces();
  if (which == profile::interpreter) wanted.reset(index_of(wall::no_writable_code));
  return wanted;
}

wall_set required_walls(profile which, bool as_root) {
  wall_set required = wanted_walls(which);
  required.reset(index_of(wall::speculation));
  required.reset(index_of(wall::cgroup_io));
  if (which == profile::strict_unprivileged || which == profile::no_userns)
    required &= ~privileged();
  if (as_root) required.set(index_of(wall::own_uid));
  return required;
}

wall_set required_walls(const confinement& asked, bool as_root) {
  auto required = required_walls(asked.of, as_root);
  required.set(index_of(wall::cgroup_io), asked.limits.io_weight != io_weight_common);
  return required & ~asked.waived;
}

std::optional<wall> missing_wall(const confinement& asked, const confinement_report& found) {
  const wall_set required = required_walls(asked, found.as_root);
  for (const auto& [which, text] : wall_words)
    if (required.test(index_of(which)) && found[which].state != wall_state::enforced) return which;
  return std::nullopt;
}

std::vector<wall> missing_by_waiver(const confinement_report& found) {
  wall_set excused = required_walls(found.of, found.as_root);
  // Required by who asks for a share, and told of either way.
  excused.set(index_of(wall::cgroup_io));
  excused &= found.waived;
  std::vector<wall> missing;
  for (const auto& [which, text] : wall_words)
    if (excused.test(index_of(which)) && found[which].state != wall_state::enforced)
      missing.push_back(which);
  return missing;
}

std::vector<std::string_view> gaps_in(const confinement_report& found) {
  const auto up = [&](wall which) { return found[which].state == wall_state::enforced; };
  confinement asked;
  asked.of = found.of;
  asked.waived = found.waived;
  if (missing_wall(asked, found)) return {};
  std::vector<std::string_view> gaps;
  if (!up(wall::mount_namespace))
    gaps.push_back(
        up(wall::landlock)
            ? "a program that may ask for files (dynamic, a script, or with files granted) can "
              "learn of the host's paths whether they are there, whose and how long they are"
            : "the host's files are open to a program that may ask for files, as far as to its "
              "user");
  const bool rlimits = up(wall::resource_limits);
  // One of a user counts all processes of that user.
  const bool own_user = up(wall::own_uid) || up(wall::user_namespace);
  if (!up(wall::cgroup_tasks) && !(rlimits && own_user))
    gaps.push_back("the number of its tasks has no limit");
  // Its filter lets an interpreter share memory, which no limit of a process counts.
  const bool counted = rlimits && found.of != profile::interpreter;
  if (!up(wall::cgroup_memory))
    gaps.push_back(counted ? "its memory is limited per process, and a hostile one can have "
                             "several times its limit"
                           : "its memory has no limit");
  if (!up(wall::cgroup_cpu)) gaps.push_back("its use of the processor has no limit");
  return gaps;
}

std::string line_of(wall which, const confinement_report& report) {
  const wall_report& at = report[which];
  std::string line = fmt::format("{}: {}", to_string(which), to_string(at.state));
  if (at.error_number != 0) {
    const char* name = strerrorname_np(at.error_number);
    line += name ? fmt::format(" ({})", name) : fmt::format(" (errno {})", at.error_number);
  }
  if (at.value != 0) line += fmt::format(", {}", at.value);
  if (report.waived.test(index_of(which)) && at.state != wall_state::enforced) line += ", waived";
  return line;
}

}  // namespace bulkhead
