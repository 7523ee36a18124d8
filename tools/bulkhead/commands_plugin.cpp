// SPDX-License-Identifier: Apache-2.0
//
// The catalog: registering, looking, pinning.
#include <fmt/format.h>

#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/mount_flags.hpp"
#include "tools/bulkhead/release_name.hpp"
#include "tools/bulkhead/release_text.hpp"

namespace bulkhead::cli {
namespace {

void fill_texts(capnp::List<capnp::Text>::Builder to, const std::vector<std::string>& from) {
  for (capnp::uint i = 0; i < to.size(); ++i) to.set(i, from[i].c_str());
}

void show_release(environment& in, schema::Release::Reader release) {
  if (!in.out.json()) return in.out.text(release_text(release));
  datum record = datum::of_record();
  record.add("release", read_contract(release));
  in.out.record(record);
}

/// For commands whose whole answer is that it is done.
void show_done(environment& in, const release_name& what, const std::string& done) {
  const auto name = fmt::format("{}{}{}{}{}", what.kind, what.kind.empty() ? "" : "/", what.name,
                                what.version.empty() ? "" : "@", what.version);
  if (!in.out.json()) return in.out.text(fmt::format("{} {}\n", done, name));
  datum record = datum::of_record();
  record.add("release", datum::of_text(name));
  in.out.record(record);
}

release_name needed_version(const invocation& command) {
  auto what = parse_release_name(command.arguments[0]);
  if (what.version.empty())
    throw usage(fmt::format("'{}' names no version", wire::escape_line(command.arguments[0])),
                fmt::format("as in {} {}@1.2.0", command.command->name, what.name));
  return what;
}

template <class Request>
void name_release(Request& request, const release_name& what) {
  request.setKind(what.kind.c_str());
  request.setName(what.name.c_str());
  request.setVersion(what.version.c_str());
}

}  // namespace

exit_code run_plugin_register(environment& in, const invocation& command) {
  const auto what = parse_release_name(command.arguments[0]);
  if (!what.version.empty() && command.has("version") && command.value("version") != what.version)
    throw usage("two versions are named", "NAME@V or --version V");
  auto request = in.broker.admin().registerReleaseRequest();
  auto spec = request.initSpec();
  spec.setKind(what.kind.c_str());
  spec.setName(what.name.c_str());
  spec.setVersion((what.version.empty() ? command.value("version") : what.version).c_str());
  spec.setCommand(command.value("command").c_str());
  spec.setSha256(command.value("sha256").c_str());
  const auto arguments = command.values("arg");
  fill_texts(spec.initArguments(static_cast<capnp::uint>(arguments.size())), arguments);
  const auto environment = command.values("env");
  fill_texts(spec.initEnvironment(static_cast<capnp::uint>(environment.size())), environment);
  fill_confinement(spec.initConfinement(), command);
  const auto answer = in.wait(request.send().dropPipeline());
  show_release(in, answer.getRelease());
  return exit_code::done;
}

exit_code run_plugin_list(environment& in, const invocation& command) {
  auto request = in.broker.admin().releasesRequest();
  if (!command.arguments.empty()) {
    const auto what = parse_release_name(command.arguments[0]);
    // A lone word may be a kind or a name: "secrets" is all of a kind.
    const bool is_kind = what.kind.empty() && (what.name == "secrets" || what.name == "auth" ||
                                               what.name == "database" || what.name == "generic");
    request.setKind((is_kind ? what.name : what.kind).c_str());
    request.setName(is_kind ? "" : what.name.c_str());
  }
  const auto answer = in.wait(request.send().dropPipeline());
  const auto releases = answer.getReleases();
  if (in.out.json()) {
    datum list = datum::of_list();
    for (auto each : releases) list.items.push_back(read_contract(each));
    datum record = datum::of_record();
    record.add("releases", std::move(list));
    in.out.record(record);
  } else if (releases.size() == 0) {
    in.out.note("no release is registered; `plugin register NAME` does it");
  } else {
    in.out.text(releases_text(releases, in.out.colour()));
  }
  return exit_code::done;
}

exit_code run_plugin_info(environment& in, const invocation& command) {
  auto request = in.broker.admin().releaseRequest();
  name_release(request, parse_release_name(command.arguments[0]));
  const auto answer = in.wait(request.send().dropPipeline());
  show_release(in, answer.getRelease());
  return exit_code::done;
}

exit_code run_plugin_deregister(environment& in, const invocation& command) {
  const auto what = needed_version(command);
  auto request = in.broker.admin().deregisterRequest();
  name_release(request, what);
  in.wait(request.send().dropPipeline());
  show_done(in, what, "deregistered");
  return exit_code::done;
}

exit_code run_plugin_pin(environment& in, const invocation& command) {
  const auto what = needed_version(command);
  auto request = in.broker.admin().pinRequest();
  name_release(request, what);
  in.wait(request.send().dropPipeline());
  show_done(in, what, "pinned");
  return exit_code::done;
}

exit_code run_plugin_unpin(environment& in, const invocation& command) {
  const auto what = parse_release_name(command.arguments[0]);
  auto request = in.broker.admin().unpinRequest();
  request.setKind(what.kind.c_str());
  request.setName(what.name.c_str());
  in.wait(request.send().dropPipeline());
  show_done(in, {what.kind, what.name, {}}, "unpinned");
  return exit_code::done;
}

}  // namespace bulkhead::cli
