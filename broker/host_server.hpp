// SPDX-License-Identifier: Apache-2.0
#pragma once

// The Host of schema/plugin.capnp: what the broker lends to one instance of one mount.

#include "broker/fair_store.hpp"
#include "broker/outbound.hpp"
#include "broker/revocable_store.hpp"
#include "broker/services.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead {

/// What one instance is lent. It ends with the instance, whoever holds the capability by then: a
/// plugin may have passed it on.
class host_loan {
 public:
  /// `of` is the release that the instance runs; null: a file that nobody registered. `unread` is
  /// asked until the loan ends whether its view may go on answering. `services` outlives the
  /// capability's last call: the links of instances end before the broker's parts.
  host_loan(broker_services& services, std::shared_ptr<mount_entry> entry, std::uint64_t generation,
            const release* of, fair_store::obstacle unread);
  ~host_loan() noexcept(false);
  KJ_DISALLOW_COPY(host_loan);

  schema::Host::Client make_host();
  /// From now on it may connect there, and nowhere else.
  outbound_change use_addresses(const std::vector<std::string>& granted);
  /// Where it may connect to.
  std::vector<std::string> addresses() const;
  /// Nothing of the instance enters the storage any more, and its connections are closed. What is
  /// under way fails.
  void end(const char* why);

 private:
  std::shared_ptr<mount_entry> entry_;
  std::uint64_t generation_;
  std::shared_ptr<fair_store> share_;
  std::shared_ptr<revocable_store> storage_;
  outbound outside_;
};

}  // namespace bulkhead
