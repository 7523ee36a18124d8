// SPDX-License-Identifier: Apache-2.0
//
// What is known beside the data: names, metadata, configuration.
#include "plugins/kv/kv.hpp"
#include "plugins/kv/names.hpp"

namespace bulkhead::kv {
namespace {

// Sorts behind all that is in a folder: the last code point of Unicode. A path that sorts behind
// even this names the same folder again.
constexpr std::string_view behind_folder = "\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf";

}  // namespace

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
    // A folder can hold many more keys: go on behind it.
    auto last = page.keys.back();
    if (found.back().back() == '/') last = prefix + found.back() + std::string(behind_folder);
    return collect(std::move(prefix), std::move(last), limit, std::move(found));
  });
}

kv::promise kv::list(const sdk::request& what) {
  auto prefix = record_key(checked_path(what));
  if (prefix.back() != '/') prefix += '/';
  auto after = what.has("after") ? prefix + what.text("after") : "";
  // Behind a folder's name means behind all that is in it.
  if (!after.empty() && after.back() == '/') after += behind_folder;
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
