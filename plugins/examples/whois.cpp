// SPDX-License-Identifier: Apache-2.0
//
// Reaching outside: a plugin has no network, so it asks the broker for a connection to an address
// that an operator granted to it. This one asks a whois server (RFC 3912: one line there, an answer
// back, and the server closes).
//
//     bulkhead mount whois/ whois --option server=whois.example:43 --grant net:whois.example:43
//     bulkhead read whois/domain/example.org
#include <algorithm>
#include <memory>

#include "plugins/sdk/plugin.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace): this is a program, and an
                           // example

namespace {

constexpr std::uint64_t answer_bytes_max = 256 * 1024;

class whois {
 public:
  explicit whois(sdk::mount_context mount)
      : mount_(std::move(mount)),
        server_(*mount_.options().find("server")->get_if<std::string>()) {}

  kj::Promise<sdk::response> ask(const sdk::request& what) {
    const auto& name = what.capture("name");
    // One line and no more: a name is not to bring a second question along.
    if (std::any_of(name.begin(), name.end(), [](unsigned char c) { return c < ' '; }))
      throw sdk::error(sdk::error_kind::INVALID_ARGUMENT, "the name holds control characters");
    auto line = std::make_shared<std::string>(name + "\r\n");
    return mount_.connect(server_).then([line](kj::Own<kj::AsyncIoStream>&& server) {
      auto asked = server->write(line->data(), line->size());
      return asked.then([&server = *server, line] { return server.readAllText(answer_bytes_max); })
          .then([](kj::String&& answer) -> sdk::response {
            return sdk::fields{{"answer", answer.cStr()}};
          })
          .attach(kj::mv(server));
    });
  }

 private:
  sdk::mount_context mount_;
  std::string server_;
};

}  // namespace

int main() {
  sdk::paths<whois> api;
  api.at("domain/{name}", "What the server knows of a name.").read("Asks for it.", &whois::ask);
  return sdk::plugin("whois", "1.0.0")
      .option(sdk::text("server").required().help("HOST:PORT, as it was granted."))
      .serves(api)
      .serve();
}
