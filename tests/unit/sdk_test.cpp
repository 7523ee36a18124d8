// SPDX-License-Identifier: Apache-2.0
//
// The SDK's part of the contract, hosted in memory: hello, mount, requests, errors, the host's
// capabilities.
#include "tests/unit/fake_host.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)
using sdk::error_kind;
using sdk::operation;
using test::error_of;

namespace {

struct notes {
  explicit notes(sdk::mount_context mount) : mount_(std::move(mount)) {}

  kj::Promise<void> start() {
    if (mount_.options().has("fail_start")) {
      throw sdk::error(error_kind::FAILED_PRECONDITION, "the notebook is burnt");
    }
    return kj::READY_NOW;
  }
  kj::Promise<void> unmount() {
    mount_.log(sdk::log_level::INFO, "unmounted");
    return kj::READY_NOW;
  }
  void invalidate(const std::string& key) { mount_.log(sdk::log_level::INFO, "dropped '{}'", key); }

  kj::Promise<sdk::response> read(const sdk::request& what) {
    return mount_.view().get(what.capture("name")).then([&what](std::optional<sdk::stored> found) {
      if (!found) {
        throw sdk::error(error_kind::NOT_FOUND, "no note '" + what.capture("name") + "'", "",
                         "write it");
      }
      return sdk::response(sdk::fields{{"body", sdk::to_text(found->content)}});
    });
  }
  kj::Promise<void> write(const sdk::request& what) {
    return mount_.view().put(what.capture("name"), sdk::to_bytes(what.text("body"))).ignoreResult();
  }
  sdk::fields all_types(const sdk::request& what) { return what.values; }
  sdk::fields rest(const sdk::request& what) {
    auto result = what.rest;
    result.set("declared", what.values);
    return result;
  }
  void nothing(const sdk::request&) {}

  sdk::mount_context mount_;
};

sdk::paths<notes> make_paths() {
  sdk::paths<notes> api;
  api.at("note/{name}", "One note.")
      .read("Returns it.", &notes::read)
      .write("Stores it.", &notes::write, {sdk::text("body").required().secret().help("The text.")})
      .remove("Fails in words of its own.", [](notes&, const sdk::request&) -> sdk::response {
        throw std::runtime_error("torn page");
      });
  api.at("note/special", "A literal beside a capture.")
      .read("Says so.", [](notes&, const sdk::request&) {
        return sdk::fields{{"special", true}};
      });
  api.at("types", "Every type of field.")
      .write("Returns what it took.", &notes::all_types,
             {sdk::text("text").one_of({"red", "green"}), sdk::boolean("bool"),
              sdk::integer("int").between(-5, 5).or_else(3), sdk::number("float").between(0, 1),
              sdk::data("data"), sdk::list("list"), sdk::map("map"), sdk::duration_ms("wait"),
              sdk::any("any")});
  api.at("free/{rest*}", "Any field.")
      .write("Returns them.", &notes::rest, {sdk::integer("known"), sdk::others("Whatever.")})
      .list("Nothing.", &notes::nothing);
  return api;
}

sdk::plugin make_plugin() {
  return sdk::plugin("notes", "1.2.3")
      .kind(sdk::plugin_kind::SECRETS)
      .option(sdk::integer("pages").or_else(10).help("How many."))
      .option(sdk::boolean("fail_start"))
      .serves(make_paths());
}

struct fixture : test::plugin_fixture {
  fixture() : plugin_fixture(make_plugin()) {
    hello();
    mount();
  }
  sdk::value took(const char* field, sdk::value given) {
    auto answered = write("types", {{field, std::move(given)}});
    const auto* found = answered.values.find(field);
    REQUIRE(found != nullptr);
    return *found;
  }
  error_kind refused(const char* field, sdk::value given) {
    return error_of([&] { write("types", {{field, std::move(given)}}); }).kind;
  }
};

}  // namespace

