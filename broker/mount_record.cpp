// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_record.hpp"

#include <capnp/serialize.h>
#include <kj/debug.h>

#include <cstring>

#include "broker/convert.hpp"
#include "schema/state.capnp.h"

namespace bulkhead {
namespace {

storage_snapshot read_snapshot(schema::Snapshot::Reader from) {
  const auto state = from.getState();
  KJ_REQUIRE(state <= schema::Snapshot::State::RESTORING, "the state of a snapshot is none");
  return {from.getStorageVersion(), text(from.getVersion()), from.getTakenUnixMs(),
          static_cast<snapshot_state>(state)};
}

/// Options and granted variables are in it.
void wipe(kj::ArrayPtr<capnp::word> words) {
  ::explicit_bzero(words.begin(), words.asBytes().size());
}

}  // namespace

std::string mount_key(std::string_view path) {
  std::string key(mounts_prefix);
  key += path;
  return key;
}

std::string encode_record(const mount_record& from) {
  capnp::MallocMessageBuilder message;
  auto record = message.initRoot<schema::MountRecord>();
  write_spec(from.spec, record.initSpec());
  record.setUuid(from.uuid.c_str());
  record.setAccessor(from.accessor.c_str());
  record.setGenerationsReserved(from.generations_reserved);
  record.setCreatedUnixMs(from.created_unix_ms);
  record.setRemoving(from.removing);
  record.setDeclared(from.declared);
  record.setDeclaredPath(from.declared_path.c_str());
  record.setVersionRunning(from.version_running.c_str());
  record.setStorageVersion(from.storage_version);
  if (from.snapshot) {
    auto snapshot = record.initSnapshot();
    snapshot.setStorageVersion(from.snapshot->storage_version);
    snapshot.setVersion(from.snapshot->version.c_str());
    snapshot.setTakenUnixMs(from.snapshot->taken_unix_ms);
    snapshot.setState(static_cast<schema::Snapshot::State>(from.snapshot->state));
  }
  auto words = capnp::messageToFlatArray(message);
  const auto chars = words.asChars();
  std::string bytes{chars.begin(), chars.size()};
  wipe(words);
  for (const auto segment : message.getSegmentsForOutput())
    // The builder's own memory; it only lends it for reading.
    wipe(kj::arrayPtr(const_cast<capnp::word*>(segment.begin()), segment.size()));
  return bytes;
}

bool decode_record(const std::string& bytes, mount_record& record) {
  // The bytes are the broker's own, but a damaged state must not take the broker down; the copy is
  // for their alignment.
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  if (words.size() == 0) return false;
  std::memcpy(words.begin(), bytes.data(), words.asBytes().size());
  auto problem = kj::runCatchingExceptions([&] {
    capnp::FlatArrayMessageReader message(words);
    auto from = message.getRoot<schema::MountRecord>();
    record.spec = read_spec(from.getSpec());
    record.uuid = text(from.getUuid());
    record.accessor = text(from.getAccessor());
    record.created_unix_ms = from.getCreatedUnixMs();
    record.generations_reserved = from.getGenerationsReserved();
    record.removing = from.getRemoving();
    record.declared = from.getDeclared();
    record.declared_path = text(from.getDeclaredPath());
    if (record.declared && record.declared_path.empty()) record.declared_path = record.spec.path;
    record.version_running = text(from.getVersionRunning());
    record.storage_version = from.getStorageVersion();
    if (from.hasSnapshot()) record.snapshot = read_snapshot(from.getSnapshot());
  });
  wipe(words);
  return problem == nullptr && !record.uuid.empty() && !record.spec.path.empty();
}

}  // namespace bulkhead
