// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/release_start.hpp"

#include <fmt/format.h>

#include "broker/catalog/release_catalog.hpp"
#include "broker/convert.hpp"
#include "broker/images/image_actor.hpp"
#include "broker/mount_rules.hpp"
#include "broker/option_rules.hpp"
#include "broker/storage_upgrade.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

error_kind kind_of(const image_error& problem) {
  if (!problem.permanent()) return error_kind::overloaded;
  switch (problem.failure()) {
    case image_failure::file_missing:
    case image_failure::directory_missing:
      return error_kind::not_found;
    case image_failure::digest_mismatch:
    case image_failure::directory_owner:
    case image_failure::directory_writable:
    case image_failure::file_owner:
    case image_failure::file_writable:
      return error_kind::permission_denied;
    default:
      return error_kind::invalid_argument;
  }
}

release_wish wish_of(const mount_spec& spec) {
  return {spec.kind, spec.plugin, spec.version};
}

/// A name that is nobody's but, in development mode, a file's.
bool is_file(const broker_services& services, const mount_spec& spec, const resolution& meant) {
  return services.config.allow_unregistered && meant.how == resolution::outcome::unknown &&
         spec.kind.empty() && spec.version.empty();
}

/// What the release's manifest does not allow is refused before anything is started.
void check_confined(const broker_services& services, const release& of, const mount_spec& spec) {
  mount_record record;
  record.spec = spec;
  confinement_of(services, &of, &record);
}

/// The same release as the catalog holds it now, where it may have been vouched for anew. Null when
/// it is gone, whatever has taken its place.
std::shared_ptr<const release> as_registered(const broker_services& services, const release& what) {
  auto now = services.catalog->find(what.id());
  return now != nullptr && now->spec == what.spec ? now : nullptr;
}

kj::Promise<process_spec> prepare(broker_services& services,
                                  const std::shared_ptr<const release>& what) {
  demand_trust(services, *what);
  return ask_image(services, *services.ask, what->spec.command, digest_of(*what))
      .then([&services, what](std::shared_ptr<const image>&& program) {
        // A key may have been revoked while the disk was slow.
        demand_trust(services, *what);
        return process_of(services, *what, *program);
      });
}

release_choice refused(const resolution& why) {
  return {nullptr, [problem = resolution_exception(why)]() -> kj::Promise<process_spec> {
            return kj::cp(problem);
          }};
}

release_choice chosen(broker_services& services, std::shared_ptr<const release> of,
                      const mount_entry& entry) {
  const auto& spec = entry.spec;
  auto steps = [&services, of, options = spec.options, record = mount_record(entry)] {
    if (of->options_known) check_options(of->options(), options);
    auto confined = confinement_of(services, of.get(), &record);
    return prepare(services, of).then([confined = std::move(confined)](process_spec&& process) {
      process.confined = confined;
      return std::move(process);
    });
  };
  return {std::move(of), std::move(steps)};
}

}  // namespace

bool may_run(const broker_services& services, const release& what) {
  const auto now = as_registered(services, what);
  return now != nullptr && services.trust->judge(now).accepted();
}

bool may_go_on(const broker_services& services, const std::shared_ptr<const release>& what) {
  const auto now = as_registered(services, *what);
  switch (services.trust->judge(now == nullptr ? what : now).refused) {
    case trust::ground::revoked_signer:
    case trust::ground::unknown_signers:
    // Several keys signed it, and which of them is named is chance.
    case trust::ground::out_of_scope:
    case trust::ground::key_not_yet_valid:
    case trust::ground::key_expired:
      return false;
    default:
      return true;  // it is unsigned, or well signed: what else is wrong, its next start will be
                    // told
  }
}

void demand_trust(const broker_services& services, const release& what) {
  const auto now = as_registered(services, what);
  if (now == nullptr)
    kj::throwFatalException(exception(error_kind::not_found,
                                      fmt::format("{} may not run", to_string(what.id())),
                                      "it was deregistered meanwhile", "bulkhead plugin list"));
  const auto& verdict = services.trust->judge(now);
  if (!verdict.accepted()) kj::throwFatalException(trust_exception(what.id(), verdict));
}

kj::Promise<std::shared_ptr<const image>> ask_image(broker_services& services, asker& ask,
                                                    const std::string& command,
                                                    const std::optional<trust::digest>& expected) {
  return ask
      .ask<image_answer>(services.images,
                         image_request{{services.config.plugin_directory, command}, expected})
      .then([](image_answer&& answer) {
        if (answer.made == nullptr)
          kj::throwFatalException(exception(kind_of(*answer.failure), answer.failure->what(),
                                            answer.failure->why(), answer.failure->remedy()));
        return std::move(answer.made);
      });
}

process_spec process_of(const broker_services& services, const release& what,
                        const image& program) {
  process_spec process;
  process.executable = services.config.plugin_directory + "/" + what.spec.command;
  process.program = program.program();
  process.arguments = what.spec.arguments;
  for (const auto& each : what.spec.environment) process.environment.push_back(each);
  return process;
}

