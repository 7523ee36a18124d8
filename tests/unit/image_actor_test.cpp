// SPDX-License-Identifier: Apache-2.0
// The vault behind its actor: answers, refusals as answers, several files at once, and its end.
#include "broker/images/image_actor.hpp"

#include <sys/stat.h>
#include <caf/all.hpp>

#include <set>

#include "tests/unit/image_fixture.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

constexpr auto patience = std::chrono::seconds(20);

struct fixture {
  plugin_files files;
  std::shared_ptr<image_vault> vault = std::make_shared<image_vault>();
  caf::actor_system_config config;
  caf::actor_system system{config};
  image_actor images = spawn_images(system, vault);
  caf::scoped_actor self{system};

  ~fixture() { caf::anon_send_exit(images, caf::exit_reason::user_shutdown); }

  image_answer ask(const std::string& command, std::optional<trust::digest> expected = {}) {
    image_answer answer;
    self->request(images, patience, image_request{{files.path(), command}, expected})
        .receive([&](image_answer& given) { answer = std::move(given); },
                 [&](const caf::error& why) { FAIL(system.render(why)); });
    return answer;
  }
};

}  // namespace

TEST_CASE_METHOD(fixture, "an image is an answer, and found again without its file") {
  const auto path = files.put("kv", program_that_exits('6'));
  const auto first = ask("kv");
  REQUIRE(first.made);
  CHECK_FALSE(first.failure);
  CHECK(exit_code_of(by_image(*first.made)) == 6);
  std::filesystem::remove(path);
  CHECK(ask("kv", first.made->digest()).made == first.made);
  CHECK(vault->figures().made == 1);
}

TEST_CASE_METHOD(fixture, "a refusal is an answer with its reason") {
  const auto answer = ask("none");
  CHECK_FALSE(answer.made);
  REQUIRE(answer.failure);
  CHECK(answer.failure->failure() == image_failure::file_missing);
  CHECK(answer.failure->permanent());
}

TEST_CASE_METHOD(fixture, "forty requests at once are each answered with their own image") {
  constexpr int count = 40;
  for (int i = 0; i < count; ++i) {
    files.put(std::to_string(i), "#!/bin/sh\nexit " + std::to_string(i) + "\n");
    self->send(images, image_request{{files.path(), std::to_string(i)}, {}});
  }
  std::set<trust::digest> digests;
  for (int i = 0; i < count; ++i) {
    self->receive([&](image_answer& answer) {
      REQUIRE(answer.made);
      digests.insert(answer.made->digest());
    });
  }
  CHECK(digests.size() == count);
  CHECK(vault->figures().made == count);
}

TEST_CASE_METHOD(fixture, "those who wait for the same bytes do not keep others waiting") {
  // Long enough to be still at work when the small one is done.
  const auto large = files.put("large", program_that_exits('0'));
  std::filesystem::resize_file(large, std::uint64_t{96} << 20U);
  files.put("small", "#!/bin/sh\n");
  for (unsigned i = 0; i < 2 * images_at_once; ++i)
    self->send(images, image_request{{files.path(), "large"}, trust::digest{}});
  self->send(images, image_request{{files.path(), "small"}, {}});
  bool small_is_first = false;
  self->receive([&](const image_answer& answer) { small_is_first = answer.made != nullptr; });
  CHECK(small_is_first);
  for (unsigned i = 0; i < 2 * images_at_once; ++i) {
    self->receive([&](const image_answer& answer) {
      REQUIRE(answer.failure);
      CHECK(answer.failure->failure() == image_failure::digest_mismatch);
    });
  }
}

TEST_CASE("the end of the actor lets go of what still waits for it") {
  const plugin_files files;
  const auto large = files.put("large", program_that_exits('0'));
  std::filesystem::resize_file(large, std::uint64_t{32} << 20U);
  const auto vault = std::make_shared<image_vault>();
  {
    caf::actor_system_config config;
    caf::actor_system system{config};
    caf::scoped_actor self{system};
    auto images = spawn_images(system, vault);
    for (unsigned i = 0; i < 4 * images_at_once; ++i)
      self->send(images, image_request{{files.path(), "large"}, {}});
    auto last = self->request(images, patience, image_request{{files.path(), "large"}, {}});
    self->monitor(images);
    self->send_exit(images, caf::exit_reason::user_shutdown);
    last.receive([](const image_answer& /*answer*/) { FAIL("it was read"); },
                 [](const caf::error& why) { CHECK(why == caf::sec::request_receiver_down); });
    self->receive([&](const caf::down_msg& down) { CHECK(down.source == images.address()); });
  }
  CHECK(vault.use_count() == 1);
}

TEST_CASE("a request whose asker has gone is worked off, and the actor ends when told to") {
  const plugin_files files;
  files.put("kv", program_that_exits('0'));
  const auto vault = std::make_shared<image_vault>();
  {
    caf::actor_system_config config;
    caf::actor_system system{config};
    auto images = spawn_images(system, vault);
    {
      caf::scoped_actor gone{system};
      gone->send(images, image_request{{files.path(), "kv"}, {}});
    }
    caf::scoped_actor self{system};
    self->request(images, patience, image_request{{files.path(), "kv"}, {}})
        .receive([](const image_answer& answer) { CHECK(answer.made); },
                 [](const caf::error& /*why*/) { FAIL("no answer"); });
    self->monitor(images);
    self->send_exit(images, caf::exit_reason::user_shutdown);
    self->receive([&](const caf::down_msg& down) { CHECK(down.source == images.address()); });
  }  // does not return before every thread of the actor has ended
  CHECK(vault->figures().images == 1);
}
