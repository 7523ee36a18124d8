// SPDX-License-Identifier: Apache-2.0
#pragma once

// Mount paths and routing: pure rules.
//
// A mount path is one or more segments of [A-Za-z0-9_.-]+, each ended by a slash, as in "kv/" or
// "team/a/kv/"; "." and ".." are not segments. No mount lies above or below another, so a path has
// at most one mount, and the longest prefix is found by looking at the one mount that sorts last
// before the path.

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead {

inline constexpr std::size_t mount_path_bytes_max = 256;

/// "sys/", "auth/", "audit/", "identity/": kept for the broker itself, as operators of such systems
/// expect.
bool is_reserved_path(std::string_view path);

/// The path with its trailing slash, or nothing when it is no mount path; `problem` then says why,
/// for people.
std::optional<std::string> normalise_mount_path(std::string_view path, std::string& problem);

/// A map from mount path to T with longest-prefix lookup.
template <class T>
class route_table {
 public:
  struct match {
    const std::string* mount;
    T* value;
    std::string_view
        rest;  // what is left of the path behind the mount; part of the path that was looked up
  };

  /// The path of a mount that equals `path` or lies above or below it, other than `but_for`.
  /// `path` is normalised.
  std::optional<std::string> overlap(const std::string& path,
                                     const std::string& but_for = {}) const {
    auto below = routes_.lower_bound(path);
    // One above it sorts right before it: whatever lay between would overlap with that one.
    if (below != routes_.begin()) {
      const auto& above = std::prev(below)->first;
      if (above != but_for && std::string_view(path).starts_with(above)) return above;
    }
    if (below != routes_.end() && below->first == but_for) ++below;
    if (below != routes_.end() && std::string_view(below->first).starts_with(path))
      return below->first;
    return std::nullopt;
  }

  /// False when the path is taken.
  bool insert(const std::string& path, T value) {
    return routes_.emplace(path, std::move(value)).second;
  }
  void erase(const std::string& path) { routes_.erase(path); }
  /// Gives what is at `from` the path `to`, which is free.
  void rename(const std::string& from, const std::string& to) {
    auto node = routes_.extract(from);
    node.key() = to;
    routes_.insert(std::move(node));
  }

  /// The mount that serves `path`: "kv/app" and also "kv" itself are served by "kv/".
  std::optional<match> find(std::string_view path) {
    std::string with_slash(path);
    with_slash += '/';
    auto after = routes_.upper_bound(with_slash);
    if (after == routes_.begin()) return std::nullopt;
    auto& [mount, value] = *std::prev(after);
    if (!std::string_view(with_slash).starts_with(mount)) return std::nullopt;
    auto rest = path.size() > mount.size() ? path.substr(mount.size()) : std::string_view{};
    return match{&mount, &value, rest};
  }

  /// The mount of exactly this normalised path, or null.
  T* exact(const std::string& path) {
    auto found = routes_.find(path);
    return found == routes_.end() ? nullptr : &found->second;
  }

  auto begin() { return routes_.begin(); }
  auto end() { return routes_.end(); }
  std::size_t size() const { return routes_.size(); }

 private:
  std::map<std::string, T> routes_;
};

}  // namespace bulkhead
