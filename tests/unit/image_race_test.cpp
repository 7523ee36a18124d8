// SPDX-License-Identifier: Apache-2.0
// Between the check and the run: somebody who may write to the plugin's file, or put another in its
// place, tries to get bytes executed that were never checked. First at the worst moment by design,
// with the usual ways of checking as positive controls; then as fast as can be, in a race.
//
// BULKHEAD_TOCTOU_TRIES sets the number of tries of the race (default 200).
#include <linux/fs.h>
#include <sys/syscall.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "tests/unit/image_fixture.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

constexpr int right_code = 0;
constexpr int wrong_code = 1;

struct scene {
  plugin_files files;
  std::string program = files.put("kv", program_that_exits('0'));
  std::string other = files.put("evil", program_that_exits('1'));
  off_t digit = static_cast<off_t>(digit_in(program_that_exits('0')));
  trust::digest right = image_of(files.path(), "kv")->digest();

  /// The other file takes the program's name, and the program the other's.
  void swap() const {
    ::syscall(SYS_renameat2, AT_FDCWD, other.c_str(), AT_FDCWD, program.c_str(), RENAME_EXCHANGE);
  }
  void write(char code) const {
    const unique_fd fd{::open(program.c_str(), O_WRONLY | O_CLOEXEC)};
    REQUIRE(::pwrite(fd.get(), &code, 1, digit) == 1);
  }
  unique_fd open() const { return unique_fd{::open(program.c_str(), O_RDONLY | O_CLOEXEC)}; }
  bool is_right(const unique_fd& fd) const {
    return sha256_of(fd.get(), std::filesystem::file_size(program)) == right;
  }
};

/// Swaps files by name and writes into them without pause, on a thread of its own.
class thief {
 public:
  explicit thief(const scene& where)
      : where_(where),
        fds_{unique_fd{::open(where.program.c_str(), O_RDWR | O_CLOEXEC)},
             unique_fd{::open(where.other.c_str(), O_RDWR | O_CLOEXEC)}},
        thread_([this] { work(); }) {}
  thief(const thief&) = delete;
  thief& operator=(const thief&) = delete;
  ~thief() {
    done_ = true;
    thread_.join();
  }

 private:
  void work() {
    for (unsigned turn = 0; !done_; ++turn) {
      if (turn % 3 == 0) where_.swap();
      const char code = turn % 2 == 0 ? '1' : '0';
      for (const auto& fd : fds_) (void)!::pwrite(fd.get(), &code, 1, where_.digit);
    }
  }

  const scene& where_;
  std::array<unique_fd, 2> fds_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

int tries() {
  const char* text = std::getenv("BULKHEAD_TOCTOU_TRIES");
  return text == nullptr ? 200 : std::atoi(text);
}

}  // namespace

TEST_CASE("control: a path that was checked runs what was put there since, every time") {
  const scene at;
  for (int i = 0; i < 10; ++i) {
    REQUIRE(at.is_right(at.open()));
    at.swap();
    CHECK(exit_code_of(by_path(at.program)) == wrong_code);
    at.swap();
  }
}

TEST_CASE("control: a descriptor that was checked runs what was written since, every time") {
  const scene at;
  for (int i = 0; i < 10; ++i) {
    auto spec = by_path("plugin");
    spec.program = std::make_shared<const unique_fd>(at.open());
    REQUIRE(at.is_right(*spec.program));
    at.swap();
    CHECK(exit_code_of(spec) == right_code);  // a swap alone does not deceive it
    at.swap();
    at.write('1');
    CHECK(exit_code_of(spec) == wrong_code);
    at.write('0');
  }
}

TEST_CASE("an image runs what was checked, whatever is put there or written since") {
  const scene at;
  for (int i = 0; i < 10; ++i) {
    const auto made = image_of(at.files.path(), "kv", at.right);
    at.swap();
    CHECK(exit_code_of(by_image(*made)) == right_code);
    at.swap();
    at.write('1');
    CHECK(exit_code_of(by_image(*made)) == right_code);
    CHECK(failure_of([&] { image_of(at.files.path(), "kv", at.right); }) ==
          image_failure::digest_mismatch);
    at.write('0');
  }
}

TEST_CASE("a thief who swaps and writes without pause gets no wrong byte to run") {
  const scene at;
  int ran = 0;
  int wrong = 0;
  int refused = 0;
  int other = 0;
  {
    const thief at_work(at);
    const int wanted = tries();
    // A race that never went either way would prove nothing.
    for (int i = 0; i < wanted || ran == 0 || refused == 0; ++i) {
      REQUIRE(i < wanted + 100'000);
      try {
        const auto made = image_of(at.files.path(), "kv", at.right);
        ++ran;
        if (exit_code_of(by_image(*made)) != right_code) ++wrong;
      } catch (const image_error& why) {
        const bool expected = why.failure() == image_failure::digest_mismatch ||
                              why.failure() == image_failure::file_changed;
        ++(expected ? refused : other);
      }
    }
  }
  std::cout << "thief at work: " << ran + refused << " tries, " << refused << " refused, " << ran
            << " ran, " << wrong << " of them with wrong bytes\n";
  CHECK(wrong == 0);
  CHECK(other == 0);
}
