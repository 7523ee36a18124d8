// SPDX-License-Identifier: Apache-2.0
//
// The one header that a plugin includes. A plugin is a program that describes itself and calls
// serve():
//
//     #include "plugins/sdk/plugin.hpp"
//     using namespace bulkhead;
//
//     struct notes {
//       explicit notes(sdk::mount_context mount) : mount_(std::move(mount)) {}
//       sdk::response read(const sdk::request& what) { ... }
//       sdk::mount_context mount_;
//     };
//
//     int main() {
//       sdk::paths<notes> api;
//       api.at("note/{name}", "One note.").read("Returns it.", &notes::read);
//       return sdk::plugin("notes", "1.0.0").serves(api).serve();
//     }
//
// Two styles, one or both: serves() answers paths with named values, typed() offers any Cap'n Proto
// interface. The contract with the broker is schema/plugin.capnp; this library keeps all of it
// (descriptor 3, hello, protocol versions, end of file, ping, shutdown, SIGTERM) so that an author
// writes only what is the plugin's own. Everything runs on one thread: a handler that computes for
// long delays the others and the answer to ping.
#pragma once

#include <capnp/schema-loader.h>
#include <kj/async-io.h>

#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "plugins/sdk/error.hpp"
#include "plugins/sdk/field.hpp"
#include "plugins/sdk/mount_context.hpp"
#include "plugins/sdk/paths.hpp"
#include "plugins/sdk/request.hpp"
#include "plugins/sdk/value.hpp"
#include "plugins/sdk/view.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead::sdk {

using plugin_kind = schema::PluginKind;

/// The oldest and newest protocol that this library speaks.
inline constexpr std::uint16_t protocol_min = 1;
inline constexpr std::uint16_t protocol_max = 1;

/// serve() returns this when the program was run by hand, without a broker (EX_USAGE of
/// sysexits.h).
inline constexpr int exit_run_by_hand = 64;
/// How long SIGTERM waits for work under way, in milliseconds. `shutdown` brings its own grace.
inline constexpr unsigned sigterm_grace_ms = 1000;

/// What the plugin made for one mount. INTERNAL.
struct mounted_object {
  std::shared_ptr<void> object;
  std::function<kj::Promise<void>()> start;
  std::function<kj::Promise<void>()> unmount;
  std::function<void(const std::string&)> invalidate;
};

/// The description of a plugin. INTERNAL; filled by `plugin`.
struct plugin_definition {
  std::string name;
  std::string version;
  plugin_kind kind = plugin_kind::GENERIC;
  bool stop_first = false;
  std::uint32_t storage_version = 0;
  std::function<kj::Promise<void>(mount_context, std::uint32_t from)> migrate;
  std::vector<field> options;
  std::shared_ptr<const path_table> paths;
  std::function<mounted_object(mount_context)> make;
  std::uint64_t typed_id = 0;
  std::function<void(capnp::SchemaLoader&)> load_schema;
  std::function<capnp::Capability::Client(mount_context)> make_typed;
};

namespace detail {

template <class T>
mounted_object wrap(std::shared_ptr<T> made) {
  mounted_object result;
  if constexpr (requires {
                  { made->start() } -> std::same_as<kj::Promise<void>>;
                }) {
    result.start = [made] { return made->start(); };
  }
  if constexpr (requires {
                  { made->unmount() } -> std::same_as<kj::Promise<void>>;
                }) {
    result.unmount = [made] { return made->unmount(); };
  }
  if constexpr (requires { made->invalidate(std::string()); }) {
    result.invalidate = [made](const std::string& key) { made->invalidate(key); };
  }
  result.object = std::move(made);
  return result;
}

}  // namespace detail

class plugin {
 public:
  /// `name`: [a-z0-9][a-z0-9_-]*, at most 64 bytes; `version`: semantic, as in "1.4.2".
  plugin(std::string name, std::string version);

  plugin& kind(plugin_kind what);
  /// Two processes of one mount must not live at the same time: a reload stops the old one before
  /// it starts the new one, and calls wait meanwhile.
  plugin& stop_first();
  /// Declares an option of the mount (`bulkhead mount PATH PLUGIN --option name=value`). An unknown
  /// one fails the mount. The declaration travels with `hello`: the broker refuses what is not in
  /// it, or is of another type, before the plugin is asked; bounds and choices are checked here.
  plugin& option(field what);

  /// The layout of what the plugin stores, counted up by its author. The broker remembers it for
  /// each mount: older storage is migrated before it is mounted, newer storage is not handed to
  /// this plugin.
  plugin& storage_version(std::uint32_t number);
  /// Brings the view of a mount from layout `from` to storage_version(). Called as
  /// f(mount_context, std::uint32_t from) -> kj::Promise<void>, before the mount, with no other
  /// instance alive. It may fail, or die, at any point: the broker has a copy and puts it back. The
  /// context's view is good until the promise resolves.
  plugin& migrate(std::function<kj::Promise<void>(mount_context, std::uint32_t from)> how);

  /// The request style: one T per mount, made as T(mount_context). Where T has them, these are
  /// called too:
  ///
  /// - kj::Promise<void> start(), before the first request; its failure fails the mount.
  /// - kj::Promise<void> unmount(), before the mount is forgotten.
  /// - void invalidate(const std::string& key): somebody else changed `key` of the view, or all of
  ///   it when that is empty.
  template <class T>
  plugin& serves(const paths<T>& table) {
    return serves(table, [](mount_context mount) { return std::make_shared<T>(std::move(mount)); });
  }
  /// As above, with the object made by `make(mount_context)`, which returns a std::shared_ptr<T>.
  template <class T, class F>
  plugin& serves(const paths<T>& table, F make) {
    definition_->paths = table.table();
    definition_->make = [make = std::move(make)](mount_context mount) {
      return detail::wrap(std::shared_ptr<T>(make(std::move(mount))));
    };
    return *this;
  }

  /// The typed style: `make(mount_context)` returns an Interface::Client or a kj::Own of its
  /// server. The interface's schema travels with `hello`, so that a shell can call it by name.
  template <class Interface, class F>
  plugin& typed(F make) {
    definition_->typed_id = capnp::typeId<Interface>();
    definition_->load_schema = [](capnp::SchemaLoader& loader) {
      loader.loadCompiledTypeAndDependencies<Interface>();
    };
    definition_->make_typed =
        [make = std::move(make)](mount_context mount) -> capnp::Capability::Client {
      typename Interface::Client client(make(std::move(mount)));
      return client;
    };
    return *this;
  }

  /// Serves descriptor 3 until the broker is gone or asks for an end; the value is the program's
  /// exit status. Does not return at end of file: the process then exits with 0 at once, whatever
  /// it is doing. Call it once, from main(), before other threads exist.
  int serve();

  /// The plugin as a capability, without any process around it: for tests. A shutdown ends in
  /// `on_shutdown`, which may be empty.
  schema::Plugin::Client bootstrap(
      std::function<void(unsigned grace_ms)> on_shutdown = nullptr) const;
  /// Serves a stream of any kind (a kj pipe, a socket) until it disconnects: for tests.
  kj::Promise<void> serve_on(kj::Own<kj::AsyncIoStream> stream) const;

 private:
  std::shared_ptr<plugin_definition> definition_;
};

}  // namespace bulkhead::sdk
