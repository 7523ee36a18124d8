// SPDX-License-Identifier: Apache-2.0
#include "broker/host_server.hpp"

#include "broker/confinement_desk.hpp"
#include "broker/convert.hpp"
#include "broker/outbound.hpp"
#include "broker/revocable_store.hpp"
#include "broker/view.hpp"

namespace bulkhead {
namespace {

class host_server final : public schema::Host::Server {
 public:
  host_server(broker_services& services, std::shared_ptr<mount_entry> entry,
              std::uint64_t generation, const release* of, std::shared_ptr<revocable_store> storage)
      : entry_(std::move(entry)),
        generation_(generation),
        storage_(std::move(storage)),
        view_(make_view(storage_, entry_->uuid)),
        outbound_(services, addresses_of(services, of, *entry_)) {}
  /// Its link has ended, and the instance with it.
  ~host_server() noexcept(false) {
    storage_->end(exception(error_kind::plugin_unavailable, "the instance that asked has ended"));
  }
  KJ_DISALLOW_COPY(host_server);

  kj::Promise<void> view(ViewContext context) override {
    context.getResults().setView(view_);
    return kj::READY_NOW;
  }

  kj::Promise<void> log(LogContext context) override {
    const auto params = context.getParams();
    const auto said = params.getText();
    entry_->log->plugin_says(generation_, params.getLevel(), {said.begin(), said.size()});
    return kj::READY_NOW;
  }

  kj::Promise<void> now(NowContext context) override {
    context.getResults().setUnixMs(unix_ms_now());
    return kj::READY_NOW;
  }

  kj::Promise<void> connect(ConnectContext context) override {
    const auto address = text(context.getParams().getAddress());
    context.releaseParams();
    // Else one that waits would keep this, and so the storage, beyond the link's end.
    context.allowCancellation();
    return outbound_.connect(address).then([context](schema::Connection::Client&& made) mutable {
      context.getResults().setConnection(kj::mv(made));
    });
  }

 private:
  std::shared_ptr<mount_entry> entry_;
  std::uint64_t generation_;
  std::shared_ptr<revocable_store> storage_;
  schema::View::Client view_;
  outbound outbound_;
};

}  // namespace

schema::Host::Client make_host(broker_services& services, std::shared_ptr<mount_entry> entry,
                               std::uint64_t generation, const release* of) {
  auto storage = std::make_shared<revocable_store>(entry->storage);
  return make_host(services, std::move(entry), generation, of, std::move(storage));
}

schema::Host::Client make_host(broker_services& services, std::shared_ptr<mount_entry> entry,
                               std::uint64_t generation, const release* of,
                               std::shared_ptr<revocable_store> storage) {
  return kj::heap<host_server>(services, std::move(entry), generation, of, std::move(storage));
}

}  // namespace bulkhead
