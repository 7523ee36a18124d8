// SPDX-License-Identifier: Apache-2.0
#pragma once

// The log of one mount: the newest lines that its instances wrote to stdout and stderr or sent
// through Host.log, and the broker's own. Every line is cut, escaped and rated before it is kept
// (actors/log_lines.hpp). The broker says where a line came from; a plugin cannot. Threads: the
// reactor's only.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "actors/instance.hpp"
#include "actors/log_lines.hpp"
#include "actors/numbered_ring.hpp"
#include "schema/admin.capnp.h"

namespace bulkhead {

/// Of a text for Host.log as much is looked at as so many lines of the longest.
inline constexpr std::size_t said_lines_max = 16;

class mount_log : public std::enable_shared_from_this<mount_log> {
 public:
  struct line {
    std::int64_t unix_ms = 0;
    std::uint64_t generation = 0;
    schema::LogSource source = schema::LogSource::BROKER;
    schema::LogLevel level = schema::LogLevel::INFO;
    std::string text;
  };
  using entry = numbered_ring<line>::entry;

  /// `clock` outlives the log.
  mount_log(std::size_t lines_kept, log_line_limits line_limits, monotonic_clock& clock);

  /// The sink for one instance's pipes.
  std::shared_ptr<log_sink> sink(std::uint64_t generation);

  /// The broker's own word on an instance. One line.
  void broker_says(std::uint64_t generation, schema::LogLevel level, std::string text);
  /// What came through Host.log: a line, or a few of them.
  void plugin_says(std::uint64_t generation, schema::LogLevel level, std::string_view text);

  /// The newest `count` lines above number `after`, oldest first.
  std::vector<entry> lines(std::uint64_t after, std::size_t count) const;
  /// The texts of the newest lines of an instance, oldest first; its own, not the broker's.
  std::vector<std::string> last_lines(std::uint64_t generation, std::size_t count) const;

 private:
  class pipe_sink;
  void add(std::uint64_t generation, schema::LogSource source, schema::LogLevel level,
           std::vector<std::string> texts);

  log_line_limits line_limits_;
  monotonic_clock& clock_;
  numbered_ring<line> lines_;
  line_splitter said_;  // what comes through Host.log, rated like the pipes
};

}  // namespace bulkhead
