// SPDX-License-Identifier: Apache-2.0
//
// A broker in miniature, for tests of plugins: it hosts a plugin in memory over a kj pipe, and
// lends it a host whose view keeps the contract of schema/plugin.capnp (revisions, conditions,
// all-or-nothing transactions, pages) in a std::map. The clock stands still until a test moves it.
// `before_transact` lets a test win a race against the plugin.
#pragma once

#include <kj/async-io.h>

#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plugins/sdk/convert.hpp"
#include "plugins/sdk/plugin.hpp"
#include "schema/wire/connection.hpp"

namespace bulkhead::test {

struct stored_value {
  sdk::bytes content;
  std::uint64_t revision = 0;
};

/// What a fake view holds; outlives the plugin, as a store would.
struct fake_storage {
  std::map<std::string, stored_value> values;
  std::uint64_t revision = 0;
  std::size_t page_keys_max = 1000;
  unsigned transactions = 0;
  std::function<void()> before_transact;
  bool broken = false;
};

struct log_entry {
  sdk::log_level level;
  std::string text;
};

class fake_view final : public schema::View::Server {
 public:
  explicit fake_view(fake_storage& storage) : storage_(storage) {}

 protected:
  kj::Promise<void> get(GetContext context) override {
    check();
    auto found = storage_.values.find(context.getParams().getKey());
    if (found == storage_.values.end()) return kj::READY_NOW;
    auto results = context.getResults();
    results.setFound(true);
    results.setValue(kj::arrayPtr(found->second.content.data(), found->second.content.size()));
    results.setRevision(found->second.revision);
    return kj::READY_NOW;
  }

  kj::Promise<void> put(PutContext context) override {
    check();
    auto params = context.getParams();
    require(params.getKey(), params.getExpect());
    auto value = params.getValue();
    storage_.values[params.getKey()] = {sdk::bytes(value.begin(), value.end()),
                                        ++storage_.revision};
    context.getResults().setRevision(storage_.revision);
    return kj::READY_NOW;
  }

  kj::Promise<void> delete_(DeleteContext context) override {
    check();
    auto params = context.getParams();
    require(params.getKey(), params.getExpect());
    context.getResults().setExisted(storage_.values.erase(params.getKey()) > 0);
    return kj::READY_NOW;
  }

  kj::Promise<void> list(ListContext context) override {
    check();
    auto params = context.getParams();
    std::string prefix = params.getPrefix();
    std::string after = params.getAfter();
    std::size_t limit = params.getLimit() == 0 ? storage_.page_keys_max : params.getLimit();
    std::vector<std::string> keys;
    bool more = false;
    for (const auto& entry : storage_.values) {
      if (entry.first.compare(0, prefix.size(), prefix) != 0 || entry.first <= after) continue;
      if (keys.size() == limit) {
        more = true;
        break;
      }
      keys.push_back(entry.first);
    }
    auto places = context.getResults().initKeys(static_cast<unsigned>(keys.size()));
    for (unsigned i = 0; i < places.size(); ++i) places.set(i, keys[i].c_str());
    context.getResults().setMore(more);
    return kj::READY_NOW;
  }

  kj::Promise<void> transact(TransactContext context) override {
    check();
    ++storage_.transactions;
    if (storage_.before_transact) storage_.before_transact();
    auto changes = context.getParams().getChanges();
    if (changes.size() > sdk::view_changes_max) {
      throw sdk::error(sdk::error_kind::INVALID_ARGUMENT, "too many changes");
    }
    for (auto change : changes) require(change.getKey(), change.getExpect());
    ++storage_.revision;
    for (auto change : changes) {
      if (change.isPut()) {
        auto value = change.getPut();
        storage_.values[change.getKey()] = {sdk::bytes(value.begin(), value.end()),
                                            storage_.revision};
      } else if (change.isDelete()) {
        storage_.values.erase(change.getKey());
      }
    }
    context.getResults().setRevision(storage_.revision);
    return kj::READY_NOW;
  }

 private:
  void check() const {
    if (storage_.broken) throw sdk::error(sdk::error_kind::STORAGE, "the disk is full");
  }

  void require(const std::string& key, schema::Expect::Reader expect) const {
    auto found = storage_.values.find(key);
    auto revision = found == storage_.values.end() ? 0 : found->second.revision;
    bool holds = expect.isAnything() || (expect.isAbsent() && revision == 0) ||
                 (expect.isRevision() && revision != 0 && expect.getRevision() == revision);
    if (!holds) throw sdk::error(sdk::error_kind::CONFLICT, "the key is not as expected");
  }

  fake_storage& storage_;
};

class fake_host final : public schema::Host::Server {
 public:
  fake_host(fake_storage& storage, std::vector<log_entry>& log, std::int64_t& now_ms)
      : storage_(storage), log_(log), now_ms_(now_ms) {}

 protected:
  kj::Promise<void> view(ViewContext context) override {
    context.getResults().setView(kj::heap<fake_view>(storage_));
    return kj::READY_NOW;
  }
  kj::Promise<void> log(LogContext context) override {
    log_.push_back({context.getParams().getLevel(), context.getParams().getText()});
    return kj::READY_NOW;
  }
  kj::Promise<void> now(NowContext context) override {
    context.getResults().setUnixMs(now_ms_);
    return kj::READY_NOW;
  }

