// SPDX-License-Identifier: Apache-2.0
#include "broker/images/image_vault.hpp"

#include <utility>

namespace bulkhead {

/// Somebody reads the file just now. Guarded by the vault's mutex.
struct image_vault::making {
  image_source source;
  bool done = false;
  std::shared_ptr<const image> made;           // when it went well
  std::shared_ptr<const image_error> refused;  // when it did not; neither: it failed otherwise
};

std::shared_ptr<const image> image_vault::find(const trust::digest& digest) {
  images dropped;  // goes after the lock: freeing a large image takes time
  const std::lock_guard guard(mutex_);
  auto found = find_locked(digest);
  dropped = take_surplus();
  return found;
}

std::shared_ptr<const image> image_vault::get(const image_source& source,
                                              const std::optional<trust::digest>& expected) {
  if (!expected) return keep(make_alone(source, expected));
  const auto mine = std::make_shared<making>();
  mine->source = source;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (auto found = find_locked(*expected)) return found;
    const auto [at, is_first] = under_way_.try_emplace(*expected, mine);
    if (is_first) break;
    const auto other = at->second;
    made_.wait(lock, [&] { return other->done; });
    if (other->made) {
      ++figures_.found;
      return other->made;
    }
    // Another place may hold what that one did not.
    if (other->refused && other->source == source) throw image_error(*other->refused);
  }
  lock.unlock();
  return make_for_all(*mine, *expected);
}

/// Makes what others may be waiting for, and tells them how it went.
std::shared_ptr<const image> image_vault::make_for_all(making& mine,
                                                       const trust::digest& expected) {
  const auto tell = [&](std::shared_ptr<const image> made,
                        std::shared_ptr<const image_error> refused) {
    const std::lock_guard guard(mutex_);
    mine.made = std::move(made);
    mine.refused = std::move(refused);
    mine.done = true;
    under_way_.erase(expected);
    made_.notify_all();
  };
  try {
    auto made = keep(make_alone(mine.source, expected));
    tell(made, nullptr);
    return made;
  } catch (const image_error& refused) {
    tell(nullptr, std::make_shared<image_error>(refused));
    throw;
  } catch (...) {
    tell(nullptr, nullptr);
    throw;
  }
}

std::shared_ptr<const image> image_vault::make_alone(
    const image_source& source, const std::optional<trust::digest>& expected) const {
  const plugin_directory directory{source.directory};
  return make_image(directory.open(source.command, limits_.plugin_file_bytes_max), expected,
                    limits_.plugin_file_bytes_max);
}

std::shared_ptr<const image> image_vault::find_locked(const trust::digest& digest) {
  const auto at = by_digest_.find(digest);
  if (at == by_digest_.end()) return nullptr;
  images_.splice(images_.begin(), images_, at->second);
  ++figures_.found;
  return images_.front();
}

/// The one that stays when the same bytes were made twice is the first.
std::shared_ptr<const image> image_vault::keep(std::shared_ptr<const image> made) {
  images dropped;
  const std::lock_guard guard(mutex_);
  ++figures_.made;
  const auto [at, is_new] = by_digest_.try_emplace(made->digest());
  if (is_new) {
    images_.push_front(std::move(made));
    at->second = images_.begin();
    figures_.bytes += images_.front()->size();
    ++figures_.images;
  } else {
    images_.splice(images_.begin(), images_, at->second);
  }
  auto kept = images_.front();
  dropped = take_surplus();
  return kept;
}

/// Takes out what is above the limit and in nobody's use. Nobody can begin to use it meanwhile: the
/// only other way to it leads through the mutex.
image_vault::images image_vault::take_surplus() {
  images surplus;
  for (auto at = images_.end();
       figures_.bytes > limits_.image_cache_bytes_max && at != images_.begin();) {
    const auto each = std::prev(at);
    if (each->use_count() > 1) {
      at = each;
      continue;
    }
    figures_.bytes -= (*each)->size();
    --figures_.images;
    ++figures_.dropped;
    by_digest_.erase((*each)->digest());
    surplus.splice(surplus.end(), images_, each);
  }
  return surplus;
}

image_vault_figures image_vault::figures() const {
  const std::lock_guard guard(mutex_);
  return figures_;
}

}  // namespace bulkhead
