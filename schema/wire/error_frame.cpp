// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/error_frame.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <algorithm>

#include "schema/wire/error_text.hpp"

namespace bulkhead::wire {

namespace {

namespace rpc = capnp::rpc;

// On the wire the peer speaks itself: no hop has put a prefix before its text yet.
constexpr unsigned plugin_hops_on_wire = 0;

void clean(rpc::Exception::Reader from, rpc::Exception::Builder to) {
  const auto text = from.getReason();
  const auto read = text.slice(0, std::min(text.size(), error_read_bytes_max));
  const kj::Exception said(static_cast<kj::Exception::Type>(from.getType()), __FILE__, __LINE__,
                           kj::heapString(read));
  const auto fit = clean_exception(said, plugin_hops_on_wire);
  to.setReason(fit.getDescription());
  to.setType(static_cast<rpc::Exception::Type>(fit.getType()));
}

kj::Array<capnp::word> clean_return(rpc::Return::Reader answer) {
  capnp::MallocMessageBuilder made;
  auto to = made.initRoot<rpc::Message>().initReturn();
  to.setAnswerId(answer.getAnswerId());
  to.setReleaseParamCaps(answer.getReleaseParamCaps());
  clean(answer.getException(), to.initException());
  return capnp::messageToFlatArray(made);
}

kj::Array<capnp::word> clean_resolve(rpc::Resolve::Reader outcome) {
  capnp::MallocMessageBuilder made;
  auto to = made.initRoot<rpc::Message>().initResolve();
  to.setPromiseId(outcome.getPromiseId());
  clean(outcome.getException(), to.initException());
  return capnp::messageToFlatArray(made);
}

}  // namespace

kj::Maybe<kj::Array<capnp::word>> with_clean_error(rpc::Message::Reader from_peer) {
  if (from_peer.isReturn()) {
    const auto answer = from_peer.getReturn();
    if (answer.isException()) return clean_return(answer);
  } else if (from_peer.isResolve()) {
    const auto outcome = from_peer.getResolve();
    if (outcome.isException()) return clean_resolve(outcome);
  }
  return nullptr;
}

}  // namespace bulkhead::wire
