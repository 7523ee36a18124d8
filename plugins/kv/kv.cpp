// SPDX-License-Identifier: Apache-2.0
#include "plugins/kv/kv.hpp"

#include <charconv>
#include <ctime>

namespace bulkhead::kv {
namespace {

const std::string config_key = "c";

std::string record_key(const std::string& path) {
  return "m/" + path;
}
std::string version_key(const std::string& path, std::uint64_t number) {
  return fmt::format("v/{}@{}", path, number);
}

/// "2026-11-22T23:12:05.250Z"
std::string time_text(std::int64_t unix_ms) {
  std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     unix_ms % 1000);
}

[[noreturn]] void no_secret(const std::string& path) {
  throw sdk::error(sdk::error_kind::NOT_FOUND, fmt::format("there is no secret at '{}'", path), "",
                   "list the folder above it to see what is there");
}

const std::string& checked_path(const sdk::request& what) {
  const auto& path = what.capture("path");
  if (path.size() > secret_path_bytes_max) {
    throw sdk::error(
        sdk::error_kind::INVALID_ARGUMENT, "the path of the secret is too long",
        fmt::format("it has {} bytes of at most {}", path.size(), secret_path_bytes_max));
  }
  return path;
}

std::vector<std::uint64_t> version_numbers(const sdk::request& what) {
  std::vector<std::uint64_t> result;
  for (const auto& item : what.list("versions")) {
    std::uint64_t number = 0;
    if (const auto* whole = item.get_if<std::int64_t>()) {
      number = *whole < 0 ? 0 : static_cast<std::uint64_t>(*whole);
    } else if (const auto* text = item.get_if<std::string>()) {
      auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), number);
      if (code != std::errc() || end != text->data() + text->size()) number = 0;
    }
    if (number == 0 || result.size() >= max_versions_limit) {
      throw sdk::error(sdk::error_kind::INVALID_ARGUMENT,
                       "field 'versions' is no list of version numbers",
                       fmt::format("it holds at most {} whole numbers from 1", max_versions_limit),
                       "write versions=1,3");
    }
    result.push_back(number);
  }
  return result;
}

sdk::fields describe(const version_info& version) {
  sdk::fields result{{"version", version.number}, {"created", time_text(version.created_ms)}};
  if (version.deleted_ms != 0) result.set("deleted", time_text(version.deleted_ms));
  result.set("destroyed", version.destroyed);
  return result;
}

sdk::fields describe_custom(const key_record& key) {
  sdk::fields result;
  for (const auto& [name, text] : key.custom) result.set(name, text);
  return result;
}

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

