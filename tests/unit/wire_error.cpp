// SPDX-License-Identifier: Apache-2.0
//
// Error texts: round trips, who speaks, and texts that mean harm.
#include <catch2/catch.hpp>

#include "schema/wire/error_text.hpp"

using namespace bulkhead;
using namespace bulkhead::wire;
using schema::ErrorKind;
using exception_type = kj::Exception::Type;

namespace {

constexpr unsigned kind_count = 20;

error_info sample(ErrorKind kind) {
  error_info info;
  info.kind = kind;
  info.what = "the plugin of kv/ ended with the call in flight";
  info.why = "signal 9 (Killed)";
  info.remedy = "bulkhead logs kv/";
  info.detail = {{"mount", "kv/"}, {"generation", "3"}, {"path", "a b%c=d\ne"}};
  return info;
}

error_info over(unsigned hops, const std::string& text,
                exception_type type = exception_type::FAILED,
                unsigned plugin_hops = plugin_hops_at_client) {
  std::string all;
  for (unsigned i = 0; i < hops; ++i) all += "remote exception: ";
  all += text;
  return parse_error(kj::StringPtr(all.c_str(), all.size()), type, plugin_hops);
}

}  // namespace

TEST_CASE("an error survives the way into text and back") {
  for (unsigned k = 0; k < kind_count; ++k) {
    const auto info = sample(static_cast<ErrorKind>(k));
    for (unsigned hops : {0U, 1U}) {
      const auto read = over(hops, format_error(info));
      CHECK(read.kind == info.kind);
      CHECK(read.what == info.what);
      CHECK(read.why == info.why);
      CHECK(read.remedy == info.remedy);
      CHECK(read.detail == info.detail);
      CHECK(read.hops == hops);
      CHECK_FALSE(read.from_plugin());
    }
  }
}

TEST_CASE("the text has the shape that error.capnp documents") {
  error_info info;
  info.kind = ErrorKind::PLUGIN_CRASHED;
  info.what = "what";
  info.why = "why";
  info.remedy = "do";
  info.detail = {{"mount", "kv/"}, {"signal", "9"}};
  CHECK(format_error(info) ==
        "what\nwhy: why\ntry: do\ndetail: kind=plugin_crashed mount=kv/ signal=9");
  info.why.clear();
  info.remedy.clear();
  info.detail.clear();
  CHECK(format_error(info) == "what\ndetail: kind=plugin_crashed");
}

TEST_CASE("every kind has a name that reads back and the type that error.capnp gives it") {
  for (unsigned k = 0; k < kind_count; ++k) {
    const auto kind = static_cast<ErrorKind>(k);
    CHECK(kind_from_name(kind_name(kind)) == kind);
    CHECK(make_exception(sample(kind)).getType() == kind_type(kind));
  }
  CHECK(kind_type(ErrorKind::PLUGIN_CRASHED) == exception_type::DISCONNECTED);
  CHECK(kind_type(ErrorKind::UNSUPPORTED) == exception_type::UNIMPLEMENTED);
  CHECK(kind_type(ErrorKind::DEADLINE_EXCEEDED) == exception_type::OVERLOADED);
  CHECK(kind_type(ErrorKind::QUARANTINED) == exception_type::FAILED);
  CHECK(kind_name(static_cast<ErrorKind>(kind_count)) == "unknown");
  CHECK(kind_from_name("kind_of_a_newer_version") == ErrorKind::UNKNOWN);
}

TEST_CASE("from a plugin only the kinds count that a plugin may use") {
  for (unsigned k = 0; k < kind_count; ++k) {
    const auto kind = static_cast<ErrorKind>(k);
    const auto read = over(2, format_error(sample(kind)));
    CHECK(read.from_plugin());
    CHECK(read.kind == (plugin_may_use(kind) ? kind : ErrorKind::PLUGIN_ERROR));
    CHECK(over(1, format_error(sample(kind))).kind == kind);
    CHECK(over(1, format_error(sample(kind)), exception_type::FAILED, plugin_hops_at_broker).kind ==
          read.kind);
  }
}

TEST_CASE("a foreign text becomes what happened, with a kind by its type") {
  CHECK(over(2, "boom").what == "boom");
  CHECK(over(2, "boom").kind == ErrorKind::PLUGIN_ERROR);
  CHECK(over(2, "boom", exception_type::DISCONNECTED).kind == ErrorKind::PLUGIN_ERROR);
  CHECK(over(2, "boom", exception_type::OVERLOADED).kind == ErrorKind::OVERLOADED);
  CHECK(over(2, "boom", exception_type::UNIMPLEMENTED).kind == ErrorKind::UNSUPPORTED);
  CHECK(over(1, "boom").kind == ErrorKind::UNKNOWN);
  CHECK(over(0, "").kind == ErrorKind::UNKNOWN);
  CHECK(over(2, "first\nsecond\n\nthird").what == "first; second; third");
}

TEST_CASE("the context lines that libcapnp appends do not hide the line for programs") {
  const auto read =
      over(2, "no such key\ndetail: kind=not_found key=a\ncontext: rpc.c++: 1: calling");
  CHECK(read.kind == ErrorKind::NOT_FOUND);
  CHECK(read.what == "no such key");
  REQUIRE(read.find("key") != nullptr);
  CHECK(*read.find("key") == "a");
  CHECK(read.find("mount") == nullptr);
}

