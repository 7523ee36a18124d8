// SPDX-License-Identifier: Apache-2.0
#include "broker/outbound.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <kj/debug.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <utility>

#include "broker/refusal.hpp"
#include "broker/services.hpp"
#include "broker/turns.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

class connection_server final : public schema::Connection::Server {
 public:
  connection_server(kj::Own<kj::AsyncIoStream> stream, kj::Promise<std::string> over)
      : stream_(kj::mv(stream)),
        over_(over.then([this](std::string&& why) { close(std::move(why)); })
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
             fmt::format("the limit is {} (connection_writes_max)", connection_writes_max),
             "wait for the answers to some of them");
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

[[noreturn]] void refuse_ungranted(const std::string& shown, const char* why) {
  refuse(error_kind::permission_denied, fmt::format("may not connect to '{}'", shown), why,
         "bulkhead tune PATH --grant net:ADDRESS");
}

[[noreturn]] void refuse_unreachable(const std::string& shown, const kj::Exception& problem) {
  refuse(error_kind::failed_precondition, fmt::format("cannot connect to '{}'", shown),
         network_reason(problem.getDescription().cStr()));
}

/// Connected where the broker itself listens, by whatever name, a plugin would be its operator.
/// Where it is not known who the other side is, which may have gone by now, it might be that.
void refuse_own_socket(kj::AsyncIoStream& stream, const std::string& own,
                       const std::string& shown) {
  sockaddr_un peer{};
  kj::uint size = sizeof peer;
  KJ_IF_MAYBE (problem, kj::runCatchingExceptions(
                            [&] { stream.getpeername(reinterpret_cast<sockaddr*>(&peer), &size); }))
    refuse_unreachable(shown, *problem);
  // A path that fills its field has no NUL behind it.
  const auto* text = static_cast<const char*>(peer.sun_path);
  const std::string_view path(text, ::strnlen(text, sizeof peer.sun_path));
  if (!own.empty() && peer.sun_family == AF_UNIX && own == path)
    refuse(error_kind::permission_denied, fmt::format("may not connect to '{}'", shown),
           "that is the broker's own socket");
}

}  // namespace

/// A granted address, until its grant or the instance ends. It does not open again: the same
/// address granted anew is another way.
struct outbound::way {
  enum class state : std::uint8_t { open, revoked, ended };

  explicit way(std::string to) : address(std::move(to)) {
    auto promised = kj::newPromiseAndFulfiller<void>();
    closing = kj::mv(promised.fulfiller);
    closed = promised.promise.fork();
  }

  void close(state by) {
    now = by;
    closing->fulfill();
  }
  void check_open() const {
    if (now == state::ended)
      refuse(error_kind::plugin_unavailable, "the instance that asked has ended");
    if (now == state::revoked)
      refuse_ungranted(wire::escape_line(address), "its grant was taken away meanwhile");
  }
  /// Fails as check_open() as soon as that does.
  template <class T>
  static kj::Promise<T> refused_when_closed(const std::shared_ptr<way>& by) {
    return by->closed.addBranch().then([by]() -> T {
      by->check_open();
      KJ_UNREACHABLE;
    });
  }
  std::string reason() const {
    return now == state::revoked ? "its grant was taken away"
                                 : "the instance that asked for it has ended";
  }

  const std::string address;
  state now = state::open;
  std::size_t lent = 0;  // connections
  kj::Own<kj::PromiseFulfiller<void>> closing;
  kj::ForkedPromise<void> closed = nullptr;
};

struct outbound::shared {
  shared(broker_services& of, std::string mount, kj::Network& through)
      : services(of), owner(std::move(mount)), network(through) {}

  broker_services& services;
  const std::string owner;
  kj::Network& network;
  std::map<std::string, std::shared_ptr<way>> ways;  // the open ones
  std::size_t taken = 0;                             // of connections_max
  bool over = false;
};

outbound::outbound(broker_services& services, std::string mount,
                   const std::vector<std::string>& granted)
    : outbound(services, std::move(mount), granted, services.reactor.network()) {}

outbound::outbound(broker_services& services, std::string mount,
                   const std::vector<std::string>& granted, kj::Network& network)
    : shared_(std::make_shared<shared>(services, std::move(mount), network)) {
  use(granted);
}

outbound_change outbound::use(const std::vector<std::string>& granted) {
  outbound_change change;
  if (shared_->over) return change;
  auto before = std::exchange(shared_->ways, {});
  for (const auto& address : granted) {
    auto kept = before.extract(address);
    if (kept.empty()) {
      const bool added = shared_->ways.try_emplace(address, std::make_shared<way>(address)).second;
      change.added += added ? 1 : 0;
    } else {
      shared_->ways.insert(std::move(kept));
    }
  }
  for (const auto& [address, each] : before) {
    ++change.revoked;
    change.ended += each->lent;
    each->close(way::state::revoked);
  }
  shared_->services.outside.revoked += change.ended;
  return change;
}

std::vector<std::string> outbound::granted() const {
  std::vector<std::string> all;
  for (const auto& each : shared_->ways) all.push_back(each.first);
  return all;
}

void outbound::end() {
  shared_->over = true;
  for (const auto& [address, each] : std::exchange(shared_->ways, {}))
    each->close(way::state::ended);
}

