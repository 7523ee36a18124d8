// SPDX-License-Identifier: Apache-2.0
#include "broker/declared_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

constexpr const char* keeps_data =
    "no longer in the file; its data is kept: `bulkhead config apply --prune` unmounts it";
constexpr const char* never_changes =
    "it is registered with another command, hash, argument or variable, and a registered version "
    "never changes: give it another version";
constexpr const char* by_operator = "made by an operator; unmount it or take it out of the file";

std::string name_of(const release_spec& spec) {
  return fmt::format("{}/{}@{}", spec.kind, spec.name, spec.version);
}

bool same_name(const release_spec& a, const release_spec& b) {
  return a.kind == b.kind && a.name == b.name && a.version == b.version;
}

/// `is` is what `wanted` asks for: an empty hash asks for none in particular.
bool satisfies(const release_spec& is, const release_spec& wanted) {
  return is.command == wanted.command && (wanted.sha256.empty() || is.sha256 == wanted.sha256) &&
         is.arguments == wanted.arguments && is.environment == wanted.environment;
}

std::string plugin_of(const mount_spec& spec) {
  return fmt::format("{}{}{}{}{}", spec.kind, spec.kind.empty() ? "" : "/", spec.plugin,
                     spec.version.empty() ? "" : "@", spec.version);
}

std::string or_any(const std::string& version) {
  return version.empty() ? "any" : version;
}

class planner {
 public:
  planner(const declared_state& wanted, const actual_state& is, bool prune)
      : wanted_(wanted), is_(is), prune_(prune) {}

  std::vector<config_step> run() {
    configure();
    register_releases();
    pin();
    mount();
    unmount();
    unpin();
    deregister();
    std::stable_sort(steps_.begin(), steps_.end(),
                     [](const auto& a, const auto& b) { return a.action < b.action; });
    return std::move(steps_);
  }

 private:
  config_step& add(config_action action, std::string target, std::string detail,
                   std::string problem = {}) {
    config_step step;
    step.action = action;
    step.shown = {to_string(action), wire::escape_line(target), wire::escape_line(detail),
                  wire::escape_line(problem)};
    steps_.push_back(std::move(step));
    return steps_.back();
  }

  // -- what only a new start changes
  void configure() {
    auto names = is_.fixed;
    names.insert(wanted_.fixed.begin(), wanted_.fixed.end());
    const auto value = [](const auto& of, const std::string& name) {
      const auto found = of.find(name);
      return found == of.end() ? std::string("nothing") : found->second;
    };
    for (const auto& [name, ignored] : names) {
      const auto before = value(is_.fixed, name);
      const auto after = value(wanted_.fixed, name);
      if (before == after) continue;
      add(config_action::configure, name, fmt::format("{} -> {}", before, after),
          "needs a restart of the broker");
    }
  }

  // -- releases and pins
  void register_releases() {
    for (const auto& each : wanted_.releases) {
      const auto there =
          std::find_if(is_.releases.begin(), is_.releases.end(),
                       [&each](const auto& other) { return same_name(other.spec, each); });
      if (there != is_.releases.end() && satisfies(there->spec, each)) continue;
      add(config_action::register_release, name_of(each), "command " + each.command,
          there == is_.releases.end() ? "" : never_changes)
          .release = each;
    }
  }

  bool is_release(const declared_pin& pin) const {
    const auto matches = [&pin](const release_spec& each) {
      return each.kind == pin.kind && each.name == pin.name && each.version == pin.version;
    };
    return std::any_of(is_.releases.begin(), is_.releases.end(),
                       [&](const auto& each) { return matches(each.spec); }) ||
           std::any_of(wanted_.releases.begin(), wanted_.releases.end(), matches);
  }

  void pin() {
    for (const auto& each : wanted_.pins) {
      const auto there = std::find_if(is_.pins.begin(), is_.pins.end(), [&each](const auto& other) {
        return other.kind == each.kind && other.name == each.name;
      });
      const bool is_there = there != is_.pins.end();
      if (is_there && there->version == each.version) continue;
      std::string problem;
      if (is_there && there->declared.empty())
        problem = "pinned by an operator; unpin it or take it out of the file";
      else if (!is_release(each))
        problem = "there is no such release";
      else
        unpinned_.insert({each.kind, each.name});
      add(config_action::pin, fmt::format("{}/{}", each.kind, each.name),
          is_there ? fmt::format("version {} -> {}", there->version, each.version)
                   : "version " + each.version,
          std::move(problem))
          .pin = each;
    }
  }

  void unpin() {
    for (const auto& each : is_.pins) {
      const bool wanted =
          std::any_of(wanted_.pins.begin(), wanted_.pins.end(), [&each](const auto& other) {
            return other.kind == each.kind && other.name == each.name;
          });
      // One of another version was set by an operator since.
      if (wanted || each.declared != each.version) continue;
      unpinned_.insert({each.kind, each.name});
      add(config_action::unpin, fmt::format("{}/{}", each.kind, each.name),
          "version " + each.version)
          .pin = {each.kind, each.name, each.version};
    }
  }

  void deregister() {
    for (const auto& each : is_.releases) {
      const bool wanted =
          std::any_of(wanted_.releases.begin(), wanted_.releases.end(),
                      [&each](const auto& other) { return same_name(each.spec, other); });
      if (wanted || !each.declared) continue;
      add(config_action::deregister, name_of(each.spec), "no longer in the file", hold_on(each))
          .release = each.spec;
    }
  }

