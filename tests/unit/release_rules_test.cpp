// SPDX-License-Identifier: Apache-2.0
//
// The catalog's pure parts: which release a name means, records, and what may be registered.

#include <kj/debug.h>

#include <catch2/catch.hpp>

#include "broker/catalog/registration.hpp"
#include "broker/catalog/resolution.hpp"
#include "broker/catalog/trust_record.hpp"
#include "broker/convert.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)
using outcome = resolution::outcome;

namespace {

release make(const std::string& kind, const std::string& name, const std::string& version) {
  release what;
  what.spec.kind = kind;
  what.spec.name = name;
  what.spec.version = version;
  what.spec.command = name;
  what.spec.sha256 = std::string(64, 'a');
  return what;
}

struct catalog_lines {
  catalog_lines& add(const std::string& version, const std::string& name = "kv",
                     const std::string& kind = "secrets") {
    lines[{kind, name}].releases[*trust::parse_version(version)] =
        std::make_shared<const release>(make(kind, name, version));
    return *this;
  }
  std::string version(const std::string& wanted = {}) const {
    const auto meant = resolve(lines, {{}, "kv", wanted});
    return meant.found() ? meant.chosen->spec.version : meant.what;
  }
  plugin_lines lines;
};

std::string refusal_of(release_spec spec) {
  const auto problem = kj::runCatchingExceptions([&] { check_release_spec(spec); });
  KJ_IF_MAYBE (why, problem) {
    CHECK(to_error(*why).kind() == error_kind::invalid_argument);
    return to_error(*why).what();
  }
  return {};
}

}  // namespace

TEST_CASE("the highest stable version is meant, whatever the order of registration") {
  CHECK(catalog_lines{}.add("1.9.0").add("1.10.0").add("1.2.0").version() == "1.10.0");
  CHECK(catalog_lines{}.add("1.10.0").add("1.9.0").version() == "1.10.0");
  CHECK(catalog_lines{}.add("1.0.0").add("2.0.0-rc.1").version() == "1.0.0");
}

TEST_CASE("without a stable version the highest pre-release is meant") {
  CHECK(catalog_lines{}.add("1.0.0-alpha.2").add("1.0.0-alpha.10").version() == "1.0.0-alpha.10");
  CHECK(catalog_lines{}.add("1.0.0-beta").add("1.0.0-rc.1").add("1.0.0-alpha").version() ==
        "1.0.0-rc.1");
}

TEST_CASE("versions that differ in build metadata alone are ordered by its bytes") {
  CHECK(catalog_lines{}.add("1.0.0+b").add("1.0.0+a").version() == "1.0.0+b");
  CHECK(catalog_lines{}.add("1.0.0+a").add("1.0.0+b").version() == "1.0.0+b");
  CHECK(catalog_lines{}.add("1.0.0+a").add("1.0.0+b").version("1.0.0+a") == "1.0.0+a");
}

TEST_CASE("a pin wins over what was asked for, and that over the highest") {
  auto all = catalog_lines{}.add("1.0.0").add("1.1.0").add("2.0.0");
  CHECK(all.version("1.1.0") == "1.1.0");
  all.lines[{"secrets", "kv"}].pin = "1.0.0";
  CHECK(all.version() == "1.0.0");
  CHECK(all.version("1.1.0") == "1.0.0");
}

TEST_CASE("a version that is not there is never replaced by another one") {
  auto all = catalog_lines{}.add("1.0.0");
  auto meant = resolve(all.lines, {"secrets", "kv", "1.0.1"});
  CHECK(meant.how == outcome::missing);
  CHECK(meant.what == "there is no release secrets/kv@1.0.1");
  all.lines[{"secrets", "kv"}].pin = "9.0.0";
  meant = resolve(all.lines, {"secrets", "kv", "1.0.0"});
  CHECK(meant.how == outcome::missing);
  CHECK(meant.why.find("pinned") != std::string::npos);
}

TEST_CASE("a name without a kind means the only plugin of that name, or has to be said") {
  auto all = catalog_lines{}.add("1.0.0").add("1.0.0", "kv", "generic").add("1.0.0", "calc");
  CHECK(resolve(all.lines, {{}, "kv", {}}).how == outcome::ambiguous);
  CHECK(resolve(all.lines, {"generic", "kv", {}}).chosen->spec.kind == "generic");
  CHECK(resolve(all.lines, {{}, "calc", {}}).chosen->spec.kind == "secrets");
  CHECK(resolve(all.lines, {"auth", "kv", {}}).how == outcome::unknown);
  CHECK(resolve(all.lines, {{}, "nothing", {}}).how == outcome::unknown);
}

