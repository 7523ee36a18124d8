// SPDX-License-Identifier: Apache-2.0
// The victim of the kill tests: `store_writer FILE SEED` opens the state and writes forever,
// telling on stdout what was acknowledged, one line per acknowledgement: the number of the last
// transaction. Transaction N puts `left/N` and `right/N` with one value, so that a half of it would
// show, and `newest` with N. Some go alone, some in groups; now and then history is compacted and
// swept. On the way up it prints "opened".
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "broker/store/sqlite_store.hpp"

namespace {

void say(const std::string& line) {
  if (write(STDOUT_FILENO, line.data(), line.size()) < 0) std::_Exit(3);
}

}  // namespace

int main(int argc, char** argv) {
  using bulkhead::txn_op;
  if (argc != 3) return 2;
  std::mt19937 random(static_cast<unsigned>(std::atoi(argv[2])));
  try {
    auto engine = bulkhead::sqlite_store::open(argv[1], [] { return std::uint64_t{1}; });
    std::uint64_t number = 0;
    if (auto found = engine->range({bulkhead::key_range::one("newest"), {}, 0, 0, false}).rows;
        !found.empty()) {
      number = std::stoull(found.front().value);
    }
    say("opened\n");
    const auto put = [&] {
      const auto name = std::to_string(++number);
      const auto value = name + std::string(random() % 3000, 'x');
      engine->txn({{},
                   {txn_op::put("left/" + name, value), txn_op::put("right/" + name, value),
                    txn_op::put("newest", name)},
                   {}});
    };
    for (;;) {
      if (random() % 3 == 0) {
        engine->begin_group();
        for (auto left = random() % 5; left != 0; --left) put();
        engine->commit_group();
      } else {
        put();
      }
      say(std::to_string(number) + "\n");
      if (random() % 20 == 0) engine->compact(engine->revision() - random() % 10);
      engine->maintain();
    }
  } catch (const bulkhead::store_error& error) {
    std::fprintf(stderr, "%s: %s\n", error.what(), error.failure().why.c_str());
    return 1;
  }
}
