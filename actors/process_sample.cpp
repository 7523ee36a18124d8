// SPDX-License-Identifier: Apache-2.0
#include "actors/process_sample.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "actors/confinement/group_limits.hpp"
#include "actors/unique_fd.hpp"

namespace bulkhead {
namespace {

constexpr std::size_t file_bytes_max = std::size_t{64} * 1024;
constexpr std::uint64_t us_per_ms = 1000;
constexpr std::uint64_t ns_per_ms = 1'000'000;

struct file_text {
  std::string text;
  int error_number = 0;
};

file_text read_at(int directory, const char* name) {
  file_text result;
  const unique_fd fd(::openat(directory, name, O_RDONLY | O_CLOEXEC));
  if (!fd) return {{}, errno};
  std::array<char, 4096> chunk{};
  while (result.text.size() < file_bytes_max) {
    const auto got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {{}, errno};
    if (got == 0) break;
    result.text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return result;
}

std::string_view next_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  const auto line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::optional<std::uint64_t> number_of(std::string_view word) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (problem != std::errc{} || end == word.data()) return std::nullopt;
  return value;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const auto begin = text.find_first_not_of(" \t\n");
    if (begin == std::string_view::npos) break;
    text.remove_prefix(begin);
    const auto end = std::min(text.find_first_of(" \t\n"), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

void note_unread(process_sample& to, std::string_view what, int error_number) {
  if (error_number == ESRCH) return;
  const char* name = ::strerrorname_np(error_number);
  to.unread.push_back(fmt::format("{}: {}", what, name == nullptr ? "?" : name));
}

}  // namespace

bool parse_process_stat(std::string_view text, std::uint64_t ticks_per_s, std::uint64_t page_bytes,
                        process_sample& to) {
  // The name stands in parentheses and may hold some of its own.
  const auto name_end = text.rfind(')');
  if (name_end == std::string_view::npos || ticks_per_s == 0) return false;
  const auto words = words_of(text.substr(name_end + 1));
  // Counted from the word after the name, which proc(5) numbers 3.
  constexpr std::size_t minflt = 7, majflt = 9, utime = 11, stime = 12, threads = 17, start = 19,
                        rss = 21;
  if (words.size() <= rss) return false;
  const auto at = [&words](std::size_t index) { return number_of(words[index]).value_or(0); };
  to.minor_faults = at(minflt);
  to.major_faults = at(majflt);
  to.cpu_ms = (at(utime) + at(stime)) * 1000 / ticks_per_s;
  to.threads = static_cast<std::uint32_t>(at(threads));
  to.started_ticks = at(start);
  to.rss_bytes = at(rss) * page_bytes;
  return true;
}

std::optional<std::uint64_t> number_after(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const auto words = words_of(next_line(text));
    if (words.size() < 2) continue;
    auto first = words[0];
    if (!first.empty() && first.back() == ':') first.remove_suffix(1);
    if (first == name) return number_of(words[1]);
  }
  return std::nullopt;
}

control_group_files control_group_files_of(const std::string& proc_cgroup,
                                           const std::string& mountinfo) {
  const auto file = [&](const char* controller, const char* old,
                        const char* unified) -> std::optional<std::string> {
    const auto found = directory_of(proc_cgroup, mountinfo, controller);
    if (!found.own) return std::nullopt;
    if (found.path.empty()) return std::string();
    return fmt::format("{}/{}", found.path, found.unified ? unified : old);
  };
  return {file("cpu", "cpu.stat", "cpu.stat"),
          file("memory", "memory.oom_control", "memory.events"),
          file("pids", "pids.events", "pids.events")};
}

void read_control_groups(const control_group_files& files, process_sample& to) {
  const auto text_of = [&to](const std::optional<std::string>& file, const char* what) {
    if (!file) return std::string();
    auto read = read_at(AT_FDCWD, file->c_str());
    if (read.error_number != 0) note_unread(to, what, read.error_number);
    return std::move(read.text);
  };
  const auto cpu = text_of(files.cpu_stat, "throttled");
  to.throttled_ms = number_after(cpu, "throttled_usec").value_or(0) / us_per_ms +
                    number_after(cpu, "throttled_time").value_or(0) / ns_per_ms;
  const auto memory = text_of(files.memory_events, "oom_kills");
  to.oom_kills = number_after(memory, "oom_kill").value_or(0);
  const auto tasks = text_of(files.pids_events, "tasks_refused");
  to.tasks_refused = number_after(tasks, "max").value_or(0);
}

sampled_process::sampled_process(pid_t pid) : pid_(pid) {}

process_sample sampled_process::sample(bool with_pss) {
  process_sample result;
  const unique_fd directory(
      ::open(fmt::format("/proc/{}", pid_).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return result;
  const auto stat = read_at(directory.get(), "stat");
  static const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  result.alive = parse_process_stat(stat.text, ticks, page, result);
  if (!result.alive) return result;
  if (started_ticks_ == 0) {
    started_ticks_ = result.started_ticks;
    groups_ = control_group_files_of(read_at(directory.get(), "cgroup").text,
                                     read_at(AT_FDCWD, "/proc/self/mountinfo").text);
  }
  if (result.started_ticks != started_ticks_) return {};
  // From Linux 6.2 on the size of the directory is the number of descriptors, for anybody to see.
  struct stat descriptors {};
  if (::fstatat(directory.get(), "fd", &descriptors, 0) != 0)
    note_unread(result, "fds", errno);
  else if (descriptors.st_size > 0)
    result.descriptors = static_cast<std::uint32_t>(descriptors.st_size);
  else
    note_unread(result, "fds", ENOSYS);
  if (with_pss) {
    const auto rollup = read_at(directory.get(), "smaps_rollup");
    if (rollup.error_number != 0) note_unread(result, "pss", rollup.error_number);
    result.pss_bytes = number_after(rollup.text, "Pss").value_or(0) * 1024;
  }
  read_control_groups(groups_, result);
  return result;
}

}  // namespace bulkhead
