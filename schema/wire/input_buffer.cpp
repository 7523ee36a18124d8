// SPDX-License-Identifier: Apache-2.0
#include "schema/wire/input_buffer.hpp"

#include <algorithm>
#include <cstring>

namespace bulkhead::wire {

input_buffer::input_buffer(std::size_t fds_per_read)
    : store_(kj::heapArray<kj::byte>(idle_bytes)),
      fd_room_(kj::heapArray<kj::AutoCloseFd>(fds_per_read)) {}

kj::ArrayPtr<const kj::byte> input_buffer::bytes() const {
  return store_.slice(begin_, end_);
}

kj::ArrayPtr<kj::byte> input_buffer::room() {
  const std::size_t have = end_ - begin_;
  // A store that is full of one unfinished frame must grow, too.
  const bool busy = grow_ || have + 1 > idle_bytes;
  const std::size_t size = busy ? busy_bytes : idle_bytes;
  if (store_.size() != size && have < size) {
    auto store = kj::heapArray<kj::byte>(size);
    std::memcpy(store.begin(), store_.begin() + begin_, have);
    store_ = kj::mv(store);
  } else if (begin_ > 0) {
    std::memmove(store_.begin(), store_.begin() + begin_, have);
  }
  begin_ = 0;
  end_ = have;
  return store_.slice(end_, store_.size());
}

void input_buffer::filled(std::size_t bytes, std::size_t fds) {
  const std::size_t room = store_.size() - end_;
  end_ += bytes;
  if (bytes == room) grow_ = true;
  if (bytes < idle_bytes / 2 && store_.size() == busy_bytes) grow_ = false;
  if (fds == 0) return;
  auto batch = kj::heapArrayBuilder<kj::AutoCloseFd>(fds);
  for (std::size_t i = 0; i < fds; ++i) batch.add(kj::mv(fd_room_[i]));
  batches_.push_back({taken_ + (end_ - begin_), batch.finish()});
}

void input_buffer::take(kj::ArrayPtr<kj::byte> to) {
  std::memcpy(to.begin(), store_.begin() + begin_, to.size());
  begin_ += to.size();
  taken_ += to.size();
  if (begin_ == end_) begin_ = end_ = 0;
}

kj::Array<kj::AutoCloseFd> input_buffer::take_fds() {
  kj::Array<kj::AutoCloseFd> fds;
  while (!batches_.empty() && batches_.front().read_end <= taken_) {
    // Two batches for one frame: no writer of Cap'n Proto does that. The newest counts.
    fds = kj::mv(batches_.front().fds);
    batches_.pop_front();
  }
  return fds;
}

}  // namespace bulkhead::wire
