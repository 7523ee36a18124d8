// SPDX-License-Identifier: Apache-2.0
// Starts what is to be confined through the launcher, and the rest as posix_spawner does.
//
// The launcher is started by the first confined start, or by `prepare`, and again when it has
// ended: whatever ended it has ended its instances too, so their supervisors ask for new ones. A
// launcher that cannot be started is tried again after 100 ms, then twice that, up to 5 s; starts
// in between fail at once, by the name no_launcher.
//
// A confined process gets what spawner.hpp promises, but for three things. Its working directory
// is the root of its own file system. Its stdin is an empty pipe and not the null device, which it
// could not have. And its program is executed from memory that it cannot read, a copy where it
// came as a file.
//
// A start is refused when a wall that the profile requires, and nobody waived, does not stand: by
// the launcher, before the program's first instruction; or here, when what is seen from outside
// contradicts the report.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "actors/confinement/extension_libraries.hpp"
#include "actors/confinement/launcher_link.hpp"
#include "actors/posix_spawner.hpp"
#include "actors/spawner.hpp"

namespace bulkhead {

struct launched_spawner_options {
  std::string launcher;  // path of bulkhead-launcher; empty: find_launcher()
  std::chrono::milliseconds answer_max{15'000};  // a launcher silent for longer is given up
  wall_set without{};                            // not tried at all, to see what they are good for
  std::function<launcher_process()> starts = nullptr;  // who starts a launcher, if not this process
  // Of tests: what time it is.
  std::function<std::chrono::steady_clock::time_point()> now = nullptr;
};

/// Beside the program that is running, or in ../libexec/bulkhead from there. Empty: in neither.
std::string find_launcher();

/// Any thread may use it.
class launched_spawner final : public spawner {
 public:
  explicit launched_spawner(launched_spawner_options options = {});
  ~launched_spawner() override;

  spawn_result spawn(const process_spec& spec) override;
  int set_limits(std::uint64_t ticket, const resource_limits& limits) override;

  /// Starts the launcher when none runs. False: it could not be. For whoever wants that done
  /// before there are threads, or before the first start.
  bool prepare();

 private:
  std::shared_ptr<launcher_link> link();
  spawn_result spawn_confined(const process_spec& spec);

  launched_spawner_options options_;
  posix_spawner plain_;
  extension_libraries extensions_;
  std::mutex mutex_;  // of what follows
  std::shared_ptr<launcher_link> link_;
  std::uint64_t failures_ = 0;
  std::chrono::steady_clock::time_point not_before_{};
  std::string last_failure_;
};

}  // namespace bulkhead