TEST_CASE("hello tells name, version, kind and the declared paths") {
  test::plugin_fixture host(make_plugin());
  auto answer = host.hello();
  auto info = answer.getPlugin();
  CHECK(info.getProtocol() == 1);
  CHECK(std::string(info.getName()) == "notes");
  CHECK(std::string(info.getVersion()) == "1.2.3");
  CHECK(info.getKind() == sdk::plugin_kind::SECRETS);
  CHECK(info.getTypedId() == 0);
  REQUIRE(info.getPaths().size() == 4);
  auto note = info.getPaths()[0];
  CHECK(std::string(note.getPattern()) == "note/{name}");
  REQUIRE(note.getOperations().size() == 3);
  auto write = note.getOperations()[1];
  CHECK(write.getOperation() == operation::WRITE);
  REQUIRE(write.getFields().size() == 1);
  CHECK(write.getFields()[0].getRequired());
  CHECK(write.getFields()[0].getSecret());
  auto types = info.getPaths()[2].getOperations()[0].getFields();
  CHECK(types[2].getDefault().getInt() == 3);
  CHECK(types[7].getType() == schema::FieldType::DURATION_MS);
}

TEST_CASE("hello picks a version that both speak and refuses when there is none") {
  test::plugin_fixture host(make_plugin());
  CHECK(host.hello(1, 7).getPlugin().getProtocol() == 1);
  auto problem = kj::runCatchingExceptions([&] { host.hello(2, 7); });
  KJ_IF_MAYBE (found, problem) {
    CHECK(found->getType() == kj::Exception::Type::UNIMPLEMENTED);
    CHECK(wire::parse_error(*found).kind == error_kind::UNSUPPORTED);
    CHECK(wire::parse_error(*found).why == "it speaks 1 to 1, the broker 2 to 7");
  } else {
    FAIL("no error came");
  }
}

TEST_CASE("mount wants hello before it and takes each mount once") {
  test::plugin_fixture host(make_plugin());
  CHECK(error_of([&] { host.mount(); }).kind == error_kind::FAILED_PRECONDITION);
  host.hello();
  host.mount();
  CHECK(error_of([&] { host.mount(); }).kind == error_kind::ALREADY_EXISTS);
  host.mount({}, "u-2");
}

TEST_CASE("a plugin that counts its layouts migrates the view of a mount before it is mounted") {
  auto counts = make_plugin();
  counts.storage_version(3).migrate([](sdk::mount_context mount, std::uint32_t from) {
    if (from == 1) throw sdk::error(error_kind::FAILED_PRECONDITION, "that is too old");
    CHECK(mount.uuid() == "u-1");
    return mount.view().put("layout", sdk::to_bytes("3")).ignoreResult();
  });
  test::plugin_fixture host(counts);
  CHECK(error_of([&] { host.migrate(2); }).kind == error_kind::FAILED_PRECONDITION);  // no hello
  CHECK(host.hello().getPlugin().getStorageVersion() == 3);
  host.migrate(2);
  CHECK(sdk::to_text(host.storage.values["layout"].content) == "3");
  CHECK(error_of([&] { host.migrate(1); }).what == "that is too old");
  host.mount();
}

TEST_CASE("a plugin without a way from an old layout says so") {
  test::plugin_fixture host(make_plugin());
  CHECK(host.hello().getPlugin().getStorageVersion() == 0);
  const auto problem = error_of([&] { host.migrate(2); });
  CHECK(problem.kind == error_kind::UNSUPPORTED);
  CHECK(problem.what == "plugin notes cannot migrate storage of version 2");
}

TEST_CASE("mount options are checked like fields") {
  test::plugin_fixture host(make_plugin());
  host.hello();
  auto unknown = error_of([&] { host.mount({{"page", "3"}}); });
  CHECK(unknown.kind == error_kind::INVALID_ARGUMENT);
  CHECK(unknown.what == "a mount of notes has no field 'page' (did you mean 'pages'?)");
  CHECK(error_of([&] { host.mount({{"pages", "many"}}); }).kind == error_kind::INVALID_ARGUMENT);
  host.mount({{"pages", "3"}});
}

TEST_CASE("a failing start() fails the mount, and the mount can be tried again") {
  test::plugin_fixture host(make_plugin());
  host.hello();
  auto problem = error_of([&] { host.mount({{"fail_start", "true"}}); });
  CHECK(problem.kind == error_kind::FAILED_PRECONDITION);
  CHECK(problem.what == "the notebook is burnt");
  host.mount();
}

