// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile/campaign.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <variant>

#include "actors/confinement/confinement.hpp"

namespace hostile {

namespace {

const std::set<std::string> slow_attacks{"cpu", "mem", "mem_shared", "logflood"};

/// The launcher, where the attacker's user can execute it whatever the build's folder allows.
std::string launcher_path() {
  namespace fs = std::filesystem;
  static const std::string copy = [] {
    std::string path = the_world().directory() + "/bulkhead-launcher";
    fs::copy_file(beside("../bin/bulkhead-launcher"), path);
    fs::permissions(path, fs::perms(0755));
    return path;
  }();
  return copy;
}

bulkhead::launched_spawner_options options_of(const configuration& how) {
  bulkhead::launched_spawner_options options;
  options.launcher = launcher_path();
  options.without = how.without;
  return options;
}

/// Says errno that the kernel has no such thing, rather than that this user may not have it?
bool kernel_lacks(const bulkhead::wall_report& at) {
  constexpr std::array absent{ENOSYS, ENOENT, ENODEV, ENXIO, EINVAL, EOPNOTSUPP};
  return at.state == bulkhead::wall_state::unavailable &&
         std::find(absent.begin(), absent.end(), at.error_number) != absent.end();
}

/// Of the world that is open to everybody.
bulkhead::grant grant_of(grant_kind kind) {
  if (kind == grant_kind::device) return {kind, "/dev/zero", ""};
  return {kind, granted_world().directory(), ""};
}

/// More than what `file_map` writes, less than what `disk` would.
constexpr std::uint64_t granted_file_bytes = 1U << 20U;

bulkhead::confinement confinement_of(const configuration& how) {
  bulkhead::confinement asked;
  asked.of = how.of;
  asked.limits = small_limits();
  for (const auto kind : how.grants) asked.grants.push_back(grant_of(kind));
  if (how.grants.count(grant_kind::write_directory) != 0) {
    asked.limits.file_bytes = granted_file_bytes;
  }
  return asked;
}

world& world_of(const configuration& how) {
  return how.as == shape::alone && how.grants.empty() ? the_world() : granted_world();
}

std::string lines_of(const bulkhead::confinement_report& report) {
  std::string lines;
  for (std::size_t each = 0; each < bulkhead::wall_count; ++each) {
    if (not_standing(report).test(each)) {
      lines += "    " + bulkhead::line_of(static_cast<wall>(each), report) + "\n";
    }
  }
  return lines;
}

}  // namespace

// Starts a harmless word until no wall is missing that could be waived.
arena::arena(const configuration& how)
    : where_(world_of(how)), as_(how.as), launcher_(options_of(how)), asked_(confinement_of(how)) {
  bulkhead::process_spec spec;
  spec.executable = where_.program(as_).path;
  spec.arguments = where_.words("tell-success", as_);
  spec.program = where_.program(as_).image;
  for (std::size_t tries = 0; tries <= bulkhead::wall_count; ++tries) {
    asked_.waived = how.without | how.waived | missing;
    spec.confined = std::make_shared<const bulkhead::confinement>(asked_);
    const auto started = launcher_.spawn(spec);
    if (const auto* running = std::get_if<bulkhead::spawned_process>(&started)) {
      report = lines_of(*running->report);
      unexcused = without_excuse(missing, *running->report);
      return;
    }
    const auto& error = std::get<bulkhead::spawn_error>(started);
    if (!error.missing || missing.test(bulkhead::index_of(*error.missing))) {
      refusal = error.what + ": " + error.why;
      return;
    }
    missing.set(bulkhead::index_of(*error.missing));
  }
}

observation arena::start(const std::vector<std::string>& words) {
  return start_confined(where_, as_, launcher_, asked_, words);
}

wall_set walls(std::initializer_list<wall> list) {
  wall_set set;
  for (const wall each : list) set.set(bulkhead::index_of(each));
  return set;
}

std::string names_of(const wall_set& set) {
  std::string text;
  for (std::size_t each = 0; each < bulkhead::wall_count; ++each) {
    if (!set.test(each)) continue;
    text += (text.empty() ? "" : ", ") + std::string(bulkhead::to_string(static_cast<wall>(each)));
  }
  return text.empty() ? "nothing" : text;
}

std::string beside(const std::string& name) {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

world& the_world() {
  static world one({beside("hostile"), beside("hostile-dynamic")}, openness::own_user);
  return one;
}

world& granted_world() {
  static world one({beside("hostile"), beside("hostile-dynamic")}, openness::everybody);
  return one;
}

bulkhead::profile best_profile() {
  return the_world().changes_user() ? bulkhead::profile::strict
                                    : bulkhead::profile::strict_unprivileged;
}

bool must_work() {
  const char* const set = std::getenv("BULKHEAD_SANDBOX_MUST_WORK");
  return set != nullptr && std::string_view(set) == "1";
}

const attack& attack_named(const std::string& name) {
  const attack* found = nullptr;
  each_attack([&](const attack& one) {
    if (name == one.name) found = &one;
  });
  if (found == nullptr) throw std::invalid_argument("no attack '" + name + "'");
  return *found;
}

std::string got_through(const results& of) {
  std::string names;
  each_attack([&](const attack& one) {
    const auto at = of.find(one.name);
    if (at != of.end() && at->second.got_through()) names += std::string(one.name) + " ";
  });
  if (!names.empty()) names.pop_back();
  return names;
}

const results& control() {
  static const results found = [] {
    results all;
    each_attack([&](const attack& one) {
      const auto seen = start_plainly(the_world(), shape::alone, the_world().words(one.name));
      all[one.name] = judge(one, seen, false);
    });
    return all;
  }();
  return found;
}

results control_of(shape as) {
  results all;
  each_attack([&](const attack& one) {
    if (slow_attacks.count(one.name) != 0) return;
    const auto seen = start_plainly(granted_world(), as, granted_world().words(one.name, as));
    all[one.name] = judge(one, seen, false);
  });
  return all;
}

campaign run(const configuration& how) {
  arena in(how);
  campaign done{{}, in.missing, in.unexcused, in.refusal, in.report};
  if (!done.refusal.empty()) return done;
  each_attack([&](const attack& one) {
    const bool asked_for = how.only.empty() || how.only.count(one.name) != 0;
    if (!asked_for || (!how.with_slow && slow_attacks.count(one.name) != 0)) return;
    done.found[one.name] = judge(one, in.start(in.where().words(one.name, how.as)), true);
  });
  return done;
}

wall_set without_excuse(const wall_set& missing, const bulkhead::confinement_report& report) {
  wall_set left = missing;
  for (std::size_t each = 0; each < bulkhead::wall_count; ++each) {
    if (kernel_lacks(report.walls[each])) left.reset(each);
  }
  return left;
}

}  // namespace hostile
