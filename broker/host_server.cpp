// SPDX-License-Identifier: Apache-2.0
#include "broker/host_server.hpp"

#include "broker/convert.hpp"
#include "broker/revocable_store.hpp"
#include "broker/view.hpp"

namespace bulkhead {
namespace {

class host_server final : public schema::Host::Server {
 public:
  host_server(broker_services& services, std::shared_ptr<mount_entry> entry,
              std::uint64_t generation, std::shared_ptr<revocable_store> storage)
      : services_(services),
        entry_(std::move(entry)),
        generation_(generation),
        storage_(std::move(storage)),
        view_(make_view(storage_, entry_->uuid)) {}
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
    entry_->log->plugin_says(generation_, params.getLevel(), text(params.getText()));
    return kj::READY_NOW;
  }

  kj::Promise<void> now(NowContext context) override {
    context.getResults().setUnixMs(unix_ms_now());
    return kj::READY_NOW;
  }

 private:
  broker_services& services_;
  std::shared_ptr<mount_entry> entry_;
  std::uint64_t generation_;
  std::shared_ptr<revocable_store> storage_;
  schema::View::Client view_;
};

}  // namespace

schema::Host::Client make_host(broker_services& services, std::shared_ptr<mount_entry> entry,
                               std::uint64_t generation) {
  auto storage = std::make_shared<revocable_store>(entry->storage);
  return make_host(services, std::move(entry), generation, std::move(storage));
}

schema::Host::Client make_host(broker_services& services, std::shared_ptr<mount_entry> entry,
                               std::uint64_t generation, std::shared_ptr<revocable_store> storage) {
  return kj::heap<host_server>(services, std::move(entry), generation, std::move(storage));
}

}  // namespace bulkhead