  /// Empty, or what keeps the release in the catalog.
  std::string hold_on(const actual_release& release) const {
    const auto& spec = release.spec;
    for (const auto& each : wanted_.pins)
      if (each.kind == spec.kind && each.name == spec.name && each.version == spec.version)
        return "the file pins it";
    for (const auto& each : is_.pins)
      if (each.kind == spec.kind && each.name == spec.name && each.version == spec.version &&
          !unpinned_.contains({each.kind, each.name}))
        return "it is pinned by an operator";
    std::string users;
    for (const auto& path : release.users)
      if (!leaving_.contains(path)) users += (users.empty() ? "" : ", ") + path;
    return users.empty() ? users : fmt::format("in use by {}", users);
  }

  // -- mounts
  void mount() {
    for (const auto& each : wanted_.mounts) {
      const auto there =
          std::find_if(is_.mounts.begin(), is_.mounts.end(),
                       [&each](const auto& other) { return other.spec.path == each.path; });
      if (there == is_.mounts.end())
        add(config_action::mount, each.path, "plugin " + plugin_of(each), overlap(each.path))
            .mount = each;
      else if (!there->declared)
        add(config_action::mount, each.path, "plugin " + plugin_of(each), by_operator);
      else
        tune(each, *there);
    }
  }

  std::string overlap(const std::string& path) const {
    for (const auto& each : is_.mounts)
      if (each.spec.path.starts_with(path) || path.starts_with(each.spec.path))
        return fmt::format("the mount '{}' overlaps with it", each.spec.path);
    return {};
  }

  void tune(const mount_spec& wanted, const actual_mount& there) {
    const auto& is = there.spec;
    const bool other_plugin =
        wanted.plugin != is.plugin || (!wanted.kind.empty() && wanted.kind != is.kind);
    if (other_plugin || wanted.group != is.group) {
      auto detail = other_plugin ? fmt::format("plugin {} -> {}", plugin_of(is), plugin_of(wanted))
                                 : fmt::format("group '{}' -> '{}'", is.group, wanted.group);
      add(config_action::tune, wanted.path, std::move(detail),
          "a mount keeps it: unmount it, which deletes its data, or use another path");
      return;
    }
    std::string detail;
    auto request = changes(wanted, is, detail);
    if (detail.empty()) return;
    if (request.version && there.problem.empty()) leaving_.insert(wanted.path);
    add(config_action::tune, wanted.path, std::move(detail), there.problem).tune =
        std::move(request);
  }

  static tune_request changes(const mount_spec& wanted, const mount_spec& is, std::string& detail) {
    tune_request request;
    request.path = wanted.path;
    const auto tell = [&detail](const std::string& what) {
      detail += (detail.empty() ? "" : "; ") + what;
    };
    if (wanted.version != is.version) {
      request.version = wanted.version;
      tell(fmt::format("version {} -> {}", or_any(is.version), or_any(wanted.version)));
    }
    if (const auto names = option_changes(wanted, is, request); !names.empty())
      tell(fmt::format("options {}", names));
    request.reload = !detail.empty();
    if (wanted.description != is.description) {
      request.description = wanted.description;
      tell("description");
    }
    if (wanted.restart != is.restart) {
      request.restart = wanted.restart;
      tell("restart");
    }
    if (!(wanted.supervision == is.supervision)) {
      request.supervision = wanted.supervision;
      tell("supervision");
    }
    if (!(wanted.life == is.life)) {
      request.life = wanted.life;
      tell("life");
    }
    if (!(wanted.calls == is.calls)) {
      request.calls = wanted.calls;
      tell("calls");
    }
    return request;
  }

  /// The names of the options that are set or taken away.
  static std::string option_changes(const mount_spec& wanted, const mount_spec& is,
                                    tune_request& request) {
    std::string names;
    const auto tell = [&names](const std::string& name) {
      names += (names.empty() ? "" : ", ") + name;
    };
    for (const auto& each : wanted.options) {
      if (std::find(is.options.begin(), is.options.end(), each) != is.options.end()) continue;
      request.options.push_back(each);
      tell(each.name);
    }
    for (const auto& each : is.options) {
      const bool stays =
          std::any_of(wanted.options.begin(), wanted.options.end(),
                      [&each](const option& other) { return other.name == each.name; });
      if (stays) continue;
      request.unset_options.push_back(each.name);
      tell("-" + each.name);
    }
    return names;
  }

  void unmount() {
    for (const auto& each : is_.mounts) {
      const bool wanted =
          std::any_of(wanted_.mounts.begin(), wanted_.mounts.end(),
                      [&each](const auto& other) { return other.path == each.spec.path; });
      if (wanted || !each.declared) continue;
      if (prune_) leaving_.insert(each.spec.path);
      add(config_action::unmount, each.spec.path,
          prune_ ? "deletes its data" : "no longer in the file", prune_ ? "" : keeps_data)
          .mount.path = each.spec.path;
    }
  }

  const declared_state& wanted_;
  const actual_state& is_;
  bool prune_;
  std::vector<config_step> steps_;
  std::set<std::string> leaving_;  // mounts that take another release, or go
  std::set<std::pair<std::string, std::string>> unpinned_;  // plugins whose pin goes or changes
};

}  // namespace

std::string to_string(config_action action) {
  static constexpr std::array words = {"register", "pin",   "mount",      "tune",
                                       "unmount",  "unpin", "deregister", "configure"};
  return words.at(static_cast<std::size_t>(action));
}

std::vector<config_step> plan(const declared_state& wanted, const actual_state& is, bool prune) {
  return planner(wanted, is, prune).run();
}

}  // namespace bulkhead
