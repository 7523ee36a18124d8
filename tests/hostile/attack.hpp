// SPDX-License-Identifier: Apache-2.0
// What an attack is: a name, the line of the threat model that it belongs to, what its success
// would mean, and a function that tries.
//
// An attack tries the real thing against a target that the runner set up for it (a victim process,
// a file, a socket), so that "it did not work" means that something stopped it and not that there
// was nothing to reach. It claims success only for what it got: bytes that it read, a call that the
// kernel carried out. Where a wall kills the process instead of refusing, no outcome is told; the
// runner sees the death.
//
// None does harm where it works, since each runs unconfined first: signals are SIGCONT, what is
// taken is bounded, what is made lies in a directory of the runner's, and whatever would hurt the
// machine if it were allowed (unmounting, setting clocks) is asked for in a form that changes
// nothing.
#pragma once

#include <cerrno>
#include <cstdint>
#include <span>
#include <string_view>

namespace hostile {

enum class verdict { succeeded, blocked, not_applicable };

struct outcome {
  verdict what = verdict::blocked;
  int error_number = 0;  // of a blocked one; 0: nothing was refused, and nothing was got
};

/// What the runner set up. Numbers are those of the host; text is empty where there is no such
/// target on this machine.
struct targets {
  int victim = 0;                    // a process with the attacker's uid
  std::uintptr_t secret_at = 0;      // where the victim's memory holds `secret`
  int victim_descriptor = -1;        // where the victim has the canary open
  int tcp_port = 0, udp_port = 0;    // the victim's, on 127.0.0.1
  int shared_memory = -1;            // its System V segment, which holds `secret`
  int key = 0;                       // its key in the user keyring
  const char* canary = "";           // a file that holds `secret`
  const char* directory = "";        // writable; the canary lies in it
  const char* unix_socket = "";      // a path on which the victim listens
  const char* datagrams = "";        // a path at which the victim takes datagrams
  const char* abstract_socket = "";  // likewise, without the leading zero
  const char* queue = "";            // its POSIX message queue
  const char* self = "";             // this program's file
  const char* set_uid = "";          // the same, set-uid to somebody else
  const char* outside = "";          // a file that holds `secret`, beside the directory
  const char* node = "";             // a device, as a node in the directory
  const char* scratch = "";          // a path in the temporary directory that is not there yet
  std::uint64_t memory_bytes = 64 << 20;
  int tasks = 16;
  int descriptors = 64;
  int pending_signals = 64;
  int system_call = 0;  // for `system-call`: its number, and what all its arguments are
  long argument = 0;
};

/// What victims hold and attackers look for. The rest of the text is the runner's, made up anew.
inline constexpr std::string_view secret = "bulkhead-hostile-secret";

struct attack {
  const char* name;
  int threat;           // the row of the threat table, in README.md
  const char* meaning;  // of a success: "reads the memory of another process"
  outcome (*run)(const targets&);
  // Why it may fail even unconfined; null: it works on every machine without confinement. The
  // runner counts it as evidence only where it did work.
  const char* vacuous = nullptr;
  // The signals that may end it besides SIGSYS, by which the filter does: "SIGKILL SIGSEGV". Of any
  // other it died for a reason of its own, and has shown nothing.
  const char* ends_by = "";
};

inline outcome succeeded() {
  return {verdict::succeeded, 0};
}
inline outcome blocked(int error_number = errno) {
  return {verdict::blocked, error_number};
}
/// The machine lacks the thing itself: a feature of the processor, a file that only root makes.
inline outcome not_applicable() {
  return {verdict::not_applicable, 0};
}
/// For calls that answer -1 and errno.
inline outcome worked(long result) {
  return result >= 0 ? succeeded() : blocked();
}
inline outcome worked_if(bool condition) {
  return condition ? succeeded() : blocked(0);
}

/// True when `bytes` begin with the secret.
bool is_secret(std::string_view bytes);
/// Reads from a descriptor and looks for the secret; closes it.
outcome reads_secret(int descriptor);

// ---- the table, by threat ----------------------------------------------------------------------
std::span<const attack> process_attacks();
std::span<const attack> foreign_attacks();  // other plugins: shared objects of one user
std::span<const attack> file_attacks();
std::span<const attack> grant_attacks();  // out of a directory that was granted
std::span<const attack> network_attacks();
std::span<const attack> privilege_attacks();
std::span<const attack> code_attacks();
std::span<const attack> kernel_attacks();
std::span<const attack> recent_kernel_attacks();
std::span<const attack> entry_attacks();  // other doors into the kernel: i386, x32, io_uring
std::span<const attack> memory_attacks();
std::span<const attack> task_attacks();
std::span<const attack> descriptor_attacks();
std::span<const attack> leak_attacks();

/// Calls `visit` with each of them, in order.
template <typename Visitor>
void each_attack(Visitor visit) {
  for (auto table :
       {process_attacks(), foreign_attacks(), file_attacks(), grant_attacks(), network_attacks(),
        privilege_attacks(), code_attacks(), kernel_attacks(), recent_kernel_attacks(),
        entry_attacks(), memory_attacks(), task_attacks(), descriptor_attacks(), leak_attacks()}) {
    for (const attack& one : table) visit(one);
  }
}

}  // namespace hostile
