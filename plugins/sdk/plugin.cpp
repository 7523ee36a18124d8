// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/plugin.hpp"

#include <stdexcept>

#include "plugins/sdk/plugin_server.hpp"
#include "schema/wire/connection.hpp"

namespace bulkhead::sdk {
namespace {

constexpr std::size_t name_bytes_max = 64;

bool is_legal_name(std::string_view name) {
  static constexpr std::string_view first = "abcdefghijklmnopqrstuvwxyz0123456789";
  static constexpr std::string_view legal = "abcdefghijklmnopqrstuvwxyz0123456789_-";
  return !name.empty() && name.size() <= name_bytes_max &&
         first.find(name.front()) != std::string_view::npos &&
         name.find_first_not_of(legal) == std::string_view::npos;
}

}  // namespace

plugin::plugin(std::string name, std::string version)
    : definition_(std::make_shared<plugin_definition>()) {
  if (!is_legal_name(name)) {
    throw std::invalid_argument("plugin name '" + name +
                                "' is not of the form [a-z0-9][a-z0-9_-]*");
  }
  definition_->name = std::move(name);
  definition_->version = std::move(version);
}

plugin& plugin::kind(plugin_kind what) {
  definition_->kind = what;
  return *this;
}

plugin& plugin::stop_first() {
  definition_->stop_first = true;
  return *this;
}

plugin& plugin::storage_version(std::uint32_t number) {
  definition_->storage_version = number;
  return *this;
}

plugin& plugin::migrate(std::function<kj::Promise<void>(mount_context, std::uint32_t)> how) {
  definition_->migrate = std::move(how);
  return *this;
}

plugin& plugin::option(field what) {
  definition_->options.push_back(std::move(what));
  return *this;
}

schema::Plugin::Client plugin::bootstrap(std::function<void(unsigned)> on_shutdown) const {
  return kj::heap<plugin_server>(definition_, std::make_shared<work_counter>(),
                                 std::move(on_shutdown));
}

kj::Promise<void> plugin::serve_on(kj::Own<kj::AsyncIoStream> stream) const {
  auto link = kj::heap<wire::connection>(kj::mv(stream), wire::connection::side::SERVER,
                                         capnp::Capability::Client(bootstrap()));
  auto ended = link->on_disconnect();
  return ended.attach(kj::mv(link));
}

}  // namespace bulkhead::sdk
