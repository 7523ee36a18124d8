// SPDX-License-Identifier: Apache-2.0
#include "broker/outbound_use.hpp"

namespace bulkhead {

fair_places::place::place(std::shared_ptr<table> of, std::string owner)
    : of_(std::move(of)), owner_(std::move(owner)) {
  ++of_->all;
  ++of_->by_owner[owner_];
}

fair_places::place::~place() {
  if (of_ == nullptr) return;
  --of_->all;
  const auto mine = of_->by_owner.find(owner_);
  if (--mine->second == 0) of_->by_owner.erase(mine);
}

bool fair_places::has_room(const std::string& owner, std::size_t most) const {
  if (table_->all >= most) return false;
  const auto mine = table_->by_owner.find(owner);
  return (mine == table_->by_owner.end() ? 0 : mine->second) < most - table_->all;
}

fair_places::place fair_places::take(std::string owner) {
  return {table_, std::move(owner)};
}

}  // namespace bulkhead
