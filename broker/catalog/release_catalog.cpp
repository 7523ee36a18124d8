// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/release_catalog.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include <algorithm>

#include "broker/confinement_rules.hpp"
#include "broker/refusal.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

// So many mounts are named in a refusal; the rest is counted.
constexpr std::size_t users_named_max = 10;

std::string names_of(const std::vector<std::string>& users) {
  std::string names;
  for (std::size_t i = 0; i < std::min(users.size(), users_named_max); ++i)
    names += (i == 0 ? "" : ", ") + users[i];
  if (users.size() > users_named_max)
    names += fmt::format(" and {} more", users.size() - users_named_max);
  return names;
}

std::string name_of(const std::string& entry) {
  return entry.substr(0, entry.find('='));
}

}  // namespace

kj::Exception resolution_exception(const resolution& refused) {
  const bool ambiguous = refused.how == resolution::outcome::ambiguous;
  return exception(ambiguous ? error_kind::invalid_argument : error_kind::not_found, refused.what,
                   refused.why, refused.remedy);
}

release_catalog::release_catalog(async_store& store, event_log& events, kj::Timer& timer,
                                 trust_desk& trust)
    : store_(store),
      events_(events),
      trust_(trust),
      usage_([] { return usage{}; }),
      doubts_(store, events, timer,
              [this](const std::string& key, const auto& value) { learn(key, value); }) {}

// -- start ---------------------------------------------------------------------------------------

kj::Promise<void> release_catalog::load() {
  lines_.clear();
  return load_page(std::string(releases_prefix), {})
      .then([this] { return load_page(std::string(pins_prefix), {}); })
      .then([this] { return load_page(std::string(declared_pins_prefix), {}); });
}

kj::Promise<void> release_catalog::load_page(std::string prefix, std::string after) {
  range_request request;
  request.keys = key_range::prefix(prefix);
  request.after = std::move(after);
  return store_.range(std::move(request))
      .then([this, prefix](range_result&& page) -> kj::Promise<void> {
        for (const auto& row : page.rows)
          prefix == releases_prefix ? take_release(row.key, row.value)
          : prefix == pins_prefix   ? take_pin(row.key, row.value)
                                    : take_declared_pin(row.key, row.value);
        if (!page.more) return kj::READY_NOW;
        return load_page(prefix, page.rows.back().key);
      });
}

void release_catalog::take_release(const std::string& key, const std::string& value) {
  const auto id = release_of_key(key);
  if (!id) return shelve({"", key, ""}, "its key in the store makes no sense");
  auto read = decode_release(value);
  if (!read) return shelve(*id, "its record in the store makes no sense");
  if (read->id() != *id) return shelve(*id, "its record in the store is that of another release");
  if (!trust::parse_version(id->version) || !trust::digest_from_hex(read->spec.sha256))
    return shelve(*id, "its record in the store holds no version or no hash");
  put(std::move(*read));
}

void release_catalog::take_pin(const std::string& key, const std::string& value) {
  const auto name = key.substr(pins_prefix.size());
  const auto slash = name.find('/');
  const auto line = lines_.find({name.substr(0, slash), name.substr(slash + 1)});
  if (slash == std::string::npos || line == lines_.end()) {
    events_.record({}, 0, "unreadable",
                   fmt::format("the pin {} is of no plugin", wire::escape_line(name)));
    return;
  }
  line->second.pin = value;
}

void release_catalog::take_declared_pin(const std::string& key, const std::string& value) {
  if (auto* line = line_named(key.substr(declared_pins_prefix.size()))) line->declared_pin = value;
}

void release_catalog::shelve(const release_id& id, const std::string& reason) {
  const auto shown = wire::escape_line(to_string(id));
  events_.record({}, 0, "unreadable", fmt::format("release {}: {}", shown, reason));
  KJ_LOG(ERROR, "a release is kept, and not used", shown, reason);
  lines_[{id.kind, id.name}].damaged[id.version] = reason;
}

/// What a key holds of which that was in doubt.
void release_catalog::learn(const std::string& key, const std::optional<std::string>& value) {
  if (key.starts_with(pins_prefix)) {
    if (auto* line = line_named(key.substr(pins_prefix.size()))) line->pin.clear();
    if (value) take_pin(key, *value);
  } else if (key.starts_with(declared_pins_prefix)) {
    if (auto* line = line_named(key.substr(declared_pins_prefix.size())))
      line->declared_pin.clear();
    if (value) take_declared_pin(key, *value);
  } else {
    if (const auto id = release_of_key(key)) forget(*id);
    if (value) take_release(key, *value);
  }
}

// -- memory --------------------------------------------------------------------------------------

