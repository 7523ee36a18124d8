// SPDX-License-Identifier: Apache-2.0
//
// Keys as files: making, signing, verifying. None of it asks a broker, and nothing of a secret key
// is ever shown; what was read of one is overwritten.
#include <fmt/format.h>

#include <algorithm>

#include "broker/trust/manifest.hpp"
#include "broker/trust/minisign.hpp"
#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/local_files.hpp"
#include "tools/bulkhead/program_file.hpp"

namespace bulkhead::cli {
namespace {

constexpr unsigned mode_secret = 0600;
constexpr unsigned mode_for_all = 0644;
constexpr std::size_t verified_bytes_max = 1024 * 1024 * 1024;
constexpr std::string_view manifest_suffix = ".manifest";
constexpr std::string_view signature_suffix = ".minisig";

bool ends_with(std::string_view text, std::string_view suffix) {
  return text.size() > suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

std::string needed_key(const invocation& command) {
  if (command.has("key")) return command.value("key");
  throw usage(fmt::format("{}: --key is missing", command.command->name),
              fmt::format("bulkhead {}", synopsis(*command.command)));
}

trust::minisign_secret_key load_secret_key(const std::string& path) {
  std::string text = read_private_file(path, trust::key_file_bytes_max);
  try {
    auto key = trust::parse_secret_key(text);
    trust::cleanse(text);
    return key;
  } catch (...) {
    trust::cleanse(text);
    throw;
  }
}

/// Of a file; or the key itself, as `minisign -P` takes it.
trust::minisign_public_key load_public_key(const std::string& given) {
  constexpr std::size_t key_characters = 56;
  const bool is_key =
      given.size() == key_characters && given.compare(0, 2, "RW") == 0 && !file_exists(given);
  return trust::parse_public_key(is_key ? given : read_file(given, trust::key_file_bytes_max));
}

/// The manifest that belongs to a file: the file itself, or what stands beside a plugin.
struct manifest_file {
  std::string path;
  std::string text;
};

void check_plugin(const std::string& plugin, const manifest_file& file) {
  const auto says = trust::parse_manifest(file.text);
  const auto program = inspect_program(plugin);
  if (program.sha256 == says.sha256 && program.size_bytes == says.size_bytes) return;
  throw failure(
      exit_code::failed,
      fmt::format("'{}' is not the file that its manifest is about", wire::escape_line(plugin)),
      fmt::format("its SHA-256 is {}; the manifest says {}", trust::to_hex(program.sha256),
                  trust::to_hex(says.sha256)),
      "bulkhead plugin manifest --force FILE");
}

manifest_file find_manifest(const std::string& given) {
  if (ends_with(given, manifest_suffix)) {
    return {given, read_file(given, trust::manifest_bytes_max)};
  }
  const std::string beside = given + std::string(manifest_suffix);
  if (!file_exists(beside)) {
    throw failure(exit_code::no_target,
                  fmt::format("'{}' has no manifest", wire::escape_line(given)),
                  "what is signed is the manifest beside it",
                  "bulkhead plugin manifest FILE --kind KIND --version V");
  }
  manifest_file found{beside, read_file(beside, trust::manifest_bytes_max)};
  check_plugin(given, found);
  return found;
}

/// Signatures of other keys that are kept.
std::string other_signatures(const std::string& path, const trust::key_hint& own) {
  if (!file_exists(path)) return {};
  std::string text;
  for (const auto& block :
       trust::parse_signatures(read_file(path, trust::signature_file_bytes_max))) {
    if (block.hint != own) text += trust::print_signature(block);
  }
  return text;
}

std::string default_comment(environment& in, const std::string& path) {
  constexpr std::int64_t second_ms = 1000;
  return fmt::format("timestamp:{}\tfile:{}\thashed", in.unix_ms() / second_ms,
                     path.substr(path.rfind('/') + 1));
}

datum signed_record(const std::string& path, const std::string& signature, const std::string& id) {
  datum record = datum::of_record();
  record.add("manifest", datum::of_text(path));
  record.add("signature", datum::of_text(signature));
  record.add("id", datum::of_text(id));
  return record;
}

}  // namespace

exit_code run_key_generate(environment& in, const invocation& command) {
  const std::string& path = command.arguments[0];
  const std::string public_path = path + ".pub";
  const auto key = trust::generate_key();
  const std::string public_text = trust::print_public_key(key.verifier(), command.value("name"));
  create_file(public_path, public_text, mode_for_all);
  std::string secret_text = trust::print_secret_key(key);
  try {
    create_file(path, secret_text, mode_secret);
  } catch (...) {
    trust::cleanse(secret_text);
    remove_file(public_path);
    throw;
  }
  trust::cleanse(secret_text);
  const std::string id = trust::key_id(key.key.verifier());
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("secretFile", datum::of_text(path));
    record.add("publicFile", datum::of_text(public_path));
    record.add("publicKey", datum::of_text(trust::public_key_text(key.verifier())));
    record.add("id", datum::of_text(id));
    in.out.record(record);
  } else {
    in.out.text(fmt::format("secret key  {}\npublic key  {}\nid          {}\n",
                            wire::escape_line(path), wire::escape_line(public_path), id));
  }
  return exit_code::done;
}

exit_code run_key_sign(environment& in, const invocation& command) {
  const auto key = load_secret_key(needed_key(command));
  const std::string id = trust::key_id(key.key.verifier());
  datum all = datum::of_list();
  for (const auto& given : command.arguments) {
    const auto file = find_manifest(given);
    trust::parse_manifest(file.text);  // a key for manifests signs nothing else
    const std::string comment = command.value("comment", default_comment(in, file.path));
    const std::string path = file.path + std::string(signature_suffix);
    std::string text = command.has("add") ? other_signatures(path, key.hint) : std::string();
    text += trust::print_signature(trust::sign_file(file.text, key, comment));
    trust::parse_signatures(text);  // not more of them than a file may hold
    replace_file(path, text, mode_for_all);
    if (in.out.json()) {
      all.items.push_back(signed_record(file.path, path, id));
    } else {
      in.out.text(
          fmt::format("signed {}: {}\n", wire::escape_line(file.path), wire::escape_line(path)));
    }
  }
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("signed", std::move(all));
    in.out.record(record);
  }
  return exit_code::done;
}