TEST_CASE("a damaged record is named when it is meant, and stands in nobody else's way") {
  auto all = catalog_lines{}.add("1.0.0");
  all.lines[{"secrets", "kv"}].damaged["2.0.0"] = "it makes no sense";
  CHECK(all.version() == "1.0.0");
  const auto meant = resolve(all.lines, {{}, "kv", "2.0.0"});
  CHECK(meant.how == outcome::damaged);
  CHECK(meant.why == "it makes no sense");
}

TEST_CASE("a release comes back from its record as it was") {
  auto what = make("secrets", "kv", "1.2.0-rc.1+b");
  what.spec.arguments = {"a", ""};
  what.spec.environment = {"A=b=c"};
  what.size_bytes = 5;
  what.manifest = std::string("m\0n", 3);
  what.signatures = "s";
  what.registered_unix_ms = 7;
  what.declared = true;
  what.link = "static";
  what.storage_version = 3;
  what.options_known = true;
  capnp::MallocMessageBuilder message;
  auto options = message.initRoot<schema::PluginInfo>().initOptions(1);
  options[0].setName("depth");
  options[0].setRequired(true);
  describe_options(what, options.asReader());
  const auto back = decode_release(encode_release(what));
  REQUIRE(back);
  CHECK(same_release(*back, what));
  CHECK(back->registered_unix_ms == 7);
  CHECK(back->declared);
  REQUIRE(back->options().size() == 1);
  CHECK(back->options()[0].getRequired());
  auto other = *back;
  describe_options(other, {});
  CHECK_FALSE(same_release(other, what));
  CHECK(release_of_key(release_key(what.id())) == what.id());
}

TEST_CASE("bytes that are no record are refused and not misread") {
  const auto good = encode_release(make("secrets", "kv", "1.0.0"));
  CHECK_FALSE(decode_release(""));
  CHECK_FALSE(decode_release("short"));
  CHECK_FALSE(decode_release(std::string(good.size(), '\xff')));
  for (std::size_t size = 0; size < good.size(); size += 8)
    if (auto read = decode_release(good.substr(0, size))) CHECK(read->spec.sha256.size() <= 64);
  CHECK_FALSE(release_of_key("catalog/secrets/kv"));
  CHECK_FALSE(release_of_key("mounts/kv/"));
  CHECK_FALSE(decode_trusted_key("nonsense, and no key at all"));
}

TEST_CASE("what may be registered has rules, and each refusal names its own") {
  release_spec good;
  good.name = "kv";
  CHECK(refusal_of(good).empty());
  check_release_spec(good);
  CHECK(good.command == "kv");
  good.sha256 = std::string(64, 'A');
  check_release_spec(good);
  CHECK(good.sha256 == std::string(64, 'a'));
  const auto with = [](auto change) {
    release_spec spec;
    spec.name = "kv";
    change(spec);
    return refusal_of(spec);
  };
  CHECK(with([](auto& s) { s.name = "../kv"; }) == "'../kv' is no plugin name");
  CHECK(with([](auto& s) { s.kind = "secret"; }) == "'secret' is no kind of plugin");
  CHECK(with([](auto& s) { s.version = "v1.0.0"; }) == "'v1.0.0' is no version");
  CHECK(with([](auto& s) { s.version = "1.0.0-01"; }) == "'1.0.0-01' is no version");
  CHECK(with([](auto& s) { s.sha256 = "abc"; }) == "'abc' is no SHA-256");
  CHECK(with([](auto& s) { s.sha256 = std::string(63, 'a') + "G"; }) ==
        "'" + std::string(63, 'a') + "G' is no SHA-256");
  CHECK(with([](auto& s) { s.arguments.resize(65); }) == "there are too many arguments");
  CHECK(with([](auto& s) { s.arguments = {std::string("a\0b", 3)}; }) ==
        "one of the arguments is not usable");
  CHECK(with([](auto& s) { s.environment = {"novalue"}; }) == "'novalue' is no variable");
  CHECK(with([](auto& s) { s.environment = {"1A=b"}; }) == "'1A' is no variable");
  CHECK(with([](auto& s) { s.environment = {"A=1", "A=2"}; }) == "the variable A is taken");
  for (const std::string name : {"LD_PRELOAD", "LD_LIBRARY_PATH", "GLIBC_TUNABLES", "GCONV_PATH"})
    CHECK(with([&](auto& s) { s.environment = {name + "=x"}; }) ==
          "the variable " + name + " is not allowed");
  CHECK(with([](auto& s) { s.environment = {"BULKHEAD_FD=9"}; }) ==
        "the variable BULKHEAD_FD is taken");
}
