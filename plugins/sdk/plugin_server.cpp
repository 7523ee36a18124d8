// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/plugin_server.hpp"

#include <algorithm>

#include "plugins/sdk/convert.hpp"

namespace bulkhead::sdk {
namespace {

std::string to_string(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

/// The request-style interface of one mount.
class backend_server final : public schema::Backend::Server {
 public:
  backend_server(std::shared_ptr<const path_table> paths, std::shared_ptr<live_mount> mount,
                 std::shared_ptr<bool> stopping)
      : paths_(std::move(paths)), mount_(std::move(mount)), stopping_(std::move(stopping)) {}

 protected:
  kj::Promise<void> handle(HandleContext context) override {
    if (*stopping_) {
      throw error(error_kind::OVERLOADED, "the plugin is stopping", "", "repeat the call");
    }
    if (mount_->unmounted) {
      throw error(error_kind::FAILED_PRECONDITION, "this mount is gone");
    }
    return paths_->handle(mount_->made.object.get(), context.getParams().getRequest())
        .then([context](response&& answer) mutable {
          write_response(answer, context.getResults().initResponse());
        })
        .attach(mount_->context.busy(), kj::cp(mount_));
  }

 private:
  std::shared_ptr<const path_table> paths_;
  std::shared_ptr<live_mount> mount_;
  std::shared_ptr<bool> stopping_;
};

fields read_options(const plugin_definition& definition, capnp::List<schema::Option>::Reader from) {
  fields given;
  for (auto option : from) given.set(to_string(option.getName()), to_string(option.getValue()));
  return accept_fields(definition.options, given, "a mount of " + definition.name).declared;
}

void write_schema(const plugin_definition& definition, schema::PluginInfo::Builder to) {
  if (!definition.load_schema) return;
  capnp::SchemaLoader loader;
  definition.load_schema(loader);
  auto loaded = loader.getAllLoaded();
  auto nodes = to.initSchema(static_cast<unsigned>(loaded.size()));
  for (unsigned i = 0; i < loaded.size(); ++i) nodes.setWithCaveats(i, loaded[i].getProto());
  to.setTypedId(definition.typed_id);
}

}  // namespace

kj::Promise<void> plugin_server::hello(HelloContext context) {
  auto broker = context.getParams().getBroker();
  auto low = std::max(broker.getProtocolMin(), protocol_min);
  auto high = std::min(broker.getProtocolMax(), protocol_max);
  if (low > high) {
    throw error(
        error_kind::UNSUPPORTED,
        fmt::format("plugin {} shares no protocol version with the broker", definition_->name),
        fmt::format("it speaks {} to {}, the broker {} to {}", protocol_min, protocol_max,
                    broker.getProtocolMin(), broker.getProtocolMax()),
        "build the plugin with the SDK of the broker's release");
  }
  greeted_ = true;
  auto info = context.getResults().initPlugin();
  info.setProtocol(high);
  info.setName(definition_->name.c_str());
  info.setVersion(definition_->version.c_str());
  info.setKind(definition_->kind);
  info.setStorageVersion(definition_->storage_version);
  // The list is there, also when it is empty: the broker knows then that there are none.
  write_specs(definition_->options,
              info.initOptions(static_cast<unsigned>(definition_->options.size())));
  if (definition_->stop_first) info.initFeatures(1).set(0, "stop-first");
  write_schema(*definition_, info);
  if (definition_->paths) definition_->paths->write_specs(info);
  return kj::READY_NOW;
}

mount_context plugin_server::context_of(schema::MountInfo::Reader info,
                                        schema::Host::Client host) const {
  return mount_context(std::make_shared<mount_context::shared>(mount_context::shared{
      to_string(info.getPath()), to_string(info.getUuid()), info.getGeneration(),
      read_options(*definition_, info.getOptions()), kj::mv(host), work_, nullptr, 0, 0}));
}

kj::Promise<void> plugin_server::migrate(MigrateContext context) {
  const auto params = context.getParams();
  const auto from = params.getFrom();
  if (!greeted_) {
    throw error(error_kind::FAILED_PRECONDITION, "`migrate` was called before `hello`");
  }
  if (!definition_->migrate) {
    throw error(
        error_kind::UNSUPPORTED,
        fmt::format("plugin {} cannot migrate storage of version {}", definition_->name, from),
        fmt::format("it knows version {} only", definition_->storage_version));
  }
  auto handle = context_of(params.getMount(), params.getHost());
  return definition_->migrate(handle, from).attach(handle.busy());
}

kj::Promise<void> plugin_server::mount(MountContext context) {
  auto params = context.getParams();
  auto info = params.getMount();
  auto uuid = to_string(info.getUuid());
  if (!greeted_) {
    throw error(error_kind::FAILED_PRECONDITION, "`mount` was called before `hello`");
  }
  if (mounts_.count(uuid) > 0) {
    throw error(error_kind::ALREADY_EXISTS, "the mount " + uuid + " is there already");
  }
  auto handle = context_of(info, params.getHost());
  auto live = std::make_shared<live_mount>(live_mount{handle, {}, false});
  kj::Promise<void> started = kj::READY_NOW;
  if (definition_->make) {
    live->made = definition_->make(handle);
    if (live->made.start) started = live->made.start();
  }
  return started.then([this, context, live, uuid, handle]() mutable {
    auto results = context.getResults();
    if (definition_->make) {
      results.setBackend(kj::heap<backend_server>(definition_->paths, live, stopping_));
    }
    if (definition_->make_typed) {
      results.setTyped(definition_->make_typed(handle));
    }
    mounts_[uuid] = live;
  });
}

std::shared_ptr<live_mount> plugin_server::find(capnp::Text::Reader uuid) {
  auto found = mounts_.find(std::string_view(uuid.begin(), uuid.size()));
  if (found == mounts_.end()) {
    throw error(error_kind::NOT_FOUND, "no mount " + to_string(uuid) + " is here");
  }
  return found->second;
}

kj::Promise<void> plugin_server::unmount(UnmountContext context) {
  auto uuid = context.getParams().getUuid();
  auto live = find(uuid);
  live->unmounted = true;
  mounts_.erase(to_string(uuid));
  if (!live->made.unmount) return kj::READY_NOW;
  return live->made.unmount().attach(kj::cp(live));
}

kj::Promise<void> plugin_server::invalidate(InvalidateContext context) {
  auto params = context.getParams();
  const auto live = find(params.getUuid());
  if (live->made.invalidate) live->made.invalidate(to_string(params.getKey()));
  return kj::READY_NOW;
}

kj::Promise<void> plugin_server::ping(PingContext) {
  return kj::READY_NOW;
}

kj::Promise<void> plugin_server::shutdown(ShutdownContext context) {
  *stopping_ = true;
  if (on_shutdown_) on_shutdown_(context.getParams().getGraceMs());
  return kj::READY_NOW;
}

}  // namespace bulkhead::sdk
