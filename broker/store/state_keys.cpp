// SPDX-License-Identifier: Apache-2.0
#include "broker/store/state_keys.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <new>

#include "broker/store/file_work.hpp"

namespace bulkhead {
namespace {

constexpr std::string_view first_line = "bulkhead-state-keys 1\n";
constexpr std::size_t line_bytes = 2 * state_key_bytes + 1;
constexpr std::size_t file_bytes_max = first_line.size() + state_keys_max * line_bytes;

[[noreturn]] void refuse(const std::string& file, std::string why, std::string remedy) {
  throw store_error(store_fault::wrong_key, fmt::format("the key file {} cannot be used", file),
                    std::move(why), std::move(remedy));
}

/// Text that may hold keys: wiped when it goes. Never grows, so that no copy stays behind.
class secret_text {
 public:
  secret_text() = default;
  secret_text(const secret_text&) = delete;
  secret_text& operator=(const secret_text&) = delete;
  ~secret_text() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

  char* room() { return bytes_.data() + size_; }
  std::size_t left() const { return bytes_.size() - size_; }
  void grow(std::size_t bytes) { size_ += bytes; }
  void add(std::string_view text) {
    std::copy(text.begin(), text.end(), room());
    size_ += text.size();
  }
  std::string_view text() const { return {bytes_.data(), size_}; }

 private:
  std::array<char, file_bytes_max + 1> bytes_{};
  std::size_t size_ = 0;
};

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// Whether only those may read and change the file who may have the keys.
void check_owner(const struct stat& info, const std::string& file) {
  if (!S_ISREG(info.st_mode)) refuse(file, "it is no regular file", "name a file of keys");
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    refuse(file, fmt::format("it belongs to the user {}", info.st_uid),
           fmt::format("chown {} {}", geteuid(), file));
  }
  const unsigned closed = info.st_uid == 0 && geteuid() != 0 ? 0037 : 0077;
  if ((info.st_mode & closed) != 0) {
    refuse(file,
           fmt::format("its mode is {:04o}: others may read or change it",
                       static_cast<unsigned>(info.st_mode & 07777)),
           fmt::format("chmod 600 {}, and think of the keys as known", file));
  }
}

void read_file(const std::string& file, secret_text& to) {
  const descriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info {};
  if (fd.get() < 0 || fstat(fd.get(), &info) != 0) {
    refuse(file, std::strerror(errno), "name the file that holds the keys of the state");
  }
  check_owner(info, file);
  while (to.left() != 0) {
    const auto size = ::read(fd.get(), to.room(), to.left());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) refuse(file, std::strerror(errno), "check the disk");
    if (size == 0) return;
    to.grow(static_cast<std::size_t>(size));
  }
  refuse(file, fmt::format("it has more than {} bytes", file_bytes_max),
         fmt::format("a file holds at most {} keys; take old ones out", state_keys_max));
}

}  // namespace

class state_keys::page {
 public:
  page() : bytes_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    static_assert(state_keys_max * sizeof(state_key) <= 4096);
    void* at = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    madvise(at, bytes_, MADV_DONTDUMP);
    madvise(at, bytes_, MADV_DONTFORK);
    static_cast<void>(mlock(at, bytes_));
    keys_ = static_cast<state_key*>(at);
  }
  page(const page&) = delete;
  page& operator=(const page&) = delete;
  ~page() {
    OPENSSL_cleanse(keys_, bytes_);
    munmap(keys_, bytes_);
  }

  state_key& add() { return *new (keys_ + size_++) state_key; }
  std::size_t size() const { return size_; }
  const state_key& at(std::size_t i) const { return keys_[i]; }

 private:
  std::size_t bytes_;
  state_key* keys_ = nullptr;
  std::size_t size_ = 0;
};

state_keys state_keys::parse(std::string_view text, const std::string& file) {
  const std::string remedy = "use a file that `bulkheadd --new-state-key FILE` made";
  if (text.substr(0, first_line.size()) != first_line) {
    refuse(file, "its first line is not that of a file of state keys", remedy);
  }
  text.remove_prefix(first_line.size());
  if (text.empty()) refuse(file, "it holds no key", remedy);
  state_keys keys;
  keys.file_ = file;
  keys.page_ = std::make_shared<page>();
  for (std::size_t line = 2; !text.empty(); ++line) {
    if (keys.size() == state_keys_max) {
      refuse(file, fmt::format("it holds more than {} keys", state_keys_max), "take old ones out");
    }
    bool good = text.size() >= line_bytes && text[line_bytes - 1] == '\n';
    auto& key = keys.page_->add();
    for (std::size_t i = 0; good && i < state_key_bytes; ++i) {
      const int high = digit(text[2 * i]);
      const int low = digit(text[2 * i + 1]);
      good = high >= 0 && low >= 0;
      key.bytes.at(i) = static_cast<unsigned char>(good ? high << 4 | low : 0);
    }
    if (!good) {
      refuse(file,
             fmt::format("line {} is not {} hex digits in lower case", line, 2 * state_key_bytes),
             remedy);
    }
    key.id = state_key_id(key.bytes);
    for (std::size_t i = 0; i + 1 < keys.size(); ++i) {
      if (keys.page_->at(i).id == key.id) {
        refuse(file, fmt::format("line {} repeats an earlier key", line), "take it out");
      }
    }
    text.remove_prefix(line_bytes);
  }
  return keys;
}

state_keys state_keys::load(const std::string& file) {
  secret_text text;
  read_file(file, text);
  return parse(text.text(), file);
}

const state_key& state_keys::newest() const {
  return page_->at(page_->size() - 1);
}

const state_key* state_keys::find(std::uint64_t id) const {
  for (std::size_t i = 0; i < page_->size(); ++i) {
    if (page_->at(i).id == id) return &page_->at(i);
  }
  return nullptr;
}

std::size_t state_keys::size() const {
  return page_->size();
}

std::uint64_t add_state_key(const std::string& name) {
  // A link is a name of the file that a broker reads: that one is to change, not the link.
  std::error_code none;
  const auto file = std::filesystem::exists(std::filesystem::status(name, none))
                        ? std::filesystem::canonical(name).string()
                        : name;
  const descriptor turn(::open(directory_of(file).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (turn.get() < 0 || flock(turn.get(), LOCK_EX) != 0) {
    fail_errno(errno, fmt::format("{} could not be locked", directory_of(file)),
               "check the path and its permissions");
  }
  secret_text text;
  if (std::filesystem::exists(std::filesystem::symlink_status(file))) {
    read_file(file, text);
    if (state_keys::parse(text.text(), file).size() == state_keys_max) {
      refuse(file, fmt::format("it holds {} keys, the limit", state_keys_max),
             "take out old ones that encrypt nothing any more");
    }
  } else {
    text.add(first_line);
  }
  std::array<unsigned char, state_key_bytes> key{};
  if (RAND_priv_bytes(key.data(), static_cast<int>(key.size())) != 1) {
    throw store_error(store_fault::internal, "no key was made", "OpenSSL has no randomness");
  }
  constexpr std::string_view digits = "0123456789abcdef";
  for (const auto byte : key) {
    const std::array<char, 2> pair{digits[byte >> 4U], digits[byte & 15U]};
    text.add({pair.data(), pair.size()});
  }
  text.add("\n");
  const auto id = state_key_id(key);
  OPENSSL_cleanse(key.data(), key.size());
  replace_file(file, text.text());
  return id;
}

std::string key_id_text(std::uint64_t id) {
  return fmt::format("{:016x}", id);
}

}  // namespace bulkhead
