// SPDX-License-Identifier: Apache-2.0
// An image: what it is made of, what nobody can do to it any more, and that it runs.
#include <elf.h>
#include <link.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>

#include "tests/unit/image_fixture.hpp"

using namespace bulkhead;        // NOLINT(google-build-using-namespace)
using namespace bulkhead::test;  // NOLINT(google-build-using-namespace)

namespace {

/// The failure of a file with this content.
image_failure failure_with(const std::string& content) {
  const plugin_files files;
  files.put("program", content);
  return failure_of([&] { image_of(files.path(), "program"); });
}

program_kind kind_of(const std::string& content) {
  const plugin_files files;
  files.put("program", content);
  const auto file = plugin_directory{files.path()}.open("program", file_bytes_max);
  return inspect_program(file.fd.get(), file.size, file.name);
}

/// The marked program with its ELF header changed.
template <class Change>
std::string with_header(const Change& change) {
  auto program = program_that_exits('0');
  ElfW(Ehdr) header{};
  std::memcpy(&header, program.data(), sizeof header);
  change(header);
  std::memcpy(program.data(), &header, sizeof header);
  return program;
}

std::string output_of(const process_spec& spec) {
  auto result = posix_spawner{}.spawn(spec);
  REQUIRE(std::holds_alternative<spawned_process>(result));
  auto& started = std::get<spawned_process>(result);
  std::string text;
  std::array<char, 256> chunk{};
  pollfd readable{started.standard_output.get(), POLLIN, 0};
  while (::poll(&readable, 1, 20'000) == 1) {
    const auto got = ::read(started.standard_output.get(), chunk.data(), chunk.size());
    if (got <= 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return text;
}

/// Tries to change what a descriptor shows, in every way; true when one of them worked.
bool can_be_changed(int fd, std::uint64_t size) {
  const bool written = ::pwrite(fd, "X", 1, 0) == 1;
  const bool appended = ::pwrite(fd, "X", 1, static_cast<off_t>(size)) == 1;
  const bool cut = ::ftruncate(fd, 1) == 0;
  const bool grown = ::ftruncate(fd, static_cast<off_t>(size + 1)) == 0;
  const bool punched = ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0;
  void* const mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const bool unsealed = ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0;
  return written || appended || cut || grown || punched || mapped != MAP_FAILED || unsealed;
}

}  // namespace

TEST_CASE("the digest of a descriptor is SHA-256 of as many bytes as are asked for") {
  const plugin_files files;
  const unique_fd fd{::open(files.put("abc", "abc").c_str(), O_RDONLY | O_CLOEXEC)};
  const std::string abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  CHECK(to_hex(sha256_of(fd.get(), 3)) == abc);
  CHECK(to_hex(sha256_of(fd.get(), 0)).substr(0, 8) == "e3b0c442");
  CHECK_THROWS_AS(sha256_of(fd.get(), 4), std::system_error);
}

TEST_CASE("an image holds the file's bytes, and runs when the file is gone") {
  const plugin_files files;
  const auto path = files.put("kv", program_that_exits('7'));
  const auto made = image_of(files.path(), "kv");
  CHECK(made->size() == std::filesystem::file_size(path));
  const unique_fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  CHECK(made->digest() == sha256_of(file.get(), made->size()));
  CHECK(made->link() == link_kind::static_program);
  CHECK(made->interpreter().empty());
  CHECK((::fcntl(made->fd(), F_GETFD) & FD_CLOEXEC) != 0);
  std::filesystem::remove(path);
  CHECK(exit_code_of(by_image(*made)) == 7);
  CHECK(exit_code_of(by_image(*made)) == 7);
}

TEST_CASE("nobody changes an image: not by its descriptor, not by a new one, not root") {
  const plugin_files files;
  files.put("kv", program_that_exits('7'));
  const auto made = image_of(files.path(), "kv");
  CHECK_FALSE(can_be_changed(made->fd(), made->size()));
  const auto again = "/proc/self/fd/" + std::to_string(made->fd());
  if (::geteuid() == 0) {  // whom the mode does not keep from opening it
    const unique_fd fd{::open(again.c_str(), O_RDWR | O_CLOEXEC)};
    REQUIRE(fd);
    CHECK_FALSE(can_be_changed(fd.get(), made->size()));
  }
  CHECK(sha256_of(made->fd(), made->size()) == made->digest());
  struct stat info {};
  REQUIRE(::fstat(made->fd(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0111);
  if ((::fcntl(made->fd(), F_GET_SEALS) & 0x20) != 0) {  // F_SEAL_EXEC, Linux 6.3
    CHECK(::fchmod(made->fd(), 0666) == -1);
    CHECK(::fchmod(made->fd(), 0644) == -1);
  }
}

TEST_CASE("the digest that is expected is the one that runs, or nothing does") {
  const plugin_files files;
  files.put("kv", program_that_exits('0'));
  const auto right = image_of(files.path(), "kv")->digest();
  CHECK(image_of(files.path(), "kv", right)->digest() == right);
  files.put("kv", program_that_exits('1'));
  CHECK(failure_of([&] { image_of(files.path(), "kv", right); }) == image_failure::digest_mismatch);
  files.put("kv", program_that_exits('0'));
  CHECK(exit_code_of(by_image(*image_of(files.path(), "kv", right))) == 0);
}

TEST_CASE("a script is a script, names its interpreter, and runs from memory") {
  const plugin_files files;
  const auto path = files.put("script", "#! /bin/sh -e\necho \"$1 $BULKHEAD_FD\"; exit 3\n");
  const auto made = image_of(files.path(), "script");
  CHECK(made->link() == link_kind::script);
  CHECK(made->interpreter() == "/bin/sh");
  std::filesystem::remove(path);
  auto spec = by_image(*made);
  spec.arguments = {"word"};
  CHECK(output_of(spec) == "word 3\n");
  CHECK(exit_code_of(spec) == 3);
  CHECK_FALSE(can_be_changed(made->fd(), made->size()));
}

TEST_CASE("a dynamic program names its loader, and runs from memory with its name") {
  const auto made = image_of("/usr/bin", "env");
  CHECK(made->link() == link_kind::dynamic_program);
  CHECK(made->interpreter().find("/ld-linux") != std::string::npos);
  CHECK(output_of(by_image(*made)) == "BULKHEAD_FD=3\nBULKHEAD_PROTOCOL=1\nLANG=C.UTF-8\n");
  auto spec = by_image(*made);
  spec.executable = "/plugins/kv";
  spec.arguments = {"cat", "/proc/self/cmdline"};
  CHECK(output_of(spec) == std::string("cat\0/proc/self/cmdline\0", 23));
  auto shell = by_image(*image_of("/usr/bin", "dash"));
  shell.executable = "/plugins/kv";
  shell.arguments = {"-c", "echo $0"};
  CHECK(output_of(shell) == "/plugins/kv\n");
}

TEST_CASE("a broker that is not root runs programs and scripts from images all the same") {
  CHECK(holds_as_nobody([] {
    const plugin_files files;
    files.put("kv", program_that_exits('4'));
    files.put("script", "#!/bin/sh\nexit 5\n");
    return exit_code_of(by_image(*image_of(files.path(), "kv"))) == 4 &&
           exit_code_of(by_image(*image_of(files.path(), "script"))) == 5 &&
           exit_code_of(by_image(*image_of("/usr/bin", "true"))) == 0;
  }));
}

TEST_CASE("a program that its user may not read is undumpable, when the broker is not root") {
  CHECK(holds_as_nobody([] {
    const auto made = image_of("/usr/bin", "dash");
    auto spec = by_image(*made);
    // What an undumpable process owns in /proc is root's, and closed to itself.
    spec.arguments = {"-c", "(cat /proc/$$/environ > /dev/null) 2> /dev/null || echo closed"};
    return output_of(spec) == "closed\n";
  }));
}

TEST_CASE("what is no program for this machine is refused by what it is") {
  CHECK(failure_with("hello\n") == image_failure::not_a_program);
  CHECK(failure_with("\x7f") == image_failure::not_a_program);
  CHECK(failure_with(std::string(100, '\0')) == image_failure::not_a_program);
  CHECK(failure_with(with_header([](auto& header) { header.e_machine = EM_68K; })) ==
        image_failure::wrong_machine);
  CHECK(failure_with(with_header([](auto& header) { header.e_ident[EI_CLASS] = ELFCLASS32; })) ==
        image_failure::wrong_machine);
  CHECK(failure_with(with_header([](auto& header) { header.e_ident[EI_DATA] = ELFDATA2MSB; })) ==
        image_failure::wrong_machine);
  CHECK(failure_with(with_header([](auto& header) {
          header.e_ident[EI_OSABI] = ELFOSABI_FREEBSD;
        })) == image_failure::wrong_machine);
  CHECK(failure_with(with_header([](auto& header) { header.e_type = ET_REL; })) ==
        image_failure::not_a_program);
  CHECK(failure_with(with_header([](auto& header) {
          header.e_type = ET_DYN;
          header.e_entry = 0;
        })) == image_failure::not_a_program);
  CHECK(failure_with(with_header([](auto& header) { header.e_phnum = 0; })) ==
        image_failure::not_a_program);
  CHECK(failure_with(with_header([](auto& header) { header.e_phentsize = 7; })) ==
        image_failure::not_a_program);
}

TEST_CASE("an ELF file cut short anywhere is refused, and so is a header that points outside") {
  const auto whole = program_that_exits('0');
  for (const std::size_t length :
       {std::size_t{4}, std::size_t{16}, std::size_t{20}, std::size_t{63}, std::size_t{64},
        std::size_t{100}, whole.size() / 2}) {
    CAPTURE(length);
    CHECK(failure_with(whole.substr(0, length)) == image_failure::truncated);
  }
  CHECK(failure_with(with_header([](auto& header) { header.e_phoff = ~std::uint64_t{0}; })) ==
        image_failure::truncated);
  CHECK(failure_with(with_header([&](auto& header) { header.e_phoff = whole.size() - 8; })) ==
        image_failure::truncated);
}

TEST_CASE("a first line that the kernel would not take is refused") {
  CHECK(kind_of("#!/bin/sh").interpreter == "/bin/sh");
  CHECK(kind_of("#!\t /bin/sh \t-e x\n").interpreter == "/bin/sh");
  CHECK(failure_with("#!") == image_failure::bad_script);
  CHECK(failure_with("#! \t\n/bin/sh\n") == image_failure::bad_script);
  CHECK(failure_with("#!sh\n") == image_failure::bad_script);
  CHECK(failure_with(std::string("#!/bin\0/sh\n", 11)) == image_failure::bad_script);
  CHECK(failure_with("#!/" + std::string(300, 'x') + "\n") == image_failure::bad_script);
}

TEST_CASE("a file that has shrunk or grown since it was opened is what it is when it is read") {
  const plugin_files files;
  const auto path = files.put("kv", program_that_exits('0'));
  const auto right = image_of(files.path(), "kv")->digest();
  const plugin_directory directory{files.path()};
  auto shrunk = directory.open("kv", file_bytes_max);
  std::filesystem::resize_file(path, 1000);
  CHECK(failure_of([&] { make_image(std::move(shrunk), right, file_bytes_max); }) ==
        image_failure::digest_mismatch);
  shrunk = directory.open("kv", file_bytes_max);
  CHECK(failure_of([&] { make_image(std::move(shrunk), {}, file_bytes_max); }) ==
        image_failure::truncated);
  files.put("kv", program_that_exits('0'));
  const auto size = std::filesystem::file_size(path);
  auto grown = directory.open("kv", size);
  std::filesystem::resize_file(path, size + 1);
  CHECK(failure_of([&] { make_image(std::move(grown), {}, size); }) ==
        image_failure::file_too_large);
}

TEST_CASE("a file that never stops growing is read up to the limit and no further") {
  constexpr std::uint64_t bytes_max = std::uint64_t{4} << 20U;
  const plugin_files files;
  const auto path = files.put("kv", program_that_exits('0'));
  auto file = plugin_directory{files.path()}.open("kv", bytes_max);
  std::atomic<bool> large{false};
  std::atomic<bool> done{false};
  std::thread writer{[&] {
    const std::string chunk(1U << 20U, 'x');
    std::ofstream out{path, std::ios::binary | std::ios::app};
    for (int i = 0; i < 64 && !done; ++i) {
      out << chunk << std::flush;
      large = i >= 4;
    }
  }};
  while (!large) std::this_thread::yield();
  CHECK(failure_of([&] { make_image(std::move(file), {}, bytes_max); }) ==
        image_failure::file_too_large);
  done = true;
  writer.join();
}

TEST_CASE("a file that is written to while it is read is refused as that, and may be tried again") {
  const plugin_files files;
  const auto path = files.put("kv", program_that_exits('0') + std::string(8U << 20U, 'x'));
  std::atomic<bool> done{false};
  std::thread writer{[&] {
    const unique_fd out{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    while (!done) (void)!::pwrite(out.get(), "y", 1, 8U << 20U);
  }};
  bool seen = false;
  for (int i = 0; i < 1000 && !seen; ++i) {
    try {
      image_of(files.path(), "kv");
    } catch (const image_error& refused) {
      seen = refused.failure() == image_failure::file_changed && !refused.permanent();
    }
  }
  done = true;
  writer.join();
  CHECK(seen);
}
