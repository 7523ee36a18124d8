// SPDX-License-Identifier: Apache-2.0
//
// A path from a client to an echo and back, alive for the whole run and silent between its turns.
//
// All paths do the same work: `bytes` bytes there and the same bytes back. One outstanding: the
// next call starts when the answer is there; its time is that of the whole round trip, in the
// client. Many outstanding: so many lanes, each of which starts its next call when it has its
// answer.
#pragma once

#include <kj/async-io.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bulkhead::bench {

class subject {
 public:
  subject() = default;
  virtual ~subject() noexcept(false) = default;
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;

  virtual const char* name() const = 0;

  /// The processes on the path besides the client, by role.
  virtual std::vector<std::pair<std::string, pid_t>> processes() const = 0;

  /// Calls one at a time for so long; the time of each in microseconds.
  virtual std::vector<double> one_at_a_time(std::size_t bytes, double seconds) = 0;

  /// Calls on `lanes` lanes for so long; how many were answered.
  virtual std::uint64_t many_at_once(std::size_t bytes, unsigned lanes, double seconds) = 0;
};

/// `hops` 1 or 2: a socket and an echo, or a socket, a byte relay and an echo.
std::unique_ptr<subject> raw_subject(unsigned hops);

/// The middle of a Cap'n Proto path, and the streams that it runs on.
enum class middle { none, relay, proxy };
enum class streams {
  stock,  ///< libcapnp's own: what the broker is measured against
  link,   ///< Bulkhead's, without a broker: what the stream alone is worth
};
std::unique_ptr<subject> rpc_subject(middle what, streams kind, kj::AsyncIoContext& io);

}  // namespace bulkhead::bench
