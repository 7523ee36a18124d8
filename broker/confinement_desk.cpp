// SPDX-License-Identifier: Apache-2.0
#include "broker/confinement_desk.hpp"

#include <algorithm>
#include <cstring>

#include "broker/catalog/admin_words.hpp"
#include "broker/catalog/release_catalog.hpp"
#include "broker/confinement_rules.hpp"
#include "broker/convert.hpp"
#include "broker/mount_messages.hpp"
#include "broker/mount_record.hpp"
#include "broker/mount_rules.hpp"
#include "broker/services.hpp"
#include "broker/trust/manifest.hpp"

namespace bulkhead {
namespace {

manifest_bounds bounds_of(const release* of) {
  if (of == nullptr || of->manifest.empty()) return {};
  try {
    auto manifest = trust::parse_manifest(of->manifest);
    return {std::move(manifest.profile), std::move(manifest.limits)};
  } catch (const trust::refusal&) {
    return {};  // trust says more of that, and refuses it
  }
}

release_form form_of(const release* of) {
  return of != nullptr && of->link == "script" ? release_form::script : release_form::compiled;
}

const confinement_rules no_rules;

const confinement_rules& rules_of(const release* of) {
  return of == nullptr ? no_rules : of->spec.confinement;
}

unsigned size_of(std::size_t count) {
  return static_cast<unsigned>(count);
}

std::vector<std::string> waived_words(const wall_set& waived) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < wall_count; ++at)
    if (waived.test(at)) words.emplace_back(to_string(static_cast<wall>(at)));
  return words;
}

/// The grants of which a start makes something, or the others.
std::vector<grant> grants_that(const confinement& from, bool are_addresses) {
  std::vector<grant> chosen;
  for (const auto& each : from.grants)
    if ((each.kind == grant_kind::address) == are_addresses) chosen.push_back(each);
  return chosen;
}

/// Addresses count at once; those of another release wait for it all the same.
bool waits_for_the_next(const confinement& wanted, const mount_snapshot& now) {
  const auto& runs = *now.confined;
  if (wanted.of != runs.of || wanted.waived != runs.waived || !(wanted.limits == runs.limits) ||
      grants_that(wanted, false) != grants_that(runs, false))
    return true;
  if (!now.addresses) return false;
  std::vector<std::string> addresses;
  for (const auto& each : grants_that(wanted, true)) addresses.push_back(each.what);
  std::sort(addresses.begin(), addresses.end());
  return addresses != *now.addresses;
}

void write_wanted(const confinement& wanted, schema::ConfinementStatus::Builder to) {
  const auto walls = waived_words(wanted.waived);
  const auto limits = limits_shown(wanted.limits);
  std::vector<std::string> grants;
  grants.reserve(wanted.grants.size());
  for (const auto& each : wanted.grants) grants.push_back(grant_shown(each));
  to.setProfile(std::string(to_string(wanted.of)).c_str());
  write_texts(walls, to.initWaived(size_of(walls.size())));
  write_numbers(limits, to.initLimits(size_of(limits.size())));
  write_texts(grants, to.initGrants(size_of(grants.size())));
}

}  // namespace

std::shared_ptr<const confinement> confinement_of(const broker_services& services,
                                                  const release* of, const mount_record* mount) {
  const auto& config = services.config.confinement;
  if (config.unconfined) return nullptr;
  return std::make_shared<confinement>(effective_confinement(
      config.rules, rules_of(of), mount == nullptr ? no_rules : mount->spec.confinement,
      bounds_of(of), form_of(of)));
}

std::vector<std::string> addresses_of(const broker_services& services, const release* of,
                                      const mount_record& mount) {
  return granted_addresses(services.config.confinement.rules, rules_of(of), mount.spec.confinement);
}

std::shared_ptr<const confinement> next_confinement(const broker_services& services,
                                                    const mount_record& mount) {
  const auto& spec = mount.spec;
  if (!mount.version_running.empty()) {
    const auto kept = services.catalog->kept({spec.kind, spec.plugin, mount.version_running});
    if (kept.found()) return confinement_of(services, kept.chosen.get(), &mount);
  }
  const auto meant = services.catalog->resolve({spec.kind, spec.plugin, spec.version});
  return confinement_of(services, meant.found() ? meant.chosen.get() : nullptr, &mount);
}

std::vector<named_number> read_numbers(capnp::List<schema::NamedNumber>::Reader from) {
  std::vector<named_number> numbers;
  numbers.reserve(from.size());
  for (const auto each : from) numbers.push_back({text(each.getName()), each.getValue()});
  return numbers;
}

void write_numbers(const std::vector<named_number>& from,
                   capnp::List<schema::NamedNumber>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to[i].setName(from[i].name.c_str());
    to[i].setValue(from[i].value);
  }
}

manifest_times times_of(const release* of) {
  return times_in(bounds_of(of).limits);
}

confinement_rules read_confinement(schema::Confinement::Reader from) {
  return {text(from.getProfile()), read_texts(from.getWaive()), read_numbers(from.getLimits()),
          read_texts(from.getGrants())};
}

void write_confinement(const confinement_rules& from, schema::Confinement::Builder to) {
  to.setProfile(from.profile.c_str());
  write_texts(from.waive, to.initWaive(size_of(from.waive.size())));
  write_numbers(from.limits, to.initLimits(size_of(from.limits.size())));
  write_texts(from.grants, to.initGrants(size_of(from.grants.size())));
}

void write_walls(const confinement_report& from, capnp::List<schema::Wall>::Builder to) {
  const auto required = required_walls(from.of, from.as_root);
  for (unsigned i = 0; i < to.size(); ++i) {
    const auto which = static_cast<wall>(i);
    const auto& at = from[which];
    auto item = to[i];
    item.setName(std::string(to_string(which)).c_str());
    item.setState(std::string(to_string(at.state)).c_str());
    const char* name = at.error_number == 0 ? nullptr : ::strerrorname_np(at.error_number);
    if (at.error_number != 0)
      item.setError(name == nullptr ? std::to_string(at.error_number).c_str() : name);
    item.setValue(at.value);
    item.setObserved(at.observed);
    item.setRequired(required.test(i));
    item.setWaived(from.waived.test(i));
  }
}

void write_confinement_status(const broker_services& services, const mount_record& mount,
                              const mount_snapshot& now, schema::ConfinementStatus::Builder to) {
  write_confinement(rules_shown(mount.spec.confinement), to.initOwn());
  to.setUnconfined(services.config.confinement.unconfined);
  if (now.report != nullptr) {
    write_walls(*now.report, to.initWalls(wall_count));
    const auto gaps = gaps_in(*now.report);
    auto list = to.initGaps(size_of(gaps.size()));
    for (unsigned i = 0; i < list.size(); ++i) list.set(i, std::string(gaps[i]).c_str());
  }
  if (services.config.confinement.unconfined) return;
  const auto problem = kj::runCatchingExceptions([&] {
    const auto wanted = next_confinement(services, mount);
    write_wanted(*wanted, to);
    to.setPending(now.confined != nullptr && waits_for_the_next(*wanted, now));
  });
  KJ_IF_MAYBE (refused, problem) {
    const auto said = to_error(*refused);
    to.setProblem((said.what() + (said.why().empty() ? "" : ": " + said.why())).c_str());
  }
}

}  // namespace bulkhead
