// SPDX-License-Identifier: Apache-2.0
//
// `key generate`, `sign`, `verify` and `plugin manifest`, on files of a directory of the test's
// own.
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "broker/trust/manifest.hpp"
#include "broker/trust/minisign.hpp"
#include "tests/unit/cli_fixture.hpp"
#include "tools/bulkhead/program_file.hpp"
#include "tools/temporary_directory.hpp"

namespace {

using namespace bulkhead::cli;
namespace trust = bulkhead::trust;
using Catch::Contains;

struct fixture : bulkhead::testing::cli_fixture {
  bulkhead::temporary_directory directory;
  std::string folder = directory / "";

  fixture() {
    in.unix_ms = []() { return std::int64_t{1'800'000'000'500}; };  // 2027-01-15T08:00:00Z
    put("kv", "#!/bin/sh\necho a plugin\n");
  }

  void put(const std::string& name, const std::string& content) const {
    std::ofstream(folder + name, std::ios::binary) << content;
  }

  std::string get(const std::string& name) const {
    std::ifstream file(folder + name, std::ios::binary);
    REQUIRE(file.good());
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  bool has(const std::string& name) const { return std::filesystem::exists(folder + name); }

  unsigned mode(const std::string& name) const {
    struct stat about = {};
    REQUIRE(::stat((folder + name).c_str(), &about) == 0);
    return about.st_mode & 0777;
  }

  /// A line in which @ stands for the directory.
  exit_code in_folder(std::string line) {
    for (auto at = line.find('@'); at != std::string::npos; at = line.find('@')) {
      line.replace(at, 1, folder);
    }
    return run(line);
  }

  void make_signed() {
    REQUIRE(in_folder("key generate @release.key") == exit_code::done);
    REQUIRE(in_folder("plugin manifest @kv --kind secrets --version 1.0.0") == exit_code::done);
    REQUIRE(in_folder("key sign --key @release.key @kv") == exit_code::done);
  }
};

TEST_CASE("key generate writes a pair, the secret one for its owner only, and never over a file") {
  fixture f;
  const mode_t before = ::umask(0);
  CHECK(f.in_folder("key generate @release.key --name 'of the team'") == exit_code::done);
  ::umask(before);
  CHECK(f.mode("release.key") == 0600);
  const auto secret = trust::parse_secret_key(f.get("release.key"));
  const auto verifier = trust::parse_public_key(f.get("release.key.pub"));
  CHECK(secret.key.verifier() == verifier.key);
  CHECK_THAT(f.get("release.key.pub"), Contains("of the team"));
  CHECK_THAT(f.out, Contains(trust::key_id(verifier.key)));
  const std::string line = f.get("release.key").substr(f.get("release.key").find('\n') + 1);
  CHECK_THAT(f.out + f.notes, !Contains(line.substr(90, 16)));
  CHECK(f.in_folder("key generate @release.key") == exit_code::failed);
  CHECK_THAT(f.notes, Contains("it is there already"));
  CHECK(trust::parse_secret_key(f.get("release.key")).key.seed() == secret.key.seed());
}

TEST_CASE("key generate leaves no half of a pair behind") {
  fixture f;
  f.put("old.key", "something");
  CHECK(f.in_folder("key generate @old.key") == exit_code::failed);
  CHECK_FALSE(f.has("old.key.pub"));
  CHECK(f.get("old.key") == "something");
  CHECK(f.in_folder("key generate @nowhere/a.key") == exit_code::no_target);
}

TEST_CASE("key generate speaks JSON, and shows no secret in it") {
  fixture f;
  CHECK(f.in_folder("key generate @a.key -o json") == exit_code::done);
  const auto key = trust::parse_secret_key(f.get("a.key"));
  CHECK_THAT(f.out, Contains("\"id\":\"" + trust::key_id(key.key.verifier()) + "\""));
  CHECK_THAT(f.out, Contains("\"publicKey\":\"" + trust::public_key_text(key.verifier()) + "\""));
  CHECK_THAT(f.out, !Contains(f.get("a.key").substr(f.get("a.key").find('\n') + 91, 16)));
}

TEST_CASE("plugin manifest says of a file what it finds, and of a release what it is told") {
  fixture f;
  CHECK(f.in_folder("plugin manifest @kv --kind secrets --version 1.4.2 --security-version 7 "
                    "--valid 30 --not-before 2027-01-01 --min-broker 0.1.0 --profile static-v1 "
                    "--limit tasks=16 --limit memory=1000 --grant log "
                    "--grant 'kv-namespace name=acme quota=5'") == exit_code::done);
  CHECK(f.out == "wrote " + f.folder + "kv.manifest: secrets/kv 1.4.2, script\n");
  const auto says = trust::parse_manifest(f.get("kv.manifest"));
  CHECK(says.name == "kv");
  CHECK(says.security_version == 7);
  CHECK(says.sha256 == trust::sha256(f.get("kv")));
  CHECK(says.size_bytes == f.get("kv").size());
  CHECK(says.link == trust::link_kind::script);
  CHECK(says.os_arch == trust::this_os_arch());
  CHECK(says.expires_unix_ms == 1'800'000'000'000 + 30LL * 86'400'000);
  CHECK(says.limits.at(0).first == "memory");
  CHECK(says.grants.at(0).parameters.at(1).second == "5");
}

TEST_CASE("plugin manifest tells how a program finds its code") {
  CHECK(inspect_program("/proc/self/exe").link == trust::link_kind::dynamic_link);
  CHECK(inspect_program("/proc/self/exe").os_arch == trust::this_os_arch());
  CHECK(inspect_head("#!/bin/sh")->link == trust::link_kind::script);
  for (const char* none : {"", "text",
                           "\x7f"
                           "ELF",
                           "#"})
    CHECK_FALSE(inspect_head(none));
}

TEST_CASE("the head of a program, cut or changed anywhere, is read or refused") {
  std::ifstream self("/proc/self/exe", std::ios::binary);
  std::string head(4096, '\0');
  self.read(head.data(), 4096);
  REQUIRE(inspect_head(head));
  for (std::size_t size = 0; size < 64; ++size) CHECK_FALSE(inspect_head(head.substr(0, size)));
  for (std::size_t i = 0; i < 64; ++i) {
    std::string changed = head;
    changed[i] = '\xff';
    const auto seen = inspect_head(changed);
    CHECK((!seen || seen->os_arch.empty() || seen->os_arch == trust::this_os_arch()));
  }
}

TEST_CASE("plugin manifest refuses what cannot be a manifest, as wrong usage") {
  fixture f;
  const std::string begin = "plugin manifest @kv ";
  for (const char* wrong :
       {"--version 1.0.0", "--kind secrets", "--kind secrets --version 1",
        "--kind cats --version 1.0.0", "--kind secrets --version 1.0.0 --name KV",
        "--kind secrets --version 1.0.0 --valid 0", "--kind secrets --version 1.0.0 --expires soon",
        "--kind secrets --version 1.0.0 --expires 2028-01-01 --valid 1",
        "--kind secrets --version 1.0.0 --limit cores=1",
        "--kind secrets --version 1.0.0 --limit a",
        "--kind secrets --version 1.0.0 --grant 'a  b=c'",
        "--kind auth --version 1.0.0 --provenance x",
        "--kind secrets --version 1.0.0 --security-version 4294967296"}) {
    INFO(wrong);
    CHECK(f.in_folder(begin + wrong) == exit_code::usage);
    CHECK_FALSE(f.has("kv.manifest"));
  }
  f.put("text", "no program");
  CHECK(f.in_folder("plugin manifest @text --kind auth --version 1.0.0") == exit_code::failed);
  CHECK(f.in_folder("plugin manifest @gone --kind auth --version 1.0.0") == exit_code::no_target);
  CHECK(f.in_folder("plugin manifest @ --kind auth --version 1.0.0") == exit_code::failed);
  // Nobody writes to it: whoever waits for that waits for ever.
  REQUIRE(::mkfifo((f.folder + "fifo").c_str(), 0600) == 0);
  CHECK(f.in_folder("plugin manifest @fifo --kind auth --version 1.0.0") == exit_code::failed);
  CHECK_THAT(f.notes, Contains("is no regular file"));
}

TEST_CASE(
    "plugin manifest replaces a manifest only by force, and says that its signature is stale") {
  fixture f;
  f.make_signed();
  CHECK(f.in_folder("plugin manifest @kv --kind secrets --version 1.0.1") == exit_code::failed);
  CHECK(f.in_folder("plugin manifest @kv --kind secrets --version 1.0.1 --force") ==
        exit_code::done);
  CHECK_THAT(f.notes, Contains("sign anew"));
  CHECK(trust::parse_manifest(f.get("kv.manifest")).version == "1.0.1");
  CHECK(f.in_folder("key verify --key @release.key.pub @kv") == exit_code::failed);
}

TEST_CASE("key sign and key verify belong together") {
  fixture f;
  f.make_signed();
  CHECK(f.in_folder("key verify --key @release.key.pub @kv") == exit_code::done);
  CHECK_THAT(f.out, Contains("timestamp:1800000000 file:kv.manifest hashed\n"));
  CHECK(f.in_folder("key verify --key @release.key.pub @kv.manifest") == exit_code::done);
  const auto key = trust::parse_public_key(f.get("release.key.pub"));
  CHECK(f.in_folder("key verify --key " + trust::public_key_text(key) + " @kv -o json") ==
        exit_code::done);
  CHECK_THAT(f.out, Contains("\"id\":\"" + trust::key_id(key.key) + "\""));
}

TEST_CASE("key verify refuses a changed plugin, manifest and signature, and another key") {
  fixture f;
  f.make_signed();
  REQUIRE(f.in_folder("key generate @other.key") == exit_code::done);
  CHECK(f.in_folder("key verify --key @other.key.pub @kv") == exit_code::failed);
  CHECK_THAT(f.notes, Contains("of other keys"));
  f.put("kv", "#!/bin/sh\nanother\n");
  CHECK(f.in_folder("key verify --key @release.key.pub @kv") == exit_code::failed);
  CHECK_THAT(f.notes, Contains("is not the file that its manifest is about"));
  f.put("kv.manifest", f.get("kv.manifest") + " ");
  CHECK(f.in_folder("key verify --key @release.key.pub @kv.manifest") == exit_code::failed);
  CHECK_THAT(f.notes, Contains("was changed"));
  f.put("kv.manifest.minisig", "nonsense");
  CHECK(f.in_folder("key verify --key @release.key.pub @kv.manifest") == exit_code::failed);
  CHECK_THAT(f.notes, Contains("signature file, line 1"));
}

TEST_CASE("key sign adds to the signatures of other keys only when told, and its own once") {
  fixture f;
  f.make_signed();
  REQUIRE(f.in_folder("key generate @next.key") == exit_code::done);
  for (int i = 0; i < 2; ++i) {
    CHECK(f.in_folder("key sign --key @next.key --add @kv.manifest") == exit_code::done);
    CHECK(trust::parse_signatures(f.get("kv.manifest.minisig")).size() == 2);
  }
  CHECK(f.in_folder("key verify --key @release.key.pub @kv") == exit_code::done);
  CHECK(f.in_folder("key verify --key @next.key.pub @kv") == exit_code::done);
  CHECK(f.in_folder("key sign --key @next.key @kv") == exit_code::done);
  CHECK(f.in_folder("key verify --key @release.key.pub @kv") == exit_code::failed);
}

TEST_CASE("key sign signs manifests and nothing else") {
  fixture f;
  f.make_signed();
  f.put("letter.manifest", "I owe you money\n");
  CHECK(f.in_folder("key sign --key @release.key @letter.manifest") == exit_code::failed);
  CHECK_FALSE(f.has("letter.manifest.minisig"));
  f.put("letter", "I owe you money\n");
  CHECK(f.in_folder("key sign --key @release.key @letter") == exit_code::failed);
  f.put("bare", "#!/bin/sh\n");
  CHECK(f.in_folder("key sign --key @release.key @bare") == exit_code::no_target);
  CHECK_THAT(f.notes, Contains("has no manifest"));
  f.put("kv", "#!/bin/sh\nanother\n");
  CHECK(f.in_folder("key sign --key @release.key @kv") == exit_code::failed);
  CHECK(f.in_folder("key sign @kv") == exit_code::usage);
}

TEST_CASE("a secret key that others may read is not used") {
  fixture f;
  f.make_signed();
  std::filesystem::permissions(f.folder + "release.key", std::filesystem::perms(0640));
  CHECK(f.in_folder("key sign --key @release.key @kv") == exit_code::failed);
  CHECK_THAT(f.notes, Contains("its mode is 0640") && Contains("chmod 600"));
}

TEST_CASE("a failed write leaves no file behind") {
  fixture f;
  REQUIRE(f.in_folder("plugin manifest @kv --kind auth --version 1.0.0") == exit_code::done);
  const std::string before = f.get("kv.manifest");
  rlimit limit = {};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &limit) == 0);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight = {8, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  const auto generated = f.in_folder("key generate @a.key");
  const auto replaced = f.in_folder("plugin manifest @kv --kind auth --version 2.0.0 --force");
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(generated == exit_code::failed);
  CHECK(replaced == exit_code::failed);
  CHECK(f.get("kv.manifest") == before);
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(f.folder))
    names.insert(entry.path().filename());
  CHECK(names == std::set<std::string>{"kv", "kv.manifest"});
}

TEST_CASE("a damaged secret key is refused without a word of it") {
  fixture f;
  f.make_signed();
  std::string text = f.get("release.key");
  const std::string secret = text.substr(text.find('\n') + 90, 16);
  text[text.find('\n') + 100] ^= 1;
  f.put("release.key", text);
  CHECK(f.in_folder("key sign --key @release.key @kv") == exit_code::failed);
  CHECK_THAT(f.notes, Contains("secret key, line 2") && !Contains(secret));
}

TEST_CASE("commands of two words are found, explained, and half of one is told as such") {
  fixture f;
  CHECK(f.run("key") == exit_code::usage);
  CHECK_THAT(f.notes, Contains("'key' is half a command") && Contains("key generate"));
  CHECK(f.run("key sing a") == exit_code::usage);
  CHECK_THAT(f.notes, Contains("did you mean 'key sign'?"));
  CHECK_THAT(f.text("help key"), Contains("bulkhead key verify FILE"));
  CHECK_THAT(f.text("help key sign"), Contains("Sign manifests of plugins"));
  CHECK_THAT(f.text("key sign --help"), Contains("Sign manifests of plugins"));
  CHECK(f.run("help key sing") == exit_code::usage);
}

}  // namespace
