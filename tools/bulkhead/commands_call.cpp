// SPDX-License-Identifier: Apache-2.0
//
// Calls of a plugin's own interface by name. The mount tells its schema; arguments are written into
// a message by it, and the result is read by it. Capabilities in a result are kept as $1, $2, ...
// for as long as the session lives.
#include <capnp/any.h>
#include <fmt/format.h>

#include <charconv>

#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/datum_capnp.hpp"
#include "tools/bulkhead/suggest.hpp"

namespace bulkhead::cli {
namespace {

using capnp::DynamicCapability;
using capnp::DynamicStruct;

constexpr std::string_view printer_name = "$print";

/// A capability of any interface: says what it is called with, and answers nothing.
class printer final : public DynamicCapability::Server {
 public:
  printer(capnp::InterfaceSchema schema, std::shared_ptr<loaded_interface> owner, output& out)
      : DynamicCapability::Server(schema), owner_(std::move(owner)), out_(out) {}

  kj::Promise<void> call(capnp::InterfaceSchema::Method method,
                         capnp::CallContext<DynamicStruct, DynamicStruct> context) override {
    const std::string line =
        fmt::format("$print.{} {}", wire::escape_line(method.getProto().getName().cStr()),
                    to_capnp_text(read_struct(context.getParams())));
    if (out_.json()) {
      out_.note(line);
    } else {
      out_.text(line + "\n");
    }
    return kj::READY_NOW;
  }

 private:
  std::shared_ptr<loaded_interface> owner_;  // the schema that calls are read by
  output& out_;
};

capnp::InterfaceSchema::Method find_method(const typed_target& target, const std::string& name) {
  KJ_IF_MAYBE (method, target.schema.findMethodByName(name.c_str())) return *method;
  const auto names = method_names(target.schema);
  std::string remedy = did_you_mean(name, names);
  if (!names.empty()) remedy += (remedy.empty() ? "" : " ") + ("methods: " + join_names(names));
  throw failure(exit_code::no_target,
                fmt::format("'{}' has no method '{}'",
                            wire::escape_line(target.schema.getShortDisplayName().cStr()),
                            wire::escape_line(name)),
                {}, remedy);
}

capability_finder finder_for(environment& in, const typed_target& target) {
  return [&in, owner = target.owner](const std::string& name,
                                     capnp::InterfaceSchema wanted) -> capnp::Capability::Client {
    if (name != printer_name) return find_held(in, name).capability;
    if (wanted == capnp::InterfaceSchema()) {
      throw usage("$print can stand only where an interface is expected");
    }
    return DynamicCapability::Client(kj::heap<printer>(wanted, owner, in.out));
  };
}

std::string keep(environment& in, const typed_target& target, DynamicCapability::Client found) {
  if (in.held.size() >= held_capabilities_max) {
    throw failure(exit_code::failed,
                  fmt::format("{} capabilities are kept already", held_capabilities_max), {},
                  "start a new session");
  }
  const auto schema = found.getSchema();
  in.held.push_back({kj::mv(found), schema, target.owner});
  return fmt::format("${}", in.held.size());
}

void show_result(environment& in, const typed_target& target, DynamicStruct::Reader result,
                 bool reveal) {
  datum kept = datum::of_record();
  reading_options options;
  options.reveal_secrets = reveal;
  options.name_capability = [&](DynamicCapability::Client found) {
    const auto schema = found.getSchema();
    std::string name = keep(in, target, kj::mv(found));
    kept.add(name, schema == capnp::InterfaceSchema()
                       ? datum{}
                       : datum::of_text(schema.getShortDisplayName().cStr()));
    return name;
  };
  const datum shown = read_struct(result, options);
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("result", shown);
    record.add("capabilities", std::move(kept));
    in.out.record(record);
  } else {
    in.out.text(to_capnp_text(shown) + "\n");
  }
}

datum parse_arguments(const invocation& command) {
  std::string text;
  for (std::size_t i = 2; i < command.arguments.size(); ++i) {
    text += (i > 2 ? " " : "") + command.arguments[i];
  }
  datum arguments = parse_datum(text);
  if (arguments.type != datum::kind::record) {
    throw usage("arguments are given by name",
                "as in (a = 1, b = \"x\") or {\"a\": 1, \"b\": \"x\"}");
  }
  return arguments;
}

}  // namespace

held_capability& find_held(environment& in, const std::string& name) {
  std::size_t number = 0;
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + 1, end, number);
  if (error == std::errc() && at == end && number >= 1 && number <= in.held.size()) {
    return in.held[number - 1];
  }
  throw failure(exit_code::no_target, fmt::format("there is no capability {}", name),
                in.held.empty() ? std::string("no result of this session held one")
                                : fmt::format("this session keeps $1 to ${}", in.held.size()),
                "they live as long as the session: use the REPL or a script");
}

typed_target find_target(environment& in, const std::string& name) {
  if (name.substr(0, 1) == "$") {
    auto& held = find_held(in, name);
    if (held.schema == capnp::InterfaceSchema()) {
      throw failure(exit_code::failed, fmt::format("the interface of {} is not known", name));
    }
    return {held.capability, held.schema, held.owner};
  }
  auto request = in.broker.session().mountRequest();
  request.setPath(name.c_str());
  auto found = request.send();
  auto describe = found.getMount().describeRequest().send();
  capnp::Capability::Client typed = found.getMount().typedRequest().send().getTyped();
  const auto mount = in.wait(found.dropPipeline());
  if (mount.getRest().size() > 0) {
    throw failure(exit_code::no_target,
                  fmt::format("'{}' is below a mount; methods are called on a mount", name), {},
                  fmt::format("bulkhead call {} METHOD",
                              name.substr(0, name.size() - mount.getRest().size())));
  }
  const auto description = in.wait(describe.dropPipeline());
  if (description.getTypedId() == 0) {
    throw failure(exit_code::failed,
                  fmt::format("{} has no methods: its plugin '{}' serves paths only", name,
                              wire::escape_line(description.getPlugin().cStr())),
                  {}, fmt::format("bulkhead describe {}", name));
  }
  auto owner =
      std::make_shared<loaded_interface>(description.getSchema(), description.getTypedId());
  const auto schema = owner->schema();
  return {kj::mv(typed), schema, std::move(owner)};
}

exit_code run_call(environment& in, const invocation& command) {
  const datum arguments = parse_arguments(command);
  typed_target target = find_target(in, command.arguments[0]);
  const auto method = find_method(target, command.arguments[1]);
  auto client = target.capability.castAs<DynamicCapability>(target.schema);
  auto request = client.newRequest(method);
  fill_struct(request, arguments, finder_for(in, target));
  if (method.isStreaming()) {
    in.wait(request.sendStreaming());
    show_result(in, target, DynamicStruct::Reader(), false);  // a stream tells nothing
    return exit_code::done;
  }
  const auto answer = in.wait(request.send().dropPipeline());
  show_result(in, target, answer, command.has("reveal"));
  return exit_code::done;
}

}  // namespace bulkhead::cli
