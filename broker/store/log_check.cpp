// SPDX-License-Identifier: Apache-2.0
#include "broker/store/log_check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "broker/store/file_work.hpp"

namespace bulkhead {
namespace {

constexpr std::size_t head_bytes = 32;
constexpr std::size_t head_bytes_summed = 24;
constexpr std::size_t frame_head_bytes = 24;
constexpr std::size_t frame_head_bytes_summed = 8;
constexpr std::uint32_t magic = 0x377f0682;  // its lowest bit: the sums are of big-endian words

using sums = std::pair<std::uint32_t, std::uint32_t>;

std::uint32_t word(std::string_view from, std::size_t at, bool big_endian = true) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto shift = 8 * (big_endian ? 3 - i : i);
    value |= std::uint32_t{static_cast<unsigned char>(from[at + i])} << shift;
  }
  return value;
}

class log_reader {
 public:
  /// `log` has a whole head.
  log_reader(std::string_view log, std::size_t page_bytes)
      : log_(log), frame_bytes_(frame_head_bytes + page_bytes), big_endian_(word(log, 0) & 1U) {}

  std::uint64_t frames() const { return (log_.size() - head_bytes) / frame_bytes_; }
  bool head_is_sound() const {
    return (word(log_, 0) | 1U) == (magic | 1U) &&
           add({}, log_.substr(0, head_bytes_summed)) == sums{word(log_, 24), word(log_, 28)};
  }
  /// Of the head, which tells this log from what it was written over; of frame `number` from 1.
  sums salts(std::uint64_t number) const {
    const auto at = number == 0 ? 16 : start(number) + 8;
    return {word(log_, at), word(log_, at + 4)};
  }
  bool commits(std::uint64_t number) const { return word(log_, start(number) + 4) != 0; }
  /// Whether the frame was written behind the one before it, as that says of itself.
  bool follows(std::uint64_t number) const {
    const auto at = start(number);
    const auto before = number == 1 ? std::size_t{24} : start(number - 1) + 16;
    const auto all = log_.substr(at, frame_bytes_);
    auto found =
        add({word(log_, before), word(log_, before + 4)}, all.substr(0, frame_head_bytes_summed));
    found = add(found, all.substr(frame_head_bytes));
    return salts(number) == salts(number - 1) &&
           found == sums{word(log_, at + 16), word(log_, at + 20)};
  }

 private:
  std::size_t start(std::uint64_t number) const { return head_bytes + (number - 1) * frame_bytes_; }
  sums add(sums to, std::string_view bytes) const {
    for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
      to.first += word(bytes, at, big_endian_) + to.second;
      to.second += word(bytes, at + 4, big_endian_) + to.first;
    }
    return to;
  }

  std::string_view log_;
  std::size_t frame_bytes_;
  bool big_endian_;
};

/// Whether a transaction was begun behind a commit, both of this log, at frame `first` or later.
bool goes_on_behind(const log_reader& log, std::uint64_t first) {
  for (auto number = first; number < log.frames(); ++number)
    if (log.commits(number) && log.follows(number + 1)) return true;
  return false;
}

/// What a state is made with (state_file.cpp leaves SQLite's default).
constexpr std::size_t page_bytes = 4096;

}  // namespace

std::optional<std::uint64_t> lost_frame_of(std::string_view log) {
  if (log.size() < head_bytes) return std::nullopt;
  const log_reader reader(log, page_bytes);
  if (!reader.head_is_sound())
    return goes_on_behind(reader, 1) ? std::optional<std::uint64_t>{0} : std::nullopt;
  std::uint64_t number = 1;
  while (number <= reader.frames() && reader.follows(number)) ++number;
  if (number > reader.frames() || !goes_on_behind(reader, number)) return std::nullopt;
  return number;
}

void check_log(const std::string& file) {
  const auto name = file + "-wal";
  const descriptor fd(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd.get() < 0 && errno == ENOENT) return;
  struct stat info {};
  if (fd.get() < 0 || fstat(fd.get(), &info) != 0)
    fail_errno(errno, fmt::format("the log {} could not be opened", name),
               "check the path and its permissions");
  std::string log(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t have = 0;
  while (have < log.size()) {
    const auto got =
        pread(fd.get(), log.data() + have, log.size() - have, static_cast<off_t>(have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      fail_errno(errno, fmt::format("the log {} could not be read", name), "check the disk");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  log.resize(have);
  if (const auto frame = lost_frame_of(log)) {
    throw store_error(
        store_fault::corrupt, fmt::format("the state file {} is damaged", file),
        fmt::format("its log {} is unsound at frame {}, and acknowledged writes are behind it",
                    name, *frame),
        "restore a backup; keep the damaged files for inspection");
  }
}

}  // namespace bulkhead
