// SPDX-License-Identifier: Apache-2.0
//
// What concerns the broker's state as a whole. Both may take as long as a disk does, so they wait
// without a limit unless --timeout gives one.
#include <fmt/format.h>

#include <filesystem>

#include "tools/bulkhead/commands.hpp"

namespace bulkhead::cli {
namespace {

void wait_for_the_end(environment& in, const invocation& command) {
  if (!command.has("timeout")) in.timeout_ms = 0;
}

}  // namespace

exit_code run_backup(environment& in, const invocation& command) {
  wait_for_the_end(in, command);
  // The broker is on this machine: a relative name means what it means here.
  const auto file = std::filesystem::absolute(command.arguments[0]).lexically_normal().string();
  auto request = in.broker.admin().backupRequest();
  request.setFile(file.c_str());
  const auto answer = in.wait(request.send().dropPipeline());
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("file", datum::of_text(file));
    record.add("bytes", datum::of_uint(answer.getBytes()));
    record.add("revision", datum::of_uint(answer.getRevision()));
    in.out.record(record);
  } else {
    in.out.text(fmt::format("{}: {} bytes, revision {}\n", wire::escape_line(file),
                            answer.getBytes(), answer.getRevision()));
  }
  return exit_code::done;
}

exit_code run_rotate_state_key(environment& in, const invocation& command) {
  wait_for_the_end(in, command);
  const auto answer = in.wait(in.broker.admin().rotateStateKeyRequest().send().dropPipeline());
  if (in.out.json()) {
    datum record = datum::of_record();
    record.add("rewritten", datum::of_uint(answer.getRewritten()));
    in.out.record(record);
  } else {
    in.out.text(fmt::format("{} values encrypted with the newest key\n", answer.getRewritten()));
  }
  return exit_code::done;
}

}  // namespace bulkhead::cli
