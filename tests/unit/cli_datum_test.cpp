// SPDX-License-Identifier: Apache-2.0
#include <capnp/message.h>

#include <catch2/catch.hpp>

#include "schema/admin.capnp.h"
#include "schema/plugin.capnp.h"
#include "tools/bulkhead/datum.hpp"
#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/datum_value.hpp"
#include "tools/bulkhead/failure.hpp"
#include "tools/bulkhead/schema_text.hpp"

namespace {

using namespace bulkhead::cli;
namespace schema = bulkhead::schema;

std::string json_of(std::string_view text) {
  return to_json(parse_datum(text));
}

TEST_CASE("both notations mean the same") {
  CHECK(json_of(R"((name = "a", ids = [1, -2], kind = fast, next = $1))") ==
        R"({"name":"a","ids":[1,-2],"kind":"fast","next":"$1"})");
  CHECK(json_of(R"({"name": "a", "ids": [1, -2,], "deep": {"x": null}})") ==
        R"({"name":"a","ids":[1,-2],"deep":{"x":null}})");
  CHECK(json_of("a = 1, b = true") == R"({"a":1,"b":true})");
  CHECK(json_of("") == "{}");
  CHECK(json_of("()") == "{}");
}

TEST_CASE("what is written as Cap'n Proto text is read as the same value") {
  for (const std::string text : {R"((a = "x\n\"y\"", b = 0x"00 ff", c = [], d = (e = void)))",
                                 "[1, 2.5, -3e10]", "(f = $12)"}) {
    CHECK(to_capnp_text(parse_datum(text)) == text);
  }
}

TEST_CASE("escapes of strings are understood") {
  CHECK(parse_datum(R"("\u00e9\ud83d\ude00\x41\t\/")").text ==
        "\xC3\xA9\xF0\x9F\x98\x80"
        "A\t/");
  CHECK_THROWS_WITH(parse_datum(R"("\ud83d")"),
                    Catch::Contains("at their end") || Catch::Contains("column"));
}

TEST_CASE("what cannot be read is refused") {
  for (const char* text : {"(a = )", "(a 1)", "[1 2]", "{\"a\": 1", "(a = 1) x", "\"open", "$", "@",
                           "(a = 1, a = 2)", "0x\"f\"", "-", "0x\"zz\""}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_datum(text), failure);
  }
}

