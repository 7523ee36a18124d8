// SPDX-License-Identifier: Apache-2.0
//
// The request style in one file: a plugin that says back what it is told, as often and as loud as
// the mount's options have it.
#include <algorithm>
#include <cctype>

#include "plugins/sdk/plugin.hpp"

using namespace bulkhead;  // NOLINT(google-build-using-namespace): this is a program, and an
                           // example

namespace {

// One object per mount. Handlers of one mount run on one thread, so it needs no lock.
class echo {
 public:
  explicit echo(sdk::mount_context mount) : mount_(std::move(mount)) {}

  sdk::response say(const sdk::request& what) {
    auto words = what.capture("words");
    if (mount_.options().has("shout")) {
      std::transform(words.begin(), words.end(), words.begin(),
                     [](unsigned char c) { return std::toupper(c); });
    }
    std::string said;
    for (auto left = what.integer("times"); left > 0; --left)
      said += (said.empty() ? "" : " ") + words;
    mount_.log(sdk::log_level::INFO, "said {} bytes, the {}. time", said.size(), ++count_);
    return sdk::fields{{"said", said}};
  }

  sdk::response count(const sdk::request&) { return sdk::fields{{"said", count_}}; }

 private:
  sdk::mount_context mount_;
  int count_ = 0;
};

}  // namespace

int main() {
  sdk::paths<echo> api;
  api.at("say/{words*}", "Words, to be said back.")
      .read("Says them.", &echo::say,
            {sdk::integer("times").or_else(1).between(1, 100).help("How often.")});
  api.at("count", "How much was said.").read("Tells it.", &echo::count);
  return sdk::plugin("echo", "1.0.0")
      .option(sdk::boolean("shout").help("Say everything in capitals."))
      .serves(api)
      .serve();
}
