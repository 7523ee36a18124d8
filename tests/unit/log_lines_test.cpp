// SPDX-License-Identifier: Apache-2.0
#include "actors/log_lines.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "actors/numbered_ring.hpp"
#include "actors/random.hpp"

using namespace std::chrono_literals;
using bulkhead::instant;
using bulkhead::line_splitter;
using bulkhead::numbered_ring;
using bulkhead::printable;

using texts = std::vector<std::string>;

TEST_CASE("lines come out as they are completed, however the bytes are cut") {
  line_splitter splitter;
  CHECK(splitter.feed("one\ntw", {}) == texts{"one"});
  CHECK(splitter.feed("o", {}).empty());
  CHECK(splitter.feed("\n\nfour\r\nfi", {}) == texts{"two", "", "four"});
  CHECK(splitter.finish({}) == texts{"fi"});
  CHECK(splitter.finish({}).empty());
}

TEST_CASE("what could act on a terminal is escaped") {
  CHECK(printable("a\x1b[31mb", 99) == "a\\x1b[31mb");
  CHECK(printable(std::string_view{"\0\t\r\x7f", 4}, 99) == "\\x00\\t\\x0d\\x7f");
  CHECK(printable("\xc2\x9b"
                  "31m",
                  99) == "\\u009b31m");  // C1: CSI
  CHECK(printable("\xe2\x80\xae"
                  "evil",
                  99) == "\\u202eevil");  // right-to-left override
  CHECK(printable("\xe2\x81\xa6\xe2\x80\xa8", 99) == "\\u2066\\u2028");
  CHECK(printable("C:\\x1b", 99) == "C:\\x1b");
}

TEST_CASE("text stays text, and what is not UTF-8 is escaped byte by byte") {
  CHECK(printable("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\xa2", 99) ==
        "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\xa2");
  CHECK(printable("\xff\xc3", 99) == "\\xff\\xc3");
  CHECK(printable("\xc0\x80", 99) == "\\xc0\\x80");                    // overlong
  CHECK(printable("\xed\xa0\x80", 99) == "\\xed\\xa0\\x80");           // surrogate
  CHECK(printable("\xf4\x90\x80\x80", 99) == "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  CHECK(printable("\xe2\x82", 99) == "\\xe2\\x82");                    // cut short
}

TEST_CASE("a line at its limit passes whole, one above is cut with a mark and never exceeds it") {
  const std::string at(32, 'x');
  CHECK(printable(at, 32) == at);
  CHECK(printable(at + "x", 32) == std::string(27, 'x') + "[cut]");
  for (std::size_t limit = 16; limit < 40; ++limit) {
    for (const std::string& raw :
         {std::string(50, '\x01'), std::string(20, 'a') + "\xe2\x82\xac\xe2\x82\xac",
          std::string(13, 'a') +
              "\xf0\x9f\x9a\xa2\xf0\x9f\x9a\xa2\xf0\x9f\x9a\xa2\xf0\x9f\x9a\xa2"}) {
      const auto text = printable(raw, limit);
      REQUIRE(text.size() <= limit);
      REQUIRE((text == printable(raw, 999)) == (printable(raw, 999).size() <= limit));
    }
  }
}

TEST_CASE("a line without end is told once, and the rest up to its newline is dropped") {
  line_splitter splitter{{32, 0}};
  CHECK(splitter.feed(std::string(32, 'x'), {}).empty());
  CHECK(splitter.feed("x", {}) == texts{std::string(27, 'x') + "[cut]"});
  for (int i = 0; i < 1000; ++i) CHECK(splitter.feed(std::string(100, 'y'), {}).empty());
  CHECK(splitter.feed("y\nnext\n", {}) == texts{"next"});
  CHECK(splitter.feed(std::string(33, 'z') + "\nafter\n", {}) ==
        texts{std::string(27, 'z') + "[cut]", "after"});
}

TEST_CASE("lines above the rate are dropped and counted, and one line says how many") {
  line_splitter splitter{{64, 10}};
  instant now{};
  std::string flood;
  for (int i = 0; i < 25; ++i) flood += fmt::format("{}\n", i);
  CHECK(splitter.feed(flood, now).size() == 10);
  CHECK(splitter.dropped() == 15);
  now += 100ms;
  CHECK(splitter.feed("a\nb\n", now) == texts{"[15 lines dropped: more than 10 per second]", "a"});
  CHECK(splitter.finish(now) == texts{"[1 line dropped: more than 10 per second]"});
  CHECK(splitter.dropped() == 16);
  now += 1h;
  CHECK(splitter.feed(flood, now).size() == 10);  // credit does not add up beyond one second
}

TEST_CASE("any bytes in any pieces give the same lines, all printable") {
  bulkhead::seeded_random random{3};
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (std::size_t n = random.bits() % 400; n > 0; --n) {
      bytes += random.bits() % 8 == 0 ? '\n' : static_cast<char>(random.bits() & 0xFFU);
    }
    line_splitter whole{{40, 0}};
    line_splitter pieces{{40, 0}};
    auto expected = whole.feed(bytes, {});
    for (auto& line : whole.finish({})) expected.push_back(line);
    texts got;
    for (std::string_view rest = bytes; !rest.empty();) {
      const auto size = std::min<std::size_t>(rest.size(), 1 + random.bits() % 60);
      for (auto& line : pieces.feed(rest.substr(0, size), {})) got.push_back(line);
      rest.remove_prefix(size);
    }
    for (auto& line : pieces.finish({})) got.push_back(line);
    REQUIRE(got == expected);
    for (const auto& line : got) {
      REQUIRE(line.size() <= 40);
      for (const unsigned char c : line) REQUIRE((c >= 0x20 && c != 0x7f));
    }
  }
}

