// SPDX-License-Identifier: Apache-2.0
#pragma once

// How a release comes into the catalog.
//
//     check the words ── image (sealed, hashed) and manifest ── trust ── hello ── trust ── record
//
// Nothing runs that trust has not accepted: a plugin whose kind is not said yet has to be
// acceptable as any kind before it is asked. What is asked, registered and later started are the
// same bytes, those of the image.
//
// Registrations do not wait for each other, nor anybody for them: files are read by threads of
// their own, and a plugin that is slow to say hello, or never does, holds up its own registration
// until the start limit. At most `registrations_at_once_max` are under way; one more is refused.
// Threads: the reactor's.

#include <kj/async.h>

#include "actors/asker.hpp"
#include "broker/catalog/companion_files.hpp"
#include "broker/catalog/release_catalog.hpp"
#include "broker/catalog/release_rules.hpp"
#include "broker/images/image.hpp"
#include "broker/services.hpp"

namespace bulkhead {

class registrar {
 public:
  /// All outlive it.
  registrar(broker_services& services, asker& ask) : services_(services), ask_(ask) {}

  /// `declared`: the declared state asks for it. Errors as in schema/admin.capnp, registerRelease.
  kj::Promise<release_info> run(release_spec spec, bool declared = false);

 private:
  struct work;
  kj::Promise<void> read(std::shared_ptr<work> job);
  void adopt_manifest(work& job) const;
  void judge(const work& job) const;
  kj::Promise<void> ask_who_it_is(std::shared_ptr<work> job);
  void adopt_hello(work& job) const;

  broker_services& services_;
  asker& ask_;
  std::size_t under_way_ = 0;
};

}  // namespace bulkhead
