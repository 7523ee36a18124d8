// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile/campaign.hpp"

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

std::string not_standing(const bulkhead::confinement_report& report) {
  std::string lines;
  for (std::size_t each = 0; each < bulkhead::wall_count; ++each) {
    const auto which = static_cast<wall>(each);
    if (report[which].state == bulkhead::wall_state::enforced) continue;
    lines += "    " + bulkhead::line_of(which, report) + "\n";
  }
  return lines;
}

}  // namespace

// Starts a harmless word until no wall is missing that could be waived.
arena::arena(const configuration& how) : launcher_(options_of(how)) {
  asked_.of = how.of;
  asked_.limits = small_limits();
  bulkhead::process_spec spec;
  spec.executable = the_world().program();
  spec.arguments = the_world().words("tell-success");
  spec.program = the_world().image();
  for (std::size_t tries = 0; tries <= bulkhead::wall_count; ++tries) {
    asked_.waived = how.without | missing;
    spec.confined = std::make_shared<const bulkhead::confinement>(asked_);
    const auto started = launcher_.spawn(spec);
    if (const auto* running = std::get_if<bulkhead::spawned_process>(&started)) {
      report = not_standing(*running->report);
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
  return start_confined(the_world(), launcher_, asked_, words);
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
  static world one(beside("hostile"));
  return one;
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
      all[one.name] = judge(one, start_plainly(the_world(), the_world().words(one.name)), false);
    });
    return all;
  }();
  return found;
}

campaign run(const configuration& how) {
  arena in(how);
  campaign done{{}, in.missing, in.refusal, in.report};
  if (!done.refusal.empty()) return done;
  each_attack([&](const attack& one) {
    if (!how.with_slow && slow_attacks.count(one.name) != 0) return;
    done.found[one.name] = judge(one, in.start(the_world().words(one.name)), true);
  });
  return done;
}

}  // namespace hostile
