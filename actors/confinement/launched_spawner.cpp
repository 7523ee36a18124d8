// SPDX-License-Identifier: Apache-2.0
#include "actors/confinement/launched_spawner.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "actors/backoff.hpp"
#include "actors/confinement/launched_child.hpp"
#include "actors/confinement/observation.hpp"
#include "actors/confinement/program_file.hpp"
#include "actors/confinement/waivers.hpp"
#include "actors/launcher/orders.hpp"
#include "actors/plugin_channels.hpp"

namespace bulkhead {
namespace {

using namespace std::chrono_literals;
using launcher::stage;

constexpr auto first_delay = 100ms;
constexpr auto delay_max = 5s;

/// No launcher is to be had.
class launcher_missing : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The order is more than the protocol carries.
class order_too_long : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

std::uint64_t bits_of(const wall_set& walls) {
  return walls.to_ullong();
}

unique_fd empty_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw std::system_error{errno, std::generic_category(), "pipe2"};
  ::close(ends[1]);
  return unique_fd{ends[0]};
}

/// The environment of a plugin may hold secrets.
struct wiped_order {
  void operator()(launcher::start_order* order) const {
    ::explicit_bzero(order->text.data(), order->text_bytes);
    std::default_delete<launcher::start_order>{}(order);
  }
};
using order_pointer = std::unique_ptr<launcher::start_order, wiped_order>;

void add_text(launcher::start_order& order, const std::string& text) {
  if (text.size() + 1 > order.text.size() - order.text_bytes)
    throw order_too_long{"the arguments and the environment"};
  std::memcpy(order.text.data() + order.text_bytes, text.c_str(), text.size() + 1);
  order.text_bytes += static_cast<std::uint32_t>(text.size()) + 1;
}

void add_texts(launcher::start_order& order, const std::vector<std::string>& texts) {
  for (const auto& text : texts) add_text(order, text);
}

bool is_variable(const grant& each) {
  return each.kind == grant_kind::environment;
}

/// Without which a launcher of root's starts nothing for a broker that is not (gives_root_up in
/// actors/launcher/main.cpp), whatever the profile requires.
wall_set walls_for_another(const wall_set& wanted) {
  wall_set walls;
  for (const auto each : {wall::own_uid, wall::no_groups, wall::no_capabilities,
                          wall::no_new_privileges, wall::lifeline})
    walls.set(index_of(each));
  if (!wanted.test(index_of(wall::pid_namespace))) walls.set(index_of(wall::cgroup_kill));
  return walls;
}

order_pointer order_for(const process_spec& spec, const confined_program& program,
                        const wall_set& without, bool as_root) {
  order_pointer order{std::make_unique<launcher::start_order>().release()};
  const auto& asked = *spec.confined;
  const wall_set wanted = wanted_walls(asked.of) & ~without;
  order->wanted = bits_of(wanted);
  auto required = required_walls(asked, as_root);
  if (as_root && ::geteuid() != 0) required |= walls_for_another(wanted) & ~asked.waived;
  order->required = bits_of(wanted & required);
  order->limits = asked.limits;
  order->form = program.form;
  const auto variables =
      spec.environment.size() + static_cast<std::size_t>(std::count_if(
                                    asked.grants.begin(), asked.grants.end(), is_variable));
  if (program.arguments.size() > launcher::arguments_max || variables > launcher::environment_max)
    throw order_too_long{"the number of arguments or of environment variables"};
  if (program.contents.size() > launcher::placements_max)
    throw order_too_long{"its libraries and grants"};
  order->arguments = static_cast<std::uint16_t>(program.arguments.size());
  order->environment = static_cast<std::uint16_t>(variables);
  order->placements = static_cast<std::uint16_t>(program.contents.size());
  add_texts(*order, program.arguments);
  add_texts(*order, spec.environment);
  for (const auto& each : asked.grants)
    if (is_variable(each)) add_text(*order, each.what);
  for (std::size_t n = 0; n < program.contents.size(); ++n) {
    order->placed[n] = program.contents[n].kind;
    add_text(*order, program.contents[n].where);
  }
  return order;
}

confinement_report report_of(const launcher::start_answer& answer, const confinement& asked,
                             bool as_root) {
  confinement_report report;
  report.of = asked.of;
  report.as_root = as_root;
  report.waived = asked.waived;
  for (std::size_t n = 0; n < wall_count; ++n) {
    const auto& from = answer.walls[n];
    const bool known = from.state <= static_cast<std::uint8_t>(wall_state::failed);
    report.walls[n] = {known ? static_cast<wall_state>(from.state) : wall_state::failed,
                       from.observed != 0, from.error_number, from.value};
  }
  return report;
}

spawn_error error_of(const process_spec& spec, spawn_failure failure, int error_number,
                     bool permanent, std::string why, std::string remedy = "") {
  return {failure,        error_number,
          permanent,      fmt::format("cannot start {}", spec.executable),
          std::move(why), std::move(remedy)};
}

std::string errno_text(int error_number) {
  const char* const name = strerrorname_np(error_number);
  return name != nullptr ? name : fmt::format("errno {}", error_number);
}

spawn_error missing_wall_error(const process_spec& spec, const confinement_report& found,
                               wall which, int error_number, std::string_view how) {
  auto error = error_of(spec, spawn_failure::no_wall, error_number, true,
                        fmt::format("the wall {} of profile {} {} ({})", to_string(which),
                                    to_string(spec.confined->of), how,
                                    error_number != 0 ? errno_text(error_number) : "no errno"),
                        fmt::format("{}, choose another profile, or {}", way_to_have(found, which),
                                    waiver_flags(found, which)));
  error.missing = which;
  error.report = std::make_shared<const confinement_report>(found);
  return error;
}

std::string_view words_for(stage at) {
  switch (at) {
    case stage::birth:
      return "its first process could not be made";
    case stage::identity:
      return "it could not take on its user";
    case stage::root:
      return "its root could not be made";
    case stage::init:
      return "its init could not be set up";
    case stage::plugin:
      return "it ended on its way to its program";
    case stage::silence:
      return "it did not reach its program in time";
    case stage::order:
      return "the launcher refused the order";
    default:
      return "the launcher could not start it";
  }
}

/// Of the grants that have a place in the root, or a descriptor, the one at `placement`: they are
/// the last of what a program is given.
const grant* grant_at(const process_spec& spec, const confined_program& program,
                      std::size_t placement) {
  const auto& grants = spec.confined->grants;
  std::size_t left = program.contents.size() - std::min(placement, program.contents.size());
  for (auto each = grants.rbegin(); each != grants.rend(); ++each)
    if (is_placed(*each) && --left == 0) return &*each;
  return nullptr;
}

struct why_not_granted {
  std::string_view why;
  std::string_view remedy;
};

why_not_granted reasons_for(int error, bool is_roots) {
  if (is_roots && error == EPERM)
    return {"belongs to root, and no plugin makes files of root's",
            "give the directory to a user (chown), whose its files on the disk will be"};
  if (is_roots && error == EACCES)
    return {"belongs to root, and not everybody may read it",
            "give the directory to a user, or let everybody read it"};
  if (error == EACCES)
    return {"is not the directory of the broker's user, and not open to everybody",
            "give the directory to the broker's user (chown)"};
  if (error == EOPNOTSUPP)
    return {
        "takes a mount namespace where each process has a uid of its own",
        "choose a profile with namespaces, or run the broker as the user whose directory it is"};
  if (error == ENXIO)
    return {"has another name inside, which takes a mount namespace",
            "grant it under its own name, or choose a profile with namespaces"};
  if (error == EINVAL || error == EPERM)
    return {"is on a file system that cannot show it as another user's",
            "put the directory on ext4, xfs, btrfs or tmpfs, or run the broker as the user whose "
            "directory it is"};
  return {"cannot be mounted", "look at the directory, and at what it is on"};
}

spawn_error not_granted_error(const process_spec& spec, const confined_program& program,
                              const launcher::start_answer& answer) {
  const int error = answer.error_number;
  if (launcher::is_shortage(error)) return explain_spawn_failure(spec, error);
  const auto* const one = grant_at(spec, program, answer.placement);
  if (one == nullptr)
    return error_of(spec, spawn_failure::other, error, true,
                    fmt::format("a part of its root cannot be mounted ({})", errno_text(error)));
  struct stat found {};
  const bool is_roots =
      ::fstat(program.contents[answer.placement].what.get(), &found) == 0 && found.st_uid == 0;
  const auto reasons = reasons_for(error, is_roots);
  return error_of(spec, spawn_failure::other, error, true,
                  fmt::format("the grant {} {} {} ({})", to_string(one->kind), one->what,
                              reasons.why, errno_text(error)),
                  std::string(reasons.remedy));
}

spawn_error explain(const process_spec& spec, const confined_program& program,
                    const launcher::start_answer& answer, bool as_root) {
  const int error = answer.error_number;
  switch (answer.stopped_at) {
    case stage::program:
      return explain_spawn_failure(spec, error);
    case stage::grant:
      return not_granted_error(spec, program, answer);
    case stage::order:
      if (error != EPERM) break;
      return error_of(spec, spawn_failure::other, error, true,
                      "for a broker that is not root these cannot be waived (EPERM): uid, groups, "
                      "capabilities, no-new-privs, lifeline, user-ns, and both pid-ns and cg.kill",
                      "take the waiver back, or start the broker without --user");
    case stage::full:
      return error_of(spec, spawn_failure::too_many_processes, error, false,
                      "the launcher holds as many instances as it can", "run fewer plugins");
    case stage::birth:
    case stage::descriptors:
    case stage::wall:  // that wants for something passing stands at the next start
      if (launcher::is_shortage(error)) return explain_spawn_failure(spec, error);
      break;
    default:
      break;
  }
  if (answer.wall < wall_count)
    return missing_wall_error(spec, report_of(answer, *spec.confined, as_root),
                              static_cast<wall>(answer.wall), error, "does not stand");
  return error_of(spec, spawn_failure::other, error, false,
                  fmt::format("{} ({})", words_for(answer.stopped_at), errno_text(error)));
}

std::size_t first_of(const wall_set& set) {
  std::size_t at = 0;
  while (!set.test(at)) ++at;
  return at;
}

bool has_ended(const unique_fd& handle) {
  pollfd ended{handle.get(), POLLIN, 0};
  return ::poll(&ended, 1, 0) != 0;
}

}  // namespace

