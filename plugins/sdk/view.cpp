// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/view.hpp"

#include <algorithm>

#include "plugins/sdk/error.hpp"

namespace bulkhead::sdk {
namespace {

template <class Builder>
void set_key(Builder to, std::string_view key) {
  auto place = to.initKey(static_cast<unsigned>(key.size()));
  std::copy(key.begin(), key.end(), place.begin());
}

capnp::Data::Reader as_data(const bytes& content) {
  return kj::arrayPtr(content.data(), content.size());
}

}  // namespace

void expect::write(schema::Expect::Builder to) const {
  switch (what_) {
    case kind::anything:
      to.setAnything();
      break;
    case kind::absent:
      to.setAbsent();
      break;
    case kind::revision:
      to.setRevision(revision_);
      break;
  }
}

change change::put(std::string key, bytes content, expect when) {
  return {kind::put, std::move(key), std::move(content), when};
}

change change::remove(std::string key, expect when) {
  return {kind::remove, std::move(key), {}, when};
}

change change::check(std::string key, expect when) {
  return {kind::check, std::move(key), {}, when};
}

void change::write(schema::Change::Builder to) const {
  set_key(to, key_);
  when_.write(to.initExpect());
  switch (what_) {
    case kind::put:
      to.setPut(as_data(content_));
      break;
    case kind::remove:
      to.setDelete();
      break;
    case kind::check:
      to.setCheck();
      break;
  }
}

kj::Promise<std::optional<stored>> view::get(std::string_view key) {
  auto call = client_.getRequest();
  set_key(schema::View::GetParams::Builder(call), key);
  return call.send().then([](auto&& found) -> std::optional<stored> {
    if (!found.getFound()) return std::nullopt;
    auto content = found.getValue();
    return stored{bytes(content.begin(), content.end()), found.getRevision()};
  });
}

kj::Promise<std::uint64_t> view::put(std::string_view key, bytes content, expect when) {
  auto call = client_.putRequest();
  set_key(schema::View::PutParams::Builder(call), key);
  call.setValue(as_data(content));
  when.write(call.initExpect());
  return call.send().then([](auto&& done) -> std::uint64_t { return done.getRevision(); });
}

kj::Promise<bool> view::remove(std::string_view key, expect when) {
  auto call = client_.deleteRequest();
  set_key(schema::View::DeleteParams::Builder(call), key);
  when.write(call.initExpect());
  return call.send().then([](auto&& done) -> bool { return done.getExisted(); });
}

kj::Promise<key_page> view::list(std::string_view prefix, std::string_view after,
                                 std::uint32_t limit) {
  auto call = client_.listRequest();
  auto from = call.initPrefix(static_cast<unsigned>(prefix.size()));
  std::copy(prefix.begin(), prefix.end(), from.begin());
  auto behind = call.initAfter(static_cast<unsigned>(after.size()));
  std::copy(after.begin(), after.end(), behind.begin());
  call.setLimit(limit);
  return call.send().then([](auto&& found) {
    key_page page;
    for (auto key : found.getKeys()) page.keys.emplace_back(key.begin(), key.size());
    page.more = found.getMore();
    return page;
  });
}

kj::Promise<std::uint64_t> view::transact(const std::vector<change>& changes) {
  auto call = client_.transactRequest();
  auto places = call.initChanges(static_cast<unsigned>(changes.size()));
  unsigned at = 0;
  for (const auto& change : changes) change.write(places[at++]);
  return call.send().then([](auto&& done) -> std::uint64_t { return done.getRevision(); });
}

kj::Promise<std::optional<std::uint64_t>> view::try_transact(const std::vector<change>& changes) {
  using outcome = std::optional<std::uint64_t>;
  return transact(changes).then(
      [](std::uint64_t revision) -> kj::Promise<outcome> { return outcome(revision); },
      [](kj::Exception&& problem) -> kj::Promise<outcome> {
        if (kind_of(problem) == error_kind::CONFLICT) return outcome();
        return kj::mv(problem);
      });
}

}  // namespace bulkhead::sdk
