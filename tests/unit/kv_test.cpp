// SPDX-License-Identifier: Apache-2.0
//
// kv, hosted in memory: every path, the rules of versions, check-and-set, lost races, restarts.
#include "plugins/kv/kv.hpp"

#include "tests/unit/fake_host.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)
using sdk::error_kind;
using test::error_of;

namespace {

struct fixture : test::plugin_fixture {
  fixture() : plugin_fixture(kv::kv::plugin()) {
    hello();
    mount();
  }
  std::string text(const std::string& path, const char* field, const sdk::fields& how = {}) {
    auto answered = read(path, how);
    const auto* found = answered.values.find(field);
    REQUIRE(found != nullptr);
    return *found->get_if<std::string>();
  }
  std::int64_t number(const sdk::fields& from, const char* name) {
    const auto* found = from.find(name);
    REQUIRE(found != nullptr);
    return *found->get_if<std::int64_t>();
  }
  std::size_t data_keys() const {
    std::size_t count = 0;
    for (const auto& entry : storage.values) count += entry.first.compare(0, 2, "v/") == 0 ? 1 : 0;
    return count;
  }
};

}  // namespace

TEST_CASE_METHOD(fixture, "a plain path stores and returns the fields of a secret") {
  auto written = write("app", {{"user", "a"}, {"pass", "b"}});
  CHECK(number(written.values, "version") == 1);
  auto found = read("app");
  CHECK(found.values == sdk::fields{{"user", "a"}, {"pass", "b"}});
  CHECK(found.values.find("pass")->is_secret());
}

TEST_CASE_METHOD(fixture, "a field may have any type and any name, also `version`") {
  sdk::fields secret{{"version", "mine"},
                     {"n", 7},
                     {"raw", sdk::bytes{0, 255}},
                     {"list", sdk::value::list{1, "x"}},
                     {"map", sdk::fields{{"k", true}}}};
  write("app", secret);
  CHECK(read("app").values == secret);
}

