// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/registration.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include <algorithm>
#include <set>

#include "broker/catalog/companion_reader.hpp"
#include "broker/catalog/hello_probe.hpp"
#include "broker/catalog/release_start.hpp"
#include "broker/convert.hpp"
#include "broker/mount_bring_up.hpp"
#include "broker/refusal.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

[[noreturn]] void invalid_release(std::string what, std::string why, std::string remedy = {}) {
  refuse(error_kind::invalid_argument, std::move(what), std::move(why), std::move(remedy));
}

bool holds_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

void check_words(const std::vector<std::string>& words, const char* of) {
  if (words.size() > release_words_max)
    invalid_release(
        fmt::format("there are too many {}", of),
        fmt::format("{}, the limit is {} (release_words_max)", words.size(), release_words_max));
  for (const auto& each : words)
    if (each.size() > release_word_bytes_max || holds_nul(each))
      invalid_release(fmt::format("one of the {} is not usable", of),
                      fmt::format("each has at most {} bytes (release_word_bytes_max), and no NUL",
                                  release_word_bytes_max));
}

bool is_variable_name(std::string_view name) {
  const auto is_letter = [](char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_';
  };
  return !name.empty() && is_letter(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [&](char byte) { return is_letter(byte) || (byte >= '0' && byte <= '9'); });
}

/// Bytes that nobody has checked would come into the process by it.
bool steers_the_loader(std::string_view name) {
  return name.starts_with("LD_") || name == "GLIBC_TUNABLES" || name == "GCONV_PATH";
}

void check_environment(const std::vector<std::string>& environment) {
  std::set<std::string> names;
  for (const auto& own : process_spec::plugin_environment())
    names.insert(own.substr(0, own.find('=')));
  for (const auto& each : environment) {
    const auto equals = each.find('=');
    const auto name = each.substr(0, equals);
    if (equals == std::string::npos || !is_variable_name(name))
      invalid_release(fmt::format("'{}' is no variable", wire::escape_line(name)),
                      "a variable is NAME=value, and a name is [A-Za-z_][A-Za-z0-9_]*");
    if (steers_the_loader(name))
      invalid_release(fmt::format("the variable {} is refused", name),
                      "by it the dynamic loader runs what is not part of the release");
    if (!names.insert(name).second || name.starts_with("BULKHEAD_"))
      invalid_release(fmt::format("the variable {} is taken", name),
                      "it is given twice, or is one that the broker sets");
  }
}

/// The hello of a plugin that was asked as `wanted` has said otherwise.
[[noreturn]] void not_as_said(const char* what, const std::string& said,
                              const std::string& wanted) {
  refuse(error_kind::start_failed, fmt::format("the plugin says another {}", what),
         fmt::format("it introduces itself as {}, not {}", said, wanted),
         "register it as what it is   |   correct the plugin");
}

}  // namespace

void check_release_spec(release_spec& spec) {
  const auto name = wire::escape_line(spec.name);
  if (auto problem = check_plugin_name(spec.name); !problem.empty())
    invalid_release(fmt::format("'{}' is no plugin name", name), std::move(problem));
  if (!spec.kind.empty() && !trust::is_plugin_kind(spec.kind))
    invalid_release(fmt::format("'{}' is no kind of plugin", wire::escape_line(spec.kind)),
                    "it is secrets, auth, database or generic");
  if (!spec.version.empty() && !trust::parse_version(spec.version))
    invalid_release(fmt::format("'{}' is no version", wire::escape_line(spec.version)),
                    "a version is a semantic version, as in 1.4.2");
  if (spec.command.empty()) spec.command = spec.name;
  if (!spec.sha256.empty()) {
    const auto digest = sha256_from_hex(spec.sha256);
    if (!digest)
      invalid_release(fmt::format("'{}' is no SHA-256", wire::escape_line(spec.sha256)),
                      "it is 64 hexadecimal digits", fmt::format("sha256sum {}", spec.command));
    spec.sha256 = to_hex(*digest);
  }
  check_words(spec.arguments, "arguments");
  check_words(spec.environment, "variables");
  check_environment(spec.environment);
}

struct registrar::work {
  release what;
  std::shared_ptr<const image> program;
  std::shared_ptr<plugin_face> face;
};

kj::Promise<release_info> registrar::run(release_spec spec) {
  return kj::evalNow([&]() -> kj::Promise<release_info> {
    check_release_spec(spec);
    const auto most = services_.limits.registrations_at_once_max;
    if (under_way_ >= most)
      refuse(error_kind::overloaded, "too many registrations are under way",
             fmt::format("{}, the limit registrations_at_once_max", most), "try again");
    ++under_way_;
    auto job = std::make_shared<work>();
    job->what.spec = std::move(spec);
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
  std::optional<sha256_digest> expected;
  if (!spec.sha256.empty()) expected = sha256_from_hex(spec.sha256);
  return ask_image(services_, ask_, spec.command, expected)
      .then([this, job](std::shared_ptr<const image>&& made) {
        job->program = std::move(made);
        return read_companions_of(services_, ask_, job->what.spec.command);
      })
      .then([job](companion_files&& found) {
        if (!found.problem.empty())
          invalid_release("the manifest beside the file cannot be used", found.problem);
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
  return probe_hello(services_, process_of(services_, job->what, *job->program))
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
