// SPDX-License-Identifier: Apache-2.0
#include "broker/host_server.hpp"

#include "broker/confinement_desk.hpp"
#include "broker/convert.hpp"
#include "broker/view.hpp"

namespace bulkhead {
namespace {

class host_server final : public schema::Host::Server {
 public:
  host_server(std::shared_ptr<mount_entry> entry, std::uint64_t generation,
              const std::shared_ptr<revocable_store>& storage, outbound outside)
      : entry_(std::move(entry)),
        generation_(generation),
        view_(make_view(storage, entry_->uuid)),
        outbound_(std::move(outside)) {}

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
    context.allowCancellation();
    return outbound_.connect(address).then([context](schema::Connection::Client&& made) mutable {
      context.getResults().setConnection(kj::mv(made));
    });
  }

 private:
  std::shared_ptr<mount_entry> entry_;
  std::uint64_t generation_;
  schema::View::Client view_;
  outbound outbound_;
};

}  // namespace

host_loan::host_loan(broker_services& services, std::shared_ptr<mount_entry> entry,
                     std::uint64_t generation, const release* of, fair_store::obstacle unread)
    : entry_(std::move(entry)),
      generation_(generation),
      share_(std::make_shared<fair_store>(*entry_->storage, services.limits.view_calls_in_store_max,
                                          kj::mv(unread))),
      storage_(std::make_shared<revocable_store>(share_)),
      outside_(services, entry_->uuid, addresses_of(services, of, *entry_)) {}

host_loan::~host_loan() noexcept(false) {
  end("the instance that asked has ended");
}

schema::Host::Client host_loan::make_host() {
  return kj::heap<host_server>(entry_, generation_, storage_, outside_);
}

outbound_change host_loan::use_addresses(const std::vector<std::string>& granted) {
  return outside_.use(granted);
}

std::vector<std::string> host_loan::addresses() const {
  return outside_.granted();
}

void host_loan::end(const char* why) {
  storage_->end(exception(error_kind::plugin_unavailable, why));
  share_->clear_obstacle();
  outside_.end();
}

}  // namespace bulkhead