TEST_CASE_METHOD(fixture, "a write adds a version and old ones stay readable") {
  write("app", {{"v", "one"}});
  write("app", {{"v", "two"}});
  CHECK(text("app", "v") == "two");
  CHECK(text("app", "v", {{"version", "1"}}) == "one");
  auto missing = error_of([&] { read("app", {{"version", 3}}); });
  CHECK(missing.kind == error_kind::NOT_FOUND);
  CHECK(missing.what == "'app' has no version 3");
  CHECK(missing.why == "it keeps 1 to 2");
  CHECK(error_of([&] { read("app", {{"version", 0}}); }).kind == error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "what is not there is not found") {
  CHECK(error_of([&] { read("nothing"); }).kind == error_kind::NOT_FOUND);
  CHECK(error_of([&] { read("data/nothing"); }).kind == error_kind::NOT_FOUND);
  CHECK(error_of([&] { read("metadata/nothing"); }).kind == error_kind::NOT_FOUND);
  CHECK(error_of([&] {
          write("undelete/nothing", {{"versions", "1"}});
        }).kind == error_kind::NOT_FOUND);
  CHECK(remove("nothing").warnings.size() == 1);
  CHECK(storage.values.empty());
}

TEST_CASE_METHOD(fixture, "data/ returns data and metadata") {
  write("data/app", {{"data", sdk::fields{{"user", "a"}}}});
  auto found = read("data/app").values;
  CHECK(*found.find("data") == sdk::value(sdk::fields{{"user", "a"}}));
  CHECK(found.find("data")->is_secret());
  const auto& metadata = *found.find("metadata")->get_if<sdk::fields>();
  CHECK(number(metadata, "version") == 1);
  CHECK(*metadata.find("created") == sdk::value("2023-11-14T22:13:20.000Z"));
  CHECK(*metadata.find("destroyed") == sdk::value(false));
}

TEST_CASE_METHOD(fixture, "data/ takes fields one by one, but not both ways") {
  write("data/app", {{"user", "a"}, {"cas", 0}});
  CHECK(read("app").values == sdk::fields{{"user", "a"}});
  CHECK(error_of([&] {
          write("data/app", {{"user", "a"}, {"data", sdk::fields{{"x", 1}}}});
        }).kind == error_kind::INVALID_ARGUMENT);
  CHECK(error_of([&] { write("data/app"); }).kind == error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "check-and-set compares with the newest version") {
  CHECK(error_of([&] { write("data/app", {{"v", 1}, {"cas", 1}}); }).kind == error_kind::CONFLICT);
  CHECK(storage.values.empty());
  write("data/app", {{"v", 1}, {"cas", 0}});
  auto problem = error_of([&] { write("data/app", {{"v", 2}, {"cas", 0}}); });
  CHECK(problem.kind == error_kind::CONFLICT);
  CHECK(problem.why == "its newest version is 1");
  write("data/app", {{"v", 2}, {"cas", "1"}});
  // A deleted version still counts.
  remove("app");
  CHECK(error_of([&] { write("data/app", {{"v", 3}, {"cas", 0}}); }).kind == error_kind::CONFLICT);
  write("data/app", {{"v", 3}, {"cas", 2}});
}

TEST_CASE_METHOD(fixture, "check-and-set can be required for a secret and for the mount") {
  write("metadata/app", {{"cas_required", true}});
  auto problem = error_of([&] { write("app", {{"v", 1}}); });
  CHECK(problem.kind == error_kind::INVALID_ARGUMENT);
  CHECK(problem.remedy == "write data/app cas=0 ...");
  write("data/app", {{"v", 1}, {"cas", 0}});
  write("other", {{"v", 1}});
  write("config", {{"cas_required", "true"}});
  CHECK(error_of([&] { write("other", {{"v", 1}}); }).kind == error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "a write that loses a race is tried again and loses no version") {
  unsigned races = 2;
  storage.before_transact = [&] {
    // Another writer is faster: the record changes between the plugin's read and its transaction.
    if (races == 0) return;
    --races;
    auto key = kv::key_record();
    auto found = storage.values.find("m/app");
    if (found != storage.values.end()) key = kv::decode_key(found->second.content);
    kv::add_version(key, now_ms, 10);
    storage.values["m/app"] = {kv::encode(key), ++storage.revision};
    storage.values["v/app@" + std::to_string(key.current)] = {kv::encode_secret({{"by", "other"}}),
                                                              storage.revision};
  };
  CHECK(number(write("app", {{"by", "us"}}).values, "version") == 3);
  CHECK(storage.transactions == 3);
  CHECK(text("app", "by", {{"version", 1}}) == "other");
  CHECK(text("app", "by", {{"version", 2}}) == "other");
  CHECK(text("app", "by") == "us");
}

TEST_CASE_METHOD(fixture, "a check-and-set that loses a race is a conflict") {
  write("app", {{"v", 1}});
  storage.before_transact = [&] {
    storage.before_transact = nullptr;
    auto key = kv::decode_key(storage.values["m/app"].content);
    kv::add_version(key, now_ms, 10);
    storage.values["m/app"] = {kv::encode(key), ++storage.revision};
  };
  CHECK(error_of([&] { write("data/app", {{"v", 2}, {"cas", 1}}); }).kind == error_kind::CONFLICT);
}

TEST_CASE_METHOD(fixture, "a write that loses every race ends as overloaded") {
  storage.before_transact = [&] {
    storage.values["m/app"] = {kv::encode(kv::key_record()), ++storage.revision};
  };
  CHECK(error_of([&] { write("app", {{"v", 1}}); }).kind == error_kind::OVERLOADED);
  CHECK(storage.transactions == kv::write_attempts_max);
}

TEST_CASE_METHOD(fixture, "writers at the same time get versions of their own") {
  std::vector<kj::Promise<test::answer>> under_way;
  under_way.reserve(8);
  for (int i = 0; i < 8; ++i) under_way.push_back(send(sdk::operation::WRITE, "app", {{"i", i}}));
  std::vector<std::int64_t> versions;
  versions.reserve(under_way.size());
  for (auto& promise : under_way)
    versions.push_back(number(promise.wait(io.waitScope).values, "version"));
  std::sort(versions.begin(), versions.end());
  CHECK(versions == std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8});
}

TEST_CASE_METHOD(fixture, "delete hides the newest version and undelete brings it back") {
  write("app", {{"v", "one"}});
  write("app", {{"v", "two"}});
  remove("data/app");
  auto problem = error_of([&] { read("app"); });
  CHECK(problem.kind == error_kind::NOT_FOUND);
  CHECK(problem.what == "version 2 of 'app' is deleted");
  CHECK(problem.remedy == "write undelete/app versions=2");
  CHECK(text("app", "v", {{"version", 1}}) == "one");
  CHECK(remove("app").warnings == std::vector<std::string>{"version 2 is deleted already"});
  write("undelete/app", {{"versions", "2"}});
  CHECK(text("app", "v") == "two");
}

TEST_CASE_METHOD(fixture, "some versions can be deleted, and each that cannot is told of") {
  for (int i = 1; i <= 3; ++i) write("app", {{"v", i}});
  auto answered = write("delete/app", {{"versions", "1,3,9"}});
  CHECK(answered.warnings == std::vector<std::string>{"version 9 is not kept"});
  CHECK(error_of([&] { read("app", {{"version", 1}}); }).kind == error_kind::NOT_FOUND);
  CHECK(*read("app", {{"version", 2}}).values.find("v") == sdk::value(2));
  CHECK(write("undelete/app", {{"versions", sdk::value::list{2}}}).warnings ==
        std::vector<std::string>{"version 2 is not deleted"});
  for (const char* bad : {"0", "x", "-1", "1,,2"}) {
    CAPTURE(bad);
    CHECK(error_of([&] {
            write("delete/app", {{"versions", bad}});
          }).kind == error_kind::INVALID_ARGUMENT);
  }
}

TEST_CASE_METHOD(fixture, "destroy removes the data for good and keeps the number") {
  write("app", {{"v", "one"}});
  write("app", {{"v", "two"}});
  write("destroy/app", {{"versions", "1"}});
  CHECK(data_keys() == 1);
  CHECK(error_of([&] { read("app", {{"version", 1}}); }).what == "version 1 of 'app' is destroyed");
  CHECK(write("undelete/app", {{"versions", "1"}}).warnings ==
        std::vector<std::string>{"version 1 is destroyed and cannot come back"});
  CHECK(number(write("app", {{"v", "three"}}).values, "version") == 3);
  const auto versions = *read("metadata/app").values.find("versions")->get_if<sdk::fields>();
  CHECK(*versions.find("1")->get_if<sdk::fields>()->find("destroyed") == sdk::value(true));
}

TEST_CASE("only the newest versions are kept: the mount's option, config, and metadata decide") {
  fixture host;
  host.restart({{"max_versions", "2"}});
  for (int i = 1; i <= 3; ++i) host.write("app", {{"v", i}});
  CHECK(host.data_keys() == 2);
  CHECK(error_of([&] { host.read("app", {{"version", 1}}); }).why == "it keeps 2 to 3");
  host.write("config", {{"max_versions", 3}});
  for (int i = 4; i <= 6; ++i) host.write("app", {{"v", i}});
  CHECK(host.data_keys() == 3);
  host.write("metadata/app", {{"max_versions", 1}});
  host.write("app", {{"v", 7}});
  CHECK(host.data_keys() == 1);
  CHECK(*host.read("app").values.find("v") == sdk::value(7));
  CHECK(error_of([&] {
          host.write("config", {{"max_versions", 101}});
        }).kind == error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "a hundred versions can be forgotten in one transaction") {
  write("config", {{"max_versions", 100}});
  for (int i = 0; i < 100; ++i) write("app", {{"v", i}});
  CHECK(data_keys() == 100);
  write("metadata/app", {{"max_versions", 1}});
  write("app", {{"v", 100}});
  CHECK(data_keys() == 1);
}

TEST_CASE_METHOD(fixture, "metadata tells versions, times and settings") {
  write("app", {{"v", 1}});
  now_ms += 250;
  write("app", {{"v", 2}});
  write("metadata/app", {{"custom_metadata", "owner=me,team=x"}});
  auto found = read("metadata/app").values;
  CHECK(number(found, "current_version") == 2);
  CHECK(number(found, "oldest_version") == 1);
  CHECK(number(found, "max_versions") == 10);
  CHECK(*found.find("created") == sdk::value("2023-11-14T22:13:20.000Z"));
  CHECK(*found.find("updated") == sdk::value("2023-11-14T22:13:20.250Z"));
  CHECK(*found.find("custom_metadata") == sdk::value(sdk::fields{{"owner", "me"}, {"team", "x"}}));
  CHECK(error_of([&] {
          write("metadata/app", {{"custom_metadata", sdk::fields{{"n", 1}}}});
        }).kind == error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "metadata can be written before the first version") {
  write("metadata/app", {{"max_versions", 3}});
  CHECK(error_of([&] { read("app"); }).kind == error_kind::NOT_FOUND);
  CHECK(number(write("app", {{"v", 1}}).values, "version") == 1);
  CHECK(number(read("metadata/app").values, "max_versions") == 3);
}

TEST_CASE_METHOD(fixture, "deleting metadata forgets all and numbers start anew") {
  write("app", {{"v", 1}});
  write("app", {{"v", 2}});
  remove("metadata/app");
  CHECK(storage.values.empty());
  CHECK(number(write("app", {{"v", 3}}).values, "version") == 1);
  CHECK(remove("metadata/nothing").warnings.size() == 1);
}

TEST_CASE_METHOD(fixture, "list shows one level, folders once and with a slash") {
  for (const char* path : {"a", "a/x", "a/y/z", "b", "c/d", "a0"}) write(path, {{"v", 1}});
  std::vector<std::string> top{"a", "a/", "a0", "b", "c/"};
  CHECK(list("").keys == top);
  CHECK(list("metadata/").keys == top);
  CHECK(list("data").keys == top);
  CHECK(list("a/").keys == std::vector<std::string>{"x", "y/"});
  CHECK(list("nothing/").keys.empty());
}

TEST_CASE_METHOD(fixture, "list goes over many pages, past large folders, and by parts") {
  for (int i = 0; i < 40; ++i) write("f/" + std::to_string(i), {{"v", 1}});
  write("a", {{"v", 1}});
  write("f0", {{"v", 1}});
  write("g", {{"v", 1}});
  storage.page_keys_max = 3;
  CHECK(list("").keys == std::vector<std::string>{"a", "f/", "f0", "g"});
  CHECK(list("f").keys.size() == 40);
  auto first = list("", {{"limit", 2}});
  CHECK(first.keys == std::vector<std::string>{"a", "f/"});
  CHECK(first.warnings == std::vector<std::string>{"there is more: list again with after=f/"});
  auto second = list("", {{"limit", 2}, {"after", "f/"}});
  CHECK(second.keys == std::vector<std::string>{"f0", "g"});
  CHECK(second.warnings.empty());
}

TEST_CASE_METHOD(fixture, "secrets and settings survive a restart of the plugin") {
  write("app", {{"v", "kept"}});
  write("config", {{"max_versions", 4}, {"cas_required", true}});
  restart();
  CHECK(text("app", "v") == "kept");
  CHECK(number(read("config").values, "max_versions") == 4);
  CHECK(error_of([&] { write("app", {{"v", 1}}); }).kind == error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture,
                 "a configuration that somebody else changed is read again on invalidate") {
  storage.values["c"] = {kv::encode(kv::config_record{7, false}), ++storage.revision};
  CHECK(number(read("config").values, "max_versions") == 10);
  auto call = plugin().invalidateRequest();
  call.setUuid("u-1");
  call.setKey("c");
  call.send().wait(io.waitScope);
  settle();
  CHECK(number(read("config").values, "max_versions") == 7);
}

TEST_CASE_METHOD(fixture, "a secret's path and size have limits") {
  std::string longest(kv::secret_path_bytes_max, 'p');
  write(longest, {{"v", 1}});
  CHECK(error_of([&] { write(longest + "p", {{"v", 1}}); }).kind == error_kind::INVALID_ARGUMENT);
  write("big", {{"v", std::string(kv::secret_bytes_max - 200, 'x')}});
  auto problem = error_of([&] { write("big", {{"v", std::string(kv::secret_bytes_max, 'x')}}); });
  CHECK(problem.what == "the secret is too large");
  CHECK(number(read("metadata/big").values, "current_version") == 1);
}

TEST_CASE_METHOD(fixture, "a path like data/x is reached through data/") {
  write("data/data/x", {{"v", "deep"}});
  auto found = read("data/data/x").values;
  CHECK(*found.find("data") == sdk::value(sdk::fields{{"v", "deep"}}));
  CHECK(error_of([&] { read("data/x"); }).kind == error_kind::NOT_FOUND);
}