exit_code run_key_verify(environment& in, const invocation& command) {
  const auto key = load_public_key(needed_key(command));
  const std::string& given = command.arguments[0];
  const bool has_manifest = file_exists(given + std::string(manifest_suffix));
  const manifest_file file = has_manifest
                                 ? find_manifest(given)
                                 : manifest_file{given, read_file(given, verified_bytes_max)};
  const auto blocks = trust::parse_signatures(
      read_file(file.path + std::string(signature_suffix), trust::signature_file_bytes_max));
  const auto good = std::find_if(blocks.begin(), blocks.end(), [&](const auto& block) {
    return block.hint == key.hint && trust::fits(block, key.key, file.text);
  });
  if (good == blocks.end()) {
    const bool bears = std::any_of(blocks.begin(), blocks.end(),
                                   [&](const auto& block) { return block.hint == key.hint; });
    throw failure(
        exit_code::failed,
        fmt::format("'{}' has no good signature of this key", wire::escape_line(file.path)),
        bears ? "the file or its signature was changed" : "its signatures are of other keys");
  }
  const std::string id = trust::key_id(key.key);
  if (in.out.json()) {
    datum record = signed_record(file.path, file.path + std::string(signature_suffix), id);
    record.add("comment", datum::of_text(good->trusted_comment));
    in.out.record(record);
  } else {
    std::string comment = good->trusted_comment;
    std::replace(comment.begin(), comment.end(), '\t', ' ');
    in.out.text(fmt::format("good signature on {}\nid       {}\ncomment  {}\n",
                            wire::escape_line(file.path), id, wire::escape_line(comment)));
  }
  return exit_code::done;
}

}  // namespace bulkhead::cli
