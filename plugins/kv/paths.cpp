// SPDX-License-Identifier: Apache-2.0
//
// The paths of kv, in one place: this is what `bulkhead describe kv/` shows.
#include "plugins/kv/kv.hpp"

namespace bulkhead::kv {
namespace {

sdk::field version_field() {
  return sdk::integer("version")
      .between(1, std::numeric_limits<std::int64_t>::max())
      .help("Which version; the newest when absent.");
}

sdk::field versions_field() {
  return sdk::list("versions").required().help("Their numbers, as in versions=1,3.");
}

sdk::field max_versions_field(const char* help) {
  return sdk::integer("max_versions").between(0, max_versions_limit).help(help);
}

std::vector<sdk::field> list_fields() {
  return {
      sdk::text("after").help("Only names that sort after this one."),
      sdk::integer("limit").between(1, list_keys_max).or_else(list_keys_max).help("Most names.")};
}

}  // namespace

sdk::paths<kv> kv::paths() {
  sdk::paths<kv> api;
  api.at("{path*}", "A secret, plainly: its newest version, field by field.")
      .read("Returns its fields.", &kv::read_plain, {version_field()})
      .write("Stores a new version that holds exactly the fields given.", &kv::write_plain,
             {sdk::others("A field of the secret.")})
      .remove("Deletes the newest version; `undelete/` brings it back.", &kv::delete_latest)
      .list("Names below this path.", &kv::list, list_fields());
  api.at("data/{path*}", "A secret with its version's metadata, and check-and-set.")
      .read("Returns `data` and `metadata`.", &kv::read_data, {version_field()})
      .write("Stores a new version.", &kv::write_data,
             {sdk::map("data").secret().help("The fields of the secret, as a map."),
              sdk::integer("cas")
                  .between(0, std::numeric_limits<std::int64_t>::max())
                  .help("Store only if this is the newest version; 0: only if there is none."),
              sdk::others("A field of the secret, in place of `data`.")})
      .remove("Deletes the newest version.", &kv::delete_latest)
      .list("Names below this path.", &kv::list, list_fields());
  api.at("delete/{path*}", "Deleting versions in a way that can be undone.")
      .write("Deletes some versions.", &kv::delete_some, {versions_field()});
  api.at("undelete/{path*}", "Undoing deletion.")
      .write("Brings deleted versions back.", &kv::undelete_some, {versions_field()});
  api.at("destroy/{path*}", "Removing data for good.")
      .write("Destroys the data of some versions.", &kv::destroy_some, {versions_field()});
  api.at("metadata/{path*}", "What is known of a secret beside its data.")
      .read("Returns versions, times and settings.", &kv::read_metadata)
      .write("Changes the settings of one secret.", &kv::write_metadata,
             {max_versions_field("Versions kept of this secret; 0: as configured."),
              sdk::boolean("cas_required").help("Refuse writes without `cas`."),
              sdk::map("custom_metadata").help("Texts of your own; replaces those before.")})
      .remove("Forgets the secret with all its versions, for good.", &kv::delete_metadata)
      .list("Names below this path.", &kv::list, list_fields());
  api.at("config", "Settings of all secrets of this mount.")
      .read("Returns them.", &kv::read_config)
      .write("Changes those given.", &kv::write_config,
             {max_versions_field("Versions kept per secret; 0: the mount's option."),
              sdk::boolean("cas_required").help("Refuse all writes without `cas`.")});
  return api;
}

sdk::plugin kv::plugin() {
  return sdk::plugin("kv", "1.0.0")
      .kind(sdk::plugin_kind::SECRETS)
      .option(sdk::integer("max_versions")
                  .between(1, max_versions_limit)
                  .or_else(max_versions_default)
                  .help("Versions kept per secret, unless `config` says otherwise."))
      .serves(paths());
}

}  // namespace bulkhead::kv
