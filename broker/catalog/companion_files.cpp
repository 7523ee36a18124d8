// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/companion_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "actors/unique_fd.hpp"
#include "broker/trust/manifest.hpp"
#include "broker/trust/minisign.hpp"

namespace bulkhead {
namespace {

unique_fd open_beneath(const unique_fd& directory, const std::string& name) {
  struct open_how how {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return unique_fd{
      static_cast<int>(::syscall(SYS_openat2, directory.get(), name.c_str(), &how, sizeof how))};
}

std::string reason() {
  return std::generic_category().message(errno);
}

/// Empty when there is none. `problem` says why one that is there cannot be used.
std::string read_file(const unique_fd& directory, const std::string& name, std::size_t bytes_max,
                      std::string& problem) {
  const auto file = open_beneath(directory, name);
  if (file.get() < 0) {
    if (errno != ENOENT) problem = fmt::format("{} cannot be opened: {}", name, reason());
    return {};
  }
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    problem = fmt::format("{} is not a regular file", name);
    return {};
  }
  // One byte more than may be there tells that there is more.
  std::string content(bytes_max + 1, '\0');
  std::size_t size = 0;
  while (size < content.size()) {
    const auto got = ::read(file.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) problem = fmt::format("{} cannot be read: {}", name, reason());
    if (got <= 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > bytes_max) problem = fmt::format("{} has more than {} bytes", name, bytes_max);
  if (!problem.empty()) return {};
  if (size == 0) problem = fmt::format("{} is empty", name);
  content.resize(size);
  return content;
}

}  // namespace

companion_files read_companions(const std::string& directory, const std::string& command) {
  companion_files found;
  const unique_fd root{::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (root.get() < 0) {
    found.problem = fmt::format("{} cannot be opened: {}", directory, reason());
    return found;
  }
  const auto manifest = command + ".manifest";
  found.manifest = read_file(root, manifest, trust::manifest_bytes_max, found.problem);
  if (found.problem.empty())
    found.signatures =
        read_file(root, manifest + ".minisig", trust::signature_file_bytes_max, found.problem);
  return found;
}

}  // namespace bulkhead