std::string find_launcher() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return {};
  const auto folder = self.parent_path();
  for (const auto& place :
       {folder / "bulkhead-launcher", folder.parent_path() / "libexec/bulkhead/bulkhead-launcher"})
    if (::access(place.c_str(), X_OK) == 0) return place.string();
  return {};
}

launched_spawner::launched_spawner(launched_spawner_options options)
    : options_{std::move(options)} {
  if (options_.launcher.empty()) options_.launcher = find_launcher();
  if (!options_.now) options_.now = [] { return std::chrono::steady_clock::now(); };
  if (!options_.starts) {
    options_.starts = [path = options_.launcher] {
      if (path.empty())
        throw std::system_error{ENOENT, std::generic_category(), "bulkhead-launcher"};
      return start_launcher(path);
    };
  }
}

launched_spawner::~launched_spawner() = default;

bool launched_spawner::prepare() {
  try {
    link();
    return true;
  } catch (const launcher_missing&) {
    return false;
  }
}

std::shared_ptr<launcher_link> launched_spawner::link() {
  const std::lock_guard lock{mutex_};
  if (link_ && !link_->broken()) return link_;
  link_ = nullptr;
  if (options_.now() < not_before_) throw launcher_missing{last_failure_};
  try {
    link_ = std::make_shared<launcher_link>(options_.starts(), options_.answer_max);
    failures_ = 0;
    return link_;
  } catch (const std::system_error& failed) {
    not_before_ = options_.now() + backoff_delay(failures_++, first_delay, delay_max, 2.0);
    last_failure_ = failed.what();
    throw launcher_missing{last_failure_};
  }
}

