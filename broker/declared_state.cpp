// SPDX-License-Identifier: Apache-2.0
#include "broker/declared_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "broker/router.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

constexpr const char* keeps_data =
    "no longer in the file; its data is kept: `bulkhead config apply --prune` unmounts it";
constexpr const char* not_pruned = "nothing is pruned while another change has a problem";
constexpr const char* never_changes =
    "it is registered with another command, hash, argument or variable, and a registered version "
    "never changes: give it another version";
constexpr const char* by_operator =
    "made by an operator: take it out of the file, or move or unmount it (unmounting deletes its "
    "data)";

template <class T>
std::string name_of(const T& spec) {
  return fmt::format("{}/{}@{}", spec.kind, spec.name, spec.version);
}

using plugin_name = std::pair<std::string, std::string>;

template <class T>
plugin_name plugin_key(const T& of) {
  return {of.kind, of.name};
}

/// Where the file had it.
const std::string& home(const actual_mount& mount) {
  return mount.declared_path.empty() ? mount.spec.path : mount.declared_path;
}

/// What is wanted and what is there, by name and by path.
struct name_index {
  name_index(const declared_state& wanted, const actual_state& is) {
    for (const auto& each : wanted.releases) wanted_releases.insert(name_of(each));
    for (const auto& each : wanted.pins) wanted_pins[plugin_key(each)] = &each;
    for (const auto& each : wanted.mounts) wanted_mounts.insert(each.path);
    for (const auto& each : is.releases) releases[name_of(each.spec)] = &each;
    for (const auto& each : is.pins) pins[plugin_key(each)] = &each;
    for (const auto& each : is.mounts) {
      mounts.insert(each.spec.path, &each);
      if (each.declared && home(each) != each.spec.path) moved[home(each)] = &each;
    }
  }

  template <class Map>
  static auto find(const Map& in, const typename Map::key_type& key) {
    const auto found = in.find(key);
    return found == in.end() ? typename Map::mapped_type{} : found->second;
  }

