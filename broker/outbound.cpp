// SPDX-License-Identifier: Apache-2.0
#include "broker/outbound.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "broker/refusal.hpp"
#include "broker/services.hpp"
#include "broker/turns.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

class connection_server final : public schema::Connection::Server {
 public:
  connection_server(kj::Own<kj::AsyncIoStream> stream, kj::Own<void> held)
      : held_(kj::mv(held)), stream_(kj::mv(stream)) {}

  kj::Promise<void> read(ReadContext context) override {
    check_open();
    if (reading_)
      refuse(error_kind::failed_precondition, "another read of this connection is under way",
             "one at a time");
    const std::size_t asked = context.getParams().getBytesMax();
    const auto most = asked == 0 ? connection_bytes_max : std::min(asked, connection_bytes_max);
    context.releaseParams();
    context.allowCancellation();
    reading_ = true;
    auto buffer = kj::heapArray<kj::byte>(most);
    auto done = stream_->tryRead(buffer.begin(), 1, most);
    return done
        .then(
            [context, buffer = kj::mv(buffer)](std::size_t size) mutable {
              context.getResults(capnp::MessageSize{size / sizeof(capnp::word) + 8, 0})
                  .setBytes(buffer.slice(0, size));
            },
            [this](kj::Exception&& problem) { fail(kj::mv(problem)); })
        .attach(kj::defer([this] { reading_ = false; }));
  }

  kj::Promise<void> write(WriteContext context) override {
    check_open();
    check_writable();
    const auto given = context.getParams().getBytes();
    if (given.size() > connection_bytes_max)
      refuse(error_kind::invalid_argument, "there are too many bytes for one write",
             fmt::format("{}, the limit is {} (connection_bytes_max)", given.size(),
                         connection_bytes_max));
    if (writes_ >= connection_writes_max)
      refuse(error_kind::overloaded, "too many writes of this connection wait",
             fmt::format("the limit is {} (connection_writes_max)", connection_writes_max));
    auto bytes = kj::heapArray<kj::byte>(given.begin(), given.size());
    context.releaseParams();
    context.allowCancellation();
    ++writes_;
    return write_order_.take()
        .then([this, bytes = kj::mv(bytes)](kj::Own<turns::pass>&& turn) mutable {
          return write_now(kj::mv(bytes)).attach(kj::mv(turn));
        })
        .attach(kj::defer([this] { --writes_; }));
  }

  kj::Promise<void> end(EndContext) override {
    check_open();
    check_writable();
    ended_ = true;
    return write_order_.run([this]() -> kj::Promise<void> {
      check_open();
      stream_->shutdownWrite();
      return kj::READY_NOW;
    });
  }

 private:
  void check_open() const {
    if (!failure_.empty())
      refuse(error_kind::failed_precondition, "the connection has failed", failure_);
  }

  void check_writable() const {
    if (ended_)
      refuse(error_kind::failed_precondition, "nothing more can be written to this connection",
             "it was ended");
  }

  /// Given up in the middle, the stream is at nobody knows which byte.
  kj::Promise<void> write_now(kj::Array<kj::byte> bytes) {
    check_open();
    auto whole = std::make_shared<bool>(false);
    auto done = stream_->write(bytes.begin(), bytes.size());
    return done
        .then([whole] { *whole = true; },
              [this, whole](kj::Exception&& problem) {
                *whole = true;
                fail(kj::mv(problem));
              })
        .attach(kj::mv(bytes), kj::defer([this, whole] {
                  if (!*whole) close("a write was given up before its end");
                }));
  }

  [[noreturn]] void fail(kj::Exception&& problem) {
    close(network_reason(problem.getDescription().cStr()));
    refuse(error_kind::failed_precondition, "the connection has failed", failure_);
  }

  void close(std::string why) {
    if (!failure_.empty()) return;
    failure_ = std::move(why);
    // It may have gone already, which these say by throwing.
    kj::runCatchingExceptions([this] {
      stream_->abortRead();
      stream_->shutdownWrite();
    });
  }

