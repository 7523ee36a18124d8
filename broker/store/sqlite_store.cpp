// SPDX-License-Identifier: Apache-2.0
#include "broker/store/sqlite_store.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "broker/store/row_checksum.hpp"
#include "broker/store/sqlite_connection.hpp"
#include "broker/store/sqlite_statements.hpp"
#include "broker/store/state_file.hpp"

namespace bulkhead {

namespace limits = store_limits;

namespace {

/// The place of a change within its revision takes the low bits of a row's identity.
constexpr unsigned place_bits = 20;
static_assert(limits::txn_ops_max < (1U << place_bits));
static_assert(limits::lease_keys_per_revision < (1U << place_bits));

/// A restored state goes on so many revisions later: more than any state has made since its backup.
constexpr std::uint64_t revisions_of_restore = std::uint64_t{1} << 32;

/// Pages of the log after which it is written back into the file (4 MiB).
constexpr int log_pages_max = 1024;

constexpr std::uint64_t first_id(std::uint64_t revision) {
  return revision << place_bits;
}
constexpr std::uint64_t last_id(std::uint64_t revision) {
  return first_id(revision + 1) - 1;
}
constexpr std::uint64_t revision_of(std::uint64_t id) {
  return id >> place_bits;
}

/// Sorts after every key.
const std::string& after_all_keys() {
  static const std::string end(limits::key_bytes_max + 2, '\xff');
  return end;
}

std::string_view end_of(const key_range& keys) {
  return keys.end ? std::string_view(*keys.end) : std::string_view(after_all_keys());
}

/// Where a page begins: the start of the range, or right behind `after`.
std::string begin_of(const range_request& request) {
  if (request.after.empty() || request.after < request.keys.begin) return request.keys.begin;
  return request.after + '\0';
}

[[noreturn]] void fail_damaged_row(const std::string& file) {
  throw store_error(store_fault::corrupt, fmt::format("the state file {} is damaged", file),
                    "a row does not match its checksum",
                    "restore a backup; keep the damaged file for inspection");
}

}  // namespace

sqlite_store::sqlite_store(std::unique_ptr<state_file> file,
                           std::unique_ptr<sqlite_connection> memory, store_clock clock)
    : file_(std::move(file)),
      memory_(std::move(memory)),
      db_(file_ ? &file_->db() : memory_.get()),
      clock_(std::move(clock)),
      sql_(std::make_unique<statements>(*db_)) {}

sqlite_store::~sqlite_store() {
  abandon_group();
}

std::unique_ptr<sqlite_store> sqlite_store::open(const std::string& file, store_clock clock) {
  std::unique_ptr<sqlite_store> engine(
      new sqlite_store(std::make_unique<state_file>(file), nullptr, std::move(clock)));
  engine->load();
  engine->verify();
  return engine;
}

std::unique_ptr<sqlite_store> sqlite_store::in_memory(store_clock clock) {
  std::unique_ptr<sqlite_store> engine(
      new sqlite_store(nullptr, open_state_in_memory(), std::move(clock)));
  engine->load();
  return engine;
}

// -- opening ---------------------------------------------------

void sqlite_store::load() {
  std::uint64_t revision = 0;
  std::uint64_t compacted = 0;
  std::uint64_t last_lease = 0;
  {
    sqlite_query query(sql().meta);
    while (query.row()) {
      const auto name = query.bytes_at(0);
      if (name == "revision") revision = query.number_at(1);
      if (name == "compacted_revision") compacted = query.number_at(1);
      if (name == "lease") last_lease = query.number_at(1);
    }
  }
  load_leases();
  // Only now: what is known must outlive a disk that fails while it is read.
  revision_ = revision;
  compacted_ = compacted;
  last_lease_ = last_lease;
}

void sqlite_store::load_leases() {
  // Whoever is there already keeps its deadline; the others get their full time: a lease never ends
  // early.
  std::map<std::uint64_t, lease_state> known;
  sqlite_query query(sql().leases);
  while (query.row()) {
    const auto id = query.number_at(0);
    const auto ttl_ms = query.number_at(1);
    auto found = leases_.find(id);
    known[id] = found != leases_.end() ? found->second : lease_state{ttl_ms, clock_() + ttl_ms};
  }
  leases_ = std::move(known);
}

void sqlite_store::verify() {
  const auto refuse = [this](std::string why) {
    throw store_error(store_fault::corrupt,
                      fmt::format("the state file {} is damaged", db_->file()), std::move(why),
                      "restore a backup; keep the damaged file for inspection");
  };
  if (revision_ == 0 || compacted_ > revision_) refuse("its revision makes no sense");
  std::uint64_t newest = 0;
  {
    sqlite_query query(sql().all_history);
    while (query.row()) {
      newest = query.number_at(0);
      if (query.number_at(row_columns::checksum) != checksum_of(query))
        fail_damaged_row(db_->file());
    }
  }
  if (newest != 0 && revision_of(newest) > revision_)
    refuse("its history is ahead of its revision");
  sqlite_query orphans(sql().orphans);
  if (orphans.row()) refuse("a key points at a row that is not its own");
  sqlite_query strays(sql().strays);
  if (strays.row()) refuse("a row of history is newer than the key it belongs to");
}

// -- failures and groups ---------------------------------------------------

sqlite_store::statements& sqlite_store::sql() const {
  if (!sql_) throw store_error(*refusing_);
  return *sql_;
}

void sqlite_store::refuse_if_failed() const {
  if (refusing_) throw store_error(*refusing_);
}

void sqlite_store::notice(const store_failure& failure) {
  if (failure.fault != store_fault::io_error && failure.fault != store_fault::corrupt) return;
  if (refusing_) return;
  refusing_ = failure;
  refusing_->what = fmt::format("the state {} takes no writes", db_->file());
  refusing_->why = fmt::format("an earlier write failed: {}", failure.why);
}

void sqlite_store::begin_group() {
  refuse_if_failed();
  if (in_group_) throw store_error(store_fault::internal, "a group of writes is open already");
  try {
    db_->exec("BEGIN IMMEDIATE");
  } catch (const store_error& error) {
    notice(error.failure());
    throw;
  }
  in_group_ = true;
  group_lost_.reset();
}

void sqlite_store::commit_group() {
  if (!in_group_) throw store_error(store_fault::internal, "no group of writes is open");
  if (group_lost_) {
    store_failure lost = *group_lost_;
    abandon_group();
    throw store_error(std::move(lost));
  }
  try {
    sqlite_query(sql().commit).run();
  } catch (const store_error& error) {
    notice(error.failure());
    abandon_group();
    throw;
  }
  in_group_ = false;
}

void sqlite_store::abandon_group() noexcept {
  if (!in_group_) return;
  in_group_ = false;
  group_lost_.reset();
  try {
    if (db_ && db_->in_transaction()) db_->exec("ROLLBACK");
    load();
  } catch (const store_error& error) {
    notice(error.failure());
  }
}

/// Runs a change in the open group, or in one of its own. When it throws, nothing of it remains.
template <class F>
auto sqlite_store::write(F&& change) {
  refuse_if_failed();
  if (!in_group_) {
    begin_group();
    try {
      auto result = change();
      commit_group();
      return result;
    } catch (const store_error& error) {
      notice(error.failure());
      abandon_group();
      throw;
    } catch (...) {
      abandon_group();
      throw;
    }
  }
  if (group_lost_) throw store_error(*group_lost_);
  sqlite_query(sql().savepoint).run();
  try {
    auto result = change();
    sqlite_query(sql().release).run();
    return result;
  } catch (const store_error& error) {
    notice(error.failure());
    if (!undo_in_group()) group_lost_ = error.failure();
    throw;
  } catch (...) {
    if (!undo_in_group())
      group_lost_ = store_failure{store_fault::internal, "the transaction was given up", "", ""};
    throw;
  }
}

/// Back to the savepoint of the change that failed. False when SQLite has dropped the transaction.
bool sqlite_store::undo_in_group() {
  if (!db_->in_transaction()) return false;
  sqlite_query(sql().rollback_to).run();
  sqlite_query(sql().release).run();
  load();
  return true;
}

void sqlite_store::save_number(std::string_view name, std::uint64_t value) {
  sqlite_query(sql().save_number).number(value).bytes(name).run();
}

// -- reading ---------------------------------------------------

void sqlite_store::check_revision(std::uint64_t revision) const {
  if (revision > revision_) {
    throw store_error(store_fault::future_revision,
                      fmt::format("revision {} is not there yet", revision),
                      fmt::format("the newest is {}", revision_));
  }
  if (revision < compacted_) {
    throw store_error(store_fault::compacted, fmt::format("revision {} is gone", revision),
                      fmt::format("the history before revision {} was compacted", compacted_),
                      "read the newest revision");
  }
}

range_result sqlite_store::range(const range_request& request) {
  check_request(request);
  if (request.revision != 0) check_revision(request.revision);
  const auto begin = begin_of(request);
  const auto end = end_of(request.keys);
  const auto limit = page_limit(request.limit);
  const bool past = request.revision != 0 && request.revision < revision_;
  sqlite_query query(past ? (request.keys_only ? sql().past_keys : sql().past_rows)
                          : (request.keys_only ? sql().live_keys : sql().live_rows));
  query.bytes(begin).bytes(end).number(std::uint64_t{limit} + 1);
  if (past) query.number(last_id(request.revision));

  range_result result;
  result.revision = revision_;
  std::size_t bytes = 0;
  while (query.row()) {
    if (result.rows.size() == limit || bytes >= limits::page_bytes_max) {
      result.more = true;
      break;
    }
    if (!request.keys_only && query.number_at(row_columns::checksum) != checksum_of(query)) {
      fail_damaged_row(db_->file());
    }
    result.rows.push_back(row_of(query, !request.keys_only));
    bytes += result.rows.back().key.size() + result.rows.back().value.size();
  }
  return result;
}

store_row sqlite_store::read_head(std::string_view key) {
  sqlite_query query(sql().head);
  query.bytes(key);
  if (query.row()) return row_of(query, false);
  store_row nothing;
  nothing.key = key;
  return nothing;
}

std::optional<store_row> sqlite_store::read_row(std::string_view key) {
  sqlite_query query(sql().row);
  query.bytes(key);
  if (!query.row()) return std::nullopt;
  if (query.number_at(row_columns::checksum) != checksum_of(query)) fail_damaged_row(db_->file());
  return row_of(query, true);
}

changes_result sqlite_store::changes_since(const changes_request& request) {
  check_request(request);
  changes_result result;
  if (request.revision < compacted_) {
    result.compacted = true;
    result.revision = compacted_;
    return result;
  }
  check_revision(request.revision);
  result.revision = revision_;
  const auto limit = page_limit(request.limit);
  std::size_t bytes = 0;
  sqlite_query query(sql().changes);
  query.number(last_id(request.revision)).bytes(request.keys.begin).bytes(end_of(request.keys));
  while (query.row()) {
    const auto revision = revision_of(query.number_at(row_columns::id));
    const bool full = result.changes.size() >= limit || bytes >= limits::page_bytes_max;
    if (full && revision != result.changes.back().row.mod_revision) {
      result.more = true;
      result.revision = result.changes.back().row.mod_revision;
      break;
    }
    if (query.number_at(row_columns::checksum) != checksum_of(query)) fail_damaged_row(db_->file());
    store_change change;
    change.kind = query.number_at(row_columns::erased) != 0 ? change_kind::erase : change_kind::put;
    change.row = row_of(query, true);
    bytes += change.row.key.size() + change.row.value.size();
    result.changes.push_back(std::move(change));
  }
  return result;
}

// -- writing ---------------------------------------------------

txn_result sqlite_store::txn(const txn_request& request) {
  check_request(request);
  // Without a change in either branch there is nothing to make durable, and a refusing state can
  // still answer.
  const auto changes = [](const std::vector<txn_op>& ops) {
    return std::any_of(ops.begin(), ops.end(),
                       [](const txn_op& op) { return op.kind != txn_op_kind::get; });
  };
  if (!changes(request.then) && !changes(request.otherwise)) return run_txn(request);
  return write([&] { return run_txn(request); });
}

txn_result sqlite_store::run_txn(const txn_request& request) {
  txn_result result;
  result.succeeded =
      std::all_of(request.compares.begin(), request.compares.end(), [&](const txn_compare& c) {
        if (c.target != compare_target::value) return holds(c, read_head(c.key));
        auto row = read_row(c.key);
        return holds(c, row ? *row : store_row{});
      });
  const std::uint64_t next = revision_ + 1;
  std::uint64_t id = first_id(next);
  for (const auto& op : result.succeeded ? request.then : request.otherwise) {
    txn_response response;
    if (op.kind == txn_op_kind::get) {
      response.row = read_row(op.key);
      response.existed = response.row.has_value();
      result.responses.push_back(std::move(response));
      continue;
    }
    auto row = read_head(op.key);
    response.existed = row.create_revision != 0;
    const bool erased = op.kind == txn_op_kind::erase;
    if (!erased) {
      if (op.lease != 0 && leases_.find(op.lease) == leases_.end()) {
        throw store_error(store_fault::lease_not_found, fmt::format("no lease {}", op.lease),
                          "it ended, or was never granted");
      }
      if (!response.existed) row.create_revision = next;
      ++row.version;
      row.lease = op.lease;
      row.value = op.value;
    }
    if (!erased || response.existed) add_change(row, erased, id++);
    result.responses.push_back(std::move(response));
  }
  if (id != first_id(next)) {
    save_number("revision", next);
    revision_ = next;
  }
  result.revision = revision_;
  return result;
}

void sqlite_store::add_change(const store_row& row, bool erased, std::uint64_t id) {
  store_row written = row;
  if (erased) {
    written = store_row{};
    written.key = row.key;
  }
  const auto sum = row_checksum(written, erased, id);
  sqlite_query(sql().add_history)
      .number(id)
      .bytes(written.key)
      .number(erased ? 1 : 0)
      .number(written.create_revision)
      .number(written.version)
      .number(written.lease)
      .number(sum)
      .bytes(written.value)
      .run();
  if (erased) {
    sqlite_query(sql().drop_live).bytes(written.key).run();
  } else {
    sqlite_query(sql().set_live).bytes(written.key).number(id).number(written.lease).run();
  }
}

// -- leases ---------------------------------------------------

lease_info sqlite_store::grant(std::uint64_t ttl_ms) {
  check_ttl(ttl_ms);
  if (leases_.size() >= limits::leases_max) {
    throw store_error(store_fault::limit, "no more leases",
                      fmt::format("there are {}, the limit", leases_.size()),
                      "revoke leases that are not needed, or wait for some to end");
  }
  return write([&] {
    const auto id = last_lease_ + 1;
    sqlite_query(sql().add_lease).number(id).number(ttl_ms).run();
    save_number("lease", id);
    last_lease_ = id;
    leases_[id] = {ttl_ms, clock_() + ttl_ms};
    return lease_info{id, ttl_ms, ttl_ms};
  });
}

lease_info sqlite_store::keep_alive(std::uint64_t lease) {
  auto found = leases_.find(lease);
  if (found == leases_.end()) {
    throw store_error(store_fault::lease_not_found, fmt::format("no lease {}", lease),
                      "it ended, or was never granted");
  }
  auto& state = found->second;
  state.ends_ms = clock_() + state.ttl_ms;
  return {lease, state.ttl_ms, state.ttl_ms};
}

std::uint64_t sqlite_store::revoke(std::uint64_t lease) {
  if (leases_.find(lease) == leases_.end()) {
    throw store_error(store_fault::lease_not_found, fmt::format("no lease {}", lease),
                      "it ended, or was never granted");
  }
  return write([&] { return erase_lease(lease); });
}

std::uint64_t sqlite_store::erase_lease(std::uint64_t lease) {
  for (;;) {
    std::vector<std::string> keys;
    {
      sqlite_query query(sql().lease_keys);
      query.number(lease).number(limits::lease_keys_per_revision);
      while (query.row()) keys.emplace_back(query.bytes_at(0));
    }
    if (keys.empty()) break;
    const auto next = revision_ + 1;
    auto id = first_id(next);
    store_row row;
    for (auto& key : keys) {
      row.key = std::move(key);
      add_change(row, true, id++);
    }
    save_number("revision", next);
    revision_ = next;
  }
  sqlite_query(sql().drop_lease).number(lease).run();
  leases_.erase(lease);
  return revision_;
}

std::size_t sqlite_store::expire() {
  const auto now_ms = clock_();
  std::vector<std::uint64_t> ended;
  for (const auto& [id, state] : leases_) {
    if (state.ends_ms <= now_ms) ended.push_back(id);
  }
  if (ended.empty()) return 0;
  return write([&] {
    for (auto id : ended) erase_lease(id);
    return ended.size();
  });
}

std::vector<lease_info> sqlite_store::leases() {
  const auto now_ms = clock_();
  std::vector<lease_info> all;
  all.reserve(leases_.size());
  for (const auto& [id, state] : leases_) {
    all.push_back({id, state.ttl_ms, state.ends_ms > now_ms ? state.ends_ms - now_ms : 0});
  }
  return all;
}

// -- housekeeping ---------------------------------------------------

void sqlite_store::compact(std::uint64_t revision) {
  if (revision <= compacted_) return;
  check_revision(revision);
  write([&] {
    save_number("compacted_revision", revision);
    compacted_ = revision;
    return 0;
  });
}

bool sqlite_store::maintain() {
  if (in_group_) return false;
  recover();
  if (refusing_) return false;
  try {
    checkpoint();
    if (reclaimed_ >= compacted_) return false;
    return write([&] {
      // Walks history once up to the compacted revision, a bounded number of rows at a time.
      std::vector<std::uint64_t> seen;
      {
        sqlite_query query(sql().history_ids);
        query.number(sweep_from_).number(last_id(compacted_)).number(limits::maintain_rows_max);
        while (query.row()) seen.push_back(query.number_at(0));
      }
      for (auto id : seen) {
        sqlite_query(sql().drop_if_old).number(id).number(last_id(compacted_)).run();
      }
      const bool more = seen.size() == limits::maintain_rows_max;
      sweep_from_ = more ? seen.back() + 1 : 0;
      if (!more) reclaimed_ = compacted_;
      return more;
    });
  } catch (const store_error&) {
    return false;  // `write` noticed it; a full disk passes
  }
}

std::uint64_t sqlite_store::rewrite(std::uint64_t after, std::uint64_t until,
                                    const value_rewriter& change) {
  return write([&] {
    std::vector<std::pair<std::uint64_t, store_row>> changed;
    std::size_t rows = 0;
    std::size_t bytes = 0;
    std::uint64_t done = until;
    {
      sqlite_query query(sql().values);
      query.number(last_id(after)).number(last_id(until));
      std::uint64_t before = after;
      while (query.row()) {
        const auto id = query.number_at(row_columns::id);
        const bool full = rows >= limits::maintain_rows_max || bytes >= limits::page_bytes_max;
        if (full && revision_of(id) != before) {
          done = before;
          break;
        }
        before = revision_of(id);
        ++rows;
        if (query.number_at(row_columns::checksum) != checksum_of(query)) {
          fail_damaged_row(db_->file());
        }
        auto row = row_of(query, true);
        bytes += row.value.size();
        auto value = change(row);
        if (!value) continue;
        row.value = std::move(*value);
        changed.emplace_back(id, std::move(row));
      }
    }
    for (const auto& [id, row] : changed) {
      sqlite_query(sql().set_value)
          .number(id)
          .bytes(row.value)
          .number(row_checksum(row, false, id))
          .run();
    }
    return done;
  });
}

// -- after a failure of the device ---------------------------------------------------

/// Whether the disk takes and keeps a file now.
bool sqlite_store::disk_works() const {
  const auto name = file_->path() + ".probe";
  bool works = false;
  try {
    sqlite_connection probe(name, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX);
    probe.exec(
        "PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS probe(a);"
        "INSERT INTO probe VALUES(1);");
    works = true;
  } catch (const store_error&) {
  }
  for (const char* suffix : {"", "-journal"}) unlink((name + suffix).c_str());
  return works;
}

void sqlite_store::recover() {
  const auto now_ms = clock_();
  if (!file_ || !refusing_ || lost_ || now_ms < recover_at_ms_ || copies_.use_count() > 1) return;
  recover_at_ms_ = now_ms + limits::recover_retry_ms;
  if (!disk_works()) return;
  const auto known = revision_;
  sql_.reset();
  db_ = nullptr;
  try {
    file_->reopen();
    db_ = &file_->db();
    sql_ = std::make_unique<statements>(*db_);
    load();
    verify();
    if (revision_ < known) {
      throw store_error(
          store_fault::corrupt, fmt::format("the state file {} is damaged", file_->path()),
          fmt::format("it ends at revision {}, but {} was acknowledged", revision_, known),
          "restore a backup; keep the damaged file for inspection");
    }
    refusing_.reset();
    reclaimed_ = sweep_from_ = 0;
  } catch (const store_error& error) {
    refusing_ = error.failure();
    revision_ = known;
    sql_.reset();  // what could not be judged is not read from
    lost_ = error.fault() != store_fault::io_error && error.fault() != store_fault::disk_full &&
            error.fault() != store_fault::read_only;
  }
}

void sqlite_store::checkpoint() {
  if (!file_ || !sql_) return;
  int log_pages = 0;
  int done_pages = 0;
  // NOOP does not exist in 3.40: the size of the log file tells whether there is work.
  std::error_code none;
  const auto bytes = std::filesystem::file_size(db_->file() + "-wal", none);
  if (none || bytes < std::uint64_t{log_pages_max} * 4096) return;
  int code = sqlite3_wal_checkpoint_v2(db_->handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE,
                                       &log_pages, &done_pages);
  if (code == SQLITE_OK || (code & 0xff) == SQLITE_BUSY) return;
  try {
    db_->fail(code, "brought up to date");
  } catch (const store_error& error) {
    notice(error.failure());
  }
}

store_status sqlite_store::status() {
  store_status status;
  status.revision = revision_;
  status.compacted_revision = compacted_;
  status.leases = leases_.size();
  status.writable = !refusing_;
  status.refusing = refusing_;
  if (file_) {
    for (const char* suffix : {"", "-wal"}) {
      std::error_code none;
      const auto bytes = std::filesystem::file_size(file_->path() + suffix, none);
      if (!none) status.file_bytes += bytes;
    }
  }
  return status;
}

std::unique_ptr<state_copy> sqlite_store::begin_backup(const std::string& file) {
  static_cast<void>(sql());  // throws where there is nothing to copy
  return copy_state(*db_, file, [this, busy = copies_] { return revision_; });
}

std::uint64_t sqlite_store::begin_anew(std::uint64_t least) {
  return write([&] {
    revision_ = std::max(revision_ + revisions_of_restore, least);
    compacted_ = revision_;
    save_number("revision", revision_);
    save_number("compacted_revision", compacted_);
    return revision_;
  });
}

void sqlite_store::set_pages_max(std::uint32_t pages) {
  db_->exec(fmt::format("PRAGMA max_page_count = {}", pages).c_str());
}

}  // namespace bulkhead
