// SPDX-License-Identifier: Apache-2.0
//
// What the broker trusts: keys and policies. Making and using keys is in commands_key.cpp.
#include <fmt/format.h>

#include "broker/trust/minisign.hpp"
#include "broker/trust/utc_time.hpp"
#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/local_files.hpp"
#include "tools/bulkhead/release_text.hpp"

namespace bulkhead::cli {
namespace {

// So many digits of an id are enough to say it, when they fit one key only.
constexpr std::size_t id_digits_min = 8;

/// The end of a day, when only a day is given: the key is good all that day.
std::int64_t moment(const std::string& text) {
  constexpr std::size_t day_characters = 10;
  const auto whole = text.size() == day_characters ? text + "T23:59:59Z" : text;
  if (const auto unix_ms = trust::unix_ms_from_utc(whole)) return *unix_ms;
  throw usage(fmt::format("'{}' is no date", wire::escape_line(text)),
              "as in 2027-11-01, or 2027-11-01T12:00:00Z");
}

/// The id of the one key that `text` means: an id, the beginning of one, or a name.
std::string find_key(schema::TrustReport::Reader trust, const std::string& text) {
  if (text.empty()) throw usage("'' is no key", "name one by its id: bulkhead key list");
  std::string found;
  for (auto key : trust.getKeys()) {
    const std::string id = key.getId().cStr();
    const bool begins = text.size() >= id_digits_min && id.compare(0, text.size(), text) == 0;
    if (!begins && text != key.getName().cStr()) continue;
    if (!found.empty())
      throw usage(fmt::format("'{}' means several keys", wire::escape_line(text)),
                  "name one by its id: bulkhead key list -o json");
    found = id;
  }
  // What nobody has is left to the broker to refuse.
  return found.empty() ? text : found;
}

schema::SignaturePolicy policy_of(const std::string& text) {
  if (text == "required") return schema::SignaturePolicy::REQUIRED;
  if (text == "optional") return schema::SignaturePolicy::OPTIONAL;
  if (text == "automatic") return schema::SignaturePolicy::AUTOMATIC;
  throw usage(fmt::format("'{}' is no policy", wire::escape_line(text)),
              "automatic, required or optional");
}

}  // namespace

exit_code run_key_trust(environment& in, const invocation& command) {
  const auto key =
      trust::parse_public_key(read_file(command.arguments[0], trust::key_file_bytes_max));
  auto request = in.broker.admin().trustKeyRequest();
  auto to = request.initKey();
  to.setPublicKey(trust::public_key_text(key).c_str());
  to.setName(command.value("name").c_str());
  to.setPlugins(command.value("plugins").c_str());
  if (command.has("until")) to.setNotAfterUnixMs(moment(command.value("until")));
  const auto answer = in.wait(request.send().dropPipeline());
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("key", read_contract(answer.getKey()));
    in.out.record(record);
  } else {
    in.out.text(fmt::format("trusted {} for {}\n", key_title(answer.getKey()),
                            wire::escape_line(answer.getKey().getPlugins().cStr())));
  }
  return exit_code::done;
}

exit_code run_key_untrust(environment& in, const invocation& command) {
  const auto trust = in.wait(in.broker.admin().trustRequest().send().dropPipeline());
  if (command.has("reason") && !command.has("revoke"))
    throw usage("--reason belongs to --revoke", "bulkhead help key untrust");
  const auto id = find_key(trust.getTrust(), command.arguments[0]);
  auto request = in.broker.admin().untrustKeyRequest();
  request.setId(id.c_str());
  request.setRevoke(command.has("revoke"));
  request.setReason(command.value("reason").c_str());
  const auto answer = in.wait(request.send().dropPipeline());
  const auto affected = answer.getAffected();
  if (in.out.json()) {
    datum list = datum::of_list();
    for (auto each : affected) list.items.push_back(datum::of_text(each.cStr()));
    datum record = datum::of_record();
    record.add("id", datum::of_text(id));
    record.add("affected", std::move(list));
    in.out.record(record);
    return exit_code::done;
  }
  const bool revoke = command.has("revoke");
  in.out.text(fmt::format("{} {}\n", revoke ? "revoked" : "forgot",
                          wire::escape_line(command.arguments[0])));
  for (auto each : affected)
    in.out.text(fmt::format("  {}  {}\n", wire::escape_line(each.cStr()),
                            revoke ? "stopped: nobody vouches for its release any more"
                                   : "runs on; its next start is refused"));
  return exit_code::done;
}

exit_code run_key_list(environment& in, const invocation&) {
  const auto answer = in.wait(in.broker.admin().trustRequest().send().dropPipeline());
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("trust", read_contract(answer.getTrust()));
    in.out.record(record);
  } else {
    in.out.text(trust_text(answer.getTrust(), in.out.colour()));
  }
  return exit_code::done;
}

exit_code run_key_policy(environment& in, const invocation& command) {
  auto request = in.broker.admin().setTrustPolicyRequest();
  request.setKind(command.arguments[0].c_str());
  request.setPolicy(policy_of(command.arguments[1]));
  in.wait(request.send().dropPipeline());
  return run_key_list(in, command);
}

}  // namespace bulkhead::cli
