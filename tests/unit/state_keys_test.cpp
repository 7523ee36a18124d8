// SPDX-License-Identifier: Apache-2.0
// One value under one key, and the file of keys: what opens, what does not, and who may read it.
#include "broker/store/state_keys.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tools/temporary_directory.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace)

namespace {

state_key key_of(unsigned char byte) {
  state_key key;
  key.bytes.fill(byte);
  key.id = state_key_id(key.bytes);
  return key;
}

seal_nonce letters() {
  seal_nonce nonce{};
  for (std::size_t i = 0; i < nonce.size(); ++i) nonce[i] = static_cast<unsigned char>('A' + i);
  return nonce;
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

/// What follows the head and the nonce: ciphertext and tag.
std::string body(const std::string& sealed) {
  return sealed.substr(1 + 8 + seal_nonce_bytes);
}

struct key_file {
  temporary_directory directory;
  std::string name = directory / "keys";

  void write(const std::string& text, unsigned mode = 0600) const {
    std::ofstream(name, std::ios::trunc) << text;
    REQUIRE(chmod(name.c_str(), mode) == 0);
  }
  std::string refusal() const {
    try {
      state_keys::load(name);
    } catch (const store_error& error) {
      CHECK(error.fault() == store_fault::wrong_key);
      CHECK_FALSE(error.failure().remedy.empty());
      return error.failure().what + ": " + error.failure().why;
    }
    FAIL("it was taken");
    return {};
  }
};

std::string line(char digit) {
  return std::string(64, digit) + "\n";
}

const std::string head = "bulkhead-state-keys 1\n";

}  // namespace

TEST_CASE("a value is sealed as the published test vectors of XAES-256-GCM say") {
  value_seal seal;
  CHECK(hex(body(seal.seal(key_of(1), letters(), "", "XAES-256-GCM"))) ==
        "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
  CHECK(hex(body(seal.seal(key_of(3), letters(), "c2sp.org/XAES-256-GCM", "XAES-256-GCM"))) ==
        "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
}

TEST_CASE("what was sealed opens with its key, under its name") {
  value_seal seal;
  const auto key = key_of(7);
  for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 1U << 20U}) {
    const std::string value(size, 'v');
    const auto sealed = seal.seal(key, letters(), "view/a/b", value);
    CHECK(sealed.size() == size + seal_overhead_bytes);
    CHECK(sealed_with(sealed) == key.id);
    CHECK(seal.open(key, "view/a/b", sealed) == value);
    CHECK_FALSE(seal.open(key, "view/a/c", sealed));
    CHECK_FALSE(seal.open(key_of(8), "view/a/b", sealed));
  }
}

TEST_CASE("a sealed value that changed in one bit, or was cut, does not open") {
  value_seal seal;
  const auto key = key_of(7);
  const auto sealed = seal.seal(key, letters(), "k", "a value");
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto changed = sealed;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    CHECK_FALSE(seal.open(key, "k", changed));
  }
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    CHECK_FALSE(seal.open(key, "k", sealed.substr(0, size)));
  }
  CHECK_FALSE(seal.open(key, "k", sealed + "x"));
}

TEST_CASE("a key file that is made grows by a key at a time, the newest last") {
  const key_file file;
  const auto first = add_state_key(file.name);
  struct stat info {};
  REQUIRE(stat(file.name.c_str(), &info) == 0);
  CHECK((info.st_mode & 07777U) == 0600U);
  CHECK(state_keys::load(file.name).newest().id == first);
  const auto second = add_state_key(file.name);
  CHECK(second != first);
  const auto keys = state_keys::load(file.name);
  CHECK(keys.size() == 2);
  CHECK(keys.newest().id == second);
  REQUIRE(keys.find(first) != nullptr);
  CHECK(keys.find(first)->bytes != keys.find(second)->bytes);
  CHECK(keys.find(first + second) == nullptr);
}

TEST_CASE("keys that are made at once are all in the file") {
  const key_file file;
  std::vector<std::thread> makers;
  makers.reserve(8);
  for (int i = 0; i < 8; ++i) makers.emplace_back([&] { add_state_key(file.name); });
  for (auto& each : makers) each.join();
  CHECK(state_keys::load(file.name).size() == 8);
}

TEST_CASE("a key is added to the file that a link names") {
  const key_file file;
  add_state_key(file.name);
  const auto link = file.name + ".link";
  std::filesystem::create_symlink(file.name, link);
  add_state_key(link);
  CHECK(std::filesystem::is_symlink(link));
  CHECK(state_keys::load(file.name).size() == 2);
}

TEST_CASE("a key file holds at most 16 keys") {
  const key_file file;
  for (std::size_t i = 0; i < state_keys_max; ++i) add_state_key(file.name);
  CHECK(state_keys::load(file.name).size() == 16);
  CHECK_THROWS_AS(add_state_key(file.name), store_error);
  CHECK(state_keys::load(file.name).size() == 16);
}

TEST_CASE("a key file that is not one is refused by line, and no key is named") {
  const key_file file;
  CHECK(file.refusal().find("No such file") != std::string::npos);
  file.write("");
  CHECK(file.refusal().find("first line") != std::string::npos);
  file.write("bulkhead-state-keys 2\n" + line('a'));
  CHECK(file.refusal().find("first line") != std::string::npos);
  file.write(head);
  CHECK(file.refusal().find("no key") != std::string::npos);
  for (const auto& bad : {std::string(63, 'b') + "\n", line('B'), line('g'), std::string(64, 'b'),
                          std::string("\n"), line('b') + line('b')}) {
    auto text = head + line('a');
    file.write(text.append(bad));
    const auto said = file.refusal();
    INFO(said);
    CHECK((said.find("line 3") != std::string::npos || said.find("line 4") != std::string::npos));
    CHECK(said.find("bbbb") == std::string::npos);
  }
  file.write(head + line('a') + std::string(5000, 'c'));
  CHECK(file.refusal().find("more than") != std::string::npos);
}

TEST_CASE("a key file that others may read or that is no file is refused") {
  const key_file file;
  for (const unsigned mode : {0640U, 0604U, 0620U, 0602U, 0660U, 0644U}) {
    file.write(head + line('a'), mode);
    CHECK(file.refusal().find(fmt::format("{:04o}", mode)) != std::string::npos);
  }
  file.write(head + line('a'), 0400);
  CHECK(state_keys::load(file.name).size() == 1);
  std::filesystem::remove(file.name);
  REQUIRE(mkfifo(file.name.c_str(), 0600) == 0);
  CHECK(file.refusal().find("regular file") != std::string::npos);
  std::filesystem::remove(file.name);
  std::filesystem::create_directory(file.name);
  CHECK(file.refusal().find("regular file") != std::string::npos);
}

TEST_CASE("a key file of another user is refused") {
  if (geteuid() != 0) {
    WARN("needs root, to give a file away");
    return;
  }
  const key_file file;
  file.write(head + line('a'));
  REQUIRE(chown(file.name.c_str(), 65534, 65534) == 0);
  CHECK(file.refusal().find("65534") != std::string::npos);
}
