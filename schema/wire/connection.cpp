// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/connection.hpp"

#include <kj/debug.h>

#include "schema/wire/link_network.hpp"

namespace bulkhead::wire {

namespace {

capnp::ReaderOptions reader_options(const stream_limits& limits) {
  // Measured, read, copied: two and a half frames is the least that lets every frame through.
  constexpr std::uint64_t traversals = 4;
  capnp::ReaderOptions options;
  options.traversalLimitInWords = limits.frame_bytes * traversals / sizeof(capnp::word);
  return options;
}

}  // namespace

struct connection::parts {
  // Order matters: the RPC system goes first, the socket last.
  kj::Own<kj::AsyncIoStream> socket;
  kj::Maybe<link_budget> budget;
  link_stream stream;
  link_network network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;

  template <typename Stream>
  parts(Stream& as_it_is, kj::Own<kj::AsyncIoStream> socket_to_own, side which,
        kj::Maybe<capnp::Capability::Client> bootstrap, connection_options& options)
      : socket(kj::mv(socket_to_own)),
        stream(as_it_is, options.limits, options.timer),
        network(stream, which, reader_options(options.limits), options.limits),
        rpc(network, kj::mv(bootstrap)) {
    KJ_IF_MAYBE (limits, options.budget) {
      auto& counted = budget.emplace(*limits);
      stream.use_budget(counted);
      network.use_budget(counted, limits->capabilities_given / 2);
    }
    if (options.flow_words_max > 0) rpc.setFlowLimit(options.flow_words_max);
  }
};

connection::connection(kj::Own<kj::AsyncCapabilityStream> stream, side which,
                       kj::Maybe<capnp::Capability::Client> bootstrap, connection_options options) {
  auto& as_it_is = *stream;
  parts_ = kj::heap<parts>(as_it_is, kj::mv(stream), which, kj::mv(bootstrap), options);
}

connection::connection(kj::Own<kj::AsyncIoStream> stream, side which,
                       kj::Maybe<capnp::Capability::Client> bootstrap, connection_options options) {
  auto& as_it_is = *stream;
  parts_ = kj::heap<parts>(as_it_is, kj::mv(stream), which, kj::mv(bootstrap), options);
}

connection::~connection() noexcept(false) = default;

capnp::Capability::Client connection::bootstrap() {
  KJ_IF_MAYBE (reason, parts_->stream.close_reason()) return kj::cp(*reason);
  if (parts_->network.down()) return KJ_EXCEPTION(DISCONNECTED, "the connection has ended");
  capnp::MallocMessageBuilder message(4);
  auto vat = message.getRoot<capnp::rpc::twoparty::VatId>();
  vat.setSide(parts_->network.which() == side::CLIENT ? side::SERVER : side::CLIENT);
  return parts_->rpc.bootstrap(vat);
}

kj::Promise<void> connection::on_disconnect() {
  return parts_->network.on_disconnect();
}

void connection::on_close(link_stream::close_reason_function why) {
  parts_->stream.on_close(kj::mv(why));
}

void connection::close(kj::Exception reason) {
  parts_->stream.abort(kj::mv(reason));
}

kj::Maybe<const kj::Exception&> connection::close_reason() const {
  return parts_->stream.close_reason();
}

const stream_meter& connection::meter() const {
  return parts_->stream.meter();
}

kj::Maybe<kj::Promise<void>> connection::unread_obstacle(std::size_t bytes) {
  return parts_->stream.unread_obstacle(bytes);
}

kj::Maybe<const link_budget&> connection::budget() const {
  KJ_IF_MAYBE (counted, parts_->budget) return *counted;
  return nullptr;
}

}  // namespace bulkhead::wire
