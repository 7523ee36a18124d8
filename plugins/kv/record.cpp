// SPDX-License-Identifier: Apache-2.0
#include "plugins/kv/record.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <cstring>

#include "plugins/kv/record.capnp.h"
#include "plugins/sdk/convert.hpp"

namespace bulkhead::kv {
namespace {

sdk::bytes flatten(capnp::MessageBuilder& message) {
  auto words = capnp::messageToFlatArray(message);
  auto content = words.asBytes();
  return {content.begin(), content.end()};
}

/// Bytes of the view, at an address that libcapnp can read.
class aligned_message {
 public:
  explicit aligned_message(const sdk::bytes& from)
      : words_(kj::heapArray<capnp::word>((from.size() + sizeof(capnp::word) - 1) /
                                          sizeof(capnp::word))) {
    if (!from.empty()) std::memcpy(words_.begin(), from.data(), from.size());
    reader_ = kj::heap<capnp::FlatArrayMessageReader>(words_);
  }
  template <class T>
  typename T::Reader root() {
    return reader_->getRoot<T>();
  }

 private:
  kj::Array<capnp::word> words_;
  kj::Own<capnp::FlatArrayMessageReader> reader_;
};

std::string to_string(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

template <class F>
version_change each(key_record& key, const std::vector<std::uint64_t>& which, F change) {
  version_change result;
  for (auto number : which) {
    auto* found = key.find(number);
    std::string remark = found == nullptr ? "is not kept" : change(*found);
    if (remark.empty()) {
      result.changed.push_back(number);
    } else {
      result.remarks.push_back("version " + std::to_string(number) + " " + remark);
    }
  }
  return result;
}

void touch(key_record& key, const version_change& change, std::int64_t now_ms) {
  if (!change.changed.empty()) key.updated_ms = now_ms;
}

}  // namespace

version_info* key_record::find(std::uint64_t number) {
  for (auto& version : versions) {
    if (version.number == number) return &version;
  }
  return nullptr;
}

const version_info* key_record::find(std::uint64_t number) const {
  return const_cast<key_record*>(this)->find(number);
}

std::vector<std::uint64_t> add_version(key_record& key, std::int64_t now_ms, unsigned keep) {
  if (key.created_ms == 0) key.created_ms = now_ms;
  key.updated_ms = now_ms;
  key.versions.push_back({++key.current, now_ms, 0, false});
  std::vector<std::uint64_t> forgotten;
  while (key.versions.size() > std::max(keep, 1U)) {
    forgotten.push_back(key.versions.front().number);
    key.versions.erase(key.versions.begin());
  }
  return forgotten;
}

version_change delete_versions(key_record& key, const std::vector<std::uint64_t>& which,
                               std::int64_t now_ms) {
  auto result = each(key, which, [&](version_info& version) -> std::string {
    if (version.destroyed) return "is destroyed";
    if (version.deleted_ms != 0) return "is deleted already";
    version.deleted_ms = now_ms;
    return {};
  });
  touch(key, result, now_ms);
  return result;
}

version_change undelete_versions(key_record& key, const std::vector<std::uint64_t>& which,
                                 std::int64_t now_ms) {
  auto result = each(key, which, [](version_info& version) -> std::string {
    if (version.destroyed) return "is destroyed and cannot come back";
    if (version.deleted_ms == 0) return "is not deleted";
    version.deleted_ms = 0;
    return {};
  });
  touch(key, result, now_ms);
  return result;
}

version_change destroy_versions(key_record& key, const std::vector<std::uint64_t>& which,
                                std::int64_t now_ms) {
  auto result = each(key, which, [](version_info& version) -> std::string {
    if (version.destroyed) return "is destroyed already";
    version.destroyed = true;
    return {};
  });
  touch(key, result, now_ms);
  return result;
}

sdk::bytes encode(const key_record& key) {
  capnp::MallocMessageBuilder message;
  auto to = message.initRoot<stored::Key>();
  to.setCurrent(key.current);
  to.setCreatedMs(key.created_ms);
  to.setUpdatedMs(key.updated_ms);
  to.setMaxVersions(key.max_versions);
  to.setCasRequired(key.cas_required);
  auto custom = to.initCustom(static_cast<unsigned>(key.custom.size()));
  for (unsigned i = 0; i < custom.size(); ++i) {
    custom[i].setName(key.custom[i].first.c_str());
    custom[i].setValue(key.custom[i].second.c_str());
  }
  auto versions = to.initVersions(static_cast<unsigned>(key.versions.size()));
  for (unsigned i = 0; i < versions.size(); ++i) {
    versions[i].setNumber(key.versions[i].number);
    versions[i].setCreatedMs(key.versions[i].created_ms);
    versions[i].setDeletedMs(key.versions[i].deleted_ms);
    versions[i].setDestroyed(key.versions[i].destroyed);
  }
  return flatten(message);
}

key_record decode_key(const sdk::bytes& from) {
  aligned_message message(from);
  auto root = message.root<stored::Key>();
  key_record key;
  key.current = root.getCurrent();
  key.created_ms = root.getCreatedMs();
  key.updated_ms = root.getUpdatedMs();
  key.max_versions = root.getMaxVersions();
  key.cas_required = root.getCasRequired();
  for (auto pair : root.getCustom()) {
    key.custom.emplace_back(to_string(pair.getName()), to_string(pair.getValue()));
  }
  for (auto version : root.getVersions()) {
    key.versions.push_back({version.getNumber(), version.getCreatedMs(), version.getDeletedMs(),
                            version.getDestroyed()});
  }
  return key;
}

sdk::bytes encode(const config_record& config) {
  capnp::MallocMessageBuilder message;
  auto to = message.initRoot<stored::Config>();
  to.setMaxVersions(config.max_versions);
  to.setCasRequired(config.cas_required);
  return flatten(message);
}

config_record decode_config(const sdk::bytes& from) {
  aligned_message message(from);
  auto root = message.root<stored::Config>();
  return {root.getMaxVersions(), root.getCasRequired()};
}

sdk::bytes encode_secret(const sdk::fields& secret) {
  capnp::MallocMessageBuilder message;
  auto to = message.initRoot<stored::Secret>();
  sdk::write_fields(secret, to.initFields(static_cast<unsigned>(secret.size())));
  return flatten(message);
}

sdk::fields decode_secret(const sdk::bytes& from) {
  aligned_message message(from);
  sdk::fields result;
  for (const auto& entry : sdk::read_fields(message.root<stored::Secret>().getFields())) {
    result.set(entry.name, sdk::secret(entry.what));
  }
  return result;
}

}  // namespace bulkhead::kv
