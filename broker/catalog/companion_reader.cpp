// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/companion_reader.hpp"

#include <caf/all.hpp>

namespace bulkhead {

struct companions_request {
  std::string directory;
  std::string command;
};

}  // namespace bulkhead

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::companions_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::companion_files)

namespace bulkhead {
namespace {

using reader_actor = caf::typed_actor<caf::replies_to<companions_request>::with<companion_files>>;

class companion_reader final : public reader_actor::base {
 public:
  explicit companion_reader(caf::actor_config& config) : reader_actor::base(config) {}
  ~companion_reader() noexcept override = default;

  reader_actor::behavior_type make_behavior() override {
    return {[this](const companions_request& order) {
      quit();  // once this is answered
      return read_companions(order.directory, order.command);
    }};
  }
};

}  // namespace

kj::Promise<companion_files> read_companions_of(broker_services& services, asker& ask,
                                                const std::string& command) {
  auto reader = services.reactor.system().spawn<companion_reader, caf::detached>();
  return ask.ask<companion_files>(reader,
                                  companions_request{services.config.plugin_directory, command});
}

}  // namespace bulkhead
