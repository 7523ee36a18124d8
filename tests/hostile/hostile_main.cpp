// SPDX-License-Identifier: Apache-2.0
// The runner's main: with --user it gives up root first and starts over as a user without rights,
// so that nothing of root is left in the process, and is then the runner of a broker without
// privileges. Without root the flag changes nothing.
#define CATCH_CONFIG_RUNNER
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string_view>
#include <vector>

#include "tests/hostile/world.hpp"

namespace {

void give_up_root(int argc, char** argv) {
  if (argc < 2 || std::string_view(argv[1]) != "--user") return;
  if (::geteuid() == 0) hostile::become(hostile::attacker_uid);
  std::vector<char*> words(argv, argv + argc);
  words.erase(words.begin() + 1);
  words.push_back(nullptr);
  ::execv("/proc/self/exe", words.data());
  ::_exit(126);
}

}  // namespace

int main(int argc, char** argv) {
  give_up_root(argc, argv);
  return Catch::Session().run(argc, argv);
}