TEST_CASE("a ring keeps the newest entries and numbers them for ever") {
  numbered_ring<int> ring{3};
  CHECK(ring.newest(5).empty());
  CHECK(ring.last() == 0);
  for (int i = 1; i <= 5; ++i) CHECK(ring.push(i * 10) == static_cast<std::uint64_t>(i));
  const auto numbers = [](const auto& entries) {
    std::vector<std::uint64_t> all;
    all.reserve(entries.size());
    for (const auto& entry : entries) all.push_back(entry.number);
    return all;
  };
  using list = std::vector<std::uint64_t>;
  CHECK(ring.size() == 3);
  CHECK(numbers(ring.newest(9)) == list{3, 4, 5});
  CHECK(numbers(ring.newest(2)) == list{4, 5});
  CHECK(numbers(ring.newest(9, 4)) == list{5});
  CHECK(numbers(ring.newest(9, 5)).empty());
  CHECK(numbers(ring.newest(9, 99)).empty());
  CHECK(numbers(ring.next(1, 3)) == list{4});
  CHECK(numbers(ring.next(2, 0)) == list{3, 4});  // 1 and 2 are gone: the reader sees the gap
  CHECK(ring.newest(1).front().value == 50);
}

TEST_CASE("what has no width, and what gives text another direction, is shown as what it is") {
  CHECK(printable("a\u200bb", 100) == "a\\u200bb");
  CHECK(printable("\u200e\u200f\u061c", 100) == "\\u200e\\u200f\\u061c");
  CHECK(printable("\u2060\ufeff\u00ad\u180e", 100) == "\\u2060\\ufeff\\u00ad\\u180e");
  CHECK(printable("user\u202egnp.exe", 100) == "user\\u202egnp.exe");
  CHECK(printable("\U000e0041", 100).find('\\') == 0);
  CHECK(printable("gr\u00fc\u00dfe \u65e5\u672c \U0001f6a2", 100) ==
        "gr\u00fc\u00dfe \u65e5\u672c \U0001f6a2");
}
