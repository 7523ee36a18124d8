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

/// Starts a harmless attack until no wall is missing that could be waived.
void find_missing(const configuration& how, bulkhead::spawner& by, bulkhead::confinement& asked,
                  campaign& into) {
  bulkhead::process_spec spec;
  spec.executable = the_world().program();
  spec.arguments = the_world().words("tell-success");
  spec.program = the_world().image();
  for (std::size_t tries = 0; tries <= bulkhead::wall_count; ++tries) {
    asked.waived = how.without | into.missing;
    spec.confined = std::make_shared<const bulkhead::confinement>(asked);
    const auto started = by.spawn(spec);
    if (const auto* running = std::get_if<bulkhead::spawned_process>(&started)) {
      for (std::size_t each = 0; each < bulkhead::wall_count; ++each) {
        const auto which = static_cast<wall>(each);
        if ((*running->report)[which].state != bulkhead::wall_state::enforced) {
          into.report += "    " + bulkhead::line_of(which, *running->report) + "\n";
        }
      }
      return;
    }
    const auto& error = std::get<bulkhead::spawn_error>(started);
    if (!error.missing || into.missing.test(bulkhead::index_of(*error.missing))) {
      into.refusal = error.what + ": " + error.why;
      return;
    }
    into.missing.set(bulkhead::index_of(*error.missing));
  }
}

}  // namespace

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
  campaign done;
  bulkhead::launched_spawner_options options;
  options.launcher = launcher_path();
  options.without = how.without;
  bulkhead::launched_spawner launcher(options);
  bulkhead::confinement asked;
  asked.of = how.of;
  asked.limits = small_limits();
  find_missing(how, launcher, asked, done);
  if (!done.refusal.empty()) return done;
  each_attack([&](const attack& one) {
    if (!how.with_slow && slow_attacks.count(one.name) != 0) return;
    const auto words = the_world().words(one.name);
    done.found[one.name] = judge(one, start_confined(the_world(), launcher, asked, words), true);
  });
  return done;
}

}  // namespace hostile
