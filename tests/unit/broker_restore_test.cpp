// SPDX-License-Identifier: Apache-2.0
//
// What the broker makes of the records that it finds in its store: good ones are mounted, bad ones
// are kept, shown, and cost nobody else anything.

#include "broker/mount_record.hpp"
#include "broker/view.hpp"
#include "tests/unit/test_broker.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

constexpr const char* good_uuid = "00000000-0000-4000-8000-000000000001";
constexpr const char* bad_uuid = "00000000-0000-4000-8000-000000000002";
constexpr const char* nobodys_uuid = "00000000-0000-4000-8000-000000000003";

std::string record_of(const std::string& path, const std::string& uuid,
                      std::uint32_t intensity = 3) {
  mount_record record;
  record.spec.path = path;
  record.spec.plugin = "quiet";
  record.spec.supervision.intensity = intensity;
  record.uuid = uuid;
  record.accessor = "quiet_1";
  record.generations_reserved = generation_block;
  return encode_record(record);
}

void put(test_broker& tb, std::string key, std::string value) {
  txn_request request;
  request.then.push_back(txn_op::put(std::move(key), std::move(value)));
  tb.wait(tb.core().services().store.txn(std::move(request)));
}

bool is_there(test_broker& tb, const std::string& key) {
  range_request request;
  request.keys = key_range::one(key);
  return !tb.wait(tb.core().services().store.range(std::move(request))).rows.empty();
}

template <class T>
error failure_of(test_broker& tb, kj::Promise<T> what) {
  auto problem = kj::runCatchingExceptions([&] { tb.wait(kj::mv(what)); });
  return to_error(KJ_REQUIRE_NONNULL(problem));
}

}  // namespace

TEST_CASE("a record that breaks a rule is kept and shown with its reason, and others are mounted") {
  test_broker tb;
  tb.plugin("quiet", quiet());
  put(tb, mount_key("bad/"), record_of("bad/", bad_uuid, 1'000'000));
  put(tb, mount_key("good/"), record_of("good/", good_uuid));
  for (const auto* uuid : {good_uuid, bad_uuid, nobodys_uuid})
    put(tb, view_prefix(uuid) + "k", "v");
  tb.wait(tb.core().load());
  tb.settle();
  CHECK(tb.status("good").status.state == mount_state::ready);
  const auto bad = tb.status("bad").status;
  CHECK(bad.state == mount_state::quarantined);
  CHECK(bad.reason ==
        "its record in the store is refused: supervision.intensity is out of range: it is at most "
        "10000");
  CHECK(tb.wait(tb.core().query_all()).size() == 2);
  CHECK(tb.handle("(operation = read, path = \"bad/x\")") ==
        "quarantined: mount 'bad/' is quarantined");
  CHECK(failure_of(tb, tb.core().reset("bad")).kind() == error_kind::failed_precondition);
  CHECK(failure_of(tb, tb.core().restart("bad")).why() == bad.reason);
  CHECK(failure_of(tb, tb.core().stop("bad")).why() == bad.reason);
  CHECK(failure_of(tb, tb.core().start("bad")).why() == bad.reason);
  CHECK(failure_of(tb, tb.core().reload("bad", {})).why() == bad.reason);
  CHECK(failure_of(tb, tb.core().signal("bad", SIGTERM)).why() == bad.reason);
  CHECK(failure_of(tb, tb.core().mount({"bad/", "quiet"})).kind() == error_kind::already_exists);
  CHECK(tb.events().after(0, 1).front().name == "unreadable");
  CHECK(is_there(tb, view_prefix(bad_uuid) + "k"));
  CHECK_FALSE(is_there(tb, view_prefix(nobodys_uuid) + "k"));

  tb.wait(tb.core().unmount("bad"));
  CHECK_FALSE(is_there(tb, mount_key("bad/")));
  CHECK_FALSE(is_there(tb, view_prefix(bad_uuid) + "k"));
  CHECK(tb.mount("bad/", "quiet").status.state == mount_state::ready);
}

TEST_CASE("a mount whose record breaks a rule is whole, and tuned it starts with its data") {
  test_broker tb;
  tb.plugin("quiet", quiet());
  mount_record record;
  REQUIRE(decode_record(record_of("bad/", bad_uuid, 1'000'000), record));
  record.declared = true;
  record.spec.description = "kept";
  put(tb, mount_key("bad/"), encode_record(record));
  put(tb, view_prefix(bad_uuid) + "k", "v");
  tb.wait(tb.core().load());
  CHECK(tb.status("bad").status.state == mount_state::quarantined);
  CHECK(tb.core().require("bad").entry->declared);
  CHECK(tb.core().require("bad").entry->declared_path == "bad/");
  CHECK(failure_of(tb, tb.core().restart("bad")).remedy() ==
        "bulkhead tune bad/, so that it keeps the rules");
  tune_request what;
  what.path = "bad";
  what.description = "still against the rules";
  CHECK(failure_of(tb, tb.core().tune(what)).kind() == error_kind::invalid_argument);
  CHECK(tb.status("bad").status.state == mount_state::quarantined);
  what.description.reset();
  what.supervision = restart_limits{};
  what.reload = true;
  CHECK(tb.wait(tb.core().tune(what)).status.state == mount_state::ready);
  const auto& entry = *tb.core().require("bad").entry;
  CHECK(entry.spec.description == "kept");
  CHECK(entry.uuid == bad_uuid);
  CHECK(entry.generations_used > generation_block);
  CHECK(is_there(tb, view_prefix(bad_uuid) + "k"));
  CHECK(tb.handle("(operation = read, path = \"bad/x\")").find("true") != std::string::npos);
  tb.finish(tb.core().unmount("bad"));
  CHECK_FALSE(is_there(tb, mount_key("bad/")));
}

TEST_CASE("behind a damaged record no view is deleted, for nobody knows which was its") {
  test_broker tb;
  tb.plugin("quiet", quiet());
  put(tb, mount_key("torn/"), "not a record");
  put(tb, view_prefix(nobodys_uuid) + "k", "v");
  tb.wait(tb.core().load());
  CHECK(tb.status("torn").status.reason == "its record in the store makes no sense");
  CHECK(is_there(tb, view_prefix(nobodys_uuid) + "k"));
  tb.wait(tb.core().unmount("torn"));
  CHECK_FALSE(is_there(tb, mount_key("torn/")));
  CHECK(tb.core().mount_count() == 0);
}

TEST_CASE("a record whose path cannot be a mount's is told of, and stays in the store") {
  test_broker tb;
  tb.plugin("quiet", quiet());
  put(tb, mount_key("good/"), record_of("good/", good_uuid));
  put(tb, mount_key("good/inside/"), record_of("good/inside/", bad_uuid));
  put(tb, mount_key("no path"), record_of("no path", nobodys_uuid));
  put(tb, view_prefix(nobodys_uuid) + "k", "v");
  tb.wait(tb.core().load());
  tb.settle();
  CHECK(tb.core().mount_count() == 1);
  int told = 0;
  for (const auto& each : tb.events().after(0, 100)) told += each.name == "unreadable" ? 1 : 0;
  CHECK(told == 2);
  CHECK(is_there(tb, mount_key("no path")));
  CHECK(is_there(tb, view_prefix(nobodys_uuid) + "k"));
}