sdk::response with_remarks(const version_change& change) {
  sdk::response answer;
  for (const auto& remark : change.remarks) answer.warn(remark);
  return answer;
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
  return change_key(path, [this, path, cas, content = std::move(content)](key_record& key, bool,
                                                                          std::int64_t now_ms) {
    if (!cas && (key.cas_required || config_.cas_required)) {
      throw sdk::error(sdk::error_kind::INVALID_ARGUMENT,
                       fmt::format("writing '{}' needs the field `cas`", path),
                       key.cas_required ? "its metadata has cas_required"
                                        : "the mount's config has cas_required",
                       fmt::format("write data/{} cas={} ...", path, key.current));
    }
    if (cas && static_cast<std::uint64_t>(*cas) != key.current) {
      throw sdk::error(
          sdk::error_kind::CONFLICT, fmt::format("'{}' is not at version {}", path, *cas),
          fmt::format("its newest version is {}", key.current), "read it again, then decide");
    }
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

kv::promise kv::delete_latest(const sdk::request& what) {
  return change_key(checked_path(what),
                    [path = what.capture("path")](key_record& key, bool, std::int64_t now_ms) {
                      outcome result;
                      if (key.current == 0) {
                        result.answer.warn(fmt::format("there was no secret at '{}'", path));
                        result.write_key = false;
                        return result;
                      }
                      auto change = delete_versions(key, {key.current}, now_ms);
                      result.answer = with_remarks(change);
                      result.write_key = !change.changed.empty();
                      return result;
                    });
}

kv::promise kv::delete_some(const sdk::request& what) {
  return change_key(checked_path(what),
                    [path = what.capture("path"), which = version_numbers(what)](
                        key_record& key, bool exists, std::int64_t now_ms) {
                      if (!exists) no_secret(path);
                      auto change = delete_versions(key, which, now_ms);
                      return outcome{with_remarks(change), {}, !change.changed.empty(), false};
                    });
}

kv::promise kv::undelete_some(const sdk::request& what) {
  return change_key(checked_path(what),
                    [path = what.capture("path"), which = version_numbers(what)](
                        key_record& key, bool exists, std::int64_t now_ms) {
                      if (!exists) no_secret(path);
                      auto change = undelete_versions(key, which, now_ms);
                      return outcome{with_remarks(change), {}, !change.changed.empty(), false};
                    });
}

kv::promise kv::destroy_some(const sdk::request& what) {
  return change_key(checked_path(what),
                    [path = what.capture("path"), which = version_numbers(what)](
                        key_record& key, bool exists, std::int64_t now_ms) {
                      if (!exists) no_secret(path);
                      auto change = destroy_versions(key, which, now_ms);
                      outcome result{with_remarks(change), {}, !change.changed.empty(), false};
                      for (auto number : change.changed) {
                        result.changes.push_back(sdk::change::remove(version_key(path, number)));
                      }
                      return result;
                    });
}

kj::Promise<std::vector<std::string>> kv::collect(std::string prefix, std::string after,
                                                  std::size_t limit,
                                                  std::vector<std::string> found) {
  auto page = mount_.view().list(prefix, after);
  return page.then([this, prefix = std::move(prefix), limit, found = std::move(found)](
                       sdk::key_page&& page) mutable -> kj::Promise<std::vector<std::string>> {
    for (const auto& key : page.keys) {
      auto name = key.substr(prefix.size());
      auto slash = name.find('/');
      if (slash != std::string::npos) name.resize(slash + 1);
      if (found.empty() || found.back() != name) found.push_back(std::move(name));
    }
    if (!page.more || page.keys.empty() || found.size() > limit) return std::move(found);
    // A folder can hold many more keys: go on behind it. No path sorts after the last code point
    // repeated, and one that did would only name the same folder again.
    auto last = page.keys.back();
    if (found.back().back() == '/')
      last = prefix + found.back() + "\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf";
    return collect(std::move(prefix), std::move(last), limit, std::move(found));
  });
}

kv::promise kv::list(const sdk::request& what) {
  auto prefix = record_key(checked_path(what));
  if (prefix.back() != '/') prefix += '/';
  const auto& behind = what.text("after");
  auto after = behind.empty() ? "" : prefix + behind;
  // Behind a folder's name means behind all that is in it.
  if (!after.empty() && after.back() == '/') after += "\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf";
  auto limit = static_cast<std::size_t>(what.integer("limit"));
  return collect(std::move(prefix), std::move(after), limit, {})
      .then([limit](std::vector<std::string>&& names) {
        bool more = names.size() > limit;
        if (more) names.resize(limit);
        auto answer = sdk::response::of_keys(std::move(names));
        if (more)
          answer.warn(fmt::format("there is more: list again with after={}", answer.keys.back()));
        return answer;
      });
}

kv::promise kv::read_metadata(const sdk::request& what) {
  const auto& path = checked_path(what);
  return mount_.view().get(record_key(path)).then([this, &path](std::optional<sdk::stored> found) {
    if (!found) no_secret(path);
    auto key = decode_key(found->content);
    sdk::fields versions;
    for (const auto& version : key.versions)
      versions.set(std::to_string(version.number), describe(version));
    return sdk::response(
        sdk::fields{{"current_version", key.current},
                    {"oldest_version", key.versions.empty() ? 0 : key.versions.front().number},
                    {"created", time_text(key.created_ms)},
                    {"updated", time_text(key.updated_ms)},
                    {"max_versions", keep(key)},
                    {"cas_required", key.cas_required || config_.cas_required},
                    {"custom_metadata", describe_custom(key)},
                    {"versions", std::move(versions)}});
  });
}

kv::promise kv::write_metadata(const sdk::request& what) {
  return change_key(
      checked_path(what), [given = what.values](key_record& key, bool, std::int64_t now_ms) {
        if (key.created_ms == 0) key.created_ms = now_ms;
        key.updated_ms = now_ms;
        if (const auto* max = given.find("max_versions")) {
          key.max_versions = static_cast<unsigned>(*max->get_if<std::int64_t>());
        }
        if (const auto* required = given.find("cas_required"))
          key.cas_required = *required->get_if<bool>();
        if (const auto* custom = given.find("custom_metadata")) {
          key.custom.clear();
          for (const auto& entry : *custom->get_if<sdk::fields>()) {
            const auto* text = entry.what.get_if<std::string>();
            if (text == nullptr) {
              throw sdk::error(sdk::error_kind::INVALID_ARGUMENT,
                               fmt::format("custom_metadata '{}' is not text", entry.name));
            }
            key.custom.emplace_back(entry.name, *text);
          }
        }
        return outcome{};
      });
}

kv::promise kv::delete_metadata(const sdk::request& what) {
  return change_key(checked_path(what), [path = what.capture("path")](key_record& key, bool exists,
                                                                      std::int64_t) {
    outcome result;
    result.write_key = false;
    result.forget_key = exists;
    if (!exists) result.answer.warn(fmt::format("there was no secret at '{}'", path));
    for (const auto& version : key.versions) {
      result.changes.push_back(sdk::change::remove(version_key(path, version.number)));
    }
    return result;
  });
}

sdk::response kv::read_config(const sdk::request&) {
  return sdk::fields{{"max_versions", keep({})}, {"cas_required", config_.cas_required}};
}

kv::promise kv::write_config(const sdk::request& what) {
  auto config = config_;
  if (what.has("max_versions"))
    config.max_versions = static_cast<unsigned>(what.integer("max_versions"));
  if (what.has("cas_required")) config.cas_required = what.boolean("cas_required");
  return mount_.view().put(config_key, encode(config)).then([this, config](std::uint64_t) {
    config_ = config;
    return sdk::response();
  });
}

}  // namespace bulkhead::kv
