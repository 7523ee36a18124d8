// SPDX-License-Identifier: Apache-2.0
#include "broker/redact.hpp"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using bulkhead::pem_lines_max;
using bulkhead::redact_last;
using bulkhead::redact_secrets;

namespace {

using lines = std::vector<std::string>;

// Apart, so that no scanner takes this file for a leak.
const std::string key_begin = std::string("-----BEGIN ") + "PRIVATE KEY-----";
const std::string key_end = std::string("-----END ") + "PRIVATE KEY-----";

}  // namespace

TEST_CASE("a value behind a name that speaks of a secret is taken out") {
  CHECK(redact_secrets("login password=hunter2 user=ada") == "login password=[redacted] user=ada");
  CHECK(redact_secrets("DB_PASSWORD: 'hunter2', retry") == "DB_PASSWORD: '[redacted]', retry");
  CHECK(redact_secrets(R"({"api_key": "abc", "n": 1})") == R"({"api_key": "[redacted]", "n": 1})");
  CHECK(redact_secrets("?access-token=abc&x=1") == "?access-token=[redacted]&x=1");
}

TEST_CASE("a quoted value is taken out up to its closing quote") {
  CHECK(redact_secrets(R"(password="correct horse" user=ada)") ==
        R"(password="[redacted]" user=ada)");
  CHECK(redact_secrets(R"(password="a,b")") == R"(password="[redacted]")");
  CHECK(redact_secrets("secret: 'it is; here', next") == "secret: '[redacted]', next");
  CHECK(redact_secrets(R"({"token": "a \" b", "n": 1})") == R"({"token": "[redacted]", "n": 1})");
  CHECK(redact_secrets(R"(password="'a b'" x)") == R"(password="[redacted]" x)");
  CHECK(redact_secrets(R"(authorization: "Bearer a b" x)") == R"(authorization: "[redacted]" x)");
}

TEST_CASE("a quoted value that is not closed is taken out to the end of the line") {
  CHECK(redact_secrets(R"(password="correct horse)") == R"(password="[redacted])");
  CHECK(redact_secrets(R"(password="correct horse\")") == R"(password="[redacted])");
}

TEST_CASE("quotes that are doubled or escaped themselves are quotes") {
  CHECK(redact_secrets(R"("password=""correct horse""" x)") == R"("password=""[redacted]""" x)");
  CHECK(redact_secrets(R"(password = """correct horse""" x)") ==
        R"(password = """[redacted]""" x)");
  CHECK(redact_secrets(R"({\"password\": \"correct \\\" horse\", \"n\": 1})") ==
        R"({\"password\": \"[redacted]\", \"n\": 1})");
}

TEST_CASE("an arrow, a double sign or an escaped tab stand between a name and its value too") {
  CHECK(redact_secrets(R"(password => "a b" x)") == R"(password => "[redacted]" x)");
  CHECK(redact_secrets("password := abc x") == "password := [redacted] x");
  CHECK(redact_secrets(R"(password\t:\t"a b" x)") == R"(password\t:\t"[redacted]" x)");
}

TEST_CASE("what follows an authorization scheme is taken out") {
  CHECK(redact_secrets("Authorization: Bearer abc.def x") == "Authorization: Bearer [redacted] x");
  CHECK(redact_secrets(R"(Authorization: Bearer "a b" x)") ==
        R"(Authorization: Bearer "[redacted]" x)");
  CHECK(redact_secrets("sent Basic dXNlcjpw to it") == "sent Basic [redacted] to it");
}

TEST_CASE("tokens of common issuers are taken out wherever they stand") {
  CHECK(redact_secrets("got hvs.CAESIJ0123456789 back") == "got [redacted] back");
  CHECK(redact_secrets(std::string("AKIA") + "IOSFODNN7EXAMPLE") == "[redacted]");
  CHECK(redact_secrets("eyJhbGciOiJIUzI1NiJ9.e30.sig") == "[redacted]");
}

TEST_CASE("everything from a PEM header on is taken out") {
  CHECK(redact_secrets(std::string("key -----BEGIN ") + "PRIVATE KEY-----MIIE") ==
        "key [redacted]");
}

TEST_CASE("a PEM block over several lines is taken out to its end, and what follows it passes") {
  const lines said = {
      "starting", "key " + key_begin, "MIIEvQIBADANBg", "wTGh=", key_end, "password=hunter2",
      "done"};
  CHECK(redact_last(said, said.size()) == lines{"starting", "key [redacted]", "[redacted]",
                                                "[redacted]", "[redacted]", "password=[redacted]",
                                                "done"});
  CHECK(redact_last({key_begin + "MIIEvQ" + key_end, "done"}, 2) == lines{"[redacted]", "done"});
  CHECK(redact_last({key_begin, key_end + key_begin, "MIIEvQ", key_end, "done"}, 2) ==
        lines{"[redacted]", "done"});
}

TEST_CASE("a PEM block that does not end is taken out to the last line") {
  CHECK(redact_last({"a", key_begin, "MIIEvQ", "wTGh="}, 4) ==
        lines{"a", "[redacted]", "[redacted]", "[redacted]"});
}

TEST_CASE("a PEM block whose header is not among the lines is taken out from the first on") {
  CHECK(redact_last({"MIIEvQ", "wTGh=", key_end, "done"}, 4) ==
        lines{"[redacted]", "[redacted]", "[redacted]", "done"});
}

TEST_CASE("only the last lines are answered, and those before them tell what they are part of") {
  CHECK(redact_last({"a", "b", "c"}, 2) == lines{"b", "c"});
  CHECK(redact_last({"a"}, 2) == lines{"a"});
  CHECK(redact_last({}, 2).empty());
  lines said = {key_begin};
  said.resize(pem_lines_max + 1, "MIIEvQ");
  CHECK(redact_last(said, 1) == lines{"[redacted]"});
}

TEST_CASE("other lines pass as they are") {
  for (const auto* line : {"", " ", "out of tokens", "password", "password:", "the secret is out",
                           "x=1, y = 2", "sk-short", "Bearer", "Basic ", "password=\"\"",
                           "password=\"\" user=ada", "password=\"", "token =>", "-----END "})
    CHECK(redact_secrets(line) == line);
}
