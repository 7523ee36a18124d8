// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_log.hpp"

#include <deque>

#include "broker/event_log.hpp"

namespace bulkhead {
class mount_log::pipe_sink final : public log_sink {
 public:
  pipe_sink(std::shared_ptr<mount_log> log, std::uint64_t generation)
      : log_(std::move(log)),
        generation_(generation),
        stdout_(log_->line_limits_),
        stderr_(log_->line_limits_) {}

  void output(bool is_stderr, const char* bytes, std::size_t size, bool last) override {
    auto& splitter = is_stderr ? stderr_ : stdout_;
    const auto source = is_stderr ? schema::LogSource::STDERR : schema::LogSource::STDOUT;
    const auto now = log_->clock_.now();
    if (size > 0)
      log_->add(generation_, source, schema::LogLevel::INFO, splitter.feed({bytes, size}, now));
    if (last) log_->add(generation_, source, schema::LogLevel::INFO, splitter.finish(now));
  }

 private:
  std::shared_ptr<mount_log> log_;
  std::uint64_t generation_;
  line_splitter stdout_;
  line_splitter stderr_;
};

mount_log::mount_log(std::size_t lines_kept, log_line_limits line_limits, monotonic_clock& clock)
    : line_limits_(line_limits), clock_(clock), lines_(lines_kept), said_(line_limits) {}

std::shared_ptr<log_sink> mount_log::sink(std::uint64_t generation) {
  return std::make_shared<pipe_sink>(shared_from_this(), generation);
}

void mount_log::add(std::uint64_t generation, schema::LogSource source, schema::LogLevel level,
                    std::vector<std::string> texts) {
  const auto now = unix_ms_now();
  for (auto& text : texts) lines_.push({now, generation, source, level, std::move(text)});
}

void mount_log::broker_says(std::uint64_t generation, schema::LogLevel level, std::string text) {
  lines_.push({unix_ms_now(), generation, schema::LogSource::BROKER, level,
               printable(text, line_limits_.line_bytes_max)});
}

void mount_log::plugin_says(std::uint64_t generation, schema::LogLevel level,
                            std::string_view text) {
  // To split a whole frame would hold up everybody, to drop most of its lines in the end.
  std::string said(text.substr(0, said_lines_max * line_limits_.line_bytes_max));
  said += '\n';
  add(generation, schema::LogSource::PLUGIN, level, said_.feed(said, clock_.now()));
}

std::vector<mount_log::entry> mount_log::lines(std::uint64_t after, std::size_t count) const {
  return lines_.newest(count, after);
}

std::vector<std::string> mount_log::last_lines(std::uint64_t generation, std::size_t count) const {
  std::deque<std::string> result;
  for (auto& each : lines_.newest(lines_.size())) {
    if (each.value.generation != generation || each.value.source == schema::LogSource::BROKER)
      continue;
    result.push_back(std::move(each.value.text));
    if (result.size() > count) result.pop_front();
  }
  return {result.begin(), result.end()};
}

}  // namespace bulkhead