void release_catalog::put(release what) {
  auto& line = lines_[{what.spec.kind, what.spec.name}];
  auto version = *trust::parse_version(what.spec.version);
  line.releases[std::move(version)] = std::make_shared<const release>(std::move(what));
}

void release_catalog::forget(const release_id& id) {
  auto* line = line_of(id);
  if (line == nullptr) return;
  if (const auto version = trust::parse_version(id.version)) line->releases.erase(*version);
  line->damaged.erase(id.version);
  if (line->empty() && line->pin.empty()) lines_.erase({id.kind, id.name});
}

plugin_line* release_catalog::line_of(const release_id& id) {
  const auto found = lines_.find({id.kind, id.name});
  return found == lines_.end() ? nullptr : &found->second;
}

/// By "kind/name".
plugin_line* release_catalog::line_named(const std::string& name) {
  const auto slash = name.find('/');
  return slash == std::string::npos ? nullptr
                                    : line_of({name.substr(0, slash), name.substr(slash + 1), {}});
}

std::shared_ptr<const release> release_catalog::find(const release_id& id) const {
  const auto line = lines_.find({id.kind, id.name});
  return line == lines_.end() ? nullptr : line->second.find(id.version);
}

std::size_t release_catalog::size() const {
  std::size_t count = 0;
  for (const auto& [id, line] : lines_) count += line.releases.size() + line.damaged.size();
  return count;
}

// -- changes -------------------------------------------------------------------------------------

kj::Promise<release_info> release_catalog::add(release what, std::size_t releases_max) {
  return doubts_.change([this, what = std::move(what),
                         releases_max]() mutable -> kj::Promise<release_info> {
    digest_of(what);
    const auto id = what.id();
    if (find(id) == nullptr && size() >= releases_max)
      refuse(error_kind::overloaded, "no further release can be registered",
             fmt::format("there are {}, the limit releases_max", releases_max),
             "deregister what nobody uses: bulkhead plugin list");
    txn_request request;
    request.compares.push_back(txn_compare::absent(release_key(id)));
    request.then.push_back(txn_op::put(release_key(id), encode_release(what)));
    request.otherwise.push_back(txn_op::get(release_key(id)));
    return doubts_.txn(std::move(request))
        .then([this,
               what = std::move(what)](txn_result&& result) mutable -> kj::Promise<release_info> {
          if (!result.succeeded) {
            KJ_ASSERT(result.responses.size() == 1 && result.responses[0].row);
            return settle(std::move(what), *result.responses[0].row);
          }
          events_.record({}, 0, "registered",
                         fmt::format("{}, sha256 {}", to_string(what.id()), what.spec.sha256));
          const auto entered = what.id();
          put(std::move(what));
          return show_now(find(entered), usage_());
        });
  });
}

/// The version is there: the same release again, the same with other vouching, or another one.
kj::Promise<release_info> release_catalog::settle(release what, const store_row& there) {
  const auto id = what.id();
  auto known = decode_release(there.value);
  auto vouched_anew = what;
  if (known) {
    vouched_anew.manifest = known->manifest;
    vouched_anew.signatures = known->signatures;
  }
  const bool stripped = known && !known->signatures.empty() && what.signatures.empty();
  if (!known || !same_release(*known, vouched_anew) || stripped)
    refuse(
        error_kind::already_exists, fmt::format("{} is registered", to_string(id)),
        !known     ? "its record cannot be read"
        : stripped ? "the registered one is signed, and this one is not"
                   : "with other bytes or other words; a registered version never changes",
        fmt::format("register another version   |   bulkhead plugin deregister {}", to_string(id)));
  if (same_release(*known, what)) {
    if (find(id) == nullptr) put(std::move(*known));  // another broker on this state entered it
    return show_now(find(id), usage_());
  }
  what.registered_unix_ms = known->registered_unix_ms;
  what.declared = known->declared;
  txn_request request;
  request.compares.push_back(txn_compare::unchanged(release_key(id), there.mod_revision));
  request.then.push_back(txn_op::put(release_key(id), encode_release(what)));
  return doubts_.txn(std::move(request))
      .then([this, id, what = std::move(what)](txn_result&& result) mutable {
        if (!result.succeeded)
          refuse(error_kind::conflict, fmt::format("{} was changed meanwhile", to_string(id)), {},
                 "register it again");
        put(std::move(what));
        events_.record({}, 0, "signatures_replaced", to_string(id));
        return show_now(find(id), usage_());
      });
}

