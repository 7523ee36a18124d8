// SPDX-License-Identifier: Apache-2.0
//
// Operations on versions, by number or the newest.
#include <charconv>

#include "plugins/kv/kv.hpp"
#include "plugins/kv/names.hpp"

namespace bulkhead::kv {
namespace {

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

}  // namespace

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

}  // namespace bulkhead::kv
