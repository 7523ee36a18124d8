// SPDX-License-Identifier: Apache-2.0
#include "broker/redact.hpp"

#include <catch2/catch.hpp>
#include <string>

using bulkhead::redact_secrets;

TEST_CASE("a value behind a name that speaks of a secret is taken out") {
  CHECK(redact_secrets("login password=hunter2 user=ada") == "login password=[redacted] user=ada");
  CHECK(redact_secrets("DB_PASSWORD: 'hunter2', retry") == "DB_PASSWORD: '[redacted]', retry");
  CHECK(redact_secrets(R"({"api_key": "abc", "n": 1})") == R"({"api_key": "[redacted]", "n": 1})");
  CHECK(redact_secrets("?access-token=abc&x=1") == "?access-token=[redacted]&x=1");
}

TEST_CASE("what follows an authorization scheme is taken out") {
  CHECK(redact_secrets("Authorization: Bearer abc.def x") == "Authorization: Bearer [redacted] x");
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

TEST_CASE("other lines pass as they are") {
  for (const auto* line : {"", " ", "out of tokens", "password", "password:", "the secret is out",
                           "x=1, y = 2", "sk-short", "Bearer", "Basic "})
    CHECK(redact_secrets(line) == line);
}
