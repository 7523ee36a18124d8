// SPDX-License-Identifier: Apache-2.0
// Every attack, unconfined and in every configuration.
//
// Unconfined each must work, or have its reason why it does not; only what worked there counts as
// evidence elsewhere. `hostile_test --user` gives up root first, and is then the runner of a broker
// without privileges.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "tests/hostile/start.hpp"
#include "tests/hostile/world.hpp"

namespace hostile {

namespace {

world& the_world() {
  static world one(std::filesystem::read_symlink("/proc/self/exe").parent_path() / "hostile");
  return one;
}

TEST_CASE("unconfined, every attack works or has its reason not to") {
  int works = 0;
  int all = 0;
  std::string vacuous;
  each_attack([&](const attack& one) {
    const auto seen = start_plainly(the_world(), the_world().words(one.name));
    const auto found = judge(one, seen, false);
    ++all;
    if (found.got_through()) {
      ++works;
      return;
    }
    INFO(one.name << ": " << found.how);
    CHECK(found.what != result::broken);
    CHECK(one.vacuous != nullptr);
    vacuous += std::string("  ") + one.name + " (" + found.how +
               "): " + (one.vacuous == nullptr ? "?" : one.vacuous) + "\n";
  });
  CHECK(the_world().victim_lives());
  std::cout << works << " of " << all << " attacks work unconfined; these do not:\n" << vacuous;
}

/// Becomes a user without rights and starts over, so that nothing of root is left in the process.
void give_up_root(int argc, char** argv) {
  if (argc < 2 || std::string_view(argv[1]) != "--user") return;
  if (::geteuid() == 0) become(attacker_uid);
  std::vector<char*> words(argv, argv + argc);
  words.erase(words.begin() + 1);
  words.push_back(nullptr);
  ::execv("/proc/self/exe", words.data());
  ::_exit(126);
}

}  // namespace

}  // namespace hostile

int main(int argc, char** argv) {
  hostile::give_up_root(argc, argv);
  return Catch::Session().run(argc, argv);
}
