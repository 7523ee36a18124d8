// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a program, which its author chose, as the broker looks at them before anything runs:
// what kind it is and which libraries it wants. Either look ends, within bounds, or refuses with
// words.
#include <sys/mman.h>
#include <unistd.h>

#include <climits>

#include "actors/confinement/elf_file.hpp"
#include "broker/images/image_error.hpp"
#include "broker/images/program_kind.hpp"
#include "tests/fuzz/require.hpp"

using namespace bulkhead;
using bulkhead::fuzz::require;

namespace {

const unique_fd& memory_of(const std::uint8_t* data, std::size_t size) {
  static const unique_fd memory(::memfd_create("program", MFD_CLOEXEC));
  const bool done = ::ftruncate(memory.get(), 0) == 0 &&
                    ::pwrite(memory.get(), data, size, 0) == static_cast<ssize_t>(size);
  require(done, "the file could be written");
  return memory;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer calls it by this name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& file = memory_of(data, size);
  const auto needs = needs_of(file);
  require(needs.libraries.size() <= elf_libraries_max, "as many libraries as are kept");
  require(needs.folders.size() <= elf_folders_max, "as many folders as are kept");
  for (const auto& each : needs.folders) require(each.front() == '/', "an absolute folder");
  is_shared_object(file);
  try {
    const auto kind = inspect_program(file.get(), size, "program");
    require(kind.interpreter.empty() == (kind.link == link_kind::static_program),
            "all but static programs have an interpreter");
    require(kind.interpreter.size() <= PATH_MAX, "a path is no longer than the kernel takes");
  } catch (const image_error& problem) {
    require(*problem.what() != '\0', "a refusal says what");
  }
  return 0;
}
