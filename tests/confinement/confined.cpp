// SPDX-License-Identifier: Apache-2.0
#include "tests/confinement/confined.hpp"

#include <elf.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace confined {
namespace {

using bulkhead::confinement;
using bulkhead::exit_status;
using bulkhead::process_spec;
using bulkhead::spawn_error;
using bulkhead::spawned_process;
using bulkhead::wall;

std::string from_environment(const char* name, const char* otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

/// What others remove meanwhile is no reason to look no further.
std::size_t groups_beneath(const std::filesystem::path& folder, const std::string& mark) {
  std::size_t count = 0;
  std::error_code gone;
  for (std::filesystem::directory_iterator each{folder, gone}, end; !gone && each != end;
       each.increment(gone)) {
    std::error_code ignored;
    if (!each->is_directory(ignored) || each->is_symlink(ignored)) continue;
    if (each->path().filename().string().starts_with(mark)) ++count;
    count += groups_beneath(each->path(), mark);
  }
  return count;
}

/// The overlay that a container has for its root has no maps of ids.
std::string place_for_maps() {
  const auto usual = std::filesystem::temp_directory_path();
  struct statfs found {};
  const bool overlay =
      ::statfs(usual.c_str(), &found) == 0 && found.f_type == OVERLAYFS_SUPER_MAGIC;
  return (overlay ? std::filesystem::path{"/dev/shm"} : usual) / "bulkhead";
}

}  // namespace

std::string launcher_path() {
  return from_environment("BULKHEAD_TEST_LAUNCHER", BULKHEAD_BUILT_LAUNCHER);
}

std::string inside_path() {
  return from_environment("BULKHEAD_TEST_INSIDE", BULKHEAD_BUILT_INSIDE);
}

std::string dynamic_inside_path() {
  return inside_path() + "-dynamic";
}

std::string plugin_path() {
  return from_environment("BULKHEAD_TEST_PLUGIN", BULKHEAD_BUILT_PLUGIN);
}

int patience_ms() {
  return std::stoi(from_environment("BULKHEAD_TEST_PATIENCE_MS", "20000"));
}

bool as_root() {
  return ::geteuid() == 0;
}

confinement whole(bulkhead::profile of) {
  confinement how;
  how.of = of;
  if (as_root()) return how;
  for (const auto each : {wall::own_uid, wall::no_groups, wall::memfd_noexec, wall::cgroup_memory,
                          wall::cgroup_tasks, wall::cgroup_cpu, wall::cgroup_kill})
    how.waived.set(bulkhead::index_of(each));
  return how;
}

void give(const std::string& path, unsigned user, unsigned group) {
  if (as_root()) REQUIRE(::chown(path.c_str(), user, group) == 0);
}

owned_folder::owned_folder(unsigned mode, unsigned user, unsigned group)
    : temporary_directory{place_for_maps()} {
  REQUIRE(::chmod(path().c_str(), mode) == 0);
  give(path(), user, group);
}

confinement with_grant(bulkhead::grant_kind kind, const std::string& what,
                       const std::string& where) {
  auto how = whole();
  how.grants.push_back({kind, what, where});
  return how;
}

void write_file(const std::string& path, const std::string& text, unsigned mode) {
  std::ofstream{path} << text;
  REQUIRE(::chmod(path.c_str(), mode) == 0);
}

std::string program_that_needs(const std::string& loader, const std::string& library,
                               const std::string& folder) {
  struct {
    Elf64_Ehdr head{};
    std::array<Elf64_Phdr, 3> segments{};
    std::array<Elf64_Dyn, 4> dynamic{};
  } file;
  const std::string text = '\0' + loader + '\0' + library + '\0' + folder + '\0';
  const auto size = sizeof file + text.size();
  std::memcpy(file.head.e_ident, ELFMAG, SELFMAG);
  file.head.e_ident[EI_CLASS] = ELFCLASS64;
  file.head.e_type = ET_DYN;
  file.head.e_phoff = sizeof file.head;
  file.head.e_phentsize = sizeof(Elf64_Phdr);
  file.head.e_phnum = file.segments.size();
  file.segments[0] = {PT_LOAD, PF_R, 0, 0, 0, size, size, 1};
  file.segments[1] = {PT_INTERP,         PF_R, sizeof file + 1, 0, 0, loader.size() + 1,
                      loader.size() + 1, 1};
  file.segments[2] = {
      PT_DYNAMIC, PF_R, sizeof file.head + sizeof file.segments, 0, 0, sizeof file.dynamic, 0, 1};
  const auto at = [](std::size_t value) { return static_cast<Elf64_Sxword>(value); };
  file.dynamic[0] = {DT_STRTAB, {sizeof file}};
  file.dynamic[1].d_tag = DT_NEEDED;
  file.dynamic[1].d_un.d_val = loader.size() + 2;
  if (!folder.empty()) file.dynamic[2].d_tag = at(DT_RUNPATH);
  file.dynamic[2].d_un.d_val = loader.size() + library.size() + 3;
  return std::string(reinterpret_cast<const char*>(&file), sizeof file) + text;
}

process_spec inside(std::vector<std::string> words, const confinement& how) {
  process_spec spec;
  spec.executable = inside_path();
  spec.arguments = std::move(words);
  spec.confined = std::make_shared<const confinement>(how);
  return spec;
}

process_spec dynamic_inside(std::vector<std::string> words, const confinement& how) {
  auto spec = inside(std::move(words), how);
  spec.executable = dynamic_inside_path();
  return spec;
}

void ask_for_inside(bulkhead::launcher::start_order& order, const std::string& word) {
  auto wanted = bulkhead::wanted_walls(whole().of);
  wanted.reset(bulkhead::index_of(wall::landlock));
  order.wanted = wanted.to_ullong();
  const auto words = std::string{"inside"} + '\0' + word + '\0';
  std::copy(words.begin(), words.end(), order.text.begin());
  order.arguments = 2;
  order.text_bytes = static_cast<std::uint32_t>(words.size());
}

bulkhead::launched_spawner_options options(const bulkhead::wall_set& without) {
  bulkhead::launched_spawner_options chosen;
  chosen.launcher = launcher_path();
  chosen.without = without;
  return chosen;
}

bulkhead::launched_spawner& spawner() {
  static bulkhead::launched_spawner the_one{options()};
  return the_one;
}

spawned_process start(bulkhead::spawner& by, const process_spec& spec) {
  auto result = by.spawn(spec);
  if (const auto* const failed = std::get_if<spawn_error>(&result))
    FAIL(failed->what << ": " << failed->why << "; " << failed->remedy);
  return std::move(std::get<spawned_process>(result));
}

spawned_process start(const process_spec& spec) {
  return start(spawner(), spec);
}

spawn_error start_fails(bulkhead::spawner& by, const process_spec& spec) {
  auto result = by.spawn(spec);
  REQUIRE(std::holds_alternative<spawn_error>(result));
  return std::get<spawn_error>(result);
}

bool readable(int fd, int wait_ms) {
  pollfd waiting{fd, POLLIN, 0};
  return ::poll(&waiting, 1, wait_ms) == 1;
}

exit_status end_of(spawned_process& child) {
  REQUIRE(readable(child.process->exit_fd()));
  const auto end = child.process->reap();
  REQUIRE(end);
  return *end;
}

std::string text_of(const bulkhead::unique_fd& fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (readable(fd.get())) {
    const auto got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::string said_by(const process_spec& spec, bulkhead::spawner& by, const std::string& sent) {
  auto child = start(by, spec);
  // Who is sent nothing may have ended.
  if (!sent.empty())
    REQUIRE(::write(child.link.get(), sent.data(), sent.size()) ==
            static_cast<ssize_t>(sent.size()));
  auto text = text_of(child.standard_output);
  const auto complaint = text_of(child.standard_error);
  CAPTURE(text, complaint);
  CHECK(sentence(end_of(child)) == "exited with status 0");
  return text;
}

std::map<std::string, std::string> facts_of(const std::string& text) {
  std::map<std::string, std::string> facts;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    const auto at = line.find('=');
    if (at != std::string::npos) facts[line.substr(0, at)] = line.substr(at + 1);
  }
  return facts;
}

std::string attempt(bulkhead::spawner& by, const std::string& what, const confinement& how) {
  auto child = start(by, inside({"try", what}, how));
  REQUIRE(::write(child.link.get(), "g", 1) == 1);
  const auto facts = facts_of(text_of(child.standard_output));
  const auto end = end_of(child);
  if (end.how == exit_status::kind::signaled) return bulkhead::signal_name(end.value);
  REQUIRE(end == exit_status::exited(0));
  const int result = std::stoi(facts.at("result"));
  return result == 0 ? "0" : strerrorname_np(result);
}

std::string status_of(pid_t process, const std::string& key) {
  std::ifstream status{"/proc/" + std::to_string(process) + "/status"};
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
  return "";
}

pid_t parent_of(pid_t process) {
  const auto parent = status_of(process, "PPid");
  REQUIRE(!parent.empty());
  // The numbers 0 and 1 are nobody whom a test may kill, and -1 is everybody.
  const pid_t number = std::stoi(parent);
  REQUIRE(number > 1);
  return number;
}

std::vector<pid_t> children_of(pid_t process) {
  std::ifstream file{"/proc/" + std::to_string(process) + "/task/" + std::to_string(process) +
                     "/children"};
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

pid_t launcher_of(const spawned_process& child) {
  return parent_of(parent_of(child.process->pid()));
}

pid_t launcher_begun_by(bulkhead::launched_spawner& spawner) {
  const auto before = children_of(::getpid());
  REQUIRE(spawner.prepare());
  for (const pid_t each : children_of(::getpid()))
    if (!is_among(each, before)) return each;
  FAIL("there is no launcher");
  return -1;
}

bool is_among(pid_t process, const std::vector<pid_t>& others) {
  return std::find(others.begin(), others.end(), process) != others.end();
}

std::map<int, std::string> descriptors_of(pid_t process) {
  std::map<int, std::string> found;
  std::error_code gone;
  const auto folder = "/proc/" + std::to_string(process) + "/fd";
  for (std::filesystem::directory_iterator each{folder, gone}, end; !gone && each != end;
       each.increment(gone)) {
    std::error_code closed;
    const auto what = std::filesystem::read_symlink(*each, closed).string();
    if (!closed) found.emplace(std::stoi(each->path().filename()), what);
  }
  return found;
}

std::ptrdiff_t descriptors_below(pid_t process, const std::string& path) {
  const auto all = descriptors_of(process);
  return std::count_if(all.begin(), all.end(),
                       [&](const auto& each) { return each.second.starts_with(path); });
}

std::map<std::string, std::string> groups_of(pid_t process) {
  std::map<std::string, std::string> groups;
  std::ifstream file{"/proc/" + std::to_string(process) + "/cgroup"};
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    groups[line.substr(first + 1, second - first - 1)] = line.substr(second + 1);
  }
  return groups;
}

std::size_t groups_made_by(pid_t launcher) {
  return groups_beneath("/sys/fs/cgroup", "bulkhead-" + std::to_string(launcher) + ".");
}

bool comes_true(const std::function<bool()>& condition) {
  constexpr int pause_ms = 5;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{patience_ms() / 2};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    ::poll(nullptr, 0, pause_ms);
  }
  return true;
}

std::function<bulkhead::launcher_process()> launcher_after(const std::string& path,
                                                           std::function<void()> become) {
  return [path, become = std::move(become)] {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
    if (::fork() == 0) {
      become();
      ::dup2(ends[1], 3);
      ::execl(path.c_str(), path.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    return bulkhead::launcher_process{bulkhead::unique_fd{ends[0]}, nullptr};
  };
}

bulkhead::launched_spawner_options options_after(std::function<void()> become) {
  auto chosen = options();
  chosen.starts = launcher_after(launcher_path(), std::move(become));
  return chosen;
}

std::string public_launcher(const bulkhead::temporary_directory& folder) {
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  std::filesystem::copy_file(launcher_path(), folder / "launcher");
  REQUIRE(::chmod((folder / "launcher").c_str(), 0755) == 0);
  return folder / "launcher";
}

void become_nobody() {
  constexpr unsigned nobody = 65534;
  if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(126);
}

}  // namespace confined
