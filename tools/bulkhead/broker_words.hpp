// SPDX-License-Identifier: Apache-2.0
//
// Completion's source: asks the broker, and remembers answers for `remember_ms`. No wait takes
// longer than `completion_ms_max`, and no question more than two of them; what cannot be had in
// time is left out. So are keys that would have to be quoted: a completed word is one that was
// typed plainly.
#pragma once

#include <kj/timer.h>

#include <map>

#include "tools/bulkhead/completion.hpp"
#include "tools/bulkhead/environment.hpp"

namespace bulkhead::cli {

inline constexpr std::uint64_t completion_ms_max = 150;
inline constexpr std::uint64_t remember_ms = 2000;

class broker_words final : public completion_source {
 public:
  explicit broker_words(environment& in) : in_(in) {}

  std::vector<std::string> mounts() override;
  std::vector<std::string> paths(const std::string& folder) override;
  std::vector<std::string> methods(const std::string& target) override;
  std::vector<std::string> parameters(const std::string& target,
                                      const std::string& method) override;
  std::vector<std::string> capabilities() override;
  std::vector<std::string> releases() override;

  /// The prompt's health: "2 up 1 backoff", or "no broker". Not remembered.
  std::string health();

 private:
  struct answer {
    kj::TimePoint at;
    std::vector<std::string> words;
  };
  template <typename Ask>
  std::vector<std::string> remembered(const std::string& question, Ask ask);

  environment& in_;
  std::map<std::string, answer> answers_;
};

}  // namespace bulkhead::cli
