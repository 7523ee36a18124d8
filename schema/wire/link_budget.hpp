// SPDX-License-Identifier: Apache-2.0
//
// What a peer may make this side keep, counted frame by frame.
//
// The guard bounds one frame and the queue bounds what waits to be written. Neither sees what a
// small frame makes libcapnp remember: a call of eighty bytes opens an entry in a table until it is
// both answered and finished, a capability of three words becomes an object of about a kilobyte, a
// list of capabilities may claim millions of entries in no bytes at all, and a question that the
// peer never answers keeps its number. libcapnp 0.9.2 has a limit for none of these. So every RPC
// message, either way, passes here, and the first that would take a count above its limit is a
// breach: it never reaches libcapnp, and the connection ends with the name of the limit.
//
// The counts are those of libcapnp's tables, by its own rules:
//   * calls open       the peer's calls that are not yet answered, or not yet finished: the larger
//   * calls unanswered this side's calls, also those it has given up, without a Return. Whoever
//                      calls the peer raises it, so that the next call fails and the peer lives
//   * capabilities held  references to the peer's objects, until this side's Release, and any other
//                      entries of the tables of its calls, until they are answered
//   * capabilities given  references that the peer has to this side's objects, until its Release,
//                      or its Finish or Return when that releases
//   * tail calls       the peer's calls whose answer is not to be sent but kept here, to be the
//                      answer to a call of ours; kept, of any size, until the peer's Finish
// A message that lies (a Finish or Release of what is not there) would lower a count, but libcapnp
// ends the connection for it before it takes anything from the tables.
//
// Frames per second are not a breach: above the rate the reader waits, and the peer with it. A
// Return costs nothing there: each answers a call of this side, and libcapnp ends the connection
// for one that does not.
//
// Cost: some twenty loads and compares a frame, and no allocation unless a call or its answer
// carries capabilities. The clock is the caller's. One thread.
#pragma once

#include <capnp/rpc.capnp.h>
#include <kj/time.h>

#include <cstdint>
#include <unordered_map>
#include <unordered_set>

#include "schema/wire/wire_limits.hpp"

namespace bulkhead::wire {

/// A limit that was passed.
struct budget_breach {
  const char* limit = "";  ///< its name in the table of limits
  const char* unit = "";
  std::uint64_t count = 0;
  std::uint64_t allowed = 0;
};

class link_budget {
 public:
  using message = capnp::rpc::Message::Reader;
  using verdict = kj::Maybe<budget_breach>;

  explicit link_budget(const budget_limits& limits);

  /// Counts a message of the peer, before libcapnp sees it. Throws what its reader throws when the
  /// message is broken.
  verdict received(message from_peer);

  /// Counts a message to the peer, once it is on its way.
  verdict sent(message to_peer);

  /// Whether one more call to the peer would be one too many.
  bool full() const { return calls_unanswered_ >= limits_.calls_unanswered; }

  /// How long nothing more is to be read. To be asked before each read; `now` never goes back.
  kj::Duration pause(kj::TimePoint now);

  std::uint64_t calls_open() const;
  std::uint64_t calls_unanswered() const { return calls_unanswered_; }
  std::uint64_t capabilities_held() const { return references_held_ + entries_held_; }
  std::uint64_t capabilities_given() const { return given_; }

 private:
  using table = capnp::List<capnp::rpc::CapDescriptor>::Reader;
  struct table_count {
    std::uint64_t references = 0;  ///< to objects of the sender
    std::uint64_t others = 0;
  };
  using by_question = std::unordered_map<std::uint32_t, std::uint64_t>;

  verdict call_received(capnp::rpc::Call::Reader call);
  verdict return_received(capnp::rpc::Return::Reader answer);
  verdict finish_received(capnp::rpc::Finish::Reader finish);
  verdict resolve_received(capnp::rpc::Resolve::Reader resolve);
  void return_sent(capnp::rpc::Return::Reader answer);
  void call_sent(capnp::rpc::Call::Reader call);

  verdict open_call();
  verdict check_table(table entries) const;
  verdict check_path(capnp::rpc::PromisedAnswer::Reader path) const;
  verdict check_held() const;
  verdict check_given() const;
  static table_count count(table entries);
  static bool is_reference(capnp::rpc::CapDescriptor::Reader entry);
  static std::uint64_t take(by_question& from, std::uint32_t question);

  const budget_limits limits_;
  std::uint64_t unreturned_ = 0;  // the peer's calls without our Return
  std::uint64_t unfinished_ = 0;  // the peer's calls without its Finish
  std::uint64_t calls_unanswered_ = 0;
  std::uint64_t references_held_ = 0;
  std::uint64_t entries_held_ = 0;
  std::uint64_t given_ = 0;
  by_question entries_of_call_;                  // of the peer's open calls
  by_question given_with_answer_;                // the peer's Finish may release them
  by_question given_with_call_;                  // the peer's Return may release them
  std::unordered_set<std::uint32_t> given_up_;   // our Finish was before its Return
  std::unordered_set<std::uint32_t> kept_here_;  // the peer's tail calls
  std::uint64_t frames_to_charge_ = 0;
  kj::TimePoint paid_until_ = kj::origin<kj::TimePoint>();
};

}  // namespace bulkhead::wire
