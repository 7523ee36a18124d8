// SPDX-License-Identifier: Apache-2.0
#pragma once

// Connections to the outside, which the broker makes for one instance of a plugin.
//
// A confined plugin has no network, and gets none by a grant: the broker connects, and lends the
// byte stream as a capability. So the plugin reaches the address that the operator named and no
// other, whatever it asks for, and what it may send is bounded as all that it sends is.
//
// Guarantees: an address is compared with the granted texts before anything is looked up; at most
// connections_max connections of an instance exist, those counted that are being made or looked up,
// and of all mounts broker_connections_max, of which one mount cannot have all (outbound_use.hpp);
// a connection ends with its capability, and with its grant or the instance at the latest, whoever
// holds the capability by then; one that is being made then is not made; it never leads to the
// broker's own socket. What it costs the broker is one read of connection_bytes_max and
// connection_writes_max writes of it.
//
// Limits: names are resolved by the system's resolver, in a thread for each look-up, which outlives
// a look-up that was given up, and keeps its places, one of them of broker_lookups_max. What a name
// stands for is the resolver's word. Threads: the reactor's.

#include <kj/async-io.h>
#include <kj/timer.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "schema/plugin.capnp.h"

namespace bulkhead {

struct broker_services;

inline constexpr std::size_t connection_bytes_max = std::size_t{64} << 10U;
inline constexpr std::size_t connection_writes_max = 16;

/// What came of other grants, for what runs.
struct outbound_change {
  std::size_t added = 0;    // addresses
  std::size_t revoked = 0;  // likewise
  std::size_t ended = 0;    // connections to these
};

/// Copies are of the same instance.
class outbound {
 public:
  /// For an instance of `mount` (its uuid). `services` outlives what is made here.
  outbound(broker_services& services, std::string mount, const std::vector<std::string>& granted);
  /// Through another network than the reactor's.
  outbound(broker_services& services, std::string mount, const std::vector<std::string>& granted,
           kj::Network& network);

  /// Fails as Host.connect says.
  kj::Promise<schema::Connection::Client> connect(const std::string& address);
  /// From now on these are granted, and no others. Connections to those that no longer are end.
  outbound_change use(const std::vector<std::string>& granted);
  /// The addresses that are granted, in the order of their bytes.
  std::vector<std::string> granted() const;
  /// The instance has ended: so do its connections, and there will be no more.
  void end();

 private:
  struct way;
  struct shared;

  static kj::Promise<kj::Own<kj::AsyncIoStream>> connect_by(const std::shared_ptr<way>& by,
                                                            const std::shared_ptr<shared>& of,
                                                            kj::TimePoint latest);
  std::shared_ptr<way> way_to(const std::string& address) const;
  void check_room(const std::string& address) const;

  std::shared_ptr<shared> shared_;
};

/// Why the network said no, in the system's words and without anything of the machine.
std::string network_reason(std::string_view description);

/// Whether the system's resolver is asked for it.
bool needs_lookup(std::string_view address);

/// A stream as the capability, until `over` resolves, to the reason.
schema::Connection::Client lend_connection(kj::Own<kj::AsyncIoStream> stream,
                                           kj::Promise<std::string> over = kj::NEVER_DONE);

}  // namespace bulkhead
