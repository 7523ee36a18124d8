// SPDX-License-Identifier: Apache-2.0
//
// Requests on paths. Secrets are shown: somebody asked for them by name.
#include <fmt/format.h>

#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/table.hpp"

namespace bulkhead::cli {
namespace {

using schema::Operation;

datum response_datum(Operation operation, schema::Response::Reader response) {
  datum record = datum::of_record();
  if (operation == Operation::LIST) {
    datum keys = datum::of_list();
    for (auto key : response.getKeys()) keys.items.push_back(datum::of_text(key.cStr()));
    record.add("keys", std::move(keys));
  }
  record.add("fields", from_fields(response.getFields()));
  datum warnings = datum::of_list();
  for (auto warning : response.getWarnings()) {
    warnings.items.push_back(datum::of_text(warning.cStr()));
  }
  record.add("warnings", std::move(warnings));
  return record;
}

/// A map's own fields are rows too, as in "metadata.version".
void add_rows(table& rows, const std::string& prefix, const datum& record) {
  for (std::size_t i = 0; i < record.items.size(); ++i) {
    const datum& item = record.items[i];
    if (item.type == datum::kind::record && !item.items.empty()) {
      add_rows(rows, prefix + record.names[i] + ".", item);
    } else {
      rows.add({prefix + record.names[i], cell_text(item)});
    }
  }
}

std::string response_text(Operation operation, schema::Response::Reader response, bool colour) {
  std::string text;
  for (auto key : response.getKeys()) text += wire::escape_line(key.cStr()) + "\n";
  const auto fields = response.getFields();
  if (fields.size() > 0) {
    table rows({"FIELD", "VALUE"});
    add_rows(rows, {}, from_fields(fields));
    text += rows.render(colour);
  }
  if (!text.empty() || operation == Operation::LIST) return text;
  return operation == Operation::DELETE ? "deleted\n" : "done\n";
}

}  // namespace

exit_code run_request(environment& in, const invocation& command, Operation operation) {
  const std::vector<std::string> words(command.arguments.begin() + 1, command.arguments.end());
  const auto values = parse_fields(words, in.values);
  auto call = in.broker.session().handleRequest();
  auto request = call.initRequest();
  request.setOperation(operation);
  request.setPath(command.arguments[0].c_str());
  auto fields = request.initFields(static_cast<capnp::uint>(values.size()));
  for (capnp::uint i = 0; i < fields.size(); ++i) {
    fields[i].setName(values[i].name.c_str());
    to_value(values[i].value, fields[i].initValue());
  }
  const auto answer = in.wait(call.send().dropPipeline());
  const auto response = answer.getResponse();
  for (auto warning : response.getWarnings()) {
    in.out.note("warning: " + wire::escape_line(warning.cStr()));
  }
  if (in.out.json()) {
    in.out.record(response_datum(operation, response));
  } else {
    in.out.text(response_text(operation, response, in.out.colour()));
  }
  return exit_code::done;
}

}  // namespace bulkhead::cli
