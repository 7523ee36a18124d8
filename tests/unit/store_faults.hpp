// SPDX-License-Identifier: Apache-2.0
#pragma once

// A disk that fails when it is told to: a SQLite file system that passes everything on to the real
// one, counts syncs, and can fail writes and syncs. While a `store_faults` lives it is SQLite's
// default, so the engine under test needs no hook for it.

#include <sqlite3.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace bulkhead::test {

class store_faults {
 public:
  store_faults() {
    real_ = sqlite3_vfs_find(nullptr);
    vfs_ = *real_;
    vfs_.zName = "bulkhead-test-faults";
    vfs_.szOsFile = static_cast<int>(sizeof(file)) + real_->szOsFile;
    vfs_.pAppData = this;
    vfs_.xOpen = &open;
    sqlite3_vfs_register(&vfs_, 1);
  }
  store_faults(const store_faults&) = delete;
  store_faults& operator=(const store_faults&) = delete;
  ~store_faults() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }

  std::uint64_t syncs = 0;            ///< Syncs that were asked for.
  int fail_sync = SQLITE_OK;          ///< The result of each sync, if not OK.
  int fail_write = SQLITE_OK;         ///< The result of each write, if not OK.
  std::uint64_t writes_left = ~0ULL;  ///< So many more work; then the disk is full.
  int fail_read = SQLITE_OK;          ///< The result of each read of 512 bytes or more, if not OK.

 private:
  struct file {
    sqlite3_file base;
    store_faults* faults;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

  static file& of(sqlite3_file* base) { return *reinterpret_cast<file*>(base); }
  static sqlite3_file* real_of(sqlite3_file* base) { return of(base).real(); }

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* base, int flags, int* out) {
    auto* faults = static_cast<store_faults*>(vfs->pAppData);
    auto& self = of(base);
    self.base.pMethods = nullptr;
    self.faults = faults;
    const int code = faults->real_->xOpen(faults->real_, name, self.real(), flags, out);
    if (code == SQLITE_OK) self.base.pMethods = &methods();
    return code;
  }

  static const sqlite3_io_methods& methods() {
    static const sqlite3_io_methods table = [] {
      sqlite3_io_methods m{};
      m.iVersion = 1;
      m.xClose = [](sqlite3_file* f) { return real_of(f)->pMethods->xClose(real_of(f)); };
      m.xRead = [](sqlite3_file* f, void* to, int size, sqlite3_int64 at) {
        if (size >= 512 && of(f).faults->fail_read != SQLITE_OK) return of(f).faults->fail_read;
        return real_of(f)->pMethods->xRead(real_of(f), to, size, at);
      };
      m.xWrite = [](sqlite3_file* f, const void* from, int size, sqlite3_int64 at) {
        if (of(f).faults->fail_write != SQLITE_OK) return of(f).faults->fail_write;
        if (of(f).faults->writes_left == 0) return SQLITE_FULL;
        --of(f).faults->writes_left;
        return real_of(f)->pMethods->xWrite(real_of(f), from, size, at);
      };
      m.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
        return real_of(f)->pMethods->xTruncate(real_of(f), size);
      };
      m.xSync = [](sqlite3_file* f, int flags) {
        ++of(f).faults->syncs;
        if (of(f).faults->fail_sync != SQLITE_OK) return of(f).faults->fail_sync;
        return real_of(f)->pMethods->xSync(real_of(f), flags);
      };
      m.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
        return real_of(f)->pMethods->xFileSize(real_of(f), size);
      };
      m.xLock = [](sqlite3_file* f, int l) { return real_of(f)->pMethods->xLock(real_of(f), l); };
      m.xUnlock = [](sqlite3_file* f, int l) {
        return real_of(f)->pMethods->xUnlock(real_of(f), l);
      };
      m.xCheckReservedLock = [](sqlite3_file* f, int* out) {
        return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
      };
      m.xFileControl = [](sqlite3_file* f, int op, void* arg) {
        return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
      };
      m.xSectorSize = [](sqlite3_file* f) { return real_of(f)->pMethods->xSectorSize(real_of(f)); };
      m.xDeviceCharacteristics = [](sqlite3_file* f) {
        return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
      };
      return m;
    }();
    return table;
  }

  sqlite3_vfs* real_ = nullptr;
  sqlite3_vfs vfs_{};
};

}  // namespace bulkhead::test
