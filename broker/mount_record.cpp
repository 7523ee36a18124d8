// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_record.hpp"

#include <capnp/serialize.h>
#include <kj/debug.h>

#include <cstring>

#include "broker/convert.hpp"
#include "schema/state.capnp.h"

namespace bulkhead {

std::string mount_key(std::string_view path) {
  std::string key(mounts_prefix);
  key += path;
  return key;
}

std::string encode_record(const mount_entry& entry, std::uint64_t generations_reserved) {
  capnp::MallocMessageBuilder message;
  auto record = message.initRoot<schema::MountRecord>();
  write_spec(entry.spec, record.initSpec());
  record.setUuid(entry.uuid.c_str());
  record.setAccessor(entry.accessor.c_str());
  record.setGenerationsReserved(generations_reserved);
  record.setCreatedUnixMs(entry.created_unix_ms);
  record.setVersionRunning(entry.version_running.c_str());
  const auto words = capnp::messageToFlatArray(message);
  const auto chars = words.asChars();
  return {chars.begin(), chars.size()};
}

bool decode_record(const std::string& record, mount_entry& entry) {
  // The bytes are the broker's own, but a damaged state must not take the broker down; the copy is
  // for their alignment.
  auto words = kj::heapArray<capnp::word>(record.size() / sizeof(capnp::word));
  if (words.size() == 0) return false;
  std::memcpy(words.begin(), record.data(), words.asBytes().size());
  auto problem = kj::runCatchingExceptions([&] {
    capnp::FlatArrayMessageReader message(words);
    auto from = message.getRoot<schema::MountRecord>();
    entry.spec = read_spec(from.getSpec());
    entry.uuid = text(from.getUuid());
    entry.accessor = text(from.getAccessor());
    entry.created_unix_ms = from.getCreatedUnixMs();
    entry.generations_reserved = from.getGenerationsReserved();
    entry.generations_used = entry.generations_reserved;
    entry.version_running = text(from.getVersionRunning());
  });
  return problem == nullptr && !entry.uuid.empty() && !entry.spec.path.empty();
}

}  // namespace bulkhead
