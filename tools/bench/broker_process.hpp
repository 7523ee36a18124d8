// SPDX-License-Identifier: Apache-2.0
//
// A real `bulkheadd` with a state directory of its own, and a client of it: what a user has.
#pragma once

#include <kj/async-io.h>

#include <memory>
#include <string>
#include <vector>

#include "schema/admin.capnp.h"
#include "schema/gateway.capnp.h"
#include "schema/wire/connection.hpp"
#include "tools/bench/process.hpp"
#include "tools/bench/subject.hpp"
#include "tools/temporary_directory.hpp"

namespace bulkhead::bench {

class broker_process {
 public:
  /// Whether its plugins are confined, as they are for a user, or start without any wall.
  enum class walls { all, none };

  /// Starts `daemon`, logs in, and registers the plugins that are copied from `plugin_files`.
  broker_process(kj::AsyncIoContext& io, const std::string& daemon,
                 const std::vector<std::string>& plugin_files, walls which);
  ~broker_process();
  broker_process(const broker_process&) = delete;
  broker_process& operator=(const broker_process&) = delete;

  pid_t pid() const { return daemon_.pid(); }
  walls which() const { return which_; }
  pid_t plugin_pid(const std::string& path);

  /// Mounts with a supervision that lets the bench kill as often as it likes.
  void mount(const std::string& path, const std::string& plugin);
  schema::Mount::Client at(const std::string& path);

  /// Ends the daemon in good order and starts it again on the same state. The time from the start
  /// to its first answer, in seconds.
  double restart();

  schema::Admin::Client admin() { return admin_; }
  schema::Session::Client session() { return session_; }

  kj::AsyncIoContext& io() { return io_; }

 private:
  void start();
  void connect(const std::string& socket);

  kj::AsyncIoContext& io_;
  std::string daemon_file_;
  walls which_;
  temporary_directory directory_{"bulkhead-bench"};
  child daemon_;
  kj::Own<wire::connection> connection_;
  schema::Session::Client session_ = nullptr;
  schema::Admin::Client admin_ = nullptr;
};

/// The brokered path in typed or request style, over the mount of the bench's own plugin.
std::unique_ptr<subject> broker_subject(broker_process& broker, const std::string& path,
                                        bool typed);

/// Kills the instance of `path` so often; from each kill to the first served call, in ms.
struct recovery {
  std::vector<double> ms;
  std::uint64_t calls_failed = 0;
};
recovery measure_recovery(broker_process& broker, const std::string& path, unsigned kills);

}  // namespace bulkhead::bench
