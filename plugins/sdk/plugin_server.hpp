// SPDX-License-Identifier: Apache-2.0
//
// The bootstrap capability of a plugin process: `Plugin` of schema/plugin.capnp over a
// plugin_definition. INTERNAL to the SDK.
//
// It keeps the order of the contract: hello before mount, one mount per uuid, none after shutdown.
// A process can serve several mounts at once; each has its own object, context and options, and its
// capabilities refuse with `failedPrecondition` once it is unmounted.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "plugins/sdk/plugin.hpp"

namespace bulkhead::sdk {

/// One mount: its object, and whether it still is one. Shared by the server and by the backend that
/// the broker holds.
struct live_mount {
  mount_context context;
  mounted_object made;
  bool unmounted = false;
};

class plugin_server final : public schema::Plugin::Server {
 public:
  plugin_server(std::shared_ptr<const plugin_definition> definition,
                std::shared_ptr<work_counter> work,
                std::function<void(unsigned grace_ms)> on_shutdown)
      : definition_(std::move(definition)),
        work_(std::move(work)),
        on_shutdown_(std::move(on_shutdown)) {}

 protected:
  kj::Promise<void> hello(HelloContext context) override;
  kj::Promise<void> mount(MountContext context) override;
  kj::Promise<void> migrate(MigrateContext context) override;
  kj::Promise<void> unmount(UnmountContext context) override;
  kj::Promise<void> invalidate(InvalidateContext context) override;
  kj::Promise<void> ping(PingContext context) override;
  kj::Promise<void> shutdown(ShutdownContext context) override;

 private:
  mount_context context_of(schema::MountInfo::Reader info, schema::Host::Client host) const;
  std::shared_ptr<live_mount> find(capnp::Text::Reader uuid);

  std::shared_ptr<const plugin_definition> definition_;
  std::shared_ptr<work_counter> work_;
  std::function<void(unsigned grace_ms)> on_shutdown_;
  std::map<std::string, std::shared_ptr<live_mount>, std::less<>> mounts_;
  bool greeted_ = false;
  std::shared_ptr<bool> stopping_ = std::make_shared<bool>(false);
};

}  // namespace bulkhead::sdk
