// SPDX-License-Identifier: Apache-2.0
#include "broker/declaration_reader.hpp"

#include <fmt/format.h>

#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "broker/refusal.hpp"

namespace bulkhead {

struct declaration_reader::result {
  std::optional<declared_state> state;
  std::optional<error> problem;
};

/// Where the thread looks for who wants its result. The mutex keeps the reader, and with it the
/// reactor, there while a result is handed over.
struct declaration_reader::mailbox {
  std::mutex mutex;
  declaration_reader* reader = nullptr;  // null: nobody any more
};

declaration_reader::declaration_reader(reactor& loop, std::function<declared_state()> declared)
    : loop_(loop), declared_(std::move(declared)), mailbox_(std::make_shared<mailbox>()) {
  mailbox_->reader = this;
}

declaration_reader::~declaration_reader() {
  const std::lock_guard guard(mailbox_->mutex);
  mailbox_->reader = nullptr;
}

kj::Promise<declared_state> declaration_reader::read() {
  std::erase_if(waiting_, [](auto& each) { return !each->isWaiting(); });
  auto answer = kj::newPromiseAndFulfiller<declared_state>();
  waiting_.push_back(kj::mv(answer.fulfiller));
  if (!under_way_) begin();
  auto too_late =
      loop_.timer()
          .afterDelay(declaration_read_max.count() * kj::MILLISECONDS)
          .then([]() -> declared_state {
            refuse(error_kind::deadline_exceeded, "what is declared could not be read in time",
                   fmt::format("the limit is {} ms (declaration_read_ms_max)",
                               declaration_read_max.count()),
                   "look at the disk that holds the configuration file");
          });
  return answer.promise.exclusiveJoin(kj::mv(too_late));
}

/// Starts a thread for all who wait.
void declaration_reader::begin() {
  const auto read_now = [](const std::function<declared_state()>& declared) {
    result what;
    try {
      what.state = declared();
    } catch (const error& problem) {
      what.problem = problem;
    } catch (const std::exception& problem) {
      what.problem = error(error_kind::internal, "what is declared cannot be read", problem.what(),
                           std::string());
    }
    return what;
  };
  served_ = std::exchange(waiting_, {});
  try {
    std::thread([read_now, declared = declared_, box = mailbox_] {
      auto what = std::make_shared<const result>(read_now(declared));
      const std::lock_guard guard(box->mutex);
      if (box->reader == nullptr) return;
      // What runs on the loop does not run beside the destructor.
      box->reader->loop_.post([box, what = std::move(what)] {
        if (box->reader != nullptr) box->reader->arrived(*what);
      });
    }).detach();
    under_way_ = true;
  } catch (const std::system_error& problem) {
    arrived({{},
             error(error_kind::overloaded, "what is declared cannot be read",
                   fmt::format("no thread can be started: {}", problem.what()), {})});
  }
}

void declaration_reader::arrived(const result& what) {
  under_way_ = false;
  for (auto& each : std::exchange(served_, {})) {
    if (what.state)
      each->fulfill(declared_state(*what.state));
    else
      each->reject(to_exception(*what.problem));
  }
  if (!waiting_.empty()) begin();
}

}  // namespace bulkhead