  std::set<std::string> wanted_releases;
  std::map<plugin_name, const declared_pin*> wanted_pins;
  std::set<std::string> wanted_mounts;
  std::map<std::string, const actual_release*> releases;
  std::map<plugin_name, const actual_pin*> pins;
  route_table<const actual_mount*> mounts;
  std::map<std::string, const actual_mount*> moved;  // by the path that the file had for them
};

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
      : wanted_(wanted), is_(is), prune_(prune), names_(wanted, is) {}

  std::vector<config_step> run() {
    register_releases();
    pin();
    mount();
    unmount();
    unpin();
    deregister();
    for (const auto& [name, change] : wanted_.fixed)
      add(config_action::configure, name, change + ", from the next start of the broker on");
    std::stable_sort(steps_.begin(), steps_.end(),
                     [](const auto& a, const auto& b) { return a.action < b.action; });
    return std::move(steps_);
  }

 private:
  config_step& add(config_action action, std::string target, std::string detail,
                   std::string problem = {}) {
    if (!problem.empty()) has_problem_ = true;
    config_step step;
    step.action = action;
    step.shown = {to_string(action), wire::escape_line(target), wire::escape_line(detail),
                  wire::escape_line(problem)};
    steps_.push_back(std::move(step));
    return steps_.back();
  }

  // -- releases and pins
  void register_releases() {
    for (const auto& each : wanted_.releases) {
      const auto* there = name_index::find(names_.releases, name_of(each));
      if (there != nullptr && satisfies(there->spec, each)) continue;
      add(config_action::register_release, name_of(each), "command " + each.command,
          there == nullptr ? "" : never_changes)
          .release = each;
    }
  }

  void pin() {
    for (const auto& each : wanted_.pins) {
      const auto* there = name_index::find(names_.pins, plugin_key(each));
      if (there != nullptr && there->version == each.version) continue;
      const auto release = name_of(each);
      std::string problem;
      if (there != nullptr && there->declared.empty())
        problem = "pinned by an operator; unpin it or take it out of the file";
      else if (!names_.releases.contains(release) && !names_.wanted_releases.contains(release))
        problem = "there is no such release";
      else
        unpinned_.insert(plugin_key(each));
      add(config_action::pin, fmt::format("{}/{}", each.kind, each.name),
          there != nullptr ? fmt::format("version {} -> {}", there->version, each.version)
                           : "version " + each.version,
          std::move(problem))
          .pin = each;
    }
  }

  void unpin() {
    for (const auto& each : is_.pins) {
      // One of another version was set by an operator since.
      if (names_.wanted_pins.contains(plugin_key(each)) || each.declared != each.version) continue;
      unpinned_.insert(plugin_key(each));
      add(config_action::unpin, fmt::format("{}/{}", each.kind, each.name),
          "version " + each.version)
          .pin = {each.kind, each.name, each.version};
    }
  }

  void deregister() {
    for (const auto& each : is_.releases) {
      if (!each.declared || names_.wanted_releases.contains(name_of(each.spec))) continue;
      const auto pinned = pin_on(each.spec);
      const auto [users, all_are_kept] = users_of(each);
      if (pinned.empty() && !users.empty() && all_are_kept)
        add(config_action::keep, name_of(each.spec),
            fmt::format("no longer in the file; it is kept for {}", users));
      else
        add(config_action::deregister, name_of(each.spec), "no longer in the file",
            !pinned.empty()  ? pinned
            : !users.empty() ? fmt::format("in use by {}", users)
                             : "")
            .release = each.spec;
    }
  }

  /// Empty, or which pin keeps the release in the catalog.
  std::string pin_on(const release_spec& spec) const {
    const auto* wanted = name_index::find(names_.wanted_pins, plugin_key(spec));
    if (wanted != nullptr && wanted->version == spec.version) return "the file pins it";
    const auto* there = name_index::find(names_.pins, plugin_key(spec));
    if (there != nullptr && there->version == spec.version && !unpinned_.contains(plugin_key(spec)))
      return "it is pinned by an operator";
    return {};
  }

  /// The mounts that keep the release in the catalog; and whether the file had brought all of them.
  std::pair<std::string, bool> users_of(const actual_release& release) const {
    std::string users;
    bool all_are_kept = true;
    for (const auto& path : release.users) {
      if (leaving_.contains(path)) continue;
      users += (users.empty() ? "" : ", ") + path;
      all_are_kept = all_are_kept && kept_.contains(path);
    }
    return {users, all_are_kept};
  }

  // -- mounts
  void mount() {
    for (const auto& each : wanted_.mounts) {
      const auto* const* found = names_.mounts.exact(each.path);
      if (found == nullptr)
        add(config_action::mount, each.path, "plugin " + plugin_of(each), taken(each.path)).mount =
            each;
      else if (!(*found)->declared)
        add(config_action::mount, each.path, "plugin " + plugin_of(each),
            (*found)->problem.empty() ? by_operator : (*found)->problem);
      else if (const auto& was = home(**found);
               was != each.path && names_.wanted_mounts.contains(was))
        add(config_action::mount, each.path, "plugin " + plugin_of(each),
            fmt::format("an operator moved the mount of '{}' here: move it back", was));
      else
        tune(each, **found);
    }
  }

  /// Empty, or why the path is not free for a new mount.
  std::string taken(const std::string& path) const {
    if (const auto* moved = name_index::find(names_.moved, path))
      return fmt::format(
          "an operator moved it to '{}': move it back, or list it there: a new mount would be "
          "without its data",
          moved->spec.path);
    const auto other = names_.mounts.overlap(path);
    return other ? fmt::format("the mount '{}' overlaps with it", *other) : std::string();
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
    if (home(there) != wanted.path) {
      auto& step =
          add(config_action::tune, wanted.path,
              fmt::format("in the file where an operator moved it, from '{}'", home(there)),
              there.problem);
      step.uuid = there.uuid;
      step.tune.path = wanted.path;
      step.adopt = true;
    }
    std::string detail;
    auto request = changes(wanted, is, detail);
    if (detail.empty()) return;
    if (request.version && there.problem.empty()) leaving_.insert(wanted.path);
    auto& step = add(config_action::tune, wanted.path, std::move(detail), there.problem);
    step.tune = request;
    step.uuid = there.uuid;
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
    confinement_changes(wanted, is, request, tell);
    return request;
  }

  /// Without addresses, which count at once.
  static std::vector<std::string_view> of_a_start(const std::vector<std::string>& grants) {
    std::vector<std::string_view> others;
    std::copy_if(grants.begin(), grants.end(), std::back_inserter(others),
                 [](const std::string& each) { return !each.starts_with("net:"); });
    return others;
  }

  template <class Tell>
  static void confinement_changes(const mount_spec& wanted, const mount_spec& is,
                                  tune_request& request, const Tell& tell) {
    const auto take = [&tell](const auto& to_be, const auto& now, auto& field, const char* name) {
      if (to_be == now) return false;
      field = to_be;
      tell(name);
      return true;
    };
    const auto& to_be = wanted.confinement;
    const auto& now = is.confinement;
    // What only a start can change is worth one.
    const bool profile = take(to_be.profile, now.profile, request.profile, "profile");
    const bool waive = take(to_be.waive, now.waive, request.waive, "waive");
    const bool grants = take(to_be.grants, now.grants, request.grants, "grants") &&
                        of_a_start(to_be.grants) != of_a_start(now.grants);
    request.reload = request.reload || profile || waive || grants;
    take(to_be.limits, now.limits, request.limits, "limits");
    take(wanted.thresholds, is.thresholds, request.thresholds, "thresholds");
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
    const bool prunes = prune_ && !has_problem_;
    for (const auto& each : is_.mounts) {
      const auto& path = each.spec.path;
      if (!each.declared || names_.wanted_mounts.contains(path)) continue;
      if (home(each) != path) {
        keep_moved(each);
      } else if (prune_) {
        if (prunes) leaving_.insert(path);
        auto& step =
            add(config_action::unmount, path, "deletes its data", prunes ? "" : not_pruned);
        step.mount.path = path;
        step.uuid = each.uuid;
      } else {
        kept_.insert(path);
        add(config_action::keep, path, keeps_data);
      }
    }
  }

  /// What an operator has moved is his to unmount.
  void keep_moved(const actual_mount& each) {
    const auto& path = each.spec.path;
    kept_.insert(path);
    if (names_.wanted_mounts.contains(home(each))) return;  // told with its old path
    add(config_action::keep, path,
        fmt::format("no longer in the file; an operator moved it here from '{}', and it is kept: "
                    "`bulkhead unmount {}` deletes its data",
                    home(each), path));
  }

  const declared_state& wanted_;
  const actual_state& is_;
  bool prune_;
  name_index names_;
  bool has_problem_ = false;
  std::vector<config_step> steps_;
  std::set<std::string> leaving_;   // mounts that take another release, or go
  std::set<std::string> kept_;      // mounts that stay although the file lists them no more
  std::set<plugin_name> unpinned_;  // plugins whose pin goes or changes
};

}  // namespace

std::string to_string(config_action action) {
  static constexpr std::array words = {"register", "pin",        "mount", "tune",     "unmount",
                                       "unpin",    "deregister", "keep",  "configure"};
  return words.at(static_cast<std::size_t>(action));
}

std::vector<config_step> plan(const declared_state& wanted, const actual_state& is, bool prune) {
  return planner(wanted, is, prune).run();
}

}  // namespace bulkhead
