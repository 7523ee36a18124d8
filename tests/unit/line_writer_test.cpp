// SPDX-License-Identifier: Apache-2.0
//
// The daemon's stderr, on a pipe whose reader is slow, and on one whose reader is gone.

#include "tools/bulkheadd/line_writer.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <memory>
#include <sstream>
#include <vector>

#include "actors/unique_fd.hpp"

using namespace bulkhead;

namespace {

struct small_pipe {
  small_pipe() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    out = unique_fd(ends[0]);
    in = unique_fd(ends[1]);
    REQUIRE(::fcntl(in.get(), F_SETPIPE_SZ, 4096) == 4096);
  }
  std::string read_some() const {
    std::array<char, 4096> bytes{};
    const auto got = ::read(out.get(), bytes.data(), bytes.size());
    return got > 0 ? std::string(bytes.data(), static_cast<std::size_t>(got)) : std::string();
  }
  unique_fd out;
  unique_fd in;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream from(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(from, line);) lines.push_back(line);
  return lines;
}

}  // namespace

TEST_CASE("lines are written in order, all of them by the time the writer is gone") {
  const small_pipe pipe;
  {
    line_writer subject(pipe.in.get());
    subject.say("one");
    subject.say("two");
  }
  CHECK(pipe.read_some() == "one\ntwo\n");
}

TEST_CASE("a reader that has stopped holds nobody up; what is lost is counted and told") {
  const small_pipe pipe;
  constexpr std::size_t said = 3 * waiting_lines_max;
  line_writer subject(pipe.in.get());
  for (std::size_t i = 0; i < said; ++i) subject.say(std::string(64, 'x'));
  // The reader wakes up.
  std::string text;
  while (text.find("dropped") == std::string::npos) text += pipe.read_some();
  while (text.back() != '\n') text += pipe.read_some();
  const auto lines = lines_of(text);
  const auto written = lines.size() - 1;
  CHECK(written >= waiting_lines_max);
  CHECK(written < said);
  CHECK(lines.back() ==
        std::to_string(said - written) + " lines were dropped: nobody read what is written here");
  subject.say("again");
  CHECK(pipe.read_some() == "again\n");
}

TEST_CASE("a reader that is gone is no obstacle") {
  ::signal(SIGPIPE, SIG_IGN);
  small_pipe pipe;
  pipe.out = unique_fd();
  line_writer subject(pipe.in.get());
  subject.say("into the void");
}
