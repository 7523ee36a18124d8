// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tools/bulkhead/failure.hpp"
#include "tools/bulkhead/suggest.hpp"
#include "tools/bulkhead/table.hpp"
#include "tools/bulkhead/tokenizer.hpp"

namespace {

using namespace bulkhead::cli;
using bulkhead::schema::ErrorKind;
using bulkhead::wire::edit_distance;
using texts = std::vector<std::string>;

TEST_CASE("words are cut as a shell cuts them") {
  CHECK(tokenize("  write kv/a  user=alice ").texts() == texts{"write", "kv/a", "user=alice"});
  CHECK(tokenize("a 'b c' \"d e\"f").texts() == texts{"a", "b c", "d ef"});
  CHECK(tokenize(R"("a\"b\\c\d" 'x\y' p\ q)").texts() == texts{R"(a"b\c\d)", R"(x\y)", "p q"});
  CHECK(tokenize("''").texts() == texts{""});
  CHECK(tokenize("").texts().empty());
  CHECK(tokenize("a # rest 'of").texts() == texts{"a"});
  CHECK(tokenize("a#b").texts() == texts{"a#b"});
}

TEST_CASE("a word in brackets is kept as it stands, quotes and blanks included") {
  CHECK(tokenize(R"(call c/ m (a = "x ) y", b = [1, 2]) z)").texts() ==
        texts{"call", "c/", "m", R"((a = "x ) y", b = [1, 2]))", "z"});
  CHECK(tokenize(R"({"a": "\"}"})").texts() == texts{R"({"a": "\"}"})"});
  CHECK(tokenize(R"(x:=[1, "b c"])").texts() == texts{R"(x:=[1, "b c"])"});
  CHECK(tokenize("x=(a b)").texts() == texts{"x=(a", "b)"});
}

TEST_CASE("an unfinished line is open, a wrong one is not") {
  CHECK(tokenize("a 'b").open);
  CHECK(tokenize("a (b").open);
  CHECK(tokenize("a (\"b").open);
  CHECK(tokenize("a \\").open);
  const words wrong = tokenize("a (b]");
  CHECK_FALSE(wrong.open);
  CHECK(wrong.error == "']' where ')' was expected");
}

TEST_CASE("a backslash at the end of a line joins the next one to it, as in a shell") {
  CHECK(tokenize("write kv/a x=1 \\\n  y=2").texts() == texts{"write", "kv/a", "x=1", "y=2"});
  CHECK(tokenize("write kv/a x=1 \\\ny=2").texts() == texts{"write", "kv/a", "x=1", "y=2"});
  CHECK(tokenize("write kv/a x=1\\\n2").texts() == texts{"write", "kv/a", "x=12"});
  CHECK(tokenize("mounts \\\n").texts() == texts{"mounts"});
  CHECK(tokenize("mounts \\\n# and no more").texts() == texts{"mounts"});
}

TEST_CASE("a quoted text is one word again") {
  for (const char* text : {"plain", "two words", "it's", "(x", "#", "", "a\\b", "k:=[1]"}) {
    CHECK(tokenize(quote(text)).texts() == texts{text});
  }
}

TEST_CASE("edit distance counts insertions, removals, changes and swaps") {
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("restrat", "restart") == 1);
  CHECK(edit_distance("kv", "kv") == 0);
  CHECK(edit_distance("stauts", "status") == 1);
  CHECK(edit_distance("mount", "unmount") == 2);
}

TEST_CASE("a suggestion is at most two slips away, and not another word") {
  CHECK(nearest("stauts", {"mount", "status"}) == "status");
  CHECK(nearest("frobnicate", {"mount", "status"}).empty());
  CHECK(nearest("ab", {"xy"}).empty());
  const std::string longest(bulkhead::wire::suggest_bytes_max, 'a');
  CHECK(nearest(longest, {longest}) == longest);
  CHECK(nearest(longest + "a", {longest}).empty());
  CHECK(did_you_mean("lst", {"list", "logs"}) == "did you mean 'list'?");
  CHECK(did_you_mean("zzz", {"list"}).empty());
  CHECK(join_names({"a", "b", "c"}, 2) == "a, b, and 1 more");
}

TEST_CASE("a table aligns its columns by characters and ends lines without blanks") {
  table rows({"PATH", "STATE", "NOTE"});
  rows.add({"kv/", "ready", ""}, tint::good);
  rows.add({"läng/", "backoff", "x\ny"}, tint::warn);
  CHECK(rows.render(false) ==
        "PATH   STATE    NOTE\n"
        "kv/    ready\n"
        "läng/  backoff  x\\x0ay\n");
  CHECK(rows.render(true).find("\x1b[32mready\x1b[0m") != std::string::npos);
}

TEST_CASE("durations, sizes and moments are short") {
  CHECK(short_duration(999) == "999 ms");
  CHECK(short_duration(1000) == "1 s");
  CHECK(short_duration(125'000) == "2 m 5 s");
  CHECK(short_duration(3'600'000 * 25ULL) == "1 d 1 h");
  CHECK(short_bytes(1023) == "1023 B");
  CHECK(short_bytes(1536) == "1.5 KiB");
  CHECK(utc_time(1'000'000'000'042) == "2001-09-09 01:46:40.042");
  CHECK(utc_time(-1) == "1969-12-31 23:59:59.999");
}

bulkhead::wire::error_info info_of(ErrorKind kind, unsigned hops) {
  bulkhead::wire::error_info info;
  info.kind = kind;
  info.hops = hops;
  return info;
}

TEST_CASE("each kind of error has its exit code") {
  const std::vector<std::pair<ErrorKind, exit_code>> expected = {
      {ErrorKind::NOT_FOUND, exit_code::no_target},
      {ErrorKind::UNMOUNTED, exit_code::no_target},
      {ErrorKind::PLUGIN_UNAVAILABLE, exit_code::not_running},
      {ErrorKind::QUARANTINED, exit_code::not_running},
      {ErrorKind::FAILED_PRECONDITION, exit_code::not_running},
      {ErrorKind::PERMISSION_DENIED, exit_code::not_permitted},
      {ErrorKind::DEADLINE_EXCEEDED, exit_code::timed_out},
      {ErrorKind::BROKER_STOPPING, exit_code::unreachable},
      {ErrorKind::INVALID_ARGUMENT, exit_code::failed},
      {ErrorKind::PLUGIN_CRASHED, exit_code::failed},
      {ErrorKind::START_FAILED, exit_code::failed},
      {ErrorKind::INTERNAL, exit_code::failed},
  };
  for (const auto& [kind, code] : expected) {
    CAPTURE(bulkhead::wire::kind_name(kind));
    CHECK(code_of(info_of(kind, 1)) == code);
  }
  CHECK(code_of(info_of(ErrorKind::FAILED_PRECONDITION, 2)) == exit_code::failed);
}

TEST_CASE("an error is told in up to three parts") {
  CHECK(failure(exit_code::failed, "it broke", "it was old", "buy a new one").text("stdin:3: ") ==
        "stdin:3: error: it broke\n  why: it was old\n  try: buy a new one\n");
  CHECK(usage("no").text() == "error: no\n");
}

}  // namespace
