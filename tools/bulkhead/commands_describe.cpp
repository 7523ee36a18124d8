// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "schema/wire/enum_word.hpp"
#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/table.hpp"

namespace bulkhead::cli {
namespace {

std::string plain(capnp::Text::Reader text) {
  return wire::escape_line(text.cStr());
}

std::string_view field_type_text(schema::FieldType type) {
  return type == schema::FieldType::DURATION_MS ? "milliseconds" : wire::enum_word(type);
}

std::string field_text(schema::FieldSpec::Reader field, std::string_view margin = "      ") {
  std::string text = fmt::format("{}{:<14}  {:<6}  {}", margin, plain(field.getName()),
                                 field_type_text(field.getType()), plain(field.getSummary()));
  if (field.getRequired()) text += " (required)";
  if (field.getSecret()) text += " (secret)";
  const datum preset = from_value(field.getDefault());
  if (!field.getSecret() && preset.type != datum::kind::null && !cell_text(preset).empty()) {
    text += fmt::format(" (default {})", wire::escape_line(cell_text(preset)));
  }
  return text + "\n";
}

/// What `mount --option` takes.
std::string options_text(capnp::List<schema::FieldSpec>::Reader options) {
  std::string text = options.size() == 0 ? "" : "\noptions\n";
  for (auto option : options) text += field_text(option, "  ");
  return text;
}

std::string paths_text(capnp::List<schema::PathSpec>::Reader paths) {
  std::string text;
  for (auto path : paths) {
    text += fmt::format("\n{}\n  {}\n", plain(path.getPattern()), plain(path.getSummary()));
    for (auto operation : path.getOperations()) {
      text += fmt::format("    {:<8}  {}\n", wire::enum_word(operation.getOperation()),
                          plain(operation.getSummary()));
      for (auto field : operation.getFields()) text += field_text(field);
    }
  }
  return text;
}

datum methods_datum(capnp::InterfaceSchema schema) {
  datum methods = datum::of_list();
  for (const auto& method : all_methods(schema)) {
    datum record = datum::of_record();
    record.add("name", datum::of_text(method.getProto().getName().cStr()));
    record.add("signature", datum::of_text(signature(method)));
    record.add("help", datum::of_text(help_of(method)));
    methods.items.push_back(std::move(record));
  }
  return methods;
}

std::string methods_text(capnp::InterfaceSchema schema) {
  std::string text = fmt::format("\ninterface {}\n", plain(schema.getShortDisplayName()));
  for (const auto& method : all_methods(schema)) {
    text += fmt::format("  {}\n", signature(method));
    if (const std::string help = help_of(method); !help.empty()) {
      text += fmt::format("      {}\n", help);
    }
  }
  return text;
}

/// What a plugin says about one path below its mount.
void describe_path(environment& in, const std::string& path) {
  auto call = in.broker.session().handleRequest();
  auto request = call.initRequest();
  request.setOperation(schema::Operation::HELP);
  request.setPath(path.c_str());
  const auto answer = in.wait(call.send().dropPipeline());
  const std::string help = answer.getResponse().getHelp().cStr();
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("path", datum::of_text(path));
    record.add("help", datum::of_text(help));
    return in.out.record(record);
  }
  std::size_t begin = 0;
  while (begin < help.size()) {
    const std::size_t end = std::min(help.find('\n', begin), help.size());
    in.out.text(wire::escape_line(help.substr(begin, end - begin)) + "\n");
    begin = end + 1;
  }
}

void describe_capability(environment& in, const std::string& name) {
  const typed_target target = find_target(in, name);
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("interface", datum::of_text(target.schema.getShortDisplayName().cStr()));
    record.add("methods", methods_datum(target.schema));
    return in.out.record(record);
  }
  in.out.text(methods_text(target.schema).substr(1));
}

}  // namespace

exit_code run_describe(environment& in, const invocation& command) {
  const std::string& path = command.arguments[0];
  if (path.substr(0, 1) == "$") {
    describe_capability(in, path);
    return exit_code::done;
  }
  auto request = in.broker.session().mountRequest();
  request.setPath(path.c_str());
  auto found = request.send();
  auto describe = found.getMount().describeRequest().send();
  const auto mount = in.wait(found.dropPipeline());
  if (mount.getRest().size() > 0) {
    describe_path(in, path);
    return exit_code::done;
  }
  const auto description = in.wait(describe.dropPipeline());
  std::shared_ptr<loaded_interface> typed;
  if (description.getTypedId() != 0) {
    typed = std::make_shared<loaded_interface>(description.getSchema(), description.getTypedId());
  }
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("path", datum::of_text(description.getPath().cStr()));
    record.add("plugin", datum::of_text(description.getPlugin().cStr()));
    record.add("version", datum::of_text(description.getVersion().cStr()));
    record.add("interface",
               typed ? datum::of_text(typed->schema().getShortDisplayName().cStr()) : datum{});
    record.add("methods", typed ? methods_datum(typed->schema()) : datum::of_list());
    datum paths = datum::of_list();
    for (auto spec : description.getPaths()) paths.items.push_back(read_contract(spec));
    record.add("paths", std::move(paths));
    datum options = datum::of_list();
    for (auto spec : description.getOptions()) options.items.push_back(read_contract(spec));
    record.add("options", description.getOptionsKnown() ? std::move(options) : datum{});
    in.out.record(record);
    return exit_code::done;
  }
  in.out.text(fmt::format("{}  {} {}\n", plain(description.getPath()),
                          plain(description.getPlugin()), plain(description.getVersion())));
  if (typed) in.out.text(methods_text(typed->schema()));
  in.out.text(options_text(description.getOptions()));
  in.out.text(paths_text(description.getPaths()));
  return exit_code::done;
}

}  // namespace bulkhead::cli