spawn_result launched_spawner::spawn_confined(const process_spec& spec) {
  const auto program = program_of(spec, extensions_);
  if (program.form == launcher::program_form::interpreter &&
      spec.confined->of != profile::interpreter)
    return error_of(
        spec, spawn_failure::other, 0, true,
        fmt::format("a script cannot run under the profile {}", to_string(spec.confined->of)),
        "give it the profile interpreter");
  auto through = link();
  const bool as_root = through->user() == 0;
  const auto order = order_for(spec, program, options_.without, as_root);
  spawned_process started;
  auto channel = make_link_channel();
  auto output = make_output_channel();
  auto error = make_output_channel();
  const auto input = empty_pipe();
  std::vector<int> fds{program.file->get(), input.get(), output.theirs.get(), error.theirs.get(),
                       channel.theirs.get()};
  for (const auto& each : program.contents) fds.push_back(each.what.get());
  launcher_link::start_result result;
  try {
    result = through->start(*order, fds);
  } catch (const std::system_error&) {
    if (!through->broken()) throw;
    // It ended, before or while it was asked, and what it may have begun has ended with it.
    through = link();
    result = through->start(*order, fds);
  }
  if (result.answer.stopped_at != stage::none)
    return explain(spec, program, result.answer, as_root);

  auto report = report_of(result.answer, *spec.confined, as_root);
  const auto view = look_at(static_cast<pid_t>(result.answer.plugin));
  const bool seen = !has_ended(result.plugin);  // else another may have its number
  started.ticket = result.answer.head.number;
  started.process = make_launched_child(std::move(through), std::move(result));
  if (seen) {
    const auto wrong =
        hold_against(view, spec.confined->limits, report) & required_walls(*spec.confined, as_root);
    if (wrong.any())
      return missing_wall_error(spec, report, static_cast<wall>(first_of(wrong)), 0,
                                "was reported to stand and is not to be seen");
  }
  started.link = std::move(channel.ours);
  started.standard_output = std::move(output.ours);
  started.standard_error = std::move(error.ours);
  started.report = std::make_shared<const confinement_report>(report);
  return started;
}

