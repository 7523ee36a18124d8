// SPDX-License-Identifier: Apache-2.0
#include "actors/launcher/orders.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <string_view>

namespace bulkhead::launcher {
namespace {

constexpr order_kind no_order{};
constexpr int signals = 64;
constexpr std::uint64_t all_walls = (std::uint64_t{1} << wall_count) - 1;
constexpr std::uint32_t cpu_weight_max = 10'000;

bool valid(const resource_limits& limits) {
  return limits.cpu_weight >= 1 && limits.cpu_weight <= cpu_weight_max && limits.io_weight >= 1 &&
         limits.io_weight <= io_weight_max;
}

/// Exactly as many texts as are announced, the last ending with the last byte.
bool valid_texts(const start_order& order) {
  const std::size_t wanted = std::size_t{order.arguments} + order.environment + order.placements;
  const char* const end = order.text.data() + order.text_bytes;
  return order.text_bytes > 0 && end[-1] == '\0' &&
         static_cast<std::size_t>(std::count(order.text.data(), end, '\0')) == wanted;
}

/// No "..", "." or empty part: the path names one place beneath the root.
bool valid_place(const char* path) {
  if (*path != '/') return false;
  while (*path == '/') {
    const char* const part = ++path;
    while (*path != '\0' && *path != '/') ++path;
    const auto length = path - part;
    const bool dots =
        (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.');
    if (length == 0 || dots) return false;
  }
  return true;
}

bool is_beneath(std::string_view place, std::string_view folder) {
  return place.size() > folder.size() && place.starts_with(folder) && place[folder.size()] == '/';
}

/// What is put beneath a directory of the host would be put into that: wherever its owner's links
/// lead, and made there by who may be root.
bool leads_into_another(const start_order& order, std::size_t which) {
  const std::string_view place{place_of(order, which)};
  for (std::size_t n = 0; n < which; ++n)
    if (order.placed[n] != placement_kind::file && order.placed[n] != placement_kind::descriptor &&
        is_beneath(place, place_of(order, n)))
      return true;
  return false;
}

bool valid_placements(const start_order& order) {
  for (std::size_t n = 0; n < order.placements; ++n) {
    const auto kind = order.placed[n];
    if (kind < placement_kind::file || kind > placement_kind::descriptor) return false;
    const char* const place = place_of(order, n);
    if (kind == placement_kind::descriptor ? *place != '\0' : !valid_place(place)) return false;
    if (leads_into_another(order, n)) return false;
  }
  return true;
}

bool valid_start(const start_order& order, std::size_t size, std::size_t descriptors) {
  if (order.text_bytes > text_bytes_max || size != size_of(order)) return false;
  if ((order.wanted & ~all_walls) != 0 || (order.required & ~order.wanted) != 0) return false;
  if (order.form < program_form::static_program || order.form > program_form::interpreter)
    return false;
  if (order.reserved != 0 || !valid(order.limits)) return false;
  if (order.arguments == 0 || order.arguments > arguments_max) return false;
  if (order.environment > environment_max || order.placements > placements_max) return false;
  if (descriptors != std::size_t{start_fds} + order.placements) return false;
  return valid_texts(order) && valid_placements(order);
}

bool valid_signal(const signal_order& order) {
  if (order.number < 1 || order.number > signals || order.all > 1) return false;
  return order.instance != 0 && (order.all == 0 || order.number == SIGKILL);
}

template <class Order>
const Order& as(const std::byte* bytes) {
  return *reinterpret_cast<const Order*>(bytes);
}

}  // namespace

order_kind valid_order(const std::byte* bytes, std::size_t size, std::size_t descriptors) {
  if (size < sizeof(header)) return no_order;
  const auto& head = as<header>(bytes);
  if (head.magic != magic || head.number == 0) return no_order;
  const auto kind = static_cast<order_kind>(head.kind);
  // A hello of any version is answered: with ours.
  if (kind == order_kind::hello)
    return size == sizeof(hello_order) && descriptors == 1 ? kind : no_order;
  if (head.version != version) return no_order;
  bool good = false;
  if (kind == order_kind::start)
    good = size > offsetof(start_order, text) &&
           valid_start(as<start_order>(bytes), size, descriptors);
  else if (kind == order_kind::signal)
    good =
        size == sizeof(signal_order) && descriptors == 0 && valid_signal(as<signal_order>(bytes));
  else if (kind == order_kind::limits)
    good = size == sizeof(limits_order) && descriptors == 0 &&
           as<limits_order>(bytes).instance != 0 && valid(as<limits_order>(bytes).limits);
  return good ? kind : no_order;
}

const char* text_of(const start_order& order, std::size_t n) {
  const char* text = order.text.data();
  for (; n > 0; --n) text += std::strlen(text) + 1;
  return text;
}

}  // namespace bulkhead::launcher
