// SPDX-License-Identifier: Apache-2.0
#include "broker/gateway.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "broker/admin_server.hpp"
#include "broker/convert.hpp"

namespace bulkhead {
namespace {

constexpr std::uint16_t handle_method = 0;  // Backend.handle @0

class mount_server final : public schema::Mount::Server {
 public:
  mount_server(broker_core& core, std::shared_ptr<mount_entry> entry)
      : core_(core), entry_(std::move(entry)) {}

  kj::Promise<void> backend(BackendContext context) override {
    context.getResults().setBackend(entry_->slot->backend());
    return kj::READY_NOW;
  }

  kj::Promise<void> typed(TypedContext context) override {
    context.getResults().setTyped(entry_->slot->typed());
    return kj::READY_NOW;
  }

  kj::Promise<void> describe(DescribeContext context) override {
    return face().then([this, context]() mutable {
      auto results = context.getResults();
      const auto info = entry_->face->reader();
      results.setPath(entry_->spec.path.c_str());
      results.setPlugin(info.getName());
      results.setVersion(info.getVersion());
      results.setTypedId(info.getTypedId());
      results.setSchema(info.getSchema());
      results.setPaths(info.getPaths());
      results.setOptionsKnown(info.hasOptions());
      if (info.hasOptions()) results.setOptions(info.getOptions());
    });
  }

 private:
  kj::Promise<void> face() {
    if (entry_->closed)
      return exception(error_kind::unmounted, fmt::format("'{}' was unmounted", entry_->spec.path));
    if (entry_->face != nullptr) return kj::READY_NOW;
    const auto& limits = core_.services().limits;
    auto waiter = kj::newPromiseAndFulfiller<void>();
    std::erase_if(entry_->waiting_for_face, [](auto& each) { return !each->isWaiting(); });
    entry_->waiting_for_face.push_back(kj::mv(waiter.fulfiller));
    if (entry_->wake) entry_->wake();
    auto limit =
        core_.services()
            .reactor.timer()
            .afterDelay(limits.slot_wait_ms_max.count() * kj::MILLISECONDS)
            .then([path = entry_->spec.path] {
              kj::throwFatalException(exception(
                  error_kind::plugin_unavailable,
                  fmt::format("mount '{}' was not ready in time", path),
                  "its plugin has not said hello yet", fmt::format("bulkhead status {}", path)));
            });
    return waiter.promise.exclusiveJoin(kj::mv(limit));
  }

  broker_core& core_;
  std::shared_ptr<mount_entry> entry_;
};

class session_server final : public schema::Session::Server {
 public:
  session_server(broker_core& core, const broker_facts& facts, identity peer,
                 std::shared_ptr<std::uint32_t> sessions)
      : core_(core), facts_(facts), peer_(peer), sessions_(std::move(sessions)) {
    ++*sessions_;
  }
  ~session_server() noexcept(false) { --*sessions_; }
  KJ_DISALLOW_COPY(session_server);

  kj::Promise<void> mount(MountContext context) override {
    const auto path = context.getParams().getPath();
    const auto found = core_.find({path.begin(), path.size()});
    auto results = context.getResults();
    results.setMount(kj::heap<mount_server>(core_, found.value->entry));
    results.setRest(kj::heapString(found.rest.data(), found.rest.size()));
    return kj::READY_NOW;
  }

  kj::Promise<void> handle(HandleContext context) override {
    const auto asked = context.getParams().getRequest();
    const auto path = asked.getPath();
    const auto found = core_.find({path.begin(), path.size()});
    capnp::Capability::Client backend(found.value->entry->slot->backend());
    auto forwarded =
        backend.typelessRequest(capnp::typeId<schema::Backend>(), handle_method, asked.totalSize());
    auto request = forwarded.initAs<schema::Backend::HandleParams>().initRequest();
    request.setOperation(asked.getOperation());
    request.setPath(kj::heapString(found.rest.data(), found.rest.size()));
    request.setFields(asked.getFields());
    context.releaseParams();
    context.allowCancellation();
    // The results of both methods have one layout: a Response.
    capnp::AnyPointer::Builder params = forwarded;
    return context.tailCall(capnp::Request<capnp::AnyPointer, schema::Session::HandleResults>(
        params, capnp::RequestHook::from(kj::mv(forwarded))));
  }

  kj::Promise<void> admin(AdminContext context) override {
    context.getResults().setAdmin(make_admin(core_, facts_));
    return kj::READY_NOW;
  }

  kj::Promise<void> whoami(WhoamiContext context) override {
    auto who = context.getResults().initIdentity();
    who.setName(fmt::format("uid:{}", peer_.uid).c_str());
    who.setUid(peer_.uid);
    who.setPid(peer_.pid);
    return kj::READY_NOW;
  }

 private:
  broker_core& core_;
  const broker_facts& facts_;
  identity peer_;
  std::shared_ptr<std::uint32_t> sessions_;
};

class gateway_server final : public schema::Gateway::Server {
 public:
  gateway_server(broker_core& core, const broker_facts& facts, identity peer)
      : core_(core), facts_(facts), peer_(peer), sessions_(std::make_shared<std::uint32_t>(0)) {}

  kj::Promise<void> login(LoginContext context) override {
    if (!context.getParams().getCredential().isPeer())
      kj::throwFatalException(exception(error_kind::unsupported,
                                        "this credential is not understood",
                                        "protocol 1 knows the identity of the peer process only"));
    if (peer_.uid != ::geteuid() && peer_.uid != 0)
      kj::throwFatalException(exception(
          error_kind::permission_denied, fmt::format("uid {} may not use this broker", peer_.uid),
          "only root and the user that the broker runs as have rights here", "run as that user"));
    const auto limit = core_.services().limits.client_sessions_max;
    if (*sessions_ >= limit)
      kj::throwFatalException(
          exception(error_kind::overloaded, "no further session is possible",
                    fmt::format("the connection has {}, the limit client_sessions_max", limit)));
    context.getResults().setSession(kj::heap<session_server>(core_, facts_, peer_, sessions_));
    return kj::READY_NOW;
  }

  kj::Promise<void> version(VersionContext context) override {
    auto results = context.getResults();
    results.setVersion(BULKHEAD_VERSION);
    results.setProtocolMin(schema::PROTOCOL_MIN);
    results.setProtocolMax(schema::PROTOCOL_MAX);
    return kj::READY_NOW;
  }

 private:
  broker_core& core_;
  const broker_facts& facts_;
  identity peer_;
  std::shared_ptr<std::uint32_t> sessions_;
};

}  // namespace

schema::Gateway::Client make_gateway(broker_core& core, const broker_facts& facts, identity peer) {
  return kj::heap<gateway_server>(core, facts, peer);
}

schema::Session::Client make_session(broker_core& core, const broker_facts& facts, identity peer) {
  return kj::heap<session_server>(core, facts, peer, std::make_shared<std::uint32_t>(0));
}

}  // namespace bulkhead