int launched_spawner::set_limits(std::uint64_t ticket, const resource_limits& limits) {
  std::shared_ptr<launcher_link> through;
  {
    const std::lock_guard lock{mutex_};
    through = link_;
  }
  if (!through || through->broken()) return ESRCH;  // and so are its instances
  try {
    return through->change_limits(ticket, limits).error_number;
  } catch (const std::system_error&) {
    return ESRCH;
  }
}

spawn_result launched_spawner::spawn(const process_spec& spec) {
  if (!spec.confined) return plain_.spawn(spec);
  try {
    return spawn_confined(spec);
  } catch (const launcher_missing& failed) {
    return error_of(spec, spawn_failure::no_launcher, 0, false,
                    fmt::format("there is no launcher: {}", failed.what()),
                    "install bulkhead-launcher of the same build where the daemon finds it");
  } catch (const order_too_long& failed) {
    return error_of(spec, spawn_failure::arguments_too_long, E2BIG, true,
                    fmt::format("{} are more than a confined start takes", failed.what()),
                    "pass less by arguments");
  } catch (const missing_content& failed) {
    return error_of(spec, spawn_failure::no_interpreter, ENOENT, true, failed.what(),
                    "install it, or link the program statically");
  } catch (const std::system_error& failed) {
    return explain_spawn_failure(spec, failed.code().value());
  }
}

}  // namespace bulkhead
