// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/registration.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include "broker/catalog/companion_reader.hpp"
#include "broker/catalog/hello_probe.hpp"
#include "broker/catalog/release_rules.hpp"
#include "broker/catalog/release_start.hpp"
#include "broker/convert.hpp"
#include "broker/mount_bring_up.hpp"
#include "broker/refusal.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

/// The hello of a plugin that was asked as `wanted` has said otherwise.
[[noreturn]] void not_as_said(const char* what, const std::string& said,
                              const std::string& wanted) {
  refuse(error_kind::start_failed, fmt::format("the plugin says another {}", what),
         fmt::format("it introduces itself as {}, not {}", said, wanted),
         "register it as what it is   |   correct the plugin");
}

}  // namespace

struct registrar::work {
  release what;
  std::shared_ptr<const image> program;
  std::shared_ptr<plugin_face> face;
};

kj::Promise<release_info> registrar::run(release_spec spec, bool declared) {
  return kj::evalNow([&]() -> kj::Promise<release_info> {
    check_release_spec(spec);
    const auto most = services_.limits.registrations_at_once_max;
    if (under_way_ >= most)
      refuse(error_kind::overloaded, "too many registrations are under way",
             fmt::format("{}, the limit registrations_at_once_max", most), "try again");
    ++under_way_;
    auto job = std::make_shared<work>();
    job->what.spec = std::move(spec);
    job->what.declared = declared;
    return read(job)
        .then([this, job] {
          adopt_manifest(*job);
          judge(*job);
          return ask_who_it_is(job);
        })
        .then([this, job] {
          adopt_hello(*job);
          // Its kind and version may only be known now.
          judge(*job);
          job->what.registered_unix_ms = unix_ms_now();
          return services_.catalog->add(std::move(job->what), services_.limits.releases_max);
        })
        .attach(kj::defer([this] { --under_way_; }));
  });
}

/// The bytes, and what vouches for them.
kj::Promise<void> registrar::read(std::shared_ptr<work> job) {
  const auto& spec = job->what.spec;
  std::optional<trust::digest> expected;
  if (!spec.sha256.empty()) expected = trust::digest_from_hex(spec.sha256);
  return ask_image(services_, ask_, spec.command, expected)
      .then([this, job](std::shared_ptr<const image>&& made) {
        job->program = std::move(made);
        return read_companions_of(services_, ask_, job->what.spec.command);
      })
      .then([job](companion_files&& found) {
        if (!found.problem.empty())
          refuse(error_kind::invalid_argument, "the manifest beside the file cannot be used",
                 found.problem);
        auto& what = job->what;
        what.spec.sha256 = to_hex(job->program->digest());
        what.size_bytes = job->program->size();
        what.link = std::string(to_string(job->program->link()));
        what.manifest = std::move(found.manifest);
        what.signatures = std::move(found.signatures);
      });
}

/// Takes kind and version from the manifest where nobody said them. Whether it is worth anything is
/// for judge() to say.
void registrar::adopt_manifest(work& job) const {
  auto& spec = job.what.spec;
  if (job.what.manifest.empty()) return;
  try {
    const auto manifest = trust::parse_manifest(job.what.manifest);
    if (spec.kind.empty()) spec.kind = manifest.kind;
    if (spec.version.empty()) spec.version = manifest.version;
  } catch (const trust::refusal&) {
    return;
  }
}

void registrar::judge(const work& job) const {
  const auto& what = job.what;
  if (what.spec.kind.empty() && what.manifest.empty() && services_.trust->signature_required({}))
    refuse(error_kind::permission_denied, fmt::format("'{}' may not run", what.spec.name),
           "it is unsigned, and some kinds of plugins need a signature: it would have to be "
           "started to learn its kind",
           fmt::format("say the kind, as in generic/{}   |   sign it", what.spec.name));
  const auto verdict = services_.trust->judge(candidate_of(what));
  if (!verdict.accepted()) kj::throwFatalException(trust_exception(what.id(), verdict));
}

kj::Promise<void> registrar::ask_who_it_is(std::shared_ptr<work> job) {
  auto process = process_of(services_, job->what, *job->program);
  process.confined = confinement_of(services_, &job->what, nullptr);
  return probe_hello(services_, std::move(process))
      .then([job](std::shared_ptr<plugin_face>&& face) { job->face = std::move(face); });
}

void registrar::adopt_hello(work& job) const {
  auto& what = job.what;
  auto& spec = what.spec;
  const auto info = job.face->reader();
  const auto kind = to_string(info.getKind());
  if (job.face->name != spec.name) not_as_said("name", job.face->name, spec.name);
  if (!spec.version.empty() && spec.version != job.face->version)
    not_as_said("version", job.face->version, spec.version);
  if (!trust::is_plugin_kind(kind))
    refuse(error_kind::start_failed, "the plugin says a kind that this broker does not know", kind);
  if (!spec.kind.empty() && spec.kind != kind) not_as_said("kind", kind, spec.kind);
  spec.kind = kind;
  spec.version = job.face->version;
  what.storage_version = info.getStorageVersion();
  what.options_known = info.hasOptions();
  if (info.hasOptions()) describe_options(what, info.getOptions());
}

}  // namespace bulkhead
