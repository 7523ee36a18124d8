// SPDX-License-Identifier: Apache-2.0
#pragma once

// The log of one mount: the newest lines that its instances wrote to stdout and stderr or sent through Host.log, and the broker's
// own. The broker says where a line came from; a plugin cannot. Threads: the reactor's only.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "actors/instance.hpp"
#include "schema/admin.capnp.h"

namespace bulkhead {

class mount_log : public std::enable_shared_from_this<mount_log> {
 public:
  mount_log(std::size_t lines_kept, std::size_t line_bytes_max);

  struct line {
    std::uint64_t number = 0;
    std::int64_t unix_ms = 0;
    std::uint64_t generation = 0;
    schema::LogSource source = schema::LogSource::BROKER;
    schema::LogLevel level = schema::LogLevel::INFO;
    std::string text;
  };

  /// The sink for one instance's pipes.
  std::shared_ptr<log_sink> sink(std::uint64_t generation);

  void plugin_says(std::uint64_t generation, schema::LogLevel level, const std::string& text);
  void broker_says(std::uint64_t generation, const std::string& text);

  /// The newest `count` lines above number `after`, oldest first.
  std::vector<line> lines(std::uint64_t after, std::size_t count) const;
  /// The texts of the newest lines of an instance, oldest first.
  std::vector<std::string> last_lines(std::uint64_t generation, std::size_t count) const;

 private:
  class pipe_sink;
  void add(std::uint64_t generation, schema::LogSource source, schema::LogLevel level, std::string text);

  std::size_t lines_kept_;
  std::size_t line_bytes_max_;
  std::deque<line> lines_;
  std::uint64_t next_ = 1;
};

}  // namespace bulkhead
