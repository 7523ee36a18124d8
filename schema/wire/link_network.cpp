// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/link_network.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include "schema/wire/error_text.hpp"
#include "schema/wire/wire_fault.hpp"

namespace bulkhead::wire {

namespace {

namespace rpc = capnp::rpc;

std::uint64_t frame_bytes_of(frame_segments segments) {
  std::uint64_t bytes = (segments.size() / 2 + 1) * sizeof(capnp::word);
  for (auto segment : segments) bytes += segment.size() * sizeof(capnp::word);
  return bytes;
}

kj::Exception nothing_to_build_on() {
  return make_exception({schema::ErrorKind::FAILED_PRECONDITION,
                         "the call builds on the answer to one that was not sent",
                         "that call failed on its way out",
                         "see what it failed with",
                         {}});
}

kj::Exception too_large(frame_segments segments, std::uint64_t bytes, std::uint64_t bytes_max) {
  const bool call = is_call(segments);
  error_info info;
  info.kind = call ? schema::ErrorKind::INVALID_ARGUMENT : schema::ErrorKind::PLUGIN_ERROR;
  info.what = call ? "the call is too large" : "the answer is too large";
  info.why = fmt::format("it takes {} bytes, {} allowed in a message", bytes, bytes_max);
  info.remedy = "send it in parts";
  info.detail = {{"limit", "frame_bytes_max"}};
  return make_exception(info);
}

}  // namespace

class link_network::outgoing final : public capnp::OutgoingRpcMessage {
 public:
  outgoing(link_network& network, capnp::uint first_segment_words)
      : network_(network),
        message_(first_segment_words == 0 ? capnp::SUGGESTED_FIRST_SEGMENT_WORDS
                                          : first_segment_words) {}
  KJ_DISALLOW_COPY(outgoing);

  capnp::AnyPointer::Builder getBody() override { return message_.getRoot<capnp::AnyPointer>(); }
  void setFds(kj::Array<int> fds) override { fds_ = kj::mv(fds); }
  std::size_t sizeInWords() override { return message_.sizeInWords(); }

  void send() override {
    const auto segments = message_.getSegmentsForOutput();
    const auto message = message_.getRoot<rpc::Message>().asReader();
    KJ_IF_MAYBE (problem, network_.obstacle(message, segments)) {
      network_.note_question(message, false);
      kj::throwFatalException(kj::mv(*problem));
    }
    const bool with_fds = network_.limits_.fds_per_message > 0;
    network_.stream_.send(with_fds ? fds_.asPtr() : kj::ArrayPtr<const int>(nullptr), segments);
    network_.note_question(message, true);
    network_.stream_.count_sent(message);
  }

 private:
  link_network& network_;
  capnp::MallocMessageBuilder message_;
  kj::Array<int> fds_;
};

class link_network::incoming final : public capnp::IncomingRpcMessage {
 public:
  explicit incoming(received_frame&& frame) : frame_(kj::mv(frame)) {}

  capnp::AnyPointer::Reader getBody() override {
    return frame_.reader->getRoot<capnp::AnyPointer>();
  }
  kj::ArrayPtr<kj::AutoCloseFd> getAttachedFds() override { return frame_.fds; }
  std::size_t sizeInWords() override { return frame_.reader->sizeInWords(); }

