// SPDX-License-Identifier: Apache-2.0
// What the broker and its launcher say to each other: this page and nothing else.
//
// The socket is of type SOCK_SEQPACKET, so that a message arrives whole with its descriptors, or
// not at all. Each begins with `header`. The broker sends orders; `hello` comes first and brings
// the lifeline. `hello`, `start` and `limits` are answered, in their order; `signal` is not. Both
// ends are of one build: another version is refused by the answer to `hello`, which holds the
// version of the launcher.
//
// The launcher takes nothing on trust: a message with another length, an unknown number, a text
// without its end, too many or too few descriptors is refused (see orders.hpp), and it then does
// nothing else for it. It never opens a path that came in an order, but for grants of directories
// and devices, which are the operator's.
#pragma once

#include <array>
#include <cerrno>
#include <cstdint>
#include <type_traits>

#include "actors/confinement/confinement.hpp"

namespace bulkhead::launcher {

inline constexpr std::uint32_t magic = 0x484b4c42;  // "BLKH"
inline constexpr std::uint16_t version = 4;

/// Where the launcher finds its end of the socket.
inline constexpr int socket_fd = 3;

inline constexpr std::uint32_t text_bytes_max = 64U << 10U;
inline constexpr std::uint16_t arguments_max = 256;  // with argument zero
inline constexpr std::uint16_t environment_max = 128;
inline constexpr std::uint16_t placements_max = 200;

enum class order_kind : std::uint16_t { hello = 1, start = 2, signal = 3, limits = 4 };

struct header {
  std::uint32_t magic = launcher::magic;
  std::uint16_t version = launcher::version;
  std::uint16_t kind = 0;    // order_kind; an answer repeats it
  std::uint64_t number = 0;  // of the order, never 0; that of a start names its instance
};

/// With one descriptor: the reading end of a pipe whose writing end the broker holds. When that
/// closes, everything ends.
struct hello_order {
  header head;
};

struct hello_answer {
  header head;
  std::uint64_t user = 0;  // the launcher's effective uid
};

enum class program_form : std::uint16_t {
  static_program = 1,
  dynamic_program = 2,
  interpreter = 3,
};

/// What is put into the root, or at a descriptor, before the program starts. Each comes with one
/// descriptor, and one text: its absolute path inside, or "" for `descriptor`.
enum class placement_kind : std::uint8_t {
  file = 1,             // copied into the root, readable and executable
  read_directory = 2,   // a directory of the host, read-only
  write_directory = 3,  // likewise, writable
  device = 4,           // a device of the host
  descriptor = 5,       // handed on: at 4 and up, in their order
};

/// The descriptors of a start, by their place in the message; the placements' follow.
enum class start_fd : std::uint8_t { program, input, output, error, link };
inline constexpr std::uint16_t start_fds = 5;

/// The message ends with the last byte of its text.
struct start_order {
  header head;
  std::uint64_t wanted = 0;    // walls that are tried, a bit each by `wall`
  std::uint64_t required = 0;  // walls that must stand, among `wanted`
  resource_limits limits;
  program_form form = program_form::static_program;
  std::uint16_t arguments = 0;  // with argument zero
  std::uint16_t environment = 0;
  std::uint16_t placements = 0;
  std::uint32_t text_bytes = 0;
  std::uint32_t reserved = 0;  // 0
  std::array<placement_kind, placements_max> placed{};
  // arguments, environment and placements, each ended by a zero byte
  std::array<char, text_bytes_max> text{};
};

/// Where a start stopped.
enum class stage : std::uint16_t {
  none = 0,     // it did not: the program runs
  order,        // the order is no valid one
  full,         // the launcher holds as many instances as it can
  descriptors,  // no descriptor, pipe or page was to be had
  birth,        // no process
  identity,     // the id maps, or taking on the uid
  root,         // the root or what is in it
  init,         // the first process of the instance
  plugin,       // the second, on its way to the program
  grant,        // what is granted cannot be given as it was meant
  wall,         // a required wall does not stand
  program,      // execveat
  silence,      // it took longer than start_ms_max
};

/// An errno of what there may be enough of a moment later, whatever was stopped by it.
constexpr bool is_shortage(int error) {
  return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
}

inline constexpr std::uint8_t no_wall = 255;
inline constexpr std::uint8_t no_placement = 255;
static_assert(placements_max < no_placement);

struct wall_entry {
  std::uint8_t state = 0;  // wall_state
  std::uint8_t observed = 0;
  std::uint16_t reserved = 0;
  std::int32_t error_number = 0;
  std::int64_t value = 0;
};

/// With three descriptors when `stopped_at` is none: handles on the init and on the plugin, and
/// the reading end of the status pipe; with none otherwise.
struct start_answer {
  header head;
  stage stopped_at = stage::none;
  std::uint8_t wall = no_wall;            // which, at stage::wall
  std::uint8_t placement = no_placement;  // which, at stage::grant
  std::int32_t error_number = 0;
  std::int64_t plugin = 0;  // its process id, as the launcher sees it
  std::array<wall_entry, wall_count> walls{};
};

/// To the plugin alone, or to all of its instance. Not answered.
struct signal_order {
  header head;
  std::uint64_t instance = 0;
  std::int32_t number = 0;  // 1 to 64
  std::uint32_t all = 0;    // 1: the whole instance, and `number` is SIGKILL
};

struct limits_order {
  header head;
  std::uint64_t instance = 0;
  resource_limits limits;
};

struct limits_answer {
  header head;
  std::int32_t error_number = 0;
  std::uint8_t wall = no_wall;  // the one that could not be moved
  std::array<std::uint8_t, 3> reserved{};
};

/// What an init writes into the status pipe when its plugin has ended. End of file without one:
/// killed together with the init.
struct end_record {
  std::int32_t code = 0;    // CLD_EXITED, CLD_KILLED or CLD_DUMPED
  std::int32_t status = 0;  // the exit code or the signal
  std::uint64_t user_us = 0;
  std::uint64_t system_us = 0;
  std::uint64_t resident_kib_max = 0;
  std::uint64_t memory_kills = 0;  // by the kernel, for want of memory; of the whole instance
};

/// Without padding too: what was on the sender's stack does not travel.
template <class Message>
inline constexpr bool can_travel = std::is_trivially_copyable_v<Message>&&
    std::is_standard_layout_v<Message>&& std::has_unique_object_representations_v<Message>;
static_assert(can_travel<hello_order> && can_travel<hello_answer> && can_travel<start_order> &&
              can_travel<start_answer> && can_travel<signal_order> && can_travel<limits_order> &&
              can_travel<limits_answer> && can_travel<end_record>);
static_assert(wall_count <= 64);

}  // namespace bulkhead::launcher
