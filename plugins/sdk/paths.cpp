// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/paths.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "plugins/sdk/convert.hpp"
#include "plugins/sdk/error.hpp"

namespace bulkhead::sdk {
namespace {

std::string normal_path(capnp::Text::Reader from) {
  std::string_view path(from.begin(), from.size());
  if (path.size() > request_path_bytes_max) {
    throw error(error_kind::INVALID_ARGUMENT, "the path is too long",
                fmt::format("it has {} bytes of at most {}", path.size(), request_path_bytes_max));
  }
  if (!path.empty() && path.back() == '/') path.remove_suffix(1);
  if (path.find('\0') != std::string_view::npos) {
    throw error(error_kind::INVALID_ARGUMENT, "the path holds a NUL byte");
  }
  if (path.find("//") != std::string_view::npos || (!path.empty() && path.front() == '/')) {
    throw error(error_kind::INVALID_ARGUMENT,
                fmt::format("the path '{}' has an empty segment", path), "",
                "write it without a leading slash and with single slashes");
  }
  return std::string(path);
}

std::string_view first_segment(std::string_view text) {
  return text.substr(0, text.find('/'));
}

void describe_field(std::string& to, const field& what) {
  to += fmt::format("      {}{}", what.is_rest() ? "any other field" : what.name(),
                    what.is_required() ? " (required)" : "");
  if (what.is_secret()) to += " (secret)";
  if (!what.summary().empty()) to += "  " + what.summary();
  to += "\n";
}

void describe_path(std::string& to, const path_table::path_entry& entry) {
  to += fmt::format("{}\n    {}\n", entry.where.text(), entry.summary);
  for (const auto& op : entry.operations) {
    to += fmt::format("  {:<7} {}\n", operation_name(op.what), op.summary);
    for (const auto& what : op.takes) describe_field(to, what);
  }
}

}  // namespace

std::size_t path_table::add_path(std::string where, std::string summary) {
  pattern parsed(std::move(where));
  for (const auto& entry : entries_) {
    if (entry.where.text() == parsed.text()) {
      throw std::invalid_argument("path '" + parsed.text() + "' is declared twice");
    }
  }
  entries_.push_back({std::move(parsed), std::move(summary), {}});
  return entries_.size() - 1;
}

void path_table::add_operation(std::size_t path, operation_entry entry) {
  auto& operations = entries_.at(path).operations;
  for (const auto& other : operations) {
    if (other.what == entry.what) {
      throw std::invalid_argument("path '" + entries_.at(path).where.text() +
                                  "' has two handlers for " +
                                  std::string(operation_name(entry.what)));
    }
  }
  operations.push_back(std::move(entry));
}

const path_table::path_entry* path_table::find(std::string_view path,
                                               pattern::captures& captures) const {
  const path_entry* best = nullptr;
  for (const auto& entry : entries_) {
    auto matched = entry.where.match(path);
    if (!matched || (best != nullptr && !entry.where.beats(best->where))) continue;
    best = &entry;
    captures = *std::move(matched);
  }
  return best;
}

void path_table::no_such_path(std::string_view path) const {
  std::vector<std::string> names;
  std::string all;
  for (const auto& entry : entries_) {
    names.emplace_back(first_segment(entry.where.text()));
    all += (all.empty() ? "" : ", ") + entry.where.text();
  }
  throw error(
      error_kind::NOT_FOUND,
      fmt::format("nothing is served at '{}'{}", path, did_you_mean(first_segment(path), names)),
      "the paths are " + all, "ask for the operation `help`");
}

kj::Promise<response> path_table::dispatch(void* state, schema::Request::Reader from) const {
  auto path = normal_path(from.getPath());
  if (from.getOperation() == operation::HELP) {
    response answer;
    answer.help = help(path);
    return answer;
  }
  if (from.getFields().size() > request_fields_max) {
    throw error(
        error_kind::INVALID_ARGUMENT, "the request has too many fields",
        fmt::format("it has {} of at most {}", from.getFields().size(), request_fields_max));
  }
  auto what = kj::heap<request>();
  const auto* entry = find(path, what->captures);
  if (entry == nullptr) no_such_path(path);
  const operation_entry* found = nullptr;
  std::string known;
  for (const auto& op : entry->operations) {
    if (op.what == from.getOperation()) found = &op;
    known += (known.empty() ? "" : ", ") + std::string(operation_name(op.what));
  }
  if (found == nullptr) {
    throw error(error_kind::UNSUPPORTED,
                fmt::format("{} has no operation `{}`", entry->where.text(),
                            operation_name(from.getOperation())),
                "its operations are " + known);
  }
  for (const auto& capture : what->captures) {
    if (capture.second.empty() && found->what != operation::LIST) {
      throw error(error_kind::INVALID_ARGUMENT,
                  fmt::format("the path of this {} is not complete", operation_name(found->what)),
                  fmt::format("'{}' is empty in {}", capture.first, entry->where.text()),
                  "say which one; `list` tells what is there");
    }
  }
  auto where = fmt::format("{} {}", operation_name(found->what), entry->where.text());
  auto accepted = accept_fields(found->takes, read_fields(from.getFields()), where);
  what->what = found->what;
  what->path = std::move(path);
  what->values = std::move(accepted.declared);
  what->rest = std::move(accepted.others);
  auto answer = found->run(state, *what);
  return answer.attach(kj::mv(what));
}

kj::Promise<response> path_table::handle(void* state, schema::Request::Reader from) const {
  return kj::evalNow([&] { return dispatch(state, from); });
}

std::string path_table::help(std::string_view path) const {
  std::string text;
  if (path.empty()) {
    for (const auto& entry : entries_) describe_path(text, entry);
    return text;
  }
  pattern::captures unused;
  const auto* entry = find(path, unused);
  if (entry == nullptr) no_such_path(path);
  describe_path(text, *entry);
  return text;
}

void path_table::write_specs(schema::PluginInfo::Builder to) const {
  auto specs = to.initPaths(static_cast<unsigned>(entries_.size()));
  unsigned at = 0;
  for (const auto& entry : entries_) {
    auto spec = specs[at++];
    spec.setPattern(entry.where.text().c_str());
    spec.setSummary(entry.summary.c_str());
    auto operations = spec.initOperations(static_cast<unsigned>(entry.operations.size()));
    unsigned nth = 0;
    for (const auto& op : entry.operations) {
      auto place = operations[nth++];
      place.setOperation(op.what);
      place.setSummary(op.summary.c_str());
      sdk::write_specs(op.takes, place.initFields(static_cast<unsigned>(op.takes.size())));
    }
  }
}

}  // namespace bulkhead::sdk
