// SPDX-License-Identifier: Apache-2.0
#include "tests/bad_link.hpp"

#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <kj/array.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "schema/plugin.capnp.h"

namespace bulkhead {

namespace {

namespace rpc = capnp::rpc;

constexpr int link_fd = 3;
constexpr unsigned first_question = 1'000'000;  // far above those of the plugin's own RPC system
constexpr std::size_t said_every_bytes = 16 * 1024;
constexpr std::size_t value_bytes = 1U << 20U;  // the largest value of a view
constexpr std::uint16_t method_view = 0;
constexpr std::uint16_t method_now = 2;
constexpr std::uint16_t method_get = 0;
constexpr std::uint16_t method_put = 1;

void write_all(int fd, const void* data, std::size_t size) {
  const auto* at = static_cast<const char*>(data);
  while (size > 0) {
    const auto written = ::write(fd, at, size);
    if (written > 0) {
      at += written;
      size -= static_cast<std::size_t>(written);
    } else if (errno == EAGAIN) {
      pollfd until{fd, POLLOUT, 0};
      ::poll(&until, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

/// The attacker's pen: collects messages, writes them, and keeps count.
class attacker {
 public:
  void send(capnp::MessageBuilder& message) {
    const auto words = capnp::messageToFlatArray(message);
    raw(words.asBytes());
  }

  void raw(kj::ArrayPtr<const kj::byte> bytes) {
    waiting_.append(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
    if (waiting_.size() >= said_every_bytes) flush();
  }

  /// Says so first: what is sent may be the last that this process does.
  void flush() {
    say_sent(waiting_.size());
    write_all(link_fd, waiting_.data(), waiting_.size());
    waiting_.clear();
  }

  void say_sent(std::size_t bytes) {
    sent_ += bytes;
    const auto line = fmt::format("sent {}\n", sent_);
    write_all(STDERR_FILENO, line.data(), line.size());
  }

  [[noreturn]] void live_on() {
    flush();
    for (;;) ::poll(nullptr, 0, -1);
  }

 private:
  std::string waiting_;
  std::size_t sent_ = 0;
};

struct call {
  explicit call(unsigned question) { made.setQuestionId(question); }

  /// Of the host: the broker's first export.
  call& of_host(std::uint16_t method) {
    made.setInterfaceId(capnp::typeId<schema::Host>());
    made.setMethodId(method);
    made.initTarget().setImportedCap(0);
    return *this;
  }
  /// Of the view that question `from` asked for.
  call& of_view(unsigned from, std::uint16_t method) {
    made.setInterfaceId(capnp::typeId<schema::View>());
    made.setMethodId(method);
    on_answer(from, 1);
    return *this;
  }
  void on_answer(unsigned from, unsigned steps) {
    auto target = made.initTarget().initPromisedAnswer();
    target.setQuestionId(from);
    for (auto step : target.initTransform(steps)) step.setGetPointerField(0);
  }

  capnp::MallocMessageBuilder message;
  rpc::Call::Builder made = message.initRoot<rpc::Message>().initCall();
};

void send_finish(attacker& by, unsigned question, bool release) {
  capnp::MallocMessageBuilder message;
  auto made = message.initRoot<rpc::Message>().initFinish();
  made.setQuestionId(question);
  made.setReleaseResultCaps(release);
  by.send(message);
}

/// Calls that are answered and never finished.
void unfinished_calls(attacker& by) {
  for (unsigned i = 0; i < 200'000; ++i) {
    by.send(call(first_question + i).of_host(method_now).message);
  }
}

/// What was stored before, asked for so many times; no answer is read.
void stored_answers(attacker& by, unsigned times) {
  by.send(call(first_question).of_host(method_view).message);
  for (unsigned i = 1; i <= times; ++i) {
    call get(first_question + i);
    get.of_view(first_question, method_get);
    get.made.initParams().initContent().initAs<schema::View::GetParams>().setKey("big");
    by.send(get.message);
  }
}

/// The same of a value of a mebibyte that is stored now.
void unread_answers(attacker& by, unsigned times) {
  constexpr unsigned questions = first_question - 2;
  by.send(call(questions).of_host(method_view).message);
  call put(questions + 1);
  put.of_view(questions, method_put);
  auto params = put.made.initParams().initContent().initAs<schema::View::PutParams>();
  params.setKey("big");
  params.initValue(value_bytes);
  by.send(put.message);
  stored_answers(by, times);
}

/// Calls with a thousand capabilities each, to a method that waits for the disk: until it answers
/// they are held.
void capabilities(attacker& by) {
  constexpr unsigned each = 1000;
  by.send(call(first_question).of_host(method_view).message);
  for (unsigned i = 1; i < 200; ++i) {
    call made(first_question + i);
    made.of_view(first_question, method_put);
    made.made.initParams().initContent().initAs<schema::View::PutParams>().setKey("held");
    auto entries = made.made.getParams().initCapTable(each);
    for (unsigned j = 0; j < each; ++j) entries[j].setSenderHosted(first_question + i * each + j);
    by.send(made.message);
  }
}

/// Calls whose tables claim four million entries in no bytes.
void empty_table(attacker& by) {
  constexpr std::uint64_t entries = 4'000'000;
  for (unsigned i = 0; i < 100; ++i) {
    call made(first_question + i);
    made.of_host(method_now);
    made.made.initParams().initCapTable(1);
    auto words = capnp::messageToFlatArray(made.message);
    // The tag of the one list of structs of two words, of which one is a pointer.
    const std::uint64_t honest = (1U << 2U) | (std::uint64_t{1} << 32U) | (std::uint64_t{1} << 48U);
    const std::uint64_t evil = entries << 2U;
    for (std::size_t at = 0; at < words.asBytes().size(); at += sizeof honest) {
      auto* word = words.asBytes().begin() + at;
      if (std::memcmp(word, &honest, sizeof honest) == 0) std::memcpy(word, &evil, sizeof evil);
    }
    by.raw(words.asBytes());
  }
}

/// Views without end; the calls are finished, the views kept.
void views(attacker& by) {
  for (unsigned i = 0; i < 100'000; ++i) {
    by.send(call(first_question + i).of_host(method_view).message);
    // Not at once: a call that is finished before its answer brings nothing.
    if (i >= 1000) send_finish(by, first_question + i - 1000, false);
    if (i % 500 == 499) {
      by.flush();
      ::usleep(2000);
    }
  }
}

/// The smallest frames there are for which libcapnp does anything, for four seconds and more.
void flood(attacker& by) {
  capnp::MallocMessageBuilder message;
  message.initRoot<rpc::Message>().initRelease();
  const auto words = capnp::messageToFlatArray(message);
  for (unsigned i = 0; i < 400'000; ++i) by.raw(words.asBytes());
}

/// Calls as they should be, but for their number: each is finished once it can have been answered.
void callbacks(attacker& by) {
  constexpr unsigned behind = 500;
  for (unsigned i = 0; i < 200'000; ++i) {
    by.send(call(first_question + i).of_host(method_now).message);
    if (i >= behind) send_finish(by, first_question + i - behind, true);
  }
}

/// Calls on the answer of the call before, from one that is not answered yet.
void chain(attacker& by) {
  by.send(call(first_question).of_host(method_view).message);
  for (unsigned i = 1; i < 10'000; ++i) {
    by.send(call(first_question + i).of_view(first_question + i - 1, method_get).message);
  }
}

void deep_path(attacker& by) {
  call made(first_question);
  made.made.setInterfaceId(capnp::typeId<schema::View>());
  made.on_answer(first_question, 100'000);
  by.send(made.message);
}

/// An answer to a question that was never asked.
void bogus_answer(attacker& by) {
  capnp::MallocMessageBuilder message;
  auto made = message.initRoot<rpc::Message>().initReturn();
  made.setAnswerId(first_question);
  made.initResults();
  by.send(message);
}

/// A farewell of ten megabytes, with escape codes, that speaks as the broker would.
void long_farewell(attacker& by) {
  constexpr std::size_t bytes = 10U << 20U;
  std::string text = "\x1b[2Jowned\nwhy: \x1b[31m";
  text.append(bytes, 'x');
  text += "\ndetail: kind=protocol_violation fault=none";
  capnp::MallocMessageBuilder message;
  message.initRoot<rpc::Message>().initAbort().setReason(text.c_str());
  by.send(message);
}

/// A frame that claims thirty megabytes and comes a word a second.
void drip(attacker& by) {
  const std::array<std::uint32_t, 2> header{0, 30U << 17U};
  by.raw(kj::arrayPtr(header.data(), header.size()).asBytes());
  for (;;) {
    by.flush();
    ::usleep(1'000'000);
    by.raw(kj::arrayPtr(header.data(), header.size()).asBytes());
  }
}

/// Each frame with two hundred descriptors.
void descriptors(attacker& by) {
  capnp::MallocMessageBuilder message;
  message.initRoot<rpc::Message>().initRelease();
  const auto words = capnp::messageToFlatArray(message);
  by.flush();
  constexpr std::size_t count = 200;
  std::array<int, count> fds{};
  fds.fill(STDERR_FILENO);
  for (unsigned i = 0; i < 500; ++i) {
    iovec data{const_cast<kj::byte*>(words.asBytes().begin()), words.asBytes().size()};
    std::array<char, CMSG_SPACE(sizeof fds)> control{};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    auto* first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(sizeof fds);
    std::memcpy(CMSG_DATA(first), fds.data(), sizeof fds);
    if (::sendmsg(link_fd, &header, MSG_NOSIGNAL) > 0) by.say_sent(words.asBytes().size());
  }
}

}  // namespace

void attack_link(std::string_view name) {
  attacker by;
  if (name == "link-unfinished-calls") {
    unfinished_calls(by);
  } else if (name == "link-unread-answers") {
    unread_answers(by, 499);
  } else if (name == "link-slow-reader") {
    unread_answers(by, 8);
  } else if (name == "link-stored-answers") {
    stored_answers(by, 499);
  } else if (name == "link-capabilities") {
    capabilities(by);
  } else if (name == "link-empty-table") {
    empty_table(by);
  } else if (name == "link-views") {
    views(by);
  } else if (name == "link-flood") {
    flood(by);
  } else if (name == "link-callbacks") {
    callbacks(by);
  } else if (name == "link-chain") {
    chain(by);
  } else if (name == "link-deep-path") {
    deep_path(by);
  } else if (name == "link-bogus-answer") {
    bogus_answer(by);
  } else if (name == "link-long-farewell") {
    long_farewell(by);
  } else if (name == "link-drip") {
    drip(by);
  } else if (name == "link-descriptors") {
    descriptors(by);
  } else {
    return;
  }
  by.live_on();
}

}  // namespace bulkhead
