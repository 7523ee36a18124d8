// SPDX-License-Identifier: Apache-2.0
// bulkhead-launcher: the only process that starts plugins which are to be confined.
//
// Small, linked statically, without threads, and executed anew, for two reasons. A process with
// threads cannot make one with other namespaces safely: between clone and exec the child would run
// on locks that nobody will release. And what is copied at each start should be little, and hold no
// secret of the broker's: page tables are most of what a start costs.
//
// It has one socket (protocol.hpp), and ends when that does: with the broker, however that ended.
// Its instances end with it, as their inits hold the other end of a pipe of its own, besides that
// of the broker's. It reads no file of a configuration, and writes no log: what it has to say is in
// its answers. As root it cannot be traced.
//
// It takes one argument: the uid of a broker that is not root, while this is. What such a broker
// orders is an unprivileged process with a uid of its own, whatever it says, and what it grants is
// its own: who has taken that broker over does not get to be root by its launcher.
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>

#include "actors/launcher/birth.hpp"
#include "actors/launcher/granted.hpp"
#include "actors/launcher/instances.hpp"
#include "actors/launcher/kernel.hpp"
#include "actors/launcher/messages.hpp"
#include "actors/launcher/users.hpp"
#include "actors/launcher/walls.hpp"

namespace bulkhead::launcher {
namespace {

/// A message, in memory that is there from the beginning.
struct incoming {
  alignas(start_order) std::array<std::byte, sizeof(start_order)> bytes;
  std::array<int, message_fds_max> fds;
  std::size_t size = 0;
  std::size_t fd_count = 0;

  template <class Order>
  const Order& as() const {
    return *reinterpret_cast<const Order*>(bytes.data());
  }
  std::span<const int> descriptors() const { return {fds.data(), fd_count}; }
  /// Closes its descriptors and wipes its text: the environment of one instance may hold a secret,
  /// and what is in this memory is in that of every init that is born later.
  void forget() {
    for (std::size_t n = 0; n < fd_count; ++n)
      if (fds[n] >= 0) ::close(fds[n]);
    fd_count = 0;
    ::explicit_bzero(bytes.data(), size);
  }
};

/// Before its program runs. Without `place` there is no process.
struct newborn_instance {
  birth_plan plan;
  newborn child;
  instance* place = nullptr;
  resource_limits limits;  // of its groups
  bool limited = false;    // they have been written