TEST_CASE_METHOD(fixture, "a handler reads and writes the view of its mount") {
  auto missing = error_of([&] { read("note/a"); });
  CHECK(missing.kind == error_kind::NOT_FOUND);
  CHECK(missing.what == "no note 'a'");
  CHECK(missing.remedy == "write it");
  CHECK(missing.from_plugin());
  write("note/a", {{"body", "hello"}});
  CHECK(*read("note/a").values.find("body") == sdk::value("hello"));
  CHECK(storage.values.count("a") == 1);
}

TEST_CASE_METHOD(fixture, "a trailing slash is dropped and a malformed path refused") {
  write("note/a/", {{"body", "x"}});
  CHECK(error_of([&] { read("/note/a"); }).kind == error_kind::INVALID_ARGUMENT);
  CHECK(error_of([&] { read("note//a"); }).kind == error_kind::INVALID_ARGUMENT);
  std::string longest = "free/" + std::string(sdk::request_path_bytes_max - 5, 'x');
  write(longest);
  CHECK(error_of([&] { write(longest + "x"); }).kind == error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "the most specific pattern serves a path") {
  CHECK(*read("note/special").values.find("special") == sdk::value(true));
}

TEST_CASE_METHOD(fixture, "an unknown path names the nearest one") {
  auto problem = error_of([&] { read("notes/a"); });
  CHECK(problem.kind == error_kind::NOT_FOUND);
  CHECK(problem.what == "nothing is served at 'notes/a' (did you mean 'note'?)");
  CHECK(problem.why == "the paths are note/{name}, note/special, types, free/{rest*}");
}

TEST_CASE_METHOD(fixture, "an operation that a path does not have is unsupported") {
  auto problem = error_of([&] { read("types"); });
  CHECK(problem.kind == error_kind::UNSUPPORTED);
  CHECK(problem.what == "types has no operation `read`");
  CHECK(problem.why == "its operations are write");
}

TEST_CASE_METHOD(fixture, "an empty rest is good for list only") {
  list("free/");
  CHECK(error_of([&] { write("free/"); }).kind == error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "unknown and missing fields are refused with names") {
  auto unknown = error_of([&] { write("note/a", {{"bodi", "x"}}); });
  CHECK(unknown.kind == error_kind::INVALID_ARGUMENT);
  CHECK(unknown.what == "write note/{name} has no field 'bodi' (did you mean 'body'?)");
  auto missing = error_of([&] { write("note/a"); });
  CHECK(missing.what == "write note/{name} needs the field 'body'");
  CHECK(missing.remedy == "add body=...");
  // A null is the same as nothing.
  CHECK(error_of([&] { write("note/a", {{"body", sdk::value()}}); }).what == missing.what);
}

TEST_CASE_METHOD(fixture, "a request holds at most 256 fields, of names that do not repeat") {
  sdk::fields many;
  for (std::size_t i = 0; i < sdk::request_fields_max; ++i) many.set("f" + std::to_string(i), 1);
  write("free/a", many);
  many.set("one more", 1);
  CHECK(error_of([&] { write("free/a", many); }).kind == error_kind::INVALID_ARGUMENT);
  auto call = KJ_ASSERT_NONNULL(backend).handleRequest();
  call.initRequest().setOperation(operation::WRITE);
  call.getRequest().setPath("free/a");
  auto places = call.getRequest().initFields(2);
  places[0].setName("twice");
  places[1].setName("twice");
  CHECK(error_of([&] { call.send().wait(io.waitScope); }).what == "field 'twice' is given twice");
}

TEST_CASE_METHOD(fixture, "text converts to the declared type, exactly or not at all") {
  CHECK(took("bool", "true") == sdk::value(true));
  CHECK(refused("bool", "yes") == error_kind::INVALID_ARGUMENT);
  CHECK(took("int", "-5") == sdk::value(-5));
  CHECK(refused("int", "4x") == error_kind::INVALID_ARGUMENT);
  CHECK(refused("int", "") == error_kind::INVALID_ARGUMENT);
  CHECK(refused("int", "9223372036854775808") == error_kind::INVALID_ARGUMENT);
  CHECK(refused("int", 1.0) == error_kind::INVALID_ARGUMENT);
  CHECK(took("float", "0.25") == sdk::value(0.25));
  CHECK(took("float", 1) == sdk::value(1.0));
  CHECK(refused("float", "nan") == error_kind::INVALID_ARGUMENT);
  CHECK(took("data", "ab") == sdk::value(sdk::bytes{'a', 'b'}));
  CHECK(took("list", "a,b") == sdk::value(sdk::value::list{"a", "b"}));
  CHECK(took("map", "a=1,b=") == sdk::value(sdk::fields{{"a", "1"}, {"b", ""}}));
  CHECK(refused("map", "a") == error_kind::INVALID_ARGUMENT);
  CHECK(took("any", sdk::bytes{1}) == sdk::value(sdk::bytes{1}));
}

TEST_CASE_METHOD(fixture, "durations read in their usual units") {
  CHECK(took("wait", "250ms") == sdk::value(250));
  CHECK(took("wait", "30s") == sdk::value(30'000));
  CHECK(took("wait", "5m") == sdk::value(300'000));
  CHECK(took("wait", "2h") == sdk::value(7'200'000));
  CHECK(took("wait", "7d") == sdk::value(604'800'000));
  CHECK(took("wait", "15") == sdk::value(15));
  CHECK(refused("wait", "s") == error_kind::INVALID_ARGUMENT);
  CHECK(refused("wait", "3 weeks") == error_kind::INVALID_ARGUMENT);
  CHECK(refused("wait", "9223372036854775807d") == error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "bounds hold at both ends and defaults fill in") {
  CHECK(took("int", 5) == sdk::value(5));
  CHECK(refused("int", 6) == error_kind::INVALID_ARGUMENT);
  CHECK(refused("int", -6) == error_kind::INVALID_ARGUMENT);
  CHECK(*write("types").values.find("int") == sdk::value(3));
  CHECK(took("text", "red") == sdk::value("red"));
  auto problem = error_of([&] { write("types", {{"text", "gren"}}); });
  CHECK(problem.what == "field 'text' has a value that is not allowed (did you mean 'green'?)");
}

TEST_CASE_METHOD(fixture, "other fields reach the handler where they are declared") {
  auto answered = write("free/x", {{"a", 1}, {"known", "2"}});
  CHECK(*answered.values.find("a") == sdk::value(1));
  CHECK(*answered.values.find("declared") == sdk::value(sdk::fields{{"known", 2}}));
}

TEST_CASE_METHOD(fixture, "values nest to a limit") {
  sdk::value deep = 1;
  for (unsigned i = 0; i + 1 < sdk::value_depth_max; ++i) deep = sdk::value(sdk::value::list{deep});
  CHECK(took("any", deep) == deep);
  auto call = KJ_ASSERT_NONNULL(backend).handleRequest();
  call.initRequest().setOperation(operation::WRITE);
  call.getRequest().setPath("types");
  auto place = call.getRequest().initFields(1)[0];
  place.setName("any");
  auto inner = place.initValue();
  for (unsigned i = 0; i < sdk::value_depth_max + 1; ++i) inner = inner.initList(1)[0];
  CHECK(error_of([&] { call.send().wait(io.waitScope); }).kind == error_kind::INVALID_ARGUMENT);
}

TEST_CASE_METHOD(fixture, "what a handler throws in a shape of its own is a plugin error") {
  auto problem = error_of([&] { remove("note/a"); });
  CHECK(problem.kind == error_kind::PLUGIN_ERROR);
  CHECK(problem.what.find("torn page") != std::string::npos);
}

TEST_CASE_METHOD(fixture, "an error of the view keeps its text but speaks as the plugin") {
  storage.broken = true;
  auto problem = error_of([&] { read("note/a"); });
  CHECK(problem.kind == error_kind::PLUGIN_ERROR);
  CHECK(problem.what.find("the disk is full") != std::string::npos);
}

TEST_CASE_METHOD(fixture, "help comes from the declarations") {
  auto all = ask(operation::HELP, "").help;
  CHECK(all.find("note/{name}\n    One note.\n") != std::string::npos);
  CHECK(all.find("body (required) (secret)  The text.") != std::string::npos);
  auto one = ask(operation::HELP, "note/x").help;
  CHECK(one.find("Returns it.") != std::string::npos);
  CHECK(one.find("types") == std::string::npos);
  CHECK(error_of([&] { ask(operation::HELP, "nowhere"); }).kind == error_kind::NOT_FOUND);
}

TEST_CASE_METHOD(fixture, "unmount, invalidate and ping reach the mount") {
  auto drop = plugin().invalidateRequest();
  drop.setUuid("u-1");
  drop.setKey("k");
  drop.send().wait(io.waitScope);
  plugin().pingRequest().send().wait(io.waitScope);
  auto end = plugin().unmountRequest();
  end.setUuid("u-1");
  end.send().wait(io.waitScope);
  settle();
  REQUIRE(log.size() == 2);
  CHECK(log[0].text == "dropped 'k'");
  CHECK(log[1].text == "unmounted");
  CHECK(error_of([&] { read("note/a"); }).kind == error_kind::FAILED_PRECONDITION);
  auto again = plugin().unmountRequest();
  again.setUuid("u-1");
  CHECK(error_of([&] { again.send().wait(io.waitScope); }).kind == error_kind::NOT_FOUND);
}

TEST_CASE("a request after shutdown is refused, one before it is finished") {
  test::plugin_fixture host(make_plugin());
  host.hello();
  host.mount();
  auto early = host.send(operation::WRITE, "note/a", {{"body", "x"}});
  auto end = host.plugin().shutdownRequest();
  end.setGraceMs(100);
  auto ended = end.send();
  auto late = host.send(operation::WRITE, "note/b", {{"body", "x"}});
  early.wait(host.io.waitScope);
  ended.wait(host.io.waitScope);
  CHECK(error_of([&] { late.wait(host.io.waitScope); }).kind == error_kind::OVERLOADED);
}

TEST_CASE("a name or pattern that is none ends the program with a reason") {
  CHECK_THROWS_AS(sdk::plugin("Notes", "1"), std::invalid_argument);
  CHECK_THROWS_AS(sdk::plugin("", "1"), std::invalid_argument);
  CHECK_THROWS_AS(sdk::plugin(std::string(65, 'a'), "1"), std::invalid_argument);
  for (const char* bad : {"a//b", "{x*}/b", "{x", "a{x}", "{}", "{*}", "a*"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(sdk::pattern(bad), std::invalid_argument);
  }
  sdk::paths<notes> api;
  api.at("a", "").read("", &notes::nothing);
  CHECK_THROWS_AS(api.at("a", ""), std::invalid_argument);
  CHECK_THROWS_AS(api.at("b", "").read("", &notes::nothing).read("", &notes::nothing),
                  std::invalid_argument);
}

TEST_CASE("patterns match whole segments") {
  sdk::pattern one("note/{name}");
  CHECK(one.match("note/a")->front().second == "a");
  CHECK_FALSE(one.match("note"));
  CHECK_FALSE(one.match("note/a/b"));
  sdk::pattern rest("note/{name*}");
  CHECK(rest.match("note/a/b")->front().second == "a/b");
  CHECK(rest.match("note")->front().second.empty());
  CHECK_FALSE(rest.match("notes"));
  CHECK(one.beats(rest));
  CHECK(sdk::pattern("note/a").beats(one));
}

TEST_CASE("an error carries kind, cause and remedy, escaped and on the right exception type") {
  sdk::error problem(error_kind::OVERLOADED, "full\x1b[2J", "no\nroom", "wait");
  CHECK(problem.getType() == kj::Exception::Type::OVERLOADED);
  std::string text(problem.getDescription());
  CHECK(text.find('\x1b') == std::string::npos);
  auto parsed = wire::parse_error(problem);
  CHECK(parsed.kind == error_kind::OVERLOADED);
  CHECK(parsed.remedy == "wait");
}