release_id release_catalog::require_id(release_id id) const {
  release_wish wish{id.kind, id.name, {}};
  if (id.kind.empty()) {
    // Only the kind is looked up: the version is taken by its word.
    const auto meant = resolve(wish);
    if (!meant.found()) kj::throwFatalException(resolution_exception(meant));
    id.kind = meant.chosen->spec.kind;
  }
  const auto line = lines_.find({id.kind, id.name});
  const bool there = line != lines_.end() && (line->second.find(id.version) != nullptr ||
                                              line->second.damaged.contains(id.version));
  if (!there)
    refuse(error_kind::not_found,
           fmt::format("there is no release {}", wire::escape_line(to_string(id))), {},
           "bulkhead plugin list");
  return id;
}

kj::Promise<void> release_catalog::remove(release_id asked, bool declared) {
  return doubts_.change([this, asked = std::move(asked), declared]() -> kj::Promise<void> {
    const auto id = require_id(asked);
    auto& line = *line_of(id);
    if (const auto kept = line.find(id.version); declared && (kept == nullptr || !kept->declared))
      refuse(error_kind::failed_precondition,
             fmt::format("{} is not the file's any more", to_string(id)),
             "an operator has registered it meanwhile");
    if (line.pin == id.version)
      refuse(error_kind::failed_precondition, fmt::format("{} is pinned", to_string(id)),
             "every mount of the plugin takes it",
             fmt::format("bulkhead plugin unpin {}/{}", id.kind, id.name));
    const auto users = usage_();
    if (const auto its = users.find(id); its != users.end() && !its->second.empty())
      refuse(
          error_kind::failed_precondition, fmt::format("{} is in use", to_string(id)),
          fmt::format("by {}, which run it or would with their next start", names_of(its->second)),
          "unmount them, or bring them to another version: pin one, and reload");
    return erase(id);
  });
}

/// From here on nobody chooses it. Should it have to stay, it is put back.
kj::Promise<void> release_catalog::erase(release_id id) {
  const auto& line = *line_of(id);
  const auto kept = line.find(id.version);
  const auto damage = line.damaged.find(id.version);
  const auto reason = damage == line.damaged.end() ? std::string() : damage->second;
  forget(id);
  const auto put_back = [this, id, kept, reason] {
    if (kept != nullptr) put(*kept);
    if (!reason.empty()) lines_[{id.kind, id.name}].damaged[id.version] = reason;
  };
  txn_request request;
  // Another broker on this state may have pinned it.
  request.compares.push_back(
      {pin_key(id.kind, id.name), compare_target::value, compare_op::not_equal, 0, id.version});
  request.then.push_back(txn_op::erase(release_key(id)));
  return doubts_.txn(std::move(request))
      .then(
          [this, id, put_back](txn_result&& result) {
            if (!result.succeeded) {
              put_back();
              refuse(error_kind::failed_precondition, fmt::format("{} is pinned", to_string(id)),
                     "it was pinned meanwhile",
                     fmt::format("bulkhead plugin unpin {}/{}", id.kind, id.name));
            }
            events_.record({}, 0, "deregistered", to_string(id));
          },
          [put_back](kj::Exception&& problem) {
            put_back();
            kj::throwFatalException(kj::mv(problem));
          });
}

kj::Promise<void> release_catalog::pin(release_id asked, bool declared) {
  return doubts_.change([this, asked = std::move(asked), declared]() -> kj::Promise<void> {
    const auto id = require_id(asked);
    if (const auto& line = *line_of(id); declared && !line.pin.empty() && line.declared_pin.empty())
      refuse(error_kind::failed_precondition, fmt::format("{}/{} is pinned", id.kind, id.name),
             "an operator has pinned it meanwhile");
    txn_request request;
    request.compares.push_back(txn_compare::present(release_key(id)));
    request.then.push_back(txn_op::put(pin_key(id.kind, id.name), id.version));
    const auto mark = declared_pin_key(id.kind, id.name);
    request.then.push_back(declared ? txn_op::put(mark, id.version) : txn_op::erase(mark));
    return doubts_.txn(std::move(request)).then([this, id, declared](txn_result&& result) {
      if (!result.succeeded)
        refuse(error_kind::not_found, fmt::format("there is no release {}", to_string(id)),
               "it was deregistered meanwhile");
      auto& line = lines_[{id.kind, id.name}];
      line.pin = id.version;
      line.declared_pin = declared ? id.version : std::string();
      events_.record({}, 0, "pinned", to_string(id));
    });
  });
}

kj::Promise<void> release_catalog::unpin(std::string kind, std::string name) {
  return doubts_.change(
      [this, kind = std::move(kind), name = std::move(name)]() mutable -> kj::Promise<void> {
        if (kind.empty()) {
          const auto meant = resolve({{}, name, {}});
          if (meant.how == resolution::outcome::ambiguous)
            kj::throwFatalException(resolution_exception(meant));
          for (const auto& [id, line] : lines_)
            if (id.second == name) kind = id.first;
        }
        return erase_pin(kind, name);
      });
}

