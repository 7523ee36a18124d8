// SPDX-License-Identifier: Apache-2.0
#include "plugins/kv/kv.hpp"

#include "plugins/kv/names.hpp"

namespace bulkhead::kv {
namespace {

/// The version that a read names, or the newest; throws when its data cannot be had.
const version_info& readable(const key_record& key, const sdk::request& what) {
  const auto& path = what.capture("path");
  if (key.current == 0) no_secret(path);
  auto number =
      what.has("version") ? static_cast<std::uint64_t>(what.integer("version")) : key.current;
  const auto* version = key.find(number);
  if (version == nullptr) {
    throw sdk::error(sdk::error_kind::NOT_FOUND,
                     fmt::format("'{}' has no version {}", path, number),
                     fmt::format("it keeps {} to {}", key.versions.front().number, key.current));
  }
  if (version->destroyed) {
    throw sdk::error(sdk::error_kind::NOT_FOUND,
                     fmt::format("version {} of '{}' is destroyed", number, path));
  }
  if (version->deleted_ms != 0) {
    throw sdk::error(sdk::error_kind::NOT_FOUND,
                     fmt::format("version {} of '{}' is deleted", number, path),
                     "deleted at " + time_text(version->deleted_ms),
                     fmt::format("write undelete/{} versions={}", path, number));
  }
  return *version;
}

sdk::bytes checked_content(const sdk::fields& secret) {
  if (secret.empty()) {
    throw sdk::error(sdk::error_kind::INVALID_ARGUMENT, "a secret needs at least one field", "",
                     "add name=value");
  }
  auto content = encode_secret(secret);
  if (content.size() > secret_bytes_max) {
    throw sdk::error(
        sdk::error_kind::INVALID_ARGUMENT, "the secret is too large",
        fmt::format("it has {} bytes of at most {}", content.size(), secret_bytes_max));
  }
  return content;
}

void check_cas(const key_record& key, const std::string& path, std::optional<std::int64_t> cas,
               bool required) {
  if (!cas && (key.cas_required || required)) {
    throw sdk::error(
        sdk::error_kind::INVALID_ARGUMENT, fmt::format("writing '{}' needs the field `cas`", path),
        key.cas_required ? "its metadata has cas_required" : "the mount's config has cas_required",
        fmt::format("write data/{} cas={} ...", path, key.current));
  }
  if (cas && static_cast<std::uint64_t>(*cas) != key.current) {
    throw sdk::error(
        sdk::error_kind::CONFLICT, fmt::format("'{}' is not at version {}", path, *cas),
        fmt::format("its newest version is {}", key.current), "read it again, then decide");
  }
}

}  // namespace

struct kv::loaded {
  key_record key;
  version_info version;
  sdk::fields secret;
};

kj::Promise<void> kv::start() {
  return mount_.view().get(config_key).then([this](std::optional<sdk::stored> found) {
    config_ = found ? decode_config(found->content) : config_record{};
  });
}

void kv::invalidate(const std::string& key) {
  if (!key.empty() && key != config_key) return;
  start().detach([mount = mount_](kj::Exception&&) {
    mount.log(sdk::log_level::WARN, "the configuration could not be read again");
  });
}

unsigned kv::keep(const key_record& key) const {
  if (key.max_versions != 0) return key.max_versions;
  if (config_.max_versions != 0) return config_.max_versions;
  return static_cast<unsigned>(*mount_.options().find("max_versions")->get_if<std::int64_t>());
}

kv::promise kv::change_key(const std::string& path, edit how, unsigned attempt) {
  if (attempt > write_attempts_max) {
    throw sdk::error(
        sdk::error_kind::OVERLOADED, fmt::format("'{}' is written by too many at once", path),
        fmt::format("the change lost {} races", write_attempts_max), "repeat the call");
  }
  auto now = mount_.now();
  return mount_.view()
      .get(record_key(path))
      .then([this, path, how = std::move(how), attempt,
             now = kj::mv(now)](std::optional<sdk::stored> found) mutable {
        return now.then([this, path, how = std::move(how), attempt,
                         found = std::move(found)](std::int64_t now_ms) mutable -> promise {
          auto key = found ? decode_key(found->content) : key_record{};
          auto result = how(key, found.has_value(), now_ms);
          if (!result.write_key && !result.forget_key) return std::move(result.answer);
          auto as_read = sdk::expect::revision(found ? found->revision : 0);
          auto changes = std::move(result.changes);
          changes.push_back(result.forget_key
                                ? sdk::change::remove(record_key(path), as_read)
                                : sdk::change::put(record_key(path), encode(key), as_read));
          return mount_.view().try_transact(changes).then(
              [this, path, how = std::move(how), attempt, answer = std::move(result.answer)](
                  std::optional<std::uint64_t> done) mutable -> promise {
                if (done) return std::move(answer);
                return change_key(path, std::move(how), attempt + 1);
              });
        });
      });
}

kv::promise kv::store(const std::string& path, const sdk::fields& secret,
                      std::optional<std::int64_t> cas) {
  return change_key(path, [this, path, cas, content = checked_content(secret)](
                              key_record& key, bool, std::int64_t now_ms) {
    check_cas(key, path, cas, config_.cas_required);
    outcome result;
    for (auto old : add_version(key, now_ms, keep(key))) {
      result.changes.push_back(sdk::change::remove(version_key(path, old)));
    }
    result.changes.push_back(sdk::change::put(version_key(path, key.current), content));
    result.answer.values = sdk::fields{{"version", key.current}, {"created", time_text(now_ms)}};
    return result;
  });
}

kv::promise kv::write_plain(const sdk::request& what) {
  return store(checked_path(what), what.rest, std::nullopt);
}

kv::promise kv::write_data(const sdk::request& what) {
  if (what.has("data") && !what.rest.empty()) {
    throw sdk::error(sdk::error_kind::INVALID_ARGUMENT, "the secret's fields are given twice",
                     "both in the map `data` and one by one", "use one of the two");
  }
  std::optional<std::int64_t> cas;
  if (what.has("cas")) cas = what.integer("cas");
  return store(checked_path(what), what.has("data") ? what.map("data") : what.rest, cas);
}

kj::Promise<kv::loaded> kv::load(const sdk::request& what) {
  const auto& path = checked_path(what);
  return mount_.view()
      .get(record_key(path))
      .then([this, &what, &path](std::optional<sdk::stored> found) {
        if (!found) no_secret(path);
        auto key = decode_key(found->content);
        auto version = readable(key, what);
        return mount_.view()
            .get(version_key(path, version.number))
            .then([path, key = std::move(key), version](std::optional<sdk::stored> secret) mutable {
              // Between the two reads another writer may have destroyed or forgotten it.
              if (!secret) {
                throw sdk::error(
                    sdk::error_kind::NOT_FOUND,
                    fmt::format("version {} of '{}' is not kept any more", version.number, path));
              }
              return loaded{std::move(key), version, decode_secret(secret->content)};
            });
      });
}

kv::promise kv::read_plain(const sdk::request& what) {
  return load(what).then([](loaded&& found) { return sdk::response(std::move(found.secret)); });
}

kv::promise kv::read_data(const sdk::request& what) {
  return load(what).then([](loaded&& found) {
    auto metadata = describe(found.version);
    metadata.set("custom_metadata", describe_custom(found.key));
    return sdk::response(sdk::fields{{"data", sdk::secret(std::move(found.secret))},
                                     {"metadata", std::move(metadata)}});
  });
}

}  // namespace bulkhead::kv
