// SPDX-License-Identifier: Apache-2.0
#include "broker/client/stable_capability.hpp"

#include <capnp/any.h>

#include <cstdint>

namespace bulkhead::remote {
namespace {

const int stable_brand = 0;  // its address tells these hooks from others

/// A request to the target that tells the source when it fails.
class watched_request final : public capnp::RequestHook {
 public:
  watched_request(kj::Own<capability_source> source, kj::Own<capnp::RequestHook> inner)
      : source_(kj::mv(source)), inner_(kj::mv(inner)) {}

  capnp::RemotePromise<capnp::AnyPointer> send() override {
    using answer = capnp::Response<capnp::AnyPointer>;
    auto sent = inner_->send();
    capnp::AnyPointer::Pipeline pipeline(kj::mv(static_cast<capnp::AnyPointer::Pipeline&>(sent)));
    kj::Promise<answer> watched = static_cast<kj::Promise<answer>&>(sent).catch_(
        [source = kj::mv(source_)](kj::Exception&& failure) mutable -> kj::Promise<answer> {
          source->failed(failure);
          return kj::mv(failure);
        });
    return {kj::mv(watched), kj::mv(pipeline)};
  }

  kj::Promise<void> sendStreaming() override {
    return inner_->sendStreaming().catch_(
        [source = kj::mv(source_)](kj::Exception&& failure) mutable -> kj::Promise<void> {
          source->failed(failure);
          return kj::mv(failure);
        });
  }

  const void* getBrand() override { return &stable_brand; }

 private:
  kj::Own<capability_source> source_;
  kj::Own<capnp::RequestHook> inner_;
};

class stable_hook final : public capnp::ClientHook, public kj::Refcounted {
 public:
  explicit stable_hook(kj::Own<capability_source> source) : source_(kj::mv(source)) {}

  capnp::Request<capnp::AnyPointer, capnp::AnyPointer> newCall(
      std::uint64_t interface_id, std::uint16_t method_id,
      kj::Maybe<capnp::MessageSize> size_hint) override {
    auto request = target()->newCall(interface_id, method_id, size_hint);
    capnp::AnyPointer::Builder params = request;
    auto hook =
        kj::heap<watched_request>(kj::addRef(*source_), capnp::RequestHook::from(kj::mv(request)));
    return {params, kj::mv(hook)};
  }

  VoidPromiseAndPipeline call(std::uint64_t interface_id, std::uint16_t method_id,
                              kj::Own<capnp::CallContextHook>&& context) override {
    auto called = target()->call(interface_id, method_id, kj::mv(context));
    called.promise = called.promise.catch_(
        [source = kj::addRef(*source_)](kj::Exception&& failure) mutable -> kj::Promise<void> {
          source->failed(failure);
          return kj::mv(failure);
        });
    return called;
  }

  kj::Maybe<capnp::ClientHook&> getResolved() override { return nullptr; }
  kj::Maybe<kj::Promise<kj::Own<capnp::ClientHook>>> whenMoreResolved() override { return nullptr; }
  kj::Own<capnp::ClientHook> addRef() override { return kj::addRef(*this); }
  const void* getBrand() override { return &stable_brand; }
  kj::Maybe<int> getFd() override { return nullptr; }

 private:
  kj::Own<capnp::ClientHook> target() { return capnp::ClientHook::from(source_->target()); }

  kj::Own<capability_source> source_;
};

}  // namespace

capnp::Capability::Client make_stable(kj::Own<capability_source> source) {
  kj::Own<capnp::ClientHook> hook = kj::refcounted<stable_hook>(kj::mv(source));
  return capnp::Capability::Client(kj::mv(hook));
}

}  // namespace bulkhead::remote
