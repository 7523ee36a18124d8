// SPDX-License-Identifier: Apache-2.0
#pragma once

// Images by their digest, so that a restart costs no reading and no hashing.
//
// An image that is asked for by digest comes from the vault when it is there, and then nobody looks
// at the plugin directory: these are the bytes. Otherwise the file is read, by one asker at a time
// for each digest; others who want the same wait for that. Asked for without a digest
// (registration), the file is always read anew.
//
// The images of the vault hold at most `image_cache_bytes_max` bytes; above it those that nobody
// holds are dropped, the one that was longest not asked for first. What somebody holds stays, even
// above the limit: dropping it would free nothing.

#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "broker/images/image.hpp"

namespace bulkhead {

struct image_limits {
  std::uint64_t plugin_file_bytes_max = std::uint64_t{256} << 20U;
  std::uint64_t image_cache_bytes_max = std::uint64_t{512} << 20U;
};

/// Where the bytes are when the vault does not have them.
struct image_source {
  std::string directory;  // the plugin directory
  std::string command;    // beneath it
  bool operator==(const image_source&) const = default;
};

struct image_vault_figures {
  std::uint64_t images = 0;
  std::uint64_t bytes = 0;
  std::uint64_t made = 0;     // files copied and hashed so far
  std::uint64_t found = 0;    // answers without that
  std::uint64_t dropped = 0;  // to stay below the limit
};

/// Any thread may use it.
class image_vault {
 public:
  explicit image_vault(image_limits limits = {}) : limits_(limits) {}
  image_vault(const image_vault&) = delete;
  image_vault& operator=(const image_vault&) = delete;

  /// The image when it is there, else null. Takes microseconds.
  std::shared_ptr<const image> find(const trust::digest& digest);

  /// Finds or makes it; blocks for as long as that takes. Throws image_error, and nothing is kept.
  std::shared_ptr<const image> get(const image_source& source,
                                   const std::optional<trust::digest>& expected);

  image_vault_figures figures() const;

 private:
  struct making;
  using images = std::list<std::shared_ptr<const image>>;  // the last one asked for is in front

  std::shared_ptr<const image> find_locked(const trust::digest& digest);
  std::shared_ptr<const image> make_for_all(making& mine, const trust::digest& expected);
  std::shared_ptr<const image> make_alone(const image_source& source,
                                          const std::optional<trust::digest>& expected) const;
  std::shared_ptr<const image> keep(std::shared_ptr<const image> made);
  images take_surplus();

  const image_limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable made_;
  images images_;
  std::map<trust::digest, images::iterator> by_digest_;
  std::map<trust::digest, std::shared_ptr<making>> under_way_;
  image_vault_figures figures_;
};

}  // namespace bulkhead
