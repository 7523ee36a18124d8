// SPDX-License-Identifier: Apache-2.0
#include "broker/state_restore.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <utility>

#include "broker/store/file_work.hpp"
#include "broker/store/sqlite_connection.hpp"
#include "broker/store/sqlite_store.hpp"
#include "broker/store/state_lock.hpp"

namespace bulkhead {
namespace {

std::uint64_t no_clock() {
  return 0;
}

bool is_there(const std::string& file) {
  struct stat info {};
  return lstat(file.c_str(), &info) == 0;
}

/// A file that goes with the object, and with it what SQLite and the lock put beside it.
class passing_file {
 public:
  explicit passing_file(std::string name) : name_(std::move(name)) {}
  passing_file(const passing_file&) = delete;
  passing_file& operator=(const passing_file&) = delete;
  ~passing_file() {
    for (const char* suffix : {"", "-wal", "-shm", "-journal", ".lock"}) {
      unlink((name_ + suffix).c_str());
    }
  }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

/// A new directory, closed to others, that goes with the object: beside `file`, or where the system
/// keeps passing files when nothing can be made there.
class passing_directory {
 public:
  explicit passing_directory(const std::string& file) {
    for (const auto& place :
         {std::filesystem::path(file), std::filesystem::temp_directory_path() / "bulkhead"}) {
      name_ = place.string() + ".check." + std::string(6, 'X');  // for mkdtemp to fill in
      if (mkdtemp(name_.data()) != nullptr) return;
    }
    fail_errno(errno, fmt::format("a copy of {} could not be made", file),
               "make TMPDIR name a directory that can be written to");
  }
  passing_directory(const passing_directory&) = delete;
  passing_directory& operator=(const passing_directory&) = delete;
  ~passing_directory() { rmdir(name_.c_str()); }
  std::string operator/(std::string_view name) const { return fmt::format("{}/{}", name_, name); }

