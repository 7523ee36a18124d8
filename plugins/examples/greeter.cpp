// SPDX-License-Identifier: Apache-2.0
//
// The typed style in one file: an interface of one's own (greeter.capnp), whose methods can return
// live objects.
#include "greeter.capnp.h"
#include "plugins/sdk/plugin.hpp"

namespace sdk = bulkhead::sdk;

namespace {

std::string make_greeting(const sdk::mount_context& mount, capnp::Text::Reader name) {
  if (name.size() == 0) {
    throw sdk::error(sdk::error_kind::INVALID_ARGUMENT, "nobody to greet", "the name is empty");
  }
  return *mount.options().find("word")->get_if<std::string>() + ", " + name.cStr();
}

class person final : public greeter::Person::Server {
 public:
  explicit person(std::string greeting) : greeting_(std::move(greeting)) {}

  kj::Promise<void> greet(GreetContext context) override {
    context.getResults().setGreeting(greeting_);
    context.getResults().setTimes(++times_);
    return kj::READY_NOW;
  }

 private:
  std::string greeting_;
  unsigned times_ = 0;
};

class greeter_server final : public greeter::Greeter::Server {
 public:
  explicit greeter_server(sdk::mount_context mount) : mount_(std::move(mount)) {}

  kj::Promise<void> greet(GreetContext context) override {
    context.getResults().setGreeting(make_greeting(mount_, context.getParams().getName()));
    return kj::READY_NOW;
  }
  kj::Promise<void> remember(RememberContext context) override {
    context.getResults().setPerson(
        kj::heap<person>(make_greeting(mount_, context.getParams().getName())));
    return kj::READY_NOW;
  }

 private:
  sdk::mount_context mount_;
};

}  // namespace

int main() {
  return sdk::plugin("greeter", "1.0.0")
      .option(sdk::text("word").or_else("Hello").help("What a greeting begins with."))
      .typed<greeter::Greeter>(
          [](sdk::mount_context mount) { return kj::heap<greeter_server>(mount); })
      .serve();
}
