// SPDX-License-Identifier: Apache-2.0
#include "broker/mount_log.hpp"

#include <algorithm>

#include "broker/event_log.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {

class mount_log::pipe_sink final : public log_sink {
 public:
  pipe_sink(std::shared_ptr<mount_log> log, std::uint64_t generation)
      : log_(std::move(log)), generation_(generation) {}

  void output(bool is_stderr, const char* bytes, std::size_t size, bool last) override {
    auto& pending = is_stderr ? stderr_ : stdout_;
    const auto source = is_stderr ? schema::LogSource::STDERR : schema::LogSource::STDOUT;
    std::string_view rest(bytes, size);
    while (!rest.empty()) {
      const auto end = rest.find('\n');
      pending += rest.substr(0, end);
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 1);
      log_->add(generation_, source, schema::LogLevel::INFO, std::exchange(pending, {}));
    }
    if (pending.size() > log_->line_bytes_max_ || (last && !pending.empty()))
      log_->add(generation_, source, schema::LogLevel::INFO, std::exchange(pending, {}));
  }

 private:
  std::shared_ptr<mount_log> log_;
  std::uint64_t generation_;
  std::string stdout_;
  std::string stderr_;
};

mount_log::mount_log(std::size_t lines_kept, std::size_t line_bytes_max)
    : lines_kept_(lines_kept), line_bytes_max_(line_bytes_max) {}

std::shared_ptr<log_sink> mount_log::sink(std::uint64_t generation) {
  return std::make_shared<pipe_sink>(shared_from_this(), generation);
}

void mount_log::add(std::uint64_t generation, schema::LogSource source, schema::LogLevel level,
                    std::string text) {
  lines_.push_back({next_++, unix_ms_now(), generation, source, level,
                    wire::escape_line(std::string_view(text).substr(0, line_bytes_max_))});
  if (lines_.size() > lines_kept_) lines_.pop_front();
}

void mount_log::plugin_says(std::uint64_t generation, schema::LogLevel level, const std::string& text) {
  add(generation, schema::LogSource::PLUGIN, level, text);
}

void mount_log::broker_says(std::uint64_t generation, const std::string& text) {
  add(generation, schema::LogSource::BROKER, schema::LogLevel::INFO, text);
}

std::vector<mount_log::line> mount_log::lines(std::uint64_t after, std::size_t count) const {
  auto first = std::partition_point(lines_.begin(), lines_.end(),
                                    [after](const line& each) { return each.number <= after; });
  const auto there = static_cast<std::size_t>(lines_.end() - first);
  if (there > count) first += static_cast<std::ptrdiff_t>(there - count);
  return {first, lines_.end()};
}

std::vector<std::string> mount_log::last_lines(std::uint64_t generation, std::size_t count) const {
  std::vector<std::string> result;
  for (auto each = lines_.rbegin(); each != lines_.rend() && result.size() < count; ++each) {
    if (each->generation < generation) break;
    if (each->generation == generation) result.push_back(each->text);
  }
  std::reverse(result.begin(), result.end());
  return result;
}

}  // namespace bulkhead
