// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile/start.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <memory>
#include <sstream>
#include <variant>

#include "actors/log_lines.hpp"
#include "tests/hostile/victim.hpp"

namespace hostile {

namespace {

using bulkhead::unique_fd;
using clock = std::chrono::steady_clock;

constexpr int soft_descriptors = 256;
constexpr int held_ms_max = 500;

/// Reads what is there; false at the end of it.
bool drain(int from, std::string& into) {
  std::array<char, 1 << 16> bytes{};
  for (;;) {
    const ssize_t got = ::read(from, bytes.data(), bytes.size());
    if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
    if (into.size() < printed_bytes_max) into.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

/// Collects until `ended` is readable or the time is up; true in time.
bool watch(int link, int printed, int complained, int ended, observation& seen) {
  const auto deadline = clock::now() + std::chrono::milliseconds(attack_ms_max);
  std::string complaints;
  std::array<pollfd, 4> all{pollfd{ended, POLLIN, 0}, pollfd{link, POLLIN, 0},
                            pollfd{printed, POLLIN, 0}, pollfd{complained, POLLIN, 0}};
  const std::array<std::string*, 4> into{nullptr, &seen.told, &seen.printed, &complaints};
  while (clock::now() < deadline) {
    ::poll(all.data(), all.size(), 100);
    for (std::size_t each = 1; each < all.size(); ++each) {
      if (all[each].revents != 0 && !drain(all[each].fd, *into[each])) all[each].fd = -1;
    }
    if (all[0].revents != 0) break;
  }
  for (std::size_t each = 1; each < all.size(); ++each) {
    if (all[each].fd >= 0) drain(all[each].fd, *into[each]);
  }
  return all[0].revents != 0;
}

/// True when the other end of the link is still open somewhere.
bool is_held(int link) {
  const auto deadline = clock::now() + std::chrono::milliseconds(held_ms_max);
  while (clock::now() < deadline) {
    pollfd one{link, POLLRDHUP, 0};
    ::poll(&one, 1, 50);
    if ((one.revents & (POLLHUP | POLLERR)) != 0) return false;
  }
  return true;
}

/// Before, an attack waits: what it does must not be there when its start is judged.
void tell_to_begin(int link) {
  ::send(link, "!", 1, MSG_NOSIGNAL);
}

/// The ends of a plain start that the runner keeps.
struct plain_ends {
  pid_t parent = -1;
  unique_fd link, printed, ended;
};

/// In the child: descriptors, limits and user of a plain start, and the program.
[[noreturn]] void run_plainly(const world& where, char** words, int link, int printed, int ended) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(null, 0);
  ::dup2(printed, 1);
  ::dup2(printed, 2);
  // The numbers from 3 up may be in use by the sources of one another.
  const int high_link = ::fcntl(link, F_DUPFD_CLOEXEC, 100);
  const int high_ended = ::fcntl(ended, F_DUPFD_CLOEXEC, 100);
  ::dup2(high_link, 3);
  ::dup2(high_ended, end_descriptor);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = soft_descriptors;
  ::setrlimit(RLIMIT_NOFILE, &files);
  rlimit core{};
  ::getrlimit(RLIMIT_CORE, &core);
  core.rlim_cur = core.rlim_max;
  ::setrlimit(RLIMIT_CORE, &core);
  ::setpgid(0, 0);
  if (where.changes_user()) become(where.attacker());
  if (::chdir(where.directory().c_str()) != 0) ::_exit(125);
  ::execve(words[0], words, environ);
  ::_exit(126);
}

plain_ends begin_plainly(const world& where, shape as, const std::vector<std::string>& words) {
  std::array<int, 2> link{};
  std::array<int, 2> printed{};
  std::array<int, 2> ended{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link.data()) < 0 ||
      ::pipe2(printed.data(), O_CLOEXEC) < 0 || ::pipe2(ended.data(), O_CLOEXEC) < 0) {
    return {};
  }
  std::vector<std::string> all{where.program().path, "parent", where.program(as).path};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> texts;
  texts.reserve(all.size() + 1);
  for (std::string& each : all) texts.push_back(each.data());
  texts.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) run_plainly(where, texts.data(), link[1], printed[1], ended[1]);
  for (const int theirs : {link[1], printed[1], ended[1]}) ::close(theirs);
  for (const int ours : {link[0], printed[0]}) ::fcntl(ours, F_SETFL, O_NONBLOCK);
  return {child, unique_fd(link[0]), unique_fd(printed[0]), unique_fd(ended[0])};
}

bulkhead::exit_status plain_end(int ended) {
  std::array<int, 2> end{};
  if (::read(ended, end.data(), sizeof end) != sizeof end) return {};
  siginfo_t info{};
  info.si_code = end[0];
  info.si_status = end[1];
  return bulkhead::exit_status_from(info);
}

std::string name_of_errno(int number) {
  const char* name = number == 0 ? nullptr : ::strerrorname_np(number);
  return name == nullptr ? fmt::format("{}", number) : name;
}

/// Whether its death shows that something stopped it.
bool is_an_end_of(const attack& which, const std::string& signal) {
  std::istringstream all(std::string("SIGSYS ") + which.ends_by);
  using word = std::istream_iterator<std::string>;
  return std::find(word(all), word(), signal) != word();
}

judgement from_words(const attack& which, const observation& seen) {
  if (!seen.refusal.empty()) return {result::broken, "not started: " + seen.refusal};
  std::array<char, 32> word{};
  int number = 0;
  const std::string_view all =
      std::string_view(seen.told).substr(0, seen.told.find_last_not_of('\n') + 1);
  const std::string last(all.substr(all.rfind('\n') + 1));
  if (std::sscanf(last.c_str(), "%31s %d", word.data(), &number) == 2) {
    const std::string_view said = word.data();
    if (said == "succeeded") return {result::succeeded, ""};
    if (said == "blocked") return {result::refused, name_of_errno(number)};
    if (said == "not-applicable") return {result::not_applicable, ""};
  }
  using kind = bulkhead::exit_status::kind;
  // After its time, by a fault of its own, or with a status and no word: that is no proof of a
  // wall.
  if (seen.late) return {result::broken, "did not end"};
  if (seen.end.how == kind::signaled) {
    const std::string signal = bulkhead::signal_name(seen.end.value);
    if (is_an_end_of(which, signal)) return {result::killed, signal};
    return {result::broken, "told nothing, died of " + signal};
  }
  return {result::broken, "told nothing, " + bulkhead::sentence(seen.end)};
}

bool acts_on_terminal(std::string_view text) {
  for (const char byte : text) {
    const auto value = static_cast<unsigned char>(byte);
    if ((value < 0x20 && value != '\n') || value == 0x7f) return true;
  }
  return text.find("\xe2\x80\xae") != std::string_view::npos ||
         text.find("\xc2\x9b") != std::string_view::npos;
}

judgement judge_log(const observation& seen, bool confined, bool flood) {
  std::string shown = seen.printed;
  if (confined) {
    shown.clear();
    bulkhead::line_splitter splitter;
    for (const auto& line : splitter.feed(seen.printed, bulkhead::instant{})) shown += line + "\n";
    for (const auto& line : splitter.finish(bulkhead::instant{})) shown += line + "\n";
  }
  constexpr std::size_t flood_bytes = 1U << 20U;
  const bool through = flood ? shown.size() > flood_bytes : acts_on_terminal(shown);
  return {through ? result::succeeded : result::refused, "log"};
}

}  // namespace

