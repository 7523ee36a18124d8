// SPDX-License-Identifier: Apache-2.0
#include "broker/option_rules.hpp"

#include <capnp/message.h>
#include <capnp/serialize-text.h>

#include <catch2/catch.hpp>

#include "broker/convert.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)

namespace {

/// "what: why", or nothing when the options pass.
std::string problem(const char* declared, const std::vector<option>& given) {
  capnp::MallocMessageBuilder message;
  auto info = message.initRoot<schema::PluginInfo>();
  capnp::TextCodec().decode(kj::StringPtr(declared), info);
  auto refused = kj::runCatchingExceptions([&] { check_options(info.asReader(), given); });
  KJ_IF_MAYBE (thrown, refused) {
    const auto said = to_error(*thrown);
    CHECK(said.kind() == error_kind::invalid_argument);
    return std::string(said.what()) + ": " + said.why();
  }
  return {};
}

}  // namespace

TEST_CASE("options are known, complete and of their types, or are refused by name") {
  const auto* declared =
      "(options = [(name = \"mode\", required = true, summary = \"How.\"), "
      "(name = \"count\", type = int), (name = \"for\", type = durationMs)])";
  CHECK(problem(declared, {{"mode", "x"}}).empty());
  CHECK(problem(declared, {{"mode", ""}, {"count", "-7"}, {"for", "5m"}}).empty());
  CHECK(problem(declared, {}) == "option 'mode' is missing: How.");
  CHECK(problem(declared, {{"mode", "x"}, {"cuont", "1"}}) ==
        "the plugin has no option 'cuont': it takes mode, count, for");
  // The value may be a secret.
  CHECK(problem(declared, {{"mode", "x"}, {"count", "hunter2"}}) ==
        "option 'count' is ill-typed: it is a whole number");
  CHECK(problem("(options = [])", {{"a", "b"}}) == "the plugin has no option 'a': it takes none");
}

TEST_CASE("a plugin that declares nothing checks its options itself") {
  CHECK(problem("()", {{"anything", "goes"}}).empty());
}

TEST_CASE("a declaration named * welcomes other options, and no option of that name") {
  const auto* declared = "(options = [(name = \"n\", type = int), (name = \"*\", type = any)])";
  CHECK(problem(declared, {{"other", "x"}, {"n", "1"}}).empty());
  CHECK(problem(declared, {{"n", "one"}}) == "option 'n' is ill-typed: it is a whole number");
}

TEST_CASE("each type has its texts") {
  using schema::FieldType;
  struct row {
    FieldType type;
    std::vector<const char*> good;
    std::vector<const char*> bad;
  };
  const std::vector<row> rows{
      {FieldType::TEXT, {"", "a b"}, {}},
      {FieldType::DATA, {"", "\xff"}, {}},
      {FieldType::LIST, {"", "a,b"}, {}},
      {FieldType::ANY, {"", "x"}, {}},
      {FieldType::BOOL, {"true", "false"}, {"", "TRUE", "1", "yes"}},
      {FieldType::INT,
       {"0", "-1", "9223372036854775807"},
       {"", "1.0", "+1", " 1", "1 ", "0x10", "9223372036854775808"}},
      {FieldType::FLOAT, {"1", "-2.5", "1e3"}, {"", "1,5", "one", "1.0x"}},
      {FieldType::DURATION_MS,
       {"250ms", "30s", "5m", "2h", "7d", "15", "0"},
       {"", "s", "-1s", "1.5s", "5 m", "5M", "9223372036854775807d"}},
      {FieldType::MAP, {"", "a=1", "a=1,b=", "a=b=c"}, {"a", "=1", "a=1,,b=2", "a=1,b"}},
  };
  for (const auto& each : rows) {
    INFO("type " << static_cast<int>(each.type));
    for (const auto* text : each.good) CHECK(reads_as(each.type, text));
    for (const auto* text : each.bad) CHECK_FALSE(reads_as(each.type, text));
  }
  CHECK(reads_as(static_cast<FieldType>(99), "a type of a later version"));
}
