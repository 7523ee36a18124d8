// SPDX-License-Identifier: Apache-2.0
// Images by digest: made once, found in microseconds, dropped when nobody holds them.
#include <algorithm>
#include <array>
#include <chrono>
#include <iostream>
#include <thread>
#include <vector>

#include "tests/unit/image_fixture.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

/// A script of exactly 1000 bytes, different for each letter.
std::string thousand_bytes(char letter) {
  return "#!/bin/sh\n" + std::string(989, letter) + "\n";
}

struct stock {
  plugin_files files;
  image_vault vault;

  explicit stock(std::uint64_t cache_bytes_max = std::uint64_t{1} << 20U)
      : vault({file_bytes_max, cache_bytes_max}) {
    for (const char letter : {'a', 'b', 'c', 'd'})
      files.put(std::string(1, letter), thousand_bytes(letter));
  }
  image_source source(const std::string& command) const { return {files.path(), command}; }
  std::shared_ptr<const image> make(const std::string& command) {
    return vault.get(source(command), {});
  }
  trust::digest digest(const std::string& command) const {
    return image_of(files.path(), command)->digest();
  }
};

template <class Work>
double microseconds(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  const auto took = std::chrono::steady_clock::now() - begin;
  return std::chrono::duration<double, std::micro>(took).count();
}

double median(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

}  // namespace

TEST_CASE("an image is made once and found after that, also when its file is gone") {
  stock store;
  const auto digest = store.digest("a");
  CHECK(store.vault.find(digest) == nullptr);
  const auto made = store.vault.get(store.source("a"), digest);
  std::filesystem::remove(store.files.path() + "/a");
  CHECK(store.vault.get(store.source("a"), digest) == made);
  CHECK(store.vault.find(digest) == made);
  CHECK(store.vault.figures().made == 1);
  CHECK(store.vault.figures().found == 2);
  CHECK(store.vault.figures().bytes == 1000);
}

TEST_CASE("without a digest the file is read anew, and the same bytes are the same image") {
  stock store;
  const auto made = store.make("a");
  CHECK(store.make("a") == made);
  CHECK(store.vault.figures().made == 2);
  CHECK(store.vault.figures().images == 1);
  store.files.put("a", thousand_bytes('x'));
  CHECK(store.make("a") != made);
  CHECK(store.vault.figures().images == 2);
}

TEST_CASE("what is refused is not kept, and is refused anew") {
  stock store;
  const auto digest = store.digest("a");
  for (int i = 0; i < 2; ++i) {
    CHECK(failure_of([&] { store.vault.get(store.source("b"), digest); }) ==
          image_failure::digest_mismatch);
  }
  CHECK(store.vault.figures().images == 0);
  CHECK(store.vault.get(store.source("a"), digest)->digest() == digest);
}

TEST_CASE("above image_cache_bytes_max the image goes that was longest not asked for") {
  stock store(3000);
  for (const auto* command : {"a", "b", "c"}) store.make(command);
  CHECK(store.vault.figures().dropped == 0);
  CHECK(store.vault.find(store.digest("a")) != nullptr);  // asked for: now the oldest is b
  store.make("d");
  CHECK(store.vault.figures().dropped == 1);
  CHECK(store.vault.figures().bytes == 3000);
  CHECK(store.vault.find(store.digest("b")) == nullptr);
  for (const auto* command : {"a", "c", "d"})
    CHECK(store.vault.find(store.digest(command)) != nullptr);
}

TEST_CASE("an image in use stays, by itself or by its program, and goes once nobody holds it") {
  stock store(1000);
  auto held = store.make("a");
  auto program = held->program();
  held.reset();
  for (const auto* command : {"b", "c"}) {
    store.make(command);  // above the limit, and in use only during this call
    CHECK(store.vault.find(store.digest("a")) != nullptr);
    CHECK(store.vault.find(store.digest(command)) == nullptr);
  }
  program.reset();
  store.make("d");
  CHECK(store.vault.find(store.digest("a")) == nullptr);
  CHECK(store.vault.find(store.digest("d")) != nullptr);
  CHECK(store.vault.figures().bytes == 1000);
}

TEST_CASE("an image larger than the whole cache can be made and run") {
  stock store(10);
  const auto made = store.make("a");
  CHECK(made->size() == 1000);
  CHECK(store.vault.find(made->digest()) == made);
}

TEST_CASE("eight threads that want the same digest make it once") {
  stock store;
  store.files.put("large", program_that_exits('0') + std::string(4U << 20U, 'x'));
  const auto digest = store.digest("large");
  std::array<std::shared_ptr<const image>, 8> got;
  std::array<std::thread, 8> threads;
  for (std::size_t i = 0; i < threads.size(); ++i)
    threads[i] = std::thread([&, i] { got[i] = store.vault.get(store.source("large"), digest); });
  for (auto& thread : threads) thread.join();
  CHECK(store.vault.figures().made == 1);
  for (const auto& each : got) CHECK(each == got[0]);
  CHECK(got[0]->digest() == digest);
}

TEST_CASE("one asker's wrong place does not fail another who knows the right one") {
  stock store;
  const auto digest = store.digest("a");
  std::array<int, 8> good{};
  std::array<std::thread, 8> threads;
  for (std::size_t i = 0; i < threads.size(); ++i) {
    threads[i] = std::thread([&, i] {
      try {
        good[i] = store.vault.get(store.source(i % 2 == 0 ? "a" : "none"), digest) != nullptr;
      } catch (const image_error& refused) {
        good[i] = refused.failure() == image_failure::file_missing ? -1 : -2;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (std::size_t i = 0; i < good.size(); ++i) {
    CHECK(good[i] != -2);
    if (i % 2 == 0) CHECK(good[i] == 1);
  }
}

TEST_CASE("images made and dropped a thousand times leave no descriptor behind") {
  stock store(1000);
  const auto descriptors = [] {
    const std::filesystem::directory_iterator all{"/proc/self/fd"};
    return std::distance(begin(all), end(all));
  };
  const auto before = descriptors();
  for (int i = 0; i < 250; ++i)
    for (const auto* command : {"a", "b", "c", "d"}) store.make(command);
  CHECK(descriptors() == before + 1);  // the one that is kept
  CHECK(store.vault.figures().dropped == 999);
}

TEST_CASE("an image that is there costs microseconds, not a copy and a hash") {
  stock store;
  store.files.put("large", program_that_exits('0') + std::string(3U << 20U, 'x'));
  const auto digest = store.digest("large");
  std::vector<double> making;
  std::vector<double> finding;
  for (int i = 0; i < 15; ++i) {
    image_vault fresh;
    making.push_back(microseconds([&] { fresh.get(store.source("large"), digest); }));
    for (int j = 0; j < 10; ++j)
      finding.push_back(microseconds([&] { fresh.get(store.source("large"), digest); }));
  }
  const auto slow = median(making);
  const auto fast = median(finding);
  std::cout << "an image of 4 MB, median: " << slow << " us made, " << fast << " us found, "
            << slow / fast << " times less\n";
  CHECK(slow > 20 * fast);
}
