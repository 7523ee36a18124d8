// SPDX-License-Identifier: Apache-2.0
#pragma once

// The gateway's unix socket: made, guarded, listened on, removed.
//
// A lock file beside the socket (<path>.lock) says whether a broker serves it. Whoever holds the
// lock may remove a stale socket; who does not get it learns that another broker listens. So a
// socket that a killed broker left behind is no obstacle, and a live one is never stolen. The
// socket has mode 0600: other users cannot even connect.
//
// Each connection runs on a wire::connection: hostile frames end that connection with a named
// reason and nothing else. Above `clients_max` a connection is accepted and closed at once, so that
// the backlog does not fill up. When the process has no descriptor left, a connection is accepted
// with one kept in reserve, and closed at once, so that its client hears; then accepting pauses for
// `accept_pause` instead of spinning.
//
// Threads: the reactor's.

#include <kj/async-io.h>

#include <functional>
#include <string>

#include "actors/reactor.hpp"
#include "actors/unique_fd.hpp"
#include "broker/gateway.hpp"
#include "schema/wire/connection.hpp"

namespace bulkhead {

class listener final : private kj::TaskSet::ErrorHandler {
 public:
  using greet = std::function<schema::Gateway::Client(identity)>;

  /// Binds and listens. Throws kinds invalid_argument (path too long, no such directory, not a
  /// socket), already_exists (another broker listens there). `greet` makes the bootstrap capability
  /// of each connection.
  listener(reactor& loop, std::string path, std::uint32_t clients_max, std::uint64_t flow_words_max,
           greet make);
  /// Ends all connections and removes the socket.
  ~listener() noexcept(false);
  KJ_DISALLOW_COPY(listener);

  /// Takes no new connection from now on.
  void close();
  std::uint32_t clients() const { return clients_; }
  /// Connections that were closed at once because the process had no descriptor for them.
  std::uint64_t turned_away() const { return turned_away_; }

 private:
  void lock();
  kj::AutoCloseFd bind();
  kj::Promise<void> accept_loop();
  void take_reserve();
  void turn_away();
  void serve(kj::Own<kj::AsyncIoStream> stream);
  void taskFailed(kj::Exception&& problem) override;

  reactor& loop_;
  std::string path_;
  std::uint32_t clients_max_;
  std::uint64_t flow_words_max_;
  greet greet_;
  kj::AutoCloseFd lock_;
  kj::Own<kj::ConnectionReceiver> receiver_;
  int socket_ = -1;    // the receiver's
  unique_fd reserve_;  // given up for a moment when there is no other descriptor
  std::uint64_t turned_away_ = 0;
  std::uint32_t clients_ = 0;
  kj::TaskSet connections_;
  kj::Maybe<kj::Promise<void>> accepting_;
};

}  // namespace bulkhead
