// SPDX-License-Identifier: Apache-2.0
//
// The two-party network over a link_stream.
//
// libcapnp has one (TwoPartyVatNetwork); this one differs where a broker needs it. A message goes
// to the stream inside `send()`, not a turn later behind a chain of promises, which saves some ten
// allocations per message. A message above `frame_bytes` fails that one call, not the connection:
// the RPC system handles an exception of `send()` just so. A call that is above the budget of the
// peer fails likewise, as overloaded. libcapnp 0.9.2 lets a caller go on to build on the answer to
// a call that was never sent, for which the peer would end the connection; so a message that does
// is not sent either. And it says whether the connection is down: libcapnp's accepts a second
// `bootstrap()` after the end and fails in a destructor.
//
// One thread. Outlives the RPC system that uses it; the stream outlives it.
#pragma once

#include <capnp/rpc-twoparty.h>

#include <unordered_set>

#include "schema/wire/link_stream.hpp"

namespace bulkhead::wire {

/// What the RPC system calls a connection.
using rpc_connection = capnp::TwoPartyVatNetworkBase::Connection;

class link_network final : public capnp::TwoPartyVatNetworkBase, private rpc_connection {
 public:
  using side = capnp::rpc::twoparty::Side;

  link_network(link_stream& stream, side which, capnp::ReaderOptions options,
               const stream_limits& limits);
  ~link_network() noexcept(false);
  KJ_DISALLOW_COPY(link_network);

  side which() const { return side_; }

  /// What `budget` counts bounds calls too; it must outlive this. Calls may bring what the peer has
  /// of this side's capabilities up to `given_max`, so that whoever makes them cannot end the peer.
  void use_budget(const link_budget& budget, std::uint64_t given_max) {
    budget_ = budget;
    given_max_ = given_max;
  }

  /// True once the RPC system has given the connection up.
  bool down() const { return down_; }

  /// Done when the RPC system has given the connection up. Never fails.
  kj::Promise<void> on_disconnect() { return disconnected_.addBranch(); }

  kj::Maybe<kj::Own<rpc_connection>> connect(capnp::rpc::twoparty::VatId::Reader vat) override;
  kj::Promise<kj::Own<rpc_connection>> accept() override;

 private:
  class outgoing;
  class incoming;

  // The RPC system identifies a connection by its address, and drops its references at the end.
  class reference_counter final : public kj::Disposer {
   public:
    explicit reference_counter(link_network& network) : network_(network) {}
    void add() const { ++count_; }

   protected:
    void disposeImpl(void* connection) const override;

   private:
    link_network& network_;
    mutable unsigned count_ = 0;
  };

  kj::Own<rpc_connection> reference();
  kj::Maybe<kj::Exception> obstacle(capnp::rpc::Message::Reader message, frame_segments segments);
  kj::Maybe<kj::Exception> giving_obstacle(capnp::rpc::Call::Reader call) const;
  bool builds_on_unsent(capnp::rpc::Message::Reader message) const;
  void note_question(capnp::rpc::Message::Reader message, bool sent);

  capnp::rpc::twoparty::VatId::Reader getPeerVatId() override;
  kj::Own<capnp::OutgoingRpcMessage> newOutgoingMessage(capnp::uint first_segment_words) override;
  kj::Promise<kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>> receiveIncomingMessage() override;
  kj::Promise<void> shutdown() override;
  kj::Own<capnp::RpcFlowController> newStream() override;

  link_stream& stream_;
  const side side_;
  const capnp::ReaderOptions options_;
  const stream_limits limits_;
  kj::Maybe<const link_budget&> budget_;
  std::uint64_t given_max_ = 0;
  capnp::MallocMessageBuilder peer_;
  reference_counter references_;
  std::unordered_set<std::uint32_t> unsent_;  // calls that failed on their way out
  bool accepted_ = false;
  bool down_ = false;
  kj::Own<kj::PromiseFulfiller<void>> disconnected_fulfiller_;
  kj::ForkedPromise<void> disconnected_;
};

}  // namespace bulkhead::wire