release_choice choose_release(broker_services& services, const mount_entry& entry, bool anew) {
  const auto& spec = entry.spec;
  if (!anew && entry.ran_unregistered && services.config.allow_unregistered) return {};
  if (!anew && !entry.version_running.empty()) {
    const auto kept = services.catalog->kept({spec.kind, spec.plugin, entry.version_running});
    if (kept.found()) return chosen(services, kept.chosen, entry);
    // It is there; what else the name means may be an older one.
    if (kept.how == resolution::outcome::damaged) return refused(kept);
  }
  const auto meant = services.catalog->resolve(wish_of(spec));
  if (meant.found()) return chosen(services, meant.chosen, entry);
  if (is_file(services, spec, meant)) return {};
  return refused(meant);
}

kj::Promise<void> demand_startable(broker_services& services, const mount_entry& entry,
                                   const std::shared_ptr<const release>& of) {
  if (of == nullptr) return kj::READY_NOW;
  return kj::evalNow([&] { return chosen(services, of, entry).prepare().ignoreResult(); });
}

kj::Promise<void> write_release(broker_services& services,
                                const std::shared_ptr<mount_entry>& entry,
                                const std::shared_ptr<const release>& of) {
  return services.change_record(entry,
                                [of](mount_record& record) { write_release(record, of.get()); });
}

bool keeps_to(const mount_entry& entry, const release& of) {
  return entry.version_running == of.spec.version && entry.spec.kind == of.spec.kind;
}

void note_running(broker_services& services, mount_entry& entry,
                  const std::shared_ptr<const release>& of) {
  entry.take_wanted = false;
  entry.ran_unregistered = of == nullptr;
  if (const auto now = of == nullptr ? nullptr : as_registered(services, *of))
    services.reactor.detach(services.trust->started(now));
  write_release(entry, of.get());
  if (of == nullptr && !rolls_back(entry)) entry.version_running.clear();
}

void check_plugin(broker_services& services, mount_spec& spec) {
  if (!spec.kind.empty() && !trust::is_plugin_kind(spec.kind))
    kj::throwFatalException(exception(
        error_kind::invalid_argument,
        fmt::format("'{}' is no plugin", wire::escape_line(spec.kind + "/" + spec.plugin)),
        "a plugin is [KIND/]NAME, and a kind is secrets, auth, database or generic",
        "bulkhead plugin list"));
  const auto meant = services.catalog->resolve(wish_of(spec));
  if (is_file(services, spec, meant))
    return check_plugin_file(services.config.plugin_directory, spec.plugin);
  if (!meant.found()) kj::throwFatalException(resolution_exception(meant));
  spec.kind = meant.chosen->spec.kind;
  check_confined(services, *meant.chosen, spec);
  if (meant.chosen->options_known) check_options(meant.chosen->options(), spec.options);
  // What it asks for has to be there even while a pin says otherwise.
  if (!spec.version.empty() &&
      services.catalog->find({spec.kind, spec.plugin, spec.version}) == nullptr)
    kj::throwFatalException(exception(
        error_kind::not_found,
        fmt::format("there is no release {}", to_string({spec.kind, spec.plugin, spec.version})),
        {}, fmt::format("bulkhead plugin list {}/{}", spec.kind, spec.plugin)));
}

void check_tuned(broker_services& services, mount_spec& spec, bool other_version) {
  if (other_version && !spec.version.empty()) return check_plugin(services, spec);
  const auto meant = services.catalog->resolve(wish_of(spec));
  if (!meant.found()) return;
  check_confined(services, *meant.chosen, spec);
  if (meant.chosen->options_known) check_options(meant.chosen->options(), spec.options);
}

std::string reload_problem(const broker_services& services, const mount_entry& entry,
                           const std::string& version) {
  if (version.empty()) return {};
  const auto meant = services.catalog->resolve(wish_of(entry.spec));
  if (!meant.found() || meant.chosen->spec.version == version) return {};
  const auto id = meant.chosen->id();
  return fmt::format(
      "its next release is {}, not {}: bulkhead tune {} --version {}, or bulkhead plugin pin "
      "{}/{}@{}",
      id.version, version, entry.spec.path, version, id.kind, id.name, version);
}

void show_release(const broker_services& services, const mount_entry& entry, bool runs,
                  const std::shared_ptr<const release>& of, mount_status& status) {
  const auto meant = services.catalog->resolve(wish_of(entry.spec));
  show_storage(entry, status);
  status.kind = entry.spec.kind;
  status.version = entry.spec.version;
  if (meant.found()) {
    status.kind = meant.chosen->spec.kind;
    status.version_wanted = meant.chosen->spec.version;
  }
  status.unregistered = runs ? of == nullptr : is_file(services, entry.spec, meant);
  if (status.unregistered) status.kind = entry.spec.kind;
  if (!runs || of == nullptr) return;
  status.sha256 = of->spec.sha256;
  if (const auto now = as_registered(services, *of))
    status.signed_by = services.trust->judge(now).signers;
}

}  // namespace bulkhead