TEST_CASE("depth has a limit") {
  CHECK_NOTHROW(parse_datum(std::string(64, '[') + std::string(64, ']')));
  CHECK_THROWS_AS(parse_datum(std::string(66, '[') + std::string(66, ']')), failure);
  CHECK_THROWS_AS(parse_datum(std::string(100'000, '[')), failure);
}

TEST_CASE("nothing that is written as Cap'n Proto text can take hold of a terminal") {
  datum hostile = datum::of_record();
  hostile.add("a\x1b[2Jb", datum::of_word("w\x1b]0;owned\x07"));
  hostile.add("text", datum::of_text("c1 \xc2\x9b, turned \xe2\x80\xae, broken \xff"));
  CHECK(to_capnp_text(hostile) ==
        "(a\\x1b[2Jb = w\\x1b]0;owned\\x07, "
        "text = \"c1 \\xc2\\x9b, turned \\xe2\\x80\\xae, broken \\xff\")");
  const datum text = hostile.items[1];
  CHECK(parse_datum(to_capnp_text(text)).text == text.text);
}

TEST_CASE("JSON is only JSON") {
  CHECK(to_json(datum::of_text("a\"b\\c\n\x01\xff")) == "\"a\\\"b\\\\c\\n\\u0001\xEF\xBF\xBD\"");
  CHECK(to_json(datum::of_data("\x01\x02\x03\x04")) == "\"AQIDBA==\"");
  CHECK(to_json(datum::of_uint(18'446'744'073'709'551'615ULL)) == "18446744073709551615");
  CHECK(to_json(datum::of_real(std::numeric_limits<double>::infinity())) == "\"inf\"");
  CHECK(to_json(datum::of_real(0.1)) == "0.1");
  CHECK(json_of("(a = 0x10, b = 007)") == R"({"a":"0x10","b":"007"})");
}

TEST_CASE("base64 there and back") {
  for (const std::string bytes : {"", "a", "ab", "abc", "abcd", "\xff\xfe\xfd"}) {
    std::string back;
    CHECK(from_base64(base64(bytes), back));
    CHECK(back == bytes);
  }
  std::string ignored;
  CHECK_FALSE(from_base64("a", ignored));
  CHECK_FALSE(from_base64("a*bc", ignored));
}

TEST_CASE("a long value is broken over lines and indented") {
  CHECK(to_capnp_text(parse_datum("(a = [1, 2], b = (c = 3))"), 12) ==
        "(\n"
        "  a = [\n"
        "    1,\n"
        "    2\n"
        "  ],\n"
        "  b = (\n"
        "    c = 3\n"
        "  )\n"
        ")");
}

capability_finder no_capabilities() {
  return [](const std::string& name, capnp::InterfaceSchema) -> capnp::Capability::Client {
    throw failure(exit_code::no_target, "no " + name);
  };
}

template <typename Struct>
std::string filled(std::string_view text) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<Struct>();
  fill_struct(root, parse_datum(text), no_capabilities());
  return kj::str(root).cStr();
}

TEST_CASE("a struct is filled by its schema") {
  CHECK(filled<schema::MountSpec>(
            R"((path = "kv/", restart = transient, options = [(name = "a", value = "b")]))") ==
        R"((path = "kv/", options = [(name = "a", value = "b")], restart = transient))");
  CHECK(filled<schema::Value>(R"({"map": [{"name": "x", "value": {"int": "-5"}}]})") ==
        R"((map = [(name = "x", value = (int = -5, secret = false))], secret = false))");
  CHECK(filled<schema::CrashReport>("(cause = (signaled = 9))").find("signaled = 9") !=
        std::string::npos);
}

TEST_CASE("bytes are base64 in JSON and plain in Cap'n Proto text") {
  CHECK(filled<schema::Value>(R"({"data": "AQI="})") ==
        filled<schema::Value>(R"((data = 0x"01 02"))"));
  CHECK(filled<schema::Value>(R"((data = "hi"))") == filled<schema::Value>(R"({"data": "aGk="})"));
  CHECK_THROWS_WITH(filled<schema::Value>(R"({"data": "a"})"), Catch::Contains("not base64"));
}

TEST_CASE("integers are checked against the range of their type") {
  CHECK_NOTHROW(filled<schema::BrokerInfo>("(protocolMin = 65535)"));
  CHECK_THROWS_WITH(filled<schema::BrokerInfo>("(protocolMin = 65536)"),
                    Catch::Contains("UInt16 (0 to 65535)"));
  CHECK_THROWS_WITH(filled<schema::BrokerInfo>("(protocolMin = -1)"), Catch::Contains("range"));
  CHECK_NOTHROW(filled<schema::Value>("(int = -9223372036854775808)"));
  CHECK_THROWS_AS(filled<schema::Value>("(int = 9223372036854775808)"), failure);
  CHECK_THROWS_AS(filled<schema::Value>("(int = 1.5)"), failure);
  CHECK(filled<schema::Value>("(int = 0x10)").find("int = 16") != std::string::npos);
}

TEST_CASE("a misspelt field or enumerator is answered with the right one") {
  try {
    filled<schema::MountSpec>("(pluginn = \"x\")");
    FAIL("it was taken");
  } catch (const failure& error) {
    CHECK(error.code == exit_code::usage);
    CHECK(error.remedy.find("did you mean 'plugin'?") == 0);
  }
  try {
    filled<schema::MountSpec>("(restart = permanemt)");
    FAIL("it was taken");
  } catch (const failure& error) {
    CHECK(error.remedy.find("did you mean 'permanent'?") == 0);
  }
}

TEST_CASE("a value of the wrong shape is named with what was expected") {
  CHECK_THROWS_WITH(filled<schema::MountSpec>("(path = 3)"),
                    "'path' is a number (3), and Text was expected");
  CHECK_THROWS_WITH(filled<schema::MountSpec>("(options = [1])"), Catch::Contains("'options[0]'"));
  CHECK_THROWS_WITH(filled<schema::Value>("(bool = \"yes\")"),
                    Catch::Contains("Bool was expected"));
}

TEST_CASE("a contract's struct reads with stable keys in snake_case") {
  capnp::MallocMessageBuilder message;
  auto status = message.initRoot<schema::MountStatus>();
  status.setState(schema::MountState::BACKOFF);
  const datum record = read_contract(status.asReader());
  REQUIRE(record.find("calls_in_flight") != nullptr);
  CHECK(record.find("state")->text == "backoff");
  CHECK(to_json(*record.find("last_crash")) == "null");
  CHECK(to_json(*record.find("options")) == "[]");
  CHECK(snake_case("callsInFlight") == "calls_in_flight");
}

TEST_CASE("of a union the field that is set is read") {
  capnp::MallocMessageBuilder message;
  auto value = message.initRoot<schema::Value>();
  value.setInt(-3);
  CHECK(to_capnp_text(read_struct(value.asReader())) == "(int = -3, secret = false)");
  value.setNull();
  CHECK(to_json(read_struct(value.asReader())) == R"({"null":null,"secret":false})");
}

TEST_CASE("values of requests go there and back") {
  const std::string text = R"({"a":null,"b":true,"c":-7,"d":0.5,"e":"x","f":[1,"y"],"g":{"h":2}})";
  capnp::MallocMessageBuilder message;
  auto value = message.initRoot<schema::Value>();
  to_value(parse_datum(text), value);
  CHECK(to_json(from_value(value)) == text);
}

struct fake_reader final : value_reader {
  std::string file(const std::string& path) override { return "file " + path; }
  std::string standard_input() override { return std::string("\x00\x01", 2); }
};

TEST_CASE("arguments are text, a file, standard input, or typed") {
  fake_reader reader;
  const auto fields =
      parse_fields({"a=1", "b=@x.pem", "c=-", "d:=1", "e=\\@at", "f=", "g=x=y"}, reader);
  REQUIRE(fields.size() == 7);
  CHECK(fields[0].value.type == datum::kind::text);
  CHECK(fields[1].value.text == "file x.pem");
  CHECK(fields[2].value.type == datum::kind::data);
  CHECK(fields[3].value.type == datum::kind::number);
  CHECK(fields[4].value.text == "@at");
  CHECK(fields[5].value.text.empty());
  CHECK(fields[6].value.text == "x=y");
  CHECK_THROWS_WITH(parse_fields({"a=1", "a=2"}, reader), "'a' is given twice");
  CHECK_THROWS_AS(parse_fields({"novalue"}, reader), failure);
  CHECK_THROWS_AS(parse_fields({"=x"}, reader), failure);
}

TEST_CASE("methods read as in a schema file") {
  const auto view = capnp::Schema::from<schema::View>();
  std::vector<std::string> lines;
  for (const auto& method : all_methods(view)) lines.push_back(signature(method));
  REQUIRE(lines.size() == 5);
  CHECK(lines[0] == "delete (key :Text, expect :Expect) -> (existed :Bool)");
  CHECK(lines[2] ==
        "list (prefix :Text, after :Text, limit :UInt32) -> (keys :List(Text), more :Bool)");
}

}  // namespace