 private:
  fake_storage& storage_;
  std::vector<log_entry>& log_;
  std::int64_t& now_ms_;
};

/// The answer to a request, copied out of its message.
struct answer {
  sdk::fields values;
  std::vector<std::string> keys;
  std::vector<std::string> warnings;
  std::string help;
};

inline std::vector<std::string> copy_texts(capnp::List<capnp::Text>::Reader from) {
  std::vector<std::string> result;
  for (auto text : from) result.emplace_back(text.begin(), text.size());
  return result;
}

/// Hosts a plugin in memory. Everything runs on the calling thread, inside of the helpers that
/// wait.
class plugin_fixture {
 public:
  explicit plugin_fixture(sdk::plugin plugin) : plugin_(std::move(plugin)) { start(); }

  /// The plugin as a broker sees it.
  schema::Plugin::Client& plugin() { return *client_; }

  capnp::Response<schema::Plugin::HelloResults> hello(std::uint16_t low = 1,
                                                      std::uint16_t high = 1) {
    auto call = client_->helloRequest();
    call.initBroker().setProtocolMin(low);
    call.getBroker().setProtocolMax(high);
    return call.send().wait(io.waitScope);
  }

  /// Mounts; `options` as name, value. Keeps the backend and the typed capability.
  void mount(const std::vector<std::pair<std::string, std::string>>& options = {},
             const std::string& uuid = "u-1") {
    auto call = client_->mountRequest();
    auto info = call.initMount();
    info.setPath("test/");
    info.setUuid(uuid);
    info.setGeneration(++generation_);
    auto places = info.initOptions(static_cast<unsigned>(options.size()));
    for (unsigned i = 0; i < places.size(); ++i) {
      places[i].setName(options[i].first);
      places[i].setValue(options[i].second);
    }
    call.setHost(kj::heap<fake_host>(storage, log, now_ms));
    auto mounted = call.send().wait(io.waitScope);
    if (mounted.hasBackend()) backend = mounted.getBackend();
    if (mounted.hasTyped()) typed = mounted.getTyped();
  }

  /// Migrates the storage of a mount.
  void migrate(std::uint32_t from, const std::string& uuid = "u-1") {
    auto call = client_->migrateRequest();
    call.initMount().setUuid(uuid);
    call.setHost(kj::heap<fake_host>(storage, log, now_ms));
    call.setFrom(from);
    call.send().wait(io.waitScope);
  }

  /// Ends this instance and starts another on the same storage: a crash and a restart.
  void restart(const std::vector<std::pair<std::string, std::string>>& options = {}) {
    backend = nullptr;
    typed = nullptr;
    client_ = nullptr;
    link_ = nullptr;
    served_ = nullptr;
    start();
    hello();
    mount(options);
  }

  kj::Promise<answer> send(sdk::operation what, const std::string& path,
                           const sdk::fields& fields = {}) {
    auto& target = KJ_ASSERT_NONNULL(backend);
    auto call = target.handleRequest();
    auto request = call.initRequest();
    request.setOperation(what);
    request.setPath(path);
    sdk::write_fields(fields, request.initFields(static_cast<unsigned>(fields.size())));
    return call.send().then([](auto&& done) {
      auto from = done.getResponse();
      return answer{sdk::read_fields(from.getFields()), copy_texts(from.getKeys()),
                    copy_texts(from.getWarnings()), from.getHelp()};
    });
  }
  answer ask(sdk::operation what, const std::string& path, const sdk::fields& fields = {}) {
    return send(what, path, fields).wait(io.waitScope);
  }
  answer read(const std::string& path, const sdk::fields& fields = {}) {
    return ask(sdk::operation::READ, path, fields);
  }
  answer write(const std::string& path, const sdk::fields& fields = {}) {
    return ask(sdk::operation::WRITE, path, fields);
  }
  answer list(const std::string& path, const sdk::fields& fields = {}) {
    return ask(sdk::operation::LIST, path, fields);
  }
  answer remove(const std::string& path, const sdk::fields& fields = {}) {
    return ask(sdk::operation::DELETE, path, fields);
  }

  /// Lets everything happen that can happen now.
  void settle() { io.waitScope.poll(); }

  kj::AsyncIoContext io = kj::setupAsyncIo();
  fake_storage storage;
  std::vector<log_entry> log;
  std::int64_t now_ms = 1'700'000'000'000;
  kj::Maybe<schema::Backend::Client> backend;
  kj::Maybe<capnp::Capability::Client> typed;

 private:
  void start() {
    auto pipe = kj::newTwoWayPipe();
    served_ = plugin_.serve_on(kj::mv(pipe.ends[0])).eagerlyEvaluate(nullptr);
    link_ =
        kj::heap<wire::connection>(kj::mv(pipe.ends[1]), wire::connection::side::CLIENT, nullptr);
    client_ = std::make_unique<schema::Plugin::Client>(link_->bootstrap().castAs<schema::Plugin>());
  }

  sdk::plugin plugin_;
  std::uint64_t generation_ = 0;
  kj::Promise<void> served_ = nullptr;
  kj::Own<wire::connection> link_;
  std::unique_ptr<schema::Plugin::Client> client_;
};

/// Runs what must fail, and returns the error as a broker reads it.
template <class F>
wire::error_info error_of(F&& run) {
  auto caught = kj::runCatchingExceptions([&] { run(); });
  KJ_IF_MAYBE (problem, caught) {
    return wire::parse_error(*problem, wire::plugin_hops_at_broker);
  }
  FAIL("no error came");
  return {};
}

}  // namespace bulkhead::test
