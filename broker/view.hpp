// SPDX-License-Identifier: Apache-2.0
#pragma once

// The storage of one mount, as its plugin sees it: schema::View over the store, under a prefix that
// the plugin cannot leave.
//
// A plugin's key is put behind `view/<uuid>/` as it is: nothing in a key is interpreted, so there
// is no way up; a page of a list is cut to the prefix; and what comes back has the prefix taken
// off. A plugin therefore can neither name nor see what belongs to anybody else, and what it can do
// to its own storage is what schema/plugin.capnp says. The tests throw hostile keys at it.
//
// Failures never hold a key or a value. All calls on the thread of the store's loop.

#include <kj/async.h>

#include <memory>
#include <string>
#include <string_view>

#include "broker/store/async_store.hpp"
#include "broker/view_limits.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead {

/// What the keys of a mount's view begin with: "view/<uuid>/". The uuid is 1 to 64 bytes of
/// [0-9A-Za-z-]; anything else is a defect of the caller and throws.
std::string view_prefix(std::string_view uuid);

/// The view of a mount. The store must outlive every reference to it.
schema::View::Client make_view(async_store& store, std::string_view uuid);
/// The same, keeping the store as long as it is used.
schema::View::Client make_view(std::shared_ptr<async_store> store, std::string_view uuid);

/// Removes everything in the view, a bounded number of keys at a time, and answers how many keys it
/// removed. If it fails or is dropped, some keys are gone and the rest is there: call it again. The
/// plugin must be unable to write by then. History forgets the values later, when the store
/// compacts.
kj::Promise<std::uint64_t> delete_view(async_store& store, std::string_view uuid);

/// The same for everything whose key begins with `prefix`, which is not empty.
kj::Promise<std::uint64_t> delete_keys_below(async_store& store, std::string prefix);

/// Where the copy of a view from before a migration lies: "snapshot/<uuid>/".
std::string snapshot_prefix(std::string_view uuid);

/// Empty when the key keeps the rules of View, else the rule it breaks, as "it is empty".
std::string check_view_key(std::string_view key);

}  // namespace bulkhead
