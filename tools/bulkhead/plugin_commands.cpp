// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/plugin_commands.hpp"

#include "tools/bulkhead/mount_flags.hpp"

namespace bulkhead::cli {

namespace {

std::vector<flag_spec> register_flags() {
  std::vector<flag_spec> flags{
      {"command", '\0', "FILE", "The file, beneath the broker's plugin directory (NAME)"},
      {"version", '\0', "V", "What it must be; what it says when left out"},
      {"sha256", '\0', "DIGEST", "What the file must have"},
      {"arg", '\0', "TEXT", "An argument for the program", true},
      {"env", '\0', "K=V", "A variable for the program. Never a secret", true}};
  for (auto& each : confinement_flags()) flags.push_back(std::move(each));
  return flags;
}

}  // namespace

std::vector<command_spec> plugin_commands() {
  const argument_spec release{"[KIND/]NAME@V", false, false, word_kind::release};
  return {
      {command_id::plugin_register,
       "plugin register",
       "Plugins",
       {{"[KIND/]NAME"}},
       register_flags(),
       "Enter a release into the catalog",
       "Hashes the file, checks FILE.manifest and its signature when they are beside it, and\n"
       "starts it once to be asked who it is. From then on those bytes are the release, whatever\n"
       "becomes of the file. A version never changes.\n",
       {"plugin register kv", "plugin register secrets/kv --version 1.4.2 --command kv-1.4.2"}},
      {command_id::plugin_list,
       "plugin list",
       "Plugins",
       {{"[KIND/][NAME]", true, false, word_kind::plugin}},
       {},
       "List the releases of the catalog",
       "",
       {"plugin list", "plugin list secrets/kv"}},
      {command_id::plugin_info,
       "plugin info",
       "Plugins",
       {{"[KIND/]NAME[@V]", false, false, word_kind::release}},
       {},
       "Show one release",
       "Without a version, the one that a mount without a version takes.\n",
       {"plugin info kv", "plugin info secrets/kv@1.4.2"}},
      {command_id::plugin_deregister,
       "plugin deregister",
       "Plugins",
       {release},
       {},
       "Take a release out of the catalog",
       "Refused while mounts use it, or it is pinned.\n",
       {"plugin deregister kv@1.4.1"}},
      {command_id::plugin_pin,
       "plugin pin",
       "Plugins",
       {release},
       {},
       "Make every mount of a plugin take one version",
       "At its next reload, restart by an operator, or first start; whatever its own says.\n",
       {"plugin pin kv@1.4.1", "reload --plugin kv"}},
      {command_id::plugin_unpin,
       "plugin unpin",
       "Plugins",
       {{"[KIND/]NAME", false, false, word_kind::plugin}},
       {},
       "Take the pin away",
       "",
       {"plugin unpin kv"}},
  };
}

std::vector<command_spec> trust_store_commands() {
  return {
      {command_id::key_trust,
       "key trust",
       "Trust",
       {{"FILE.pub"}},
       {{"name", '\0', "NAME", "For people"},
        {"plugins", '\0', "PATTERN", "What it may sign: secrets/kv, secrets/* (all)"},
        {"until", '\0', "DATE", "The last day, or moment, that it is good (for ever)"}},
       "Make the broker trust a public key",
       "From the first trusted key on, releases need a good signature; see `key policy`. Trusting\n"
       "a key again changes what is said anew, and nothing else; `key untrust` first takes away a\n"
       "bound, or all of them.\n",
       {"key trust release.key.pub --name ci --plugins 'secrets/*' --until 2027-11-01"}},
      {command_id::key_untrust,
       "key untrust",
       "Trust",
       {{"ID|NAME"}},
       {{"revoke", '\0', "", "Its signatures never count again; stop what runs on them alone"},
        {"reason", '\0', "TEXT", "Why, for those who look later"}},
       "Forget a key, or revoke it",
       "Without --revoke, mounts run on until their next start, and the key may be trusted "
       "again.\n",
       {"key untrust ci", "key untrust ci --revoke --reason 'laptop stolen'"}},
      {command_id::key_list,
       "key list",
       "Trust",
       {},
       {},
       "Show trusted keys, policies, and the least security versions",
       "",
       {"key list"}},
      {command_id::key_policy,
       "key policy",
       "Trust",
       {{"KIND", false, false, word_kind::kind}, {"POLICY"}},
       {},
       "Say whether plugins of a kind need a signature",
       "POLICY is required, optional, or automatic: required as soon as any key is trusted.\n"
       "A signature that is there has to be good in any case.\n",
       {"key policy secrets required"}},
  };
}

}  // namespace bulkhead::cli
