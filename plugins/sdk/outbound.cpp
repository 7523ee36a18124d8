// SPDX-License-Identifier: Apache-2.0
#include "plugins/sdk/outbound.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace bulkhead::sdk {
namespace {

constexpr std::size_t piece_bytes_max = 65536;  // connection_bytes_max of the contract

class connection_stream final : public kj::AsyncIoStream {
 public:
  explicit connection_stream(schema::Connection::Client connection)
      : connection_(kj::mv(connection)) {}

  kj::Promise<std::size_t> tryRead(void* buffer, std::size_t least, std::size_t most) override {
    return read_on(static_cast<kj::byte*>(buffer), least, most, 0);
  }

  kj::Promise<void> write(const void* buffer, std::size_t size) override {
    const auto piece = std::min(size, piece_bytes_max);
    const auto* const bytes = static_cast<const kj::byte*>(buffer);
    if (piece == 0) return kj::READY_NOW;
    auto call = connection_.writeRequest();
    call.setBytes(kj::arrayPtr(bytes, piece));
    auto done = call.send().ignoreResult();
    if (piece == size) return done;
    return done.then([this, bytes, size, piece] { return write(bytes + piece, size - piece); });
  }

  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    if (pieces.size() == 0) return kj::READY_NOW;
    return write(pieces[0].begin(), pieces[0].size()).then([this, pieces] {
      return write(pieces.slice(1, pieces.size()));
    });
  }

  /// The broker tells of it by the next write that fails.
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }

  void shutdownWrite() override {
    connection_.endRequest().send().ignoreResult().detach([](kj::Exception&&) {});
  }

 private:
  kj::Promise<std::size_t> read_on(kj::byte* to, std::size_t least, std::size_t most,
                                   std::size_t before) {
    if (most == 0) return before;
    auto call = connection_.readRequest();
    call.setBytesMax(static_cast<std::uint32_t>(std::min(most, piece_bytes_max)));
    return call.send().then([=, this](auto&& answer) -> kj::Promise<std::size_t> {
      const auto bytes = answer.getBytes();
      const auto size = std::min<std::size_t>(bytes.size(), most);
      if (size > 0) std::memcpy(to, bytes.begin(), size);
      const auto now = before + size;
      if (size == 0 || size >= least) return now;
      return read_on(to + size, least - size, most - size, now);
    });
  }

  schema::Connection::Client connection_;
};

}  // namespace

kj::Own<kj::AsyncIoStream> make_stream(schema::Connection::Client connection) {
  return kj::heap<connection_stream>(kj::mv(connection));
}

}  // namespace bulkhead::sdk
