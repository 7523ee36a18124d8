// SPDX-License-Identifier: Apache-2.0
#include "broker/catalog/write_doubts.hpp"

#include <fmt/format.h>
#include <kj/debug.h>

#include <vector>

#include "broker/convert.hpp"
#include "schema/wire/error_text.hpp"

namespace bulkhead {
namespace {

// Nobody writes it. To erase it changes nothing, and still is a write, which a store that refuses
// them refuses: what is read with it is the truth.
constexpr const char* no_key = "doubt";

}  // namespace

write_doubts::write_doubts(async_store& store, event_log& events, kj::Timer& timer, learner learn)
    : store_(store), events_(events), timer_(timer), learn_(std::move(learn)) {}

kj::Promise<txn_result> write_doubts::txn(txn_request request) {
  std::set<std::string> changed;
  for (const auto* branch : {&request.then, &request.otherwise})
    for (const auto& op : *branch)
      if (op.kind != txn_op_kind::get) changed.insert(op.key);
  return store_.txn(std::move(request))
      .catch_(
          [this, changed = std::move(changed)](kj::Exception&& problem) -> kj::Promise<txn_result> {
            doubt(changed, problem);
            return kj::mv(problem);
          });
}

void write_doubts::doubt(const std::set<std::string>& keys, const kj::Exception& problem) {
  for (const auto& key : keys)
    if (keys_.insert(key).second)
      events_.record({}, 0, "in_doubt",
                     fmt::format("{}: a write failed ({}); whether it was done is looked up when "
                                 "the store takes writes",
                                 wire::escape_line(key), to_error(problem).what()));
  if (mends_ || keys_.empty()) return;
  mends_ = true;
  mending_ = mend().eagerlyEvaluate(nullptr);
}

kj::Promise<void> write_doubts::mend() {
  return timer_.afterDelay(doubt_pause)
      .then([this] { return change([] { /* to look up is all */ }); })
      .catch_([](kj::Exception&&) { /* it does not take writes yet */ })
      .then([this]() -> kj::Promise<void> {
        if (!keys_.empty()) return mend();
        mends_ = false;
        return kj::READY_NOW;
      });
}

kj::Promise<void> write_doubts::look_up() {
  if (keys_.empty()) return kj::READY_NOW;
  txn_request request;
  request.then.push_back(txn_op::erase(no_key));
  for (const auto& key : keys_) {
    if (request.then.size() == store_limits::txn_ops_max) break;
    request.then.push_back(txn_op::get(key));
  }
  std::vector<std::string> asked;
  for (std::size_t i = 1; i < request.then.size(); ++i) asked.push_back(request.then[i].key);
  return store_.txn(std::move(request)).then([this, asked](txn_result&& found) {
    KJ_ASSERT(found.responses.size() == asked.size() + 1);
    for (std::size_t i = 0; i < asked.size(); ++i) {
      keys_.erase(asked[i]);
      const auto& row = found.responses[i + 1].row;
      learn_(asked[i], row ? std::optional(row->value) : std::nullopt);
      events_.record({}, 0, "looked_up",
                     fmt::format("{} {}", wire::escape_line(asked[i]),
                                 row ? "is in the store" : "is not in the store"));
    }
    return look_up();
  });
}

}  // namespace bulkhead
