// SPDX-License-Identifier: Apache-2.0
#pragma once

// Values that plugins store are zeroed where the broker lets go of its own copies of them.

#include <memory>
#include <utility>

#include "actors/wipe.hpp"
#include "broker/store/store.hpp"

namespace bulkhead {

/// The values that it would store.
inline void wipe(txn_request& request) {
  for (auto* const branch : {&request.then, &request.otherwise})
    for (auto& each : *branch) wipe(each.value);
}

/// A request whose values are zeroed with it.
class wiped_request {
 public:
  explicit wiped_request(txn_request what) : what_(std::move(what)) {}
  wiped_request(const wiped_request&) = delete;
  wiped_request& operator=(const wiped_request&) = delete;
  ~wiped_request() { wipe(what_); }

  const txn_request& operator*() const { return what_; }

 private:
  txn_request what_;
};

}  // namespace bulkhead
