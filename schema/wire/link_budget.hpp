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
//   * calls open       the peer's calls that are not yet both answered and finished
//   * calls unanswered this side's calls, also those it has given up, without a Return. Whoever
//                      calls the peer raises it, so that the next call fails and the peer lives
//   * capabilities held  references to the peer's objects, until this side's Release, and any other
//                      entries of the tables of its calls, until they are answered
//   * capabilities given  references that the peer has to this side's objects, until its Release,
//                      or its Finish or Return when that releases
//   * tail calls       the peer's calls whose answer is not to be sent but kept here, to be the
//                      answer to a call of ours. It is kept, of any size, until the peer's Finish;
//                      not counted while that call of ours is open, whose answer it is
// A message that lies (a Release or Return of what is not there) would lower a count, but libcapnp
// ends the connection for it before it takes anything from the tables.
//
// A message is counted as it is read or sent, and libcapnp handles what was read a few turns of the
// loop later. In between this side may give up the call whose answer was read, or answer the call
// whose Finish was read. So each question's entry here remembers what either message said.
//
// Frames per second are not a breach: above the rate the reader waits, and the peer with it. A
// Return costs nothing there: each answers a call of this side, and libcapnp ends the connection
// for one that does not.
//
// Cost: some twenty loads and compares a frame, and no allocation once as many calls were open as
// are. The clock is the caller's. One thread.
#pragma once

#include <capnp/rpc.capnp.h>
#include <kj/time.h>

#include <cstdint>
#include <optional>

#include "schema/wire/question_table.hpp"
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

  std::uint64_t calls_open() const { return asked_.size(); }
  std::uint64_t calls_unanswered() const { return calls_unanswered_; }
  std::uint64_t capabilities_held() const { return references_held_ + entries_held_; }
  std::uint64_t capabilities_given() const { return given_; }
  std::uint64_t tail_calls() const { return kept_here_; }

 private:
  using table = capnp::List<capnp::rpc::CapDescriptor>::Reader;
  struct table_count {
    std::uint32_t references = 0;  ///< to objects of the sender
    std::uint32_t others = 0;
  };

  /// A call of the peer's.
  struct asked_call {
    bool open = false;
    bool answered = false;
    bool finished = false;
    bool released = false;                  ///< by its Finish: what came with the answer
    bool kept_here = false;                 ///< a tail call that counts as one
    std::optional<std::uint32_t> taken_by;  ///< the call of this side that it answers
    std::uint32_t entries = 0;              ///< of its table that are no references
    std::uint32_t given = 0;                ///< with its answer
  };
  /// A call of this side's.
  struct own_call {
    bool open = false;
    bool answered = false;
    bool finished = false;
    std::uint32_t given = 0;            ///< with its parameters
    std::uint32_t held = 0;             ///< with its answer
    std::optional<std::uint32_t> took;  ///< the tail call whose answer is its own
  };

  verdict call_received(capnp::rpc::Call::Reader call);
  verdict return_received(capnp::rpc::Return::Reader answer);
  void finish_received(capnp::rpc::Finish::Reader finish);
  verdict resolve_received(capnp::rpc::Resolve::Reader resolve);
  void refusal_received(message refused);
  void return_sent(capnp::rpc::Return::Reader answer);
  void call_sent(capnp::rpc::Call::Reader call);
  void finish_sent(capnp::rpc::Finish::Reader finish);

  verdict open_call(std::uint32_t question);
  void close_if_done(std::uint32_t question, const asked_call& call);
  void close_if_done(std::uint32_t question, const own_call& call);
  verdict check_table(table entries) const;
  verdict check_path(capnp::rpc::PromisedAnswer::Reader path) const;
  verdict check_held() const;
  verdict check_given() const;
  verdict check_kept() const;
  static table_count count(table entries);
  static bool is_reference(capnp::rpc::CapDescriptor::Reader entry);

  const budget_limits limits_;
  question_table<asked_call> asked_;
  question_table<own_call> own_;
  std::uint64_t calls_unanswered_ = 0;
  std::uint64_t references_held_ = 0;
  std::uint64_t entries_held_ = 0;
  std::uint64_t given_ = 0;
  std::uint64_t kept_here_ = 0;
  std::uint64_t frames_to_charge_ = 0;
  kj::TimePoint paid_until_ = kj::origin<kj::TimePoint>();
};

}  // namespace bulkhead::wire