std::shared_ptr<outbound::way> outbound::way_to(const std::string& address) const {
  if (shared_->over) refuse(error_kind::plugin_unavailable, "the instance that asked has ended");
  const auto found = shared_->ways.find(address);
  if (found == shared_->ways.end())
    refuse_ungranted(wire::escape_line(address), "no operator has granted it");
  return found->second;
}

/// What others have is not for a plugin to know.
void outbound::check_room(const std::string& address) const {
  auto& services = shared_->services;
  const auto& limits = services.limits;
  if (shared_->taken >= limits.connections_max)
    refuse(error_kind::overloaded, "there are too many connections",
           fmt::format("the limit is {} of an instance (connections_max)", limits.connections_max),
           "close one first");
  const auto check = [&](const fair_places& places, std::uint32_t most, const char* what,
                         const char* name, const char* remedy) {
    if (places.has_room(shared_->owner, most)) return;
    ++services.outside.refused;
    refuse(error_kind::overloaded, what,
           fmt::format("the limit is {} of all mounts ({}), and this mount has its share of what "
                       "the others leave",
                       most, name),
           remedy);
  };
  check(services.outside.connections, limits.broker_connections_max,
        "the broker has too many connections", "broker_connections_max",
        "close one, or try again later");
  if (needs_lookup(address))
    check(services.outside.lookups, limits.broker_lookups_max, "the broker looks up too many names",
          "broker_lookups_max", "try again later");
}

/// Whoever gives up waiting, or is told that it took too long, does not free the place: the look-up
/// goes on in its thread.
kj::Promise<schema::Connection::Client> outbound::connect(const std::string& address) {
  const auto by = way_to(address);
  check_room(address);
  auto& services = shared_->services;
  ++shared_->taken;
  auto held = kj::heap(kj::defer([counted = shared_] {
                --counted->taken;
              })).attach(services.outside.connections.take(shared_->owner));
  auto& timer = services.reactor.timer();
  const auto longest = services.limits.connect_ms_max;
  const auto latest = timer.now() + longest.count() * kj::MILLISECONDS;
  auto answer = kj::newPromiseAndFulfiller<schema::Connection::Client>();
  auto told = std::make_shared<decltype(answer.fulfiller)>(kj::mv(answer.fulfiller));
  services.reactor.detach(
      connect_by(by, shared_, latest)
          .then(
              [told, by, held = kj::mv(held)](kj::Own<kj::AsyncIoStream>&& stream) mutable {
                ++by->lent;
                auto counted = kj::defer([by] { --by->lent; });
                (*told)->fulfill(
                    lend_connection(stream.attach(kj::mv(held), kj::mv(counted)),
                                    by->closed.addBranch().then([by] { return by->reason(); })));
              },
              [told](kj::Exception&& problem) { (*told)->reject(kj::mv(problem)); }));
  auto late = [shown = wire::escape_line(address), longest]() -> schema::Connection::Client {
    refuse_late(shown, longest);
  };
  return answer.promise.exclusiveJoin(timer.atTime(latest).then(kj::mv(late)))
      .exclusiveJoin(way::refused_when_closed<schema::Connection::Client>(by));
}

/// Looks the name up, for as long as that takes, and connects, if there is time left and the way
/// still open.
kj::Promise<kj::Own<kj::AsyncIoStream>> outbound::connect_by(const std::shared_ptr<way>& by,
                                                             const std::shared_ptr<shared>& of,
                                                             kj::TimePoint latest) {
  using stream = kj::Own<kj::AsyncIoStream>;
  const auto shown = wire::escape_line(by->address);
  auto address = kj::evalNow([&] { return of->network.parseAddress(by->address); });
  if (needs_lookup(by->address))
    address = address.attach(of->services.outside.lookups.take(of->owner));
  return address
      .then(
          [by, of, latest, shown](kj::Own<kj::NetworkAddress>&& to) {
            by->check_open();
            auto late = of->services.reactor.timer().atTime(latest).then([of, shown]() -> stream {
              refuse_late(shown, of->services.limits.connect_ms_max);
            });
            auto failed = [shown](kj::Exception&& problem) -> stream {
              refuse_unreachable(shown, problem);
            };
            auto connected = to->connect().catch_(kj::mv(failed)).attach(kj::mv(to));
            return connected.exclusiveJoin(kj::mv(late))
                .exclusiveJoin(way::refused_when_closed<stream>(by));
          },
          [shown](kj::Exception&& problem) -> kj::Promise<stream> {
            refuse_unreachable(shown, problem);
          })
      .then([by, of, shown](stream&& made) {
        by->check_open();
        refuse_own_socket(*made, of->services.config.socket_path, shown);
        return kj::mv(made);
      });
}

bool needs_lookup(std::string_view address) {
  if (address.starts_with("unix:") || address.starts_with('[')) return false;
  const std::string host(address.substr(0, address.rfind(':')));
  in_addr number{};
  return ::inet_pton(AF_INET, host.c_str(), &number) != 1;
}

std::string network_reason(std::string_view description) {
  // KJ says "connect(fd, address): Connection refused; fd = 9".
  description = description.substr(0, description.find(';'));
  if (const auto colon = description.rfind(": "); colon != std::string_view::npos)
    description.remove_prefix(colon + 2);
  return wire::escape_line(std::string(description));
}

schema::Connection::Client lend_connection(kj::Own<kj::AsyncIoStream> stream,
                                           kj::Promise<std::string> over) {
  return kj::heap<connection_server>(kj::mv(stream), kj::mv(over));
}

}  // namespace bulkhead