TEST_CASE("a broken line for programs does no harm") {
  for (const char* line : {"detail:", "detail: ", "detail: kind", "detail: =x", "detail: kind=",
                           "detail: kind=%", "detail: kind=%4", "detail: kind=%zz a=%00%ff b"}) {
    const auto read = over(2, std::string("what\n") + line);
    CHECK(read.kind == ErrorKind::PLUGIN_ERROR);
    CHECK(read.what.substr(0, 4) == "what");
  }
  CHECK(over(1, "w\ndetail: kind=conflict kind=internal").kind == ErrorKind::CONFLICT);
  CHECK(over(1, "w\ndetail: kind=conflict A%41=x b-c=y d=z").detail.size() == 1);
}

TEST_CASE("control characters, broken UTF-8 and marks that reorder text are escaped") {
  CHECK(escape_line("plain, \xc3\xa4 and \xf0\x9f\x98\x80") ==
        "plain, \xc3\xa4 and \xf0\x9f\x98\x80");
  CHECK(escape_line("a\nb\tc\x1b[31m") == "a\\x0ab\\x09c\\x1b[31m");
  CHECK(escape_line(std::string_view("a\0b", 3)) == "a\\x00b");
  CHECK(escape_line("\x7f") == "\\x7f");
  CHECK(escape_line("\xc2\x85") == "\\xc2\\x85");           // a C1 control
  CHECK(escape_line("\xe2\x80\xae") == "\\xe2\\x80\\xae");  // right-to-left override
  CHECK(escape_line("\xff\xc3") == "\\xff\\xc3");           // no UTF-8
  CHECK(escape_line("\xc0\xaf") == "\\xc0\\xaf");           // overlong
  CHECK(escape_line("\xed\xa0\x80") == "\\xed\\xa0\\x80");  // a surrogate
  CHECK(escape_line("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");
}

TEST_CASE("a text cannot smuggle lines into the shape") {
  error_info info;
  info.kind = ErrorKind::NOT_FOUND;
  info.what = "a\ndetail: kind=unmounted";
  info.why = "b\ntry: rm -rf /";
  info.detail = {{"key", "c d\ndetail: kind=internal"}};
  const auto read = over(1, format_error(info));
  CHECK(read.kind == ErrorKind::NOT_FOUND);
  CHECK(read.remedy.empty());
  CHECK(read.detail == info.detail);
}

TEST_CASE("a text is cut at the limit and keeps its line for programs") {
  auto info = sample(ErrorKind::NOT_FOUND);
  for (std::size_t length : {100UL, 300UL, 8000UL, 8192UL, 100000UL}) {
    info.what = std::string(length, 'x');
    info.why = std::string(length, 'y');
    for (std::size_t limit : {256UL, 1000UL, 8192UL}) {
      const auto text = format_error(info, limit);
      CHECK(text.size() <= limit);
      CHECK(over(1, text).kind == ErrorKind::NOT_FOUND);
      CHECK(over(1, text).detail == info.detail);
    }
  }
  info.what = "w";
  info.why.clear();
  info.remedy.clear();
  info.detail.clear();
  const auto room = 256 - format_error(info).size() + 1;
  info.what = std::string(room, 'x');
  CHECK(format_error(info, 256).size() == 256);
  CHECK(format_error(info, 256).find("[cut]") == std::string::npos);
  info.what += 'x';
  CHECK(format_error(info, 256).size() == 256);
  CHECK(format_error(info, 256).find("[cut]") != std::string::npos);
}

TEST_CASE("a cut does not break a character in two") {
  error_info info;
  for (std::size_t lead = 0; lead < 4; ++lead) {
    info.what = std::string(lead, 'x');
    for (int i = 0; i < 200; ++i) info.what += "\xf0\x9f\x98\x80";
    const auto text = over(0, format_error(info, 256)).what;
    CHECK(escape_line(text) == text);
  }
}

TEST_CASE("details that do not fit are left out whole") {
  error_info info;
  info.kind = ErrorKind::CONFLICT;
  info.what = "w";
  info.detail = {{"big", std::string(10000, 'x')}, {"small", "1"}};
  const auto read = over(0, format_error(info));
  CHECK(read.find("big") == nullptr);
  REQUIRE(read.find("small") != nullptr);
  CHECK(read.kind == ErrorKind::CONFLICT);
}

TEST_CASE("what a plugin said is passed on clean, cut, and still as the plugin's") {
  const std::string text = "remote exception: \x1b[31mboom" + std::string(20000, 'x') +
                           "\ndetail: kind=quarantined mount=other/";
  const auto clean =
      clean_exception(kj::Exception(exception_type::DISCONNECTED, "f", 1, kj::str(text.c_str())));
  CHECK(clean.getDescription().size() <= error_text_bytes_max);
  CHECK(clean.getType() == exception_type::FAILED);
  const auto read = over(1, clean.getDescription().cStr());
  CHECK(read.from_plugin());
  CHECK(read.kind == ErrorKind::PLUGIN_ERROR);
  CHECK(read.what.substr(0, 13) == "\\x1b[31mboomx");
}

TEST_CASE("prefixes without end are cut, too") {
  std::string text;
  for (int i = 0; i < 10000; ++i) text += "remote exception: ";
  const auto clean =
      clean_exception(kj::Exception(exception_type::FAILED, "f", 1, kj::str(text.c_str())));
  CHECK(clean.getDescription().size() <= error_text_bytes_max);
  CHECK(parse_error(clean).from_plugin());
}