  bool fits(const birth_plan& wanted) const { return plan.same_birth(wanted); }
};

// Instances that are born before they are asked for, up to where they wait for an order:
// namespaces, groups and root are then there already. They are of the kind that was started last,
// and made when nothing else has been asked for a moment.
constexpr std::size_t spares_kept = 2;
constexpr int idle_ms = 4;
constexpr int close_down_ms_max = 1000;
// Between attempts at groups in which something is still dying.
constexpr int removal_ms_min = 1;
constexpr int removal_ms_max = 1000;
// An answer for which there is no memory.
constexpr int answer_tries = 100;
constexpr int answer_ms = 10;

/// As sending said: there is nobody left to send to.
bool is_gone(int error) {
  return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

/// Without these walls a program would be this process's user, or make its root as one; or live on
/// with its uid when that is another's.
bool gives_root_up(const start_order& order) {
  constexpr auto always = bit(wall::own_uid) | bit(wall::no_groups) | bit(wall::no_capabilities) |
                          bit(wall::no_new_privileges) | bit(wall::lifeline);
  constexpr auto ends_all = bit(wall::pid_namespace) | bit(wall::cgroup_kill);
  const bool own_root = has(order.wanted, wall::mount_namespace);
  return (order.required & always) == always && (order.required & ends_all) != 0 &&
         (!own_root || has(order.required, wall::user_namespace));
}

/// The uid that the argument says; 0: there is none. -1: it says something else.
std::int64_t broker_of(int count, char** words) {
  if (count < 2) return 0;
  std::int64_t user = 0;
  for (const char* digit = words[1]; *digit != '\0'; ++digit) {
    if (*digit < '0' || *digit > '9' || user > UINT32_MAX) return -1;
    user = user * 10 + (*digit - '0');
  }
  return count == 2 && user > 0 && user < UINT32_MAX ? user : -1;
}

/// A shorter wait; below 0 is none.
int sooner(int one, int other) {
  return one < 0 ? other : other < 0 ? one : std::min(one, other);
}

class launcher {
 public:
  /// False when it cannot do its work at all.
  bool prepare(std::uint32_t broker);
  /// Until the socket ends.
  void run();
  void close_down();

 private:
  bool take_order();
  bool greet(const hello_order& order);
  bool start(const start_order& order);
  bool bear(const birth_plan& what, newborn_instance& made);
  bool try_start(newborn_instance& with, const start_order& order, start_answer& answer);
  bool open_granted(newborn_instance& with, const start_order& order, granted_directories& granted);
  bool hand_over(newborn_instance& with, start_answer& answer);
  bool take_spare(const birth_plan& what, newborn_instance& taken);
  void make_spare();
  void limit(newborn_instance& which, const resource_limits& limits);
  void let_go(newborn_instance& which);
  void deliver(const signal_order& order);
  bool change(const limits_order& order);
  int change(const instance& which, const resource_limits& limits, std::uint8_t& wall);
  void reap();
  void leave(instance& which);
  void remove_groups();
  int patience();
  void use_idle_time();

  template <class Answer>
  bool say(const Answer& answer);

  surroundings around_;
  instance_table instances_;
  user_range users_;
  int users_error_ = 0;
  int signals_ = -1;
  int own_lifeline_ = -1;  // its end is that of all instances
  std::size_t leaving_ = 0;
  int removal_pause_ms_ = removal_ms_min;
  std::int64_t next_removal_ms_ = 0;
  std::array<newborn_instance, spares_kept> spares_;
  birth_plan last_plan_;
  resource_limits last_limits_;
  bool spares_wanted_ = false;
  incoming message_;
};

bool launcher::prepare(std::uint32_t broker) {
  around_.broker = broker;
  ::syscall(SYS_close_range, socket_fd + 1, ~0U, 0);
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(socket_fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET)
    return false;
  ::fcntl(socket_fd, F_SETFD, FD_CLOEXEC);
  if (::chdir("/") != 0) return false;
  around_.user = ::geteuid();
  around_.group = ::getegid();
  around_.privileged = around_.user == 0;
  // Not otherwise: a process that cannot be traced owns none of its files in /proc, and the maps
  // of its children are among those.
  if (around_.privileged) ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::prctl(PR_SET_NAME, "bulkhead-launch", 0, 0, 0);
  // What the broker has for itself is no limit of its plugins.
  for (const auto which : {RLIMIT_NOFILE, RLIMIT_DATA}) {
    rlimit now{};
    ::getrlimit(which, &now);
    now.rlim_cur = now.rlim_max;
    ::setrlimit(which, &now);
  }
  users_error_ = around_.privileged ? users_.claim_block() : EPERM;
  around_.namespaces = own_namespaces();
  around_.groups.find();
  std::array<int, 2> own{};
  if (::pipe2(own.data(), O_CLOEXEC) != 0) return false;
  around_.launcher_lifeline = own[0];
  own_lifeline_ = own[1];
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGCHLD);
  if (::sigprocmask(SIG_BLOCK, &ends, nullptr) != 0) return false;
  signals_ = ::signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
  return signals_ >= 0;
}

void launcher::run() {
  for (bool there = true; there;) {
    std::array<pollfd, 2> wait{{{socket_fd, POLLIN, 0}, {signals_, POLLIN, 0}}};
    const int ready = ::poll(wait.data(), wait.size(), patience());
    if (ready == 0) use_idle_time();
    if (ready > 0 && wait[1].revents != 0) reap();
    if (ready > 0 && wait[0].revents != 0) there = take_order();
    remove_groups();
  }
}

/// Milliseconds until there is something to be done without being asked; -1: there is nothing.
int launcher::patience() {
  const auto now = now_ms();
  const auto sweep = around_.groups.sweep().due_in(now);
  int wait = spares_wanted_ ? idle_ms : -1;
  if (sweep >= 0) wait = sooner(wait, std::max(sweep, idle_ms));
  if (leaving_ > 0)
    wait = sooner(wait, static_cast<int>(std::max<std::int64_t>(next_removal_ms_ - now, 0)));
  return wait;
}

void launcher::use_idle_time() {
  if (spares_wanted_) return make_spare();
  auto& sweep = around_.groups.sweep();
  const auto now = now_ms();
  if (sweep.due_in(now) == 0) sweep.step(now);
}

/// For a sender that lacks something it is sent later: a broker that waits for an answer in vain
/// gives its launcher up, and all its plugins with it. False: there is nobody to answer.
template <class Answer>
bool launcher::say(const Answer& answer) {
  for (int tries = 0;; ++tries) {
    if (send_message(socket_fd, &answer, sizeof answer)) return true;
    if (is_gone(errno) || tries == answer_tries) return false;
    ::poll(nullptr, 0, answer_ms);
  }
}

/// Ends all instances, and waits a while until what they held is given back.
void launcher::close_down() {
  ::close(own_lifeline_);
  instances_.for_each([](const instance& each) {
    ::syscall(SYS_pidfd_send_signal, each.init_handle, SIGKILL, nullptr, 0);
  });
  for (int tries = 0; tries < close_down_ms_max && instances_.any(); ++tries) {
    pollfd wait{signals_, POLLIN, 0};
    ::poll(&wait, 1, 1);
    reap();
    remove_groups();
  }
  if (!instances_.any()) around_.groups.leave();
}

void launcher::reap() {
  signalfd_siginfo ignored;
  while (::read(signals_, &ignored, sizeof ignored) > 0) {
  }
  for (;;) {
    siginfo_t end{};
    if (::waitid(P_ALL, 0, &end, WEXITED | WNOHANG | __WALL) != 0 || end.si_pid == 0) return;
    instance* const ended = instances_.with_init(end.si_pid);
    if (ended == nullptr) continue;
    for (auto& spare : spares_) {
      if (spare.place != ended) continue;
      forget(spare.child);
      spare = newborn_instance{};
    }
    ::close(ended->init_handle);
    if (ended->plugin_handle >= 0) ::close(ended->plugin_handle);
    leave(*ended);
  }
}

/// Gives back the rest, at once or as soon as the groups can be removed.
void launcher::leave(instance& which) {
  instance left;
  left.leaving = true;
  left.user = which.user;
  left.group = which.group;
  which = left;
  ++leaving_;
  removal_pause_ms_ = removal_ms_min;
  next_removal_ms_ = 0;
}

void launcher::remove_groups() {
  if (leaving_ == 0 || now_ms() < next_removal_ms_) return;
  instances_.for_each_leaving([&](instance& each) {
    if (!around_.groups.remove(each.group)) return;
    if (each.user != 0) users_.give_back(each.user);
    each = instance{};
    --leaving_;
  });
  next_removal_ms_ = now_ms() + removal_pause_ms_;
  removal_pause_ms_ = std::min(2 * removal_pause_ms_, removal_ms_max);
}

/// False: the broker has gone, or talks nonsense.
bool launcher::take_order() {
  const auto got =
      receive_message(socket_fd, message_.bytes.data(), message_.bytes.size(), message_.fds);
  if (got.size <= 0) return false;
  message_.size = static_cast<std::size_t>(got.size);
  message_.fd_count = got.fds;
  const auto kind =
      got.cut_off ? order_kind{} : valid_order(message_.bytes.data(), message_.size, got.fds);
  bool good = true;
  switch (kind) {
    case order_kind::hello:
      good = greet(message_.as<hello_order>());
      break;
    case order_kind::start:
      good = start(message_.as<start_order>());
      break;
    case order_kind::signal:
      deliver(message_.as<signal_order>());
      break;
    case order_kind::limits:
      good = change(message_.as<limits_order>());
      break;
    default:
      start_answer refused;
      if (message_.size < sizeof(header) || message_.as<header>().magic != magic) good = false;
      refused.head = message_.as<header>();
      refused.head.version = version;
      refused.stopped_at = got.fds_lost ? stage::descriptors : stage::order;
      refused.error_number = got.fds_lost ? EMFILE : EBADMSG;
      good = good && say(refused);
  }
  message_.forget();
  return good;
}

bool launcher::greet(const hello_order& order) {
  if (around_.lifeline >= 0) return false;  // one broker, once
  around_.lifeline = message_.fds[0];
  message_.fd_count = 0;
  hello_answer answer;
  answer.head.kind = order.head.kind;
  answer.head.number = order.head.number;
  answer.user = around_.user;
  return say(answer);
}

/// In `made`, which is empty. False when there is no place left. A birth that failed has its
/// reasons in its report.
bool launcher::bear(const birth_plan& what, newborn_instance& made) {
  instance* const place = instances_.free_place();
  if (place == nullptr) return false;
  made.plan = what;
  if (has(what.wanted, wall::own_uid)) {
    if (around_.privileged && users_error_ != 0) users_error_ = users_.claim_block();
    if (users_error_ == 0) made.plan.user = users_.take();
  }
  made.plan.user_error = users_error_ != 0 ? users_error_ : EAGAIN;
  made.plan.group = around_.groups.next_group();
  made.child = give_birth(around_, made.plan);
  if (made.child.init > 0) {
    made.place = place;
    place->init = made.child.init;
    place->init_handle = made.child.init_handle;
    place->user = made.plan.user;
    place->group = made.plan.group;
    made.child.init_handle = -1;  // the table's now
    return true;
  }
  place->user = made.plan.user;
  place->group = made.plan.group;
  leave(*place);
  return true;
}

/// Kills what runs; the rest goes when it is reaped.
void launcher::let_go(newborn_instance& which) {
  if (which.place != nullptr)
    ::syscall(SYS_pidfd_send_signal, which.place->init_handle, SIGKILL, nullptr, 0);
  forget(which.child);
  which = newborn_instance{};
}

bool launcher::take_spare(const birth_plan& what, newborn_instance& taken) {
  for (auto& each : spares_) {
    if (each.place == nullptr || !each.fits(what)) continue;
    taken = each;
    each = newborn_instance{};
    return true;
  }
  return false;
}

/// One at a time, for starts as the last one was.
void launcher::make_spare() {
  for (auto& each : spares_) {
    if (each.place != nullptr && each.fits(last_plan_)) continue;
    let_go(each);
    if (!bear(last_plan_, each) || each.child.report == nullptr ||
        each.child.report->stopped_at != stage::none) {
      let_go(each);
      spares_wanted_ = false;  // until a start has worked again
    } else {
      limit(each, last_limits_);
    }
    return;
  }
  spares_wanted_ = false;
}

/// Takes the kernel a while, so that it is not done twice.
void launcher::limit(newborn_instance& which, const resource_limits& limits) {
  if (which.limited && which.limits == limits) return;
  around_.groups.limit(*which.child.report, which.plan.wanted, which.plan.group, limits);
  which.limits = limits;
  which.limited = true;
}

/// False when something cannot be given as it was meant, which the report says.
bool launcher::open_granted(newborn_instance& with, const start_order& order,
                            granted_directories& granted) {
  auto& report = *with.child.report;
  // Otherwise it runs as the launcher's own user.
  const bool own_user =
      around_.privileged && with.plan.user != 0 && report[wall::own_uid].error_number == 0;
  if (!own_user) return true;
  report.trees = is_up(report, wall::mount_namespace);
  const int error = granted.open(order, with.plan.user, report.trees);
  if (error != 0) not_granted(report, error, granted.failed());
  return error == 0;
}

/// True when the program runs, and the answer says so.
bool launcher::try_start(newborn_instance& with, const start_order& order, start_answer& answer) {
  auto& child = with.child;
  int plugin = -1;
  pid_t plugin_id = -1;
  if (child.report == nullptr) {
    answer.stopped_at = stage::descriptors;
    answer.error_number = ENOMEM;
    return false;
  }
  if (with.place != nullptr && child.report->stopped_at == stage::none) {
    limit(with, order.limits);
    granted_directories granted{message_.descriptors(), around_.broker};
    if (open_granted(with, order, granted))
      send_on_its_way(child, order, granted.descriptors(), plugin, plugin_id);
    with.place->plugin_handle = plugin;
  }
  answer.stopped_at = child.report->stopped_at;
  answer.wall = child.report->wall;
  answer.placement = child.report->placement;
  answer.error_number = child.report->error_number;
  answer.walls = child.report->walls;
  answer.plugin = plugin_id;
  if (answer.stopped_at != stage::none) return false;
  with.place->number = order.head.number;
  with.place->plugin = plugin_id;
  with.place->has_rlimits = is_up(*child.report, wall::resource_limits);
  with.place->counted = countable_of(*child.report, order.form);
  return true;
}

/// Gives the broker what holds a program that runs. Where that cannot be had it is as if it did not
/// run: a failed start, of which the answer tells. False: there is nobody to answer.
bool launcher::hand_over(newborn_instance& with, start_answer& answer) {
  const std::array handles{with.place->init_handle, with.place->plugin_handle, with.child.status};
  if (send_message(socket_fd, &answer, sizeof answer, handles)) return true;
  if (is_gone(errno)) return false;
  answer.stopped_at = stage::descriptors;
  answer.error_number = errno;
  let_go(with);
  return say(answer);
}

bool launcher::start(const start_order& order) {
  start_answer answer;
  answer.head.kind = order.head.kind;
  answer.head.number = order.head.number;
  if (around_.lifeline < 0) {
    answer.stopped_at = stage::order;
    answer.error_number = EBADMSG;
    return say(answer);
  }
  if (around_.broker != 0 && !gives_root_up(order)) {
    answer.stopped_at = stage::order;
    answer.error_number = EPERM;
    return say(answer);
  }
  birth_plan plan;
  plan.wanted = order.wanted;
  plan.required = order.required;
  plan.root_by_order = order.form != program_form::static_program || order.placements != 0;
  newborn_instance with;
  const bool ready = take_spare(plan, with);
  if (!ready && !bear(plan, with)) {
    answer.stopped_at = stage::full;
    answer.error_number = EAGAIN;
    return say(answer);
  }
  bool runs = try_start(with, order, answer);
  // A spare may have met with something while it waited.
  const bool its_own_fault =
      answer.stopped_at != stage::program && answer.stopped_at != stage::grant;
  if (!runs && ready && answer.stopped_at != stage::none && its_own_fault) {
    let_go(with);
    if (bear(plan, with)) runs = try_start(with, order, answer);
  }
  if (!runs) {
    let_go(with);
    return say(answer);
  }
  if (!hand_over(with, answer)) return false;
  forget(with.child);
  last_plan_ = plan;
  last_limits_ = order.limits;
  spares_wanted_ = true;
  return true;
}

void launcher::deliver(const signal_order& order) {
  const instance* const to = instances_.numbered(order.instance);
  if (to == nullptr) return;
  const int handle = order.all != 0 ? to->init_handle : to->plugin_handle;
  if (handle >= 0) ::syscall(SYS_pidfd_send_signal, handle, order.number, nullptr, 0);
}

bool launcher::change(const limits_order& order) {
  limits_answer answer;
  answer.head.kind = order.head.kind;
  answer.head.number = order.head.number;
  const instance* const which = instances_.numbered(order.instance);
  answer.error_number = which == nullptr ? ESRCH : change(*which, order.limits, answer.wall);
  return say(answer);
}

/// What stands of the two kinds of limits; ENOSYS: neither does. A number of a process that has
/// ended may be another's soon, so the handle says first that it has not.
int launcher::change(const instance& which, const resource_limits& limits, std::uint8_t& wall) {
  const int groups = around_.groups.change(which.group, limits, wall);
  if ((groups != 0 && groups != ENOSYS) || !which.has_rlimits) return groups;
  if (::syscall(SYS_pidfd_send_signal, which.plugin_handle, 0, nullptr, 0) != 0) return errno;
  const int own = change_resource_limits(which.plugin, limits, which.counted);
  if (own != 0) wall = static_cast<std::uint8_t>(index_of(bulkhead::wall::resource_limits));
  return own;
}

launcher the_launcher;  // too large for a stack

}  // namespace
}  // namespace bulkhead::launcher

int main(int count, char** words) {
  const auto broker = bulkhead::launcher::broker_of(count, words);
  if (broker < 0 || !bulkhead::launcher::the_launcher.prepare(static_cast<std::uint32_t>(broker)))
    return 2;
  bulkhead::launcher::the_launcher.run();
  bulkhead::launcher::the_launcher.close_down();
  return 0;
}