observation start_plainly(const world& where, shape as, const std::vector<std::string>& words) {
  where.tidy();
  observation seen;
  plain_ends ends = begin_plainly(where, as, words);
  if (ends.parent < 0) {
    seen.refusal = "no process";
    return seen;
  }
  tell_to_begin(ends.link.get());
  seen.late = !watch(ends.link.get(), ends.printed.get(), -1, ends.ended.get(), seen);
  if (seen.late) ::kill(-ends.parent, SIGKILL);
  seen.end = plain_end(ends.ended.get());
  ::waitpid(ends.parent, nullptr, 0);
  seen.link_held = is_held(ends.link.get());
  return seen;
}

observation start_confined(const world& where, shape as, bulkhead::spawner& by,
                           const bulkhead::confinement& how,
                           const std::vector<std::string>& words) {
  where.tidy();
  observation seen;
  bulkhead::process_spec spec;
  spec.executable = where.program(as).path;
  spec.arguments = words;
  spec.program = where.program(as).image;
  spec.confined = std::make_shared<const bulkhead::confinement>(how);
  auto started = by.spawn(spec);
  if (const auto* error = std::get_if<bulkhead::spawn_error>(&started)) {
    seen.refusal = error->what + ": " + error->why;
    return seen;
  }
  auto& running = std::get<bulkhead::spawned_process>(started);
  seen.report = running.report;
  tell_to_begin(running.link.get());
  seen.late = !watch(running.link.get(), running.standard_output.get(),
                     running.standard_error.get(), running.process->exit_fd(), seen);
  if (seen.late) running.process->signal_group(SIGKILL);
  if (const auto end = running.process->reap()) seen.end = *end;
  running.process.reset();
  seen.link_held = is_held(running.link.get());
  return seen;
}

namespace {

judgement judge_start(const attack& which, const observation& seen, bool confined) {
  const std::string_view name = which.name;
  judgement said = from_words(which, seen);
  if (said.what == result::broken) return said;
  if (seen.link_held) return {result::succeeded, "a process stayed behind"};
  if (name == "orphan") {
    return said.got_through() ? judgement{result::refused, "was ended with it"} : said;
  }
  if (name == "core" || name == "core_plain") {
    if (said.what != result::killed) return said;
    return seen.end.core_dumped ? judgement{result::succeeded, ""} : said;
  }
  if (name == "loginject" || name == "logflood") {
    return said.got_through() ? judge_log(seen, confined, name == "logflood") : said;
  }
  return said;
}

}  // namespace

bulkhead::wall_set not_standing(const bulkhead::confinement_report& report) {
  bulkhead::wall_set missing;
  for (std::size_t each = 0; each < bulkhead::wall_count; ++each) {
    missing.set(each, report.walls[each].state != bulkhead::wall_state::enforced);
  }
  return missing;
}

judgement judge(const attack& which, const observation& seen, bool confined) {
  judgement found = judge_start(which, seen, confined);
  if (seen.report) found.missing = not_standing(*seen.report);
  return found;
}

}  // namespace hostile
