// SPDX-License-Identifier: Apache-2.0
#include "broker/trust/utc_time.hpp"

#include <fmt/format.h>

#include <chrono>

namespace bulkhead::trust {
namespace {

using namespace std::chrono;

/// The digits of `text` at `at`, or nothing where something else stands.
std::optional<int> number_at(std::string_view text, std::size_t at, std::size_t digits) {
  int value = 0;
  for (const char c : text.substr(at, digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::optional<std::int64_t> unix_ms_from_utc(std::string_view text) {
  constexpr std::string_view form = "0000-00-00T00:00:00Z";
  if (text.size() != form.size()) return std::nullopt;
  for (std::size_t i = 0; i < form.size(); ++i) {
    if (form[i] != '0' && text[i] != form[i]) return std::nullopt;
  }
  const auto y = number_at(text, 0, 4);
  const auto mo = number_at(text, 5, 2);
  const auto d = number_at(text, 8, 2);
  const auto h = number_at(text, 11, 2);
  const auto mi = number_at(text, 14, 2);
  const auto s = number_at(text, 17, 2);
  if (!y || !mo || !d || !h || !mi || !s) return std::nullopt;
  const year_month_day date{year(*y), month(static_cast<unsigned>(*mo)),
                            day(static_cast<unsigned>(*d))};
  if (!date.ok() || *h > 23 || *mi > 59 || *s > 59) return std::nullopt;
  const auto since_epoch =
      sys_days(date).time_since_epoch() + hours(*h) + minutes(*mi) + seconds(*s);
  const std::int64_t unix_ms = duration_cast<milliseconds>(since_epoch).count();
  if (unix_ms <= 0) return std::nullopt;
  return unix_ms;
}

std::string utc_from_unix_ms(std::int64_t unix_ms) {
  const auto since_epoch = floor<seconds>(milliseconds(unix_ms));
  const auto today = floor<days>(since_epoch);
  const year_month_day date{sys_days(today)};
  const hh_mm_ss<seconds> time(since_epoch - today);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count());
}

}  // namespace bulkhead::trust