kj::Promise<void> release_catalog::unpin_declared(release_id id) {
  return doubts_.change([this, id = std::move(id)]() -> kj::Promise<void> {
    const auto* line = line_of(id);
    if (line == nullptr || line->pin != id.version || line->declared_pin != id.version)
      refuse(error_kind::failed_precondition,
             fmt::format("the pin of {}/{} is not the file's any more", id.kind, id.name),
             "an operator has changed it meanwhile");
    return erase_pin(id.kind, id.name);
  });
}

kj::Promise<void> release_catalog::erase_pin(const std::string& kind, const std::string& name) {
  txn_request request;
  request.then.push_back(txn_op::erase(pin_key(kind, name)));
  request.then.push_back(txn_op::erase(declared_pin_key(kind, name)));
  return doubts_.txn(std::move(request)).then([this, kind, name](txn_result&& result) {
    if (auto* line = line_of({kind, name, {}})) {
      line->pin.clear();
      line->declared_pin.clear();
    }
    if (!result.responses.empty() && result.responses[0].existed)
      events_.record({}, 0, "unpinned", fmt::format("{}/{}", kind, name));
  });
}

// -- questions -----------------------------------------------------------------------------------

release_info release_catalog::show_now(const std::shared_ptr<const release>& shown,
                                       const usage& users) {
  const auto& what = *shown;
  release_info info;
  const auto id = what.id();
  info.kind = id.kind;
  info.name = id.name;
  info.version = id.version;
  info.command = what.spec.command;
  info.sha256 = what.spec.sha256;
  info.size_bytes = what.size_bytes;
  info.arguments = what.spec.arguments;
  for (const auto& each : what.spec.environment) info.environment.push_back(name_of(each));
  info.confinement = rules_shown(what.spec.confinement);
  info.link = what.link;
  const auto& verdict = trust_.judge(shown);
  info.signed_by = verdict.signers;
  if (verdict.manifest) {
    info.security_version = verdict.manifest->security_version;
    info.expires_unix_ms = verdict.manifest->expires_unix_ms;
  }
  if (!verdict.accepted())
    info.refusal =
        verdict.why.empty() ? verdict.what : fmt::format("{}: {}", verdict.what, verdict.why);
  info.registered_unix_ms = what.registered_unix_ms;
  info.declared = what.declared;
  info.storage_version = what.storage_version;
  if (const auto* line = line_of(id)) {
    info.pinned = line->pin == id.version;
    info.pin_declared = info.pinned && line->declared_pin == id.version;
  }
  const auto meant = resolve({id.kind, id.name, {}});
  info.preferred = meant.found() && meant.chosen->id() == id;
  if (const auto its = users.find(id); its != users.end()) info.used_by = its->second;
  return info;
}

release_info release_catalog::show_damaged(const release_id& id, const std::string& reason) const {
  release_info info;
  info.kind = wire::escape_line(id.kind);
  info.name = wire::escape_line(id.name);
  info.version = wire::escape_line(id.version);
  info.refusal = reason;
  return info;
}

std::vector<release_info> release_catalog::list(const std::string& kind, const std::string& name) {
  std::vector<release_info> result;
  const auto users = usage_();
  for (const auto& [id, line] : lines_) {
    if ((!kind.empty() && id.first != kind) || (!name.empty() && id.second != name)) continue;
    for (auto each = line.releases.rbegin(); each != line.releases.rend(); ++each)
      result.push_back(show_now(each->second, users));
    for (const auto& [version, reason] : line.damaged)
      result.push_back(show_damaged({id.first, id.second, version}, reason));
  }
  return result;
}

release_info release_catalog::show(const release_wish& wish) {
  if (wish.version.empty()) {
    const auto meant = resolve(wish);
    if (!meant.found()) kj::throwFatalException(resolution_exception(meant));
    return show_now(meant.chosen, usage_());
  }
  const auto id = require_id({wish.kind, wish.name, wish.version});
  if (const auto there = find(id)) return show_now(there, usage_());
  return show_damaged(id, line_of(id)->damaged.at(id.version));
}

std::vector<actual_pin> release_catalog::pins() const {
  std::vector<actual_pin> result;
  for (const auto& [id, line] : lines_)
    if (!line.pin.empty()) result.push_back({id.first, id.second, line.pin, line.declared_pin});
  return result;
}

std::shared_ptr<const release> release_catalog::at(const release_info& shown) const {
  return find({shown.kind, shown.name, shown.version});
}

}  // namespace bulkhead
