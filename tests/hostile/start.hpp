// SPDX-License-Identifier: Apache-2.0
// Starting an attack, watching it to its end, and saying whether it got through.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "actors/exit_status.hpp"
#include "actors/spawner.hpp"
#include "tests/hostile/attack.hpp"
#include "tests/hostile/world.hpp"

namespace hostile {

/// All that was seen of one start.
struct observation {
  std::string refusal;  // not empty: it was not started, and why
  std::string told;     // over the link
  std::string printed;  // on stdout; at most printed_bytes_max
  bulkhead::exit_status end;
  bool late = false;                                           // had to be killed
  std::shared_ptr<const bulkhead::confinement_report> report;  // of a confined one that started
  bool link_held = false;  // after it and all of its own were ended, somebody still holds the link
};

inline constexpr int attack_ms_max = 8000;
inline constexpr std::size_t printed_bytes_max = 16U << 20U;

/// With nothing between it and the machine but its user. Returns when it has ended.
observation start_plainly(const world& where, shape as, const std::vector<std::string>& words);

/// By a spawner, as a plugin.
observation start_confined(const world& where, shape as, bulkhead::spawner& by,
                           const bulkhead::confinement& how, const std::vector<std::string>& words);

/// The walls that a report does not show as standing, for whatever reason.
bulkhead::wall_set not_standing(const bulkhead::confinement_report& report);

/// `killed`: by the filter, or by a signal that the attack names as its end.
enum class result { succeeded, refused, killed, not_applicable, broken };

struct judgement {
  result what = result::broken;
  std::string how;  // "EACCES", "SIGSYS", "not started: ..."
  // What the report of this very start does not show as standing; none where there was no report.
  bulkhead::wall_set missing{};
  bool got_through() const { return what == result::succeeded; }
};

/// What to make of it. Of a few attacks the process itself cannot tell whether they worked: a core,
/// an orphan, and lines of the log, which are taken as the broker would show them when `confined`.
judgement judge(const attack& which, const observation& seen, bool confined);

}  // namespace hostile