  kj::Own<void> held_;
  kj::Own<kj::AsyncIoStream> stream_;
  turns write_order_;
  std::size_t writes_ = 0;
  bool reading_ = false;
  bool ended_ = false;
  std::string failure_;
};

kj::Promise<kj::Own<kj::AsyncIoStream>> connect_in_time(reactor& reactor,
                                                        const std::string& address,
                                                        std::chrono::milliseconds longest) {
  const auto shown = wire::escape_line(address);
  auto limit = reactor.timer()
                   .afterDelay(longest.count() * kj::MILLISECONDS)
                   .then([shown, longest]() -> kj::Own<kj::AsyncIoStream> {
                     refuse(error_kind::deadline_exceeded,
                            fmt::format("could not connect to '{}' in time", shown),
                            fmt::format("it had {} ms (connect_ms_max)", longest.count()));
                   });
  return reactor.network()
      .parseAddress(address)
      .then([](kj::Own<kj::NetworkAddress>&& to) {
        auto connected = to->connect();
        return connected.attach(kj::mv(to));
      })
      .catch_([shown](kj::Exception&& problem) -> kj::Own<kj::AsyncIoStream> {
        refuse(error_kind::failed_precondition, fmt::format("cannot connect to '{}'", shown),
               network_reason(problem.getDescription().cStr()));
      })
      .exclusiveJoin(kj::mv(limit));
}

}  // namespace

struct outbound::shared {
  broker_services& services;
  std::vector<std::string> granted;
  std::size_t open = 0;
};

outbound::outbound(broker_services& services, std::vector<std::string> granted)
    : shared_(std::make_shared<shared>(shared{services, std::move(granted)})) {}

void outbound::check(const std::string& address) const {
  const auto& granted = shared_->granted;
  const auto shown = wire::escape_line(address);
  if (std::find(granted.begin(), granted.end(), address) == granted.end())
    refuse(error_kind::permission_denied, fmt::format("may not connect to '{}'", shown),
           "no operator has granted it", fmt::format("bulkhead tune PATH --grant net:{}", shown));
  const auto most = shared_->services.limits.connections_max;
  if (shared_->open >= most)
    refuse(error_kind::overloaded, "there are too many connections",
           fmt::format("the limit is {} of an instance (connections_max)", most));
}

/// Whoever gives up waiting does not free the place: the look-up goes on in its thread.
kj::Promise<schema::Connection::Client> outbound::connect(const std::string& address) {
  check(address);
  ++shared_->open;
  auto held = kj::heap(kj::defer([counted = shared_] { --counted->open; }));
  auto& reactor = shared_->services.reactor;
  auto answer = kj::newPromiseAndFulfiller<schema::Connection::Client>();
  auto told = std::make_shared<decltype(answer.fulfiller)>(kj::mv(answer.fulfiller));
  reactor.detach(connect_in_time(reactor, address, shared_->services.limits.connect_ms_max)
                     .then(
                         [told, held = kj::mv(held)](kj::Own<kj::AsyncIoStream>&& stream) mutable {
                           (*told)->fulfill(lend_connection(kj::mv(stream), kj::mv(held)));
                         },
                         [told](kj::Exception&& problem) { (*told)->reject(kj::mv(problem)); }));
  return kj::mv(answer.promise);
}

std::string network_reason(std::string_view description) {
  // KJ says "connect(fd, address): Connection refused; fd = 9".
  description = description.substr(0, description.find(';'));
  if (const auto colon = description.rfind(": "); colon != std::string_view::npos)
    description.remove_prefix(colon + 2);
  return wire::escape_line(std::string(description));
}

schema::Connection::Client lend_connection(kj::Own<kj::AsyncIoStream> stream, kj::Own<void> held) {
  return kj::heap<connection_server>(kj::mv(stream), kj::mv(held));
}

}  // namespace bulkhead
