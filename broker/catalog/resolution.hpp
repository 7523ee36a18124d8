// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which release a name means. Pure.
//
// The version is the pinned one, else the one that was asked for, else the highest stable one, else
// the highest pre-release. A pin wins over what a mount asks for: it is how an operator holds all
// mounts of a plugin. A name without a kind means the only kind that has a plugin of this name;
// where several do, it has to be said.

#include <compare>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "broker/catalog/release.hpp"
#include "broker/trust/semantic_version.hpp"

namespace bulkhead {

/// Precedence; two versions that differ in build metadata alone, which has no say in it, are
/// ordered by its bytes, so that the highest of several does not depend on who was registered
/// first.
struct by_version {
  bool operator()(const trust::semantic_version& a, const trust::semantic_version& b) const {
    const auto order = trust::compare(a, b);
    return std::is_lt(order) || (std::is_eq(order) && a.build < b.build);
  }
};

/// All that the catalog holds of one plugin.
struct plugin_line {
  std::map<trust::semantic_version, std::shared_ptr<const release>, by_version> releases;
  std::map<std::string, std::string> damaged;  // version: why its record cannot be used
  std::string pin;                             // empty: none
  std::string declared_pin;  // what the declared state pinned, whatever is pinned now; or empty

  bool empty() const { return releases.empty() && damaged.empty(); }
  /// Null when there is none.
  std::shared_ptr<const release> find(const std::string& version) const;
  /// The highest stable one, else the highest pre-release; null when there is none.
  std::shared_ptr<const release> highest() const;
};

/// By kind and name.
using plugin_lines = std::map<std::pair<std::string, std::string>, plugin_line>;

/// What was asked for, and by whom: `kind` and `version` may be empty.
struct release_wish {
  std::string kind;
  std::string name;
  std::string version;
};

struct resolution {
  enum class outcome : std::uint8_t {
    found,
    unknown,    // the catalog has no plugin of this name
    ambiguous,  // several kinds have one
    missing,    // the plugin is there, this version is not
    damaged,    // it is, and its record cannot be used
  };
  outcome how = outcome::unknown;
  std::shared_ptr<const release> chosen;
  // Unless found, one line each.
  std::string what;
  std::string why;
  std::string remedy;

  bool found() const { return how == outcome::found; }
};

resolution resolve(const plugin_lines& lines, const release_wish& wish);

/// The release that a mount keeps to: this one, whatever is pinned. Found, damaged or missing.
resolution resolve_kept(const plugin_lines& lines, const release_id& id);

}  // namespace bulkhead
