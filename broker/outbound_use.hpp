// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the connections and look-ups of all mounts come to, and who may have one more.
//
// A limit of the whole broker must not be one mount's to use up. So places are shared out by what
// is left: a mount may take one more while it has fewer than are free. One that takes all it gets
// ends at half, two at a third each, and what they leave free is there for who has little; nobody
// is refused its first one before the last is gone. Nothing is taken back: who came first keeps
// what it has, and who comes late to many greedy ones gets less.
//
// Counted by mount and not by instance: a look-up outlives the instance that asked, and an instance
// that is started again and again is not to have a new share each time.
//
// Threads: the reactor's.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace bulkhead {

class fair_places {
  struct table {
    std::size_t all = 0;
    std::map<std::string, std::size_t> by_owner;  // without zeroes
  };

 public:
  /// A place that is taken, until this ends. May outlive where it was taken.
  class place {
   public:
    place(place&& other) noexcept : of_(std::move(other.of_)), owner_(std::move(other.owner_)) {}
    place& operator=(place&&) = delete;
    ~place();

   private:
    friend class fair_places;
    place(std::shared_ptr<table> of, std::string owner);

    std::shared_ptr<table> of_;  // null: moved from
    std::string owner_;
  };

  /// Whether the owner may have one more of `most` places.
  bool has_room(const std::string& owner, std::size_t most) const;
  /// Takes one. Whether there is room is for the caller to ask.
  place take(std::string owner);
  std::size_t taken() const { return table_->all; }

 private:
  std::shared_ptr<table> table_ = std::make_shared<table>();
};

struct outbound_use {
  fair_places connections{};  // open, or being made
  fair_places lookups{};      // of names, each in a thread
  std::uint64_t refused = 0;  // for want of a place in one of these
  std::uint64_t revoked = 0;  // connections that ended because their grant was taken away
};

}  // namespace bulkhead
