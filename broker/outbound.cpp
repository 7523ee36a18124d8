// SPDX-License-Identifier: Apache-2.0
#include "broker/outbound.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

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
  connection_server(kj::Own<kj::AsyncIoStream> stream, kj::Promise<void> over)
      : stream_(kj::mv(stream)),
        over_(over.then([this] { close("the instance that asked for it has ended"); })
                  .eagerlyEvaluate(nullptr)) {}

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
    return under_way_.wrap(kj::mv(done))
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
      KJ_IF_MAYBE (problem, kj::runCatchingExceptions([this] { stream_->shutdownWrite(); }))
        fail(kj::mv(*problem));
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
    return under_way_.wrap(kj::mv(done))
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

  /// What is under way fails, and does not look like an end that the other side has chosen.
  void close(std::string why) {
    if (!failure_.empty()) return;
    failure_ = why.empty() ? "the network gave no reason" : std::move(why);
    under_way_.cancel(KJ_EXCEPTION(DISCONNECTED, "the connection has failed"));
    stream_ = nullptr;
  }

  kj::Own<kj::AsyncIoStream> stream_;  // null once it has failed
  kj::Canceler under_way_;
  turns write_order_;
  std::size_t writes_ = 0;
  bool reading_ = false;
  bool ended_ = false;
  std::string failure_;
  kj::Promise<void> over_;
};

[[noreturn]] void refuse_late(const std::string& shown, std::chrono::milliseconds longest) {
  refuse(error_kind::deadline_exceeded, fmt::format("could not connect to '{}' in time", shown),
         fmt::format("it had {} ms (connect_ms_max)", longest.count()));
}

/// Connected where the broker itself listens, by whatever name, a plugin would be its operator.
void refuse_own_socket(kj::AsyncIoStream& stream, const std::string& own,
                       const std::string& shown) {
  sockaddr_un peer{};
  kj::uint size = sizeof peer;
  stream.getpeername(reinterpret_cast<sockaddr*>(&peer), &size);
  if (!own.empty() && peer.sun_family == AF_UNIX && own == static_cast<const char*>(peer.sun_path))
    refuse(error_kind::permission_denied, fmt::format("may not connect to '{}'", shown),
           "that is the broker's own socket");
}

}  // namespace

struct outbound::shared {
  shared(broker_services& of, std::vector<std::string> addresses, kj::Network& through)
      : services(of), granted(std::move(addresses)), network(through) {
    auto end = kj::newPromiseAndFulfiller<void>();
    ended = kj::mv(end.fulfiller);
    when_ended = end.promise.fork();
  }

  broker_services& services;
  std::vector<std::string> granted;
  kj::Network& network;
  std::size_t open = 0;
  bool over = false;
  kj::Own<kj::PromiseFulfiller<void>> ended;
  kj::ForkedPromise<void> when_ended = nullptr;
};

outbound::outbound(broker_services& services, std::vector<std::string> granted)
    : outbound(services, std::move(granted), services.reactor.network()) {}

outbound::outbound(broker_services& services, std::vector<std::string> granted,
                   kj::Network& network)
    : shared_(std::make_shared<shared>(services, std::move(granted), network)) {}

void outbound::end() {
  shared_->over = true;
  shared_->ended->fulfill();
}

void outbound::check(const std::string& address) const {
  const auto& granted = shared_->granted;
  const auto shown = wire::escape_line(address);
  if (shared_->over) refuse(error_kind::plugin_unavailable, "the instance that asked has ended");
  if (std::find(granted.begin(), granted.end(), address) == granted.end())
    refuse(error_kind::permission_denied, fmt::format("may not connect to '{}'", shown),
           "no operator has granted it", "bulkhead tune PATH --grant net:ADDRESS");
  const auto most = shared_->services.limits.connections_max;
  if (shared_->open >= most)
    refuse(error_kind::overloaded, "there are too many connections",
           fmt::format("the limit is {} of an instance (connections_max)", most));
}

/// Whoever gives up waiting, or is told that it took too long, does not free the place: the look-up
/// goes on in its thread.
kj::Promise<schema::Connection::Client> outbound::connect(const std::string& address) {
  check(address);
  ++shared_->open;
  auto held = kj::heap(kj::defer([counted = shared_] { --counted->open; }));
  auto& reactor = shared_->services.reactor;
  auto& timer = reactor.timer();
  const auto shown = wire::escape_line(address);
  const auto longest = shared_->services.limits.connect_ms_max;
  const auto latest = timer.now() + longest.count() * kj::MILLISECONDS;
  auto answer = kj::newPromiseAndFulfiller<schema::Connection::Client>();
  auto told = std::make_shared<decltype(answer.fulfiller)>(kj::mv(answer.fulfiller));
  reactor.detach(connect_to(address, latest)
                     .then(
                         [told, mine = shared_, held = kj::mv(held)](auto&& stream) mutable {
                           if (mine->over)
                             return (*told)->reject(exception(error_kind::plugin_unavailable,
                                                              "the instance that asked has ended"));
                           (*told)->fulfill(lend_connection(stream.attach(kj::mv(held)),
                                                            mine->when_ended.addBranch()));
                         },
                         [told](kj::Exception&& problem) { (*told)->reject(kj::mv(problem)); }));
  return answer.promise.exclusiveJoin(timer.atTime(latest).then(
      [shown, longest]() -> schema::Connection::Client { refuse_late(shown, longest); }));
}

/// Looks the name up, for as long as that takes, and connects, if there is time left.
kj::Promise<kj::Own<kj::AsyncIoStream>> outbound::connect_to(const std::string& address,
                                                             kj::TimePoint latest) const {
  const auto shown = wire::escape_line(address);
  return shared_->network.parseAddress(address)
      .then([mine = shared_, latest, shown](kj::Own<kj::NetworkAddress>&& to) {
        auto connected = to->connect();
        auto late = mine->services.reactor.timer().atTime(latest).then(
            [mine, shown]() -> kj::Own<kj::AsyncIoStream> {
              refuse_late(shown, mine->services.limits.connect_ms_max);
            });
        return connected.attach(kj::mv(to)).exclusiveJoin(kj::mv(late));
      })
      .then(
          [mine = shared_, shown](kj::Own<kj::AsyncIoStream>&& stream) {
            refuse_own_socket(*stream, mine->services.config.socket_path, shown);
            return kj::mv(stream);
          },
          [shown](kj::Exception&& problem) -> kj::Own<kj::AsyncIoStream> {
            if (to_error(problem).kind() == error_kind::deadline_exceeded)
              kj::throwFatalException(kj::mv(problem));
            refuse(error_kind::failed_precondition, fmt::format("cannot connect to '{}'", shown),
                   network_reason(problem.getDescription().cStr()));
          });
}

std::string network_reason(std::string_view description) {
  // KJ says "connect(fd, address): Connection refused; fd = 9".
  description = description.substr(0, description.find(';'));
  if (const auto colon = description.rfind(": "); colon != std::string_view::npos)
    description.remove_prefix(colon + 2);
  return wire::escape_line(std::string(description));
}

schema::Connection::Client lend_connection(kj::Own<kj::AsyncIoStream> stream,
                                           kj::Promise<void> over) {
  return kj::heap<connection_server>(kj::mv(stream), kj::mv(over));
}

}  // namespace bulkhead
