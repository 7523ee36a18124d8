// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/trust_commands.hpp"

namespace bulkhead::cli {
namespace {

command_spec manifest_command() {
  return {
      command_id::plugin_manifest,
      "plugin manifest",
      "Trust",
      {{"FILE"}},
      {{"kind", '\0', "KIND", "Needed", false, {"secrets", "auth", "database", "generic"}},
       {"version", '\0', "V", "Needed: semantic, as in 1.4.2"},
       {"name", '\0', "NAME", "The plugin's name (that of FILE)"},
       {"security-version", '\0', "N", "Brokers that ran N run no release below it (0)"},
       {"valid", '\0', "DAYS", "It expires so many days from now (never)"},
       {"expires", '\0', "DATE", "It expires then: 2027-11-01, or with T12:00:00Z (never)"},
       {"not-before", '\0', "DATE", "It does not run before then"},
       {"min-broker", '\0', "V", "The oldest broker that may run it"},
       {"protocol", '\0', "N", "The contract that it speaks (1)"},
       {"profile", '\0', "NAME", "The confinement that it is content with"},
       {"limit", '\0', "NAME=N", "A limit that it is content with, as memory=268435456", true},
       {"grant", '\0', "TEXT", "What it asks for, as 'kv-namespace name=acme'", true},
       {"provenance", '\0', "SHA256", "Of a statement on how it was built"},
       {"os-arch", '\0', "NAME", "Of a script; a program says it itself"},
       {"force", '\0', "", "Replace a manifest that is there"}},
      "Write FILE.manifest: what is signed of a plugin",
      "Hashes FILE, and looks how it finds its code. `key sign` signs the manifest.\n",
      {"plugin manifest build/kv --kind secrets --version 1.4.2 --security-version 7 --valid 365",
       "key sign --key release.key build/kv"}};
}

}  // namespace

std::vector<command_spec> trust_commands() {
  return {
      {command_id::key_generate,
       "key generate",
       "Trust",
       {{"FILE"}},
       {{"name", '\0', "NAME", "A comment in the public key, for people"}},
       "Make a key pair: FILE, and FILE.pub for those who are to trust it",
       "FILE is not encrypted; its mode (0600) protects it. It can be used with `minisign`, and\n"
       "so can the signatures. A file that is there is never overwritten.\n",
       {"key generate release.key --name 'kv releases'"}},
      {command_id::key_sign,
       "key sign",
       "Trust",
       {{"FILE", false, true}},
       {{"key", '\0', "FILE", "The secret key"},
        {"comment", '\0', "TEXT", "Signed with it; a time and the file's name when left out"},
        {"add", '\0', "", "Keep the signatures of other keys that are there"}},
       "Sign manifests of plugins",
       "FILE is a manifest, or a plugin with its manifest beside it; the signature goes to\n"
       "MANIFEST.minisig. Only manifests are signed, and of a plugin only one that fits it.\n",
       {"key sign --key release.key build/kv", "key sign --key next.key --add kv.manifest"}},
      {command_id::key_verify,
       "key verify",
       "Trust",
       {{"FILE"}},
       {{"key", '\0', "FILE", "The public key, a file or the key itself"}},
       "Check a signature",
       "Of a plugin, its manifest and that it fits the plugin; of any other file, FILE.minisig.\n"
       "Exits with 1 when it is not good. Says nothing of what a broker trusts.\n",
       {"key verify --key release.key.pub build/kv"}},
      manifest_command(),
  };
}

}  // namespace bulkhead::cli