 private:
  std::string name_;
};

void copy_bytes(int from, int to, const std::string& file) {
  std::array<char, 1U << 16U> buffer{};
  for (;;) {
    const auto size = read(from, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) fail_errno(errno, fmt::format("{} could not be read", file), "check the disk");
    if (size == 0) return;
    for (ssize_t done = 0; done < size;) {
      const auto more = write(to, buffer.data() + done, static_cast<std::size_t>(size - done));
      if (more < 0) {
        fail_errno(errno, fmt::format("a copy of {} could not be written", file),
                   "free space on the disk of the copy");
      }
      done += more;
    }
  }
}

/// Copies a state beside `place`, with its log where there is one. Returns the copy's name.
std::string copy_file(const std::string& file, const std::string& place) {
  auto draft = make_draft(place);
  try {
    for (const char* suffix : {"", "-wal"}) {
      const descriptor from(open((file + suffix).c_str(), O_RDONLY | O_CLOEXEC));
      if (from.get() < 0 && *suffix != '\0' && errno == ENOENT) continue;
      if (from.get() < 0) {
        fail_errno(errno, fmt::format("the state {} could not be opened", file),
                   "check the path and its permissions");
      }
      const descriptor to(open((draft + suffix).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
      if (to.get() < 0) {
        fail_errno(errno, fmt::format("a copy of {} could not be made", file), "check the disk");
      }
      copy_bytes(from.get(), to.get(), file);
    }
  } catch (...) {
    const passing_file gone(draft);
    throw;
  }
  return draft;
}

/// Failures name the copy that was opened; people want to read of the file that they named.
template <class F>
auto naming(const std::string& file, const std::string& copy, F&& work) {
  try {
    return work();
  } catch (const store_error& error) {
    auto failure = error.failure();
    for (auto* text : {&failure.what, &failure.why, &failure.remedy}) {
      for (auto at = text->find(copy); at != std::string::npos; at = text->find(copy)) {
        text->replace(at, copy.size(), file);
      }
    }
    throw store_error(std::move(failure));
  }
}

state_report report_of(store& engine) {
  const auto status = engine.status();
  state_report report;
  report.revision = status.revision;
  report.compacted_revision = status.compacted_revision;
  report.leases = status.leases;
  report.bytes = status.file_bytes;
  report.key = key_of_state(engine);
  range_request request;
  request.keys_only = true;
  for (;;) {
    const auto page = engine.range(request);
    report.keys += page.rows.size();
    if (!page.more) return report;
    request.after = page.rows.back().key;
  }
}

/// Reads, and so decrypts, what is stored and what was.
void open_values(store& engine) {
  range_request request;
  for (;;) {
    const auto page = engine.range(request);
    if (!page.more) break;
    request.after = page.rows.back().key;
  }
  for (changes_request seen{engine.status().compacted_revision, key_range::all(), 0};;) {
    const auto page = engine.changes_since(seen);
    if (!page.more) return;
    seen.revision = page.revision;
  }
}

/// Writes the log of a state back into its file, so that it is one file, which can be replaced or
/// named in one step. Returns its revision.
std::uint64_t fold_log(const std::string& file) {
  sqlite_connection db(file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX);
  db.exec("PRAGMA locking_mode = EXCLUSIVE;");
  if (db.number("PRAGMA wal_checkpoint(TRUNCATE)") != 0) {
    throw store_error(store_fault::io_error,
                      fmt::format("the log of {} was not written back", file),
                      "something else uses it", "stop what reads the file, and repeat");
  }
  return static_cast<std::uint64_t>(db.number("SELECT value FROM meta WHERE name = 'revision'"));
}

/// The same of the state that is to be replaced. A damaged one is replaced all the same; where it
/// is the disk that fails, nothing is.
std::uint64_t fold_log_of_old(const std::string& file) {
  try {
    return fold_log(file);
  } catch (const store_error& error) {
    if (error.fault() == store_fault::corrupt || error.fault() == store_fault::foreign) return 0;
    throw;
  }
}

/// Gives the state that is to be replaced, and what is left of its log, a second name.
void keep_aside(const std::string& file, std::uint64_t number) {
  const auto aside = fmt::format("{}.before-restore-{}", file, number);
  const bool kept =
      link(file.c_str(), aside.c_str()) == 0 &&
      (rename((file + "-wal").c_str(), (aside + "-wal").c_str()) == 0 || errno == ENOENT);
  if (kept) return;
  fail_errno(errno, fmt::format("the state {} could not be kept", file), "check the disk");
}

void refuse_if_used(const std::string& file) {
  const descriptor lock(open((file + ".lock").c_str(), O_RDONLY | O_CLOEXEC));
  if (lock.get() < 0 || flock(lock.get(), LOCK_SH | LOCK_NB) == 0) return;
  throw store_error(store_fault::locked, fmt::format("the state {} is in use", file),
                    "a broker holds its lock",
                    "stop that broker, or check a copy: bulkhead backup FILE");
}

}  // namespace

std::uint64_t restored_generation(std::string_view value) {
  std::uint64_t number = 0;
  const auto* end = value.data() + value.size();
  const auto read = std::from_chars(value.data(), end, number);
  return read.ec == std::errc() && read.ptr == end ? number : 0;
}

state_report check_state(const std::string& file, std::function<state_keys()> load_keys) {
  refuse_if_used(file);
  const passing_directory place(file);
  const passing_file copy(copy_file(file, place / "state"));
  return naming(file, copy.name(), [&] {
    std::unique_ptr<store> engine = sqlite_store::open(copy.name(), no_clock);
    auto report = report_of(*engine);
    if (!report.key || !load_keys) return report;
    engine = with_encryption(std::move(engine), {std::move(load_keys), {"view/", "snapshot/"}, {}});
    open_values(*engine);
    report.values_opened = true;
    return report;
  });
}

state_report restore_state(const std::string& backup, const std::string& directory, bool force,
                           std::uint64_t now_unix_ms) {
  const auto file = fmt::format("{}/{}", directory, state_file_name);
  const state_lock lock(file);
  const bool replaces = is_there(file);
  if (replaces && !force) {
    throw store_error(store_fault::exists, fmt::format("{} was not restored", backup),
                      fmt::format("there is a state in {}", directory),
                      "name another directory, or repeat with --force: the old one is kept");
  }
  const passing_file draft(copy_file(backup, file));
  const auto least = std::max(now_unix_ms, replaces ? fold_log_of_old(file) + 1 : 0);
  const auto report = naming(backup, draft.name(), [&] {
    const auto engine = sqlite_store::open(draft.name(), no_clock);
    engine->txn({{}, {txn_op::put(std::string(restored_key), std::to_string(now_unix_ms))}, {}});
    engine->begin_anew(least);
    return report_of(*engine);
  });
  // Closing the engine has done this, unless the disk failed; and then it has said nothing.
  if (fold_log(draft.name()) != report.revision) {
    throw store_error(store_fault::io_error, fmt::format("{} was not restored", backup),
                      "what was written to the copy is not in it", "check the disk");
  }
  sync_path(draft.name(), O_RDWR);
  if (replaces) keep_aside(file, now_unix_ms);
  if (rename(draft.name().c_str(), file.c_str()) != 0) {
    fail_errno(errno, fmt::format("{} was not restored", backup), "check the disk");
  }
  sync_path(directory, O_RDONLY | O_DIRECTORY);
  return report;
}

}  // namespace bulkhead