 private:
  received_frame frame_;
};

void link_network::reference_counter::disposeImpl(void* /*connection*/) const {
  if (--count_ > 0) return;
  network_.down_ = true;
  network_.disconnected_fulfiller_->fulfill();
}

link_network::link_network(link_stream& stream, side which, capnp::ReaderOptions options,
                           const stream_limits& limits)
    : stream_(stream),
      side_(which),
      options_(options),
      limits_(limits),
      peer_(4),
      references_(*this),
      disconnected_(nullptr) {
  peer_.initRoot<capnp::rpc::twoparty::VatId>().setSide(side_ == side::CLIENT ? side::SERVER
                                                                              : side::CLIENT);
  auto pair = kj::newPromiseAndFulfiller<void>();
  disconnected_fulfiller_ = kj::mv(pair.fulfiller);
  disconnected_ = pair.promise.fork();
}

link_network::~link_network() noexcept(false) = default;

kj::Own<rpc_connection> link_network::reference() {
  KJ_REQUIRE(!down_, "the connection has ended");
  references_.add();
  return kj::Own<rpc_connection>(this, references_);
}

kj::Maybe<kj::Own<rpc_connection>> link_network::connect(capnp::rpc::twoparty::VatId::Reader vat) {
  if (vat.getSide() == side_) return nullptr;
  return reference();
}

kj::Promise<kj::Own<rpc_connection>> link_network::accept() {
  if (side_ == side::CLIENT || accepted_) return kj::NEVER_DONE;
  accepted_ = true;
  return reference();
}

capnp::rpc::twoparty::VatId::Reader link_network::getPeerVatId() {
  return peer_.getRoot<capnp::rpc::twoparty::VatId>().asReader();
}

kj::Own<capnp::OutgoingRpcMessage> link_network::newOutgoingMessage(
    capnp::uint first_segment_words) {
  return kj::heap<outgoing>(*this, first_segment_words);
}

kj::Promise<kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>> link_network::receiveIncomingMessage() {
  return stream_.receive(options_).then(
      [](kj::Maybe<received_frame>&& frame) -> kj::Maybe<kj::Own<capnp::IncomingRpcMessage>> {
        KJ_IF_MAYBE (got, frame) {
          return kj::Own<capnp::IncomingRpcMessage>(kj::heap<incoming>(kj::mv(*got)));
        }
        return nullptr;
      });
}

kj::Maybe<kj::Exception> link_network::obstacle(rpc::Message::Reader message,
                                                frame_segments segments) {
  const auto bytes = frame_bytes_of(segments);
  if (bytes > limits_.frame_bytes) return too_large(segments, bytes, limits_.frame_bytes);
  if (builds_on_unsent(message)) return nothing_to_build_on();
  if (!message.isCall()) return nullptr;
  KJ_IF_MAYBE (problem, stream_.call_obstacle(bytes)) return kj::mv(*problem);
  return giving_obstacle(message.getCall());
}

kj::Maybe<kj::Exception> link_network::giving_obstacle(rpc::Call::Reader call) const {
  KJ_IF_MAYBE (budget, budget_) {
    std::uint64_t more = 0;
    for (auto entry : call.getParams().getCapTable()) {
      if (entry.isSenderHosted() || entry.isSenderPromise()) ++more;
    }
    const auto given = budget->capabilities_given();
    if (more > 0 && given + more > given_max_) return giving_fault(given, more, given_max_);
  }
  return nullptr;
}

bool link_network::builds_on_unsent(rpc::Message::Reader message) const {
  if (unsent_.empty()) return false;
  const auto unsent = [this](rpc::PromisedAnswer::Reader answer) {
    return unsent_.count(answer.getQuestionId()) > 0;
  };
  const auto any_unsent = [&](rpc::Payload::Reader payload) {
    for (auto entry : payload.getCapTable()) {
      if (entry.isReceiverAnswer() && unsent(entry.getReceiverAnswer())) return true;
    }
    return false;
  };
  if (message.isCall()) {
    const auto call = message.getCall();
    const auto target = call.getTarget();
    return (target.isPromisedAnswer() && unsent(target.getPromisedAnswer())) ||
           any_unsent(call.getParams());
  }
  return message.isReturn() && message.getReturn().isResults() &&
         any_unsent(message.getReturn().getResults());
}

// A number is used again once nobody can build on its call any more.
void link_network::note_question(rpc::Message::Reader message, bool sent) {
  if (!sent && message.isCall()) unsent_.insert(message.getCall().getQuestionId());
  if (!sent || unsent_.empty()) return;
  if (message.isCall()) unsent_.erase(message.getCall().getQuestionId());
  if (message.isBootstrap()) unsent_.erase(message.getBootstrap().getQuestionId());
}

kj::Promise<void> link_network::shutdown() {
  return stream_.end();
}

kj::Own<capnp::RpcFlowController> link_network::newStream() {
  // As libcapnp does it: as much in flight as the kernel is willing to keep for this socket.
  std::size_t window_bytes = capnp::RpcFlowController::DEFAULT_WINDOW_SIZE;
  KJ_IF_MAYBE (bytes, stream_.getSendBufferSize()) {
    window_bytes = static_cast<std::size_t>(*bytes);
  }
  return capnp::RpcFlowController::newFixedWindowController(window_bytes);
}

}  // namespace bulkhead::wire
