// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/broker_words.hpp"

#include <fmt/format.h>

#include "tools/bulkhead/commands.hpp"
#include "tools/bulkhead/release_text.hpp"
#include "tools/bulkhead/status_text.hpp"
#include "tools/bulkhead/tokenizer.hpp"

namespace bulkhead::cli {
namespace {

/// A shorter timeout for as long as it lives.
class budget {
 public:
  explicit budget(environment& in) : in_(in), timeout_ms_(in.timeout_ms) {
    in.timeout_ms = completion_ms_max;
  }
  ~budget() { in_.timeout_ms = timeout_ms_; }
  budget(const budget&) = delete;
  budget& operator=(const budget&) = delete;
  budget(budget&&) = delete;
  budget& operator=(budget&&) = delete;

 private:
  environment& in_;
  std::uint64_t timeout_ms_;
};

/// Runs `ask`; false when it failed.
template <typename Ask>
bool attempt(environment& in, Ask ask) {
  const budget short_wait(in);
  try {
    ask();
    return true;
  } catch (const failure&) {
    return false;
  } catch (const kj::Exception&) {
    return false;
  }
}

/// No blank, no quote, and nothing that could take hold of a terminal: keys are a plugin's to
/// choose.
bool is_typed_plainly(const std::string& word) {
  const bool is_arguments = word.substr(0, 1) == "(";
  return (is_arguments ? word : quote(word)) == wire::escape_line(word);
}

/// The literal start of a pattern: "data/" of "data/{path*}".
std::string literal_start(std::string pattern) {
  const auto brace = pattern.find('{');
  if (brace != std::string::npos) pattern.erase(brace);
  return pattern;
}

}  // namespace

template <typename Ask>
std::vector<std::string> broker_words::remembered(const std::string& question, Ask ask) {
  std::erase_if(answers_, [now = in_.timer.now()](const auto& each) {
    return now - each.second.at >= remember_ms * kj::MILLISECONDS;
  });
  if (const auto found = answers_.find(question); found != answers_.end()) {
    return found->second.words;
  }
  std::vector<std::string> words;
  attempt(in_, [&]() { ask(words); });
  std::erase_if(words, [](const std::string& word) { return !is_typed_plainly(word); });
  answers_.insert_or_assign(question, answer{in_.timer.now(), words});
  return words;
}

std::vector<std::string> broker_words::mounts() {
  return remembered("mounts", [&](std::vector<std::string>& words) {
    const auto answer = in_.wait(in_.broker.admin().mountsRequest().send().dropPipeline());
    for (auto mount : answer.getMounts()) words.emplace_back(mount.getPath().cStr());
  });
}

std::vector<std::string> broker_words::releases() {
  return remembered("releases", [&](std::vector<std::string>& words) {
    const auto answer = in_.wait(in_.broker.admin().releasesRequest().send().dropPipeline());
    for (auto each : answer.getReleases()) words.push_back(release_title(each));
  });
}

std::vector<std::string> broker_words::paths(const std::string& folder) {
  return remembered("paths " + folder, [&](std::vector<std::string>& words) {
    auto call = in_.broker.session().handleRequest();
    call.initRequest().setOperation(schema::Operation::LIST);
    call.getRequest().setPath(folder.c_str());
    auto listing = call.send();
    auto mount_call = in_.broker.session().mountRequest();
    mount_call.setPath(folder.c_str());
    auto found = mount_call.send();
    auto describe = found.getMount().describeRequest().send();
    attempt(in_, [&]() {
      const auto answer = in_.wait(listing.dropPipeline());
      for (auto key : answer.getResponse().getKeys()) words.push_back(folder + key.cStr());
    });
    attempt(in_, [&]() {
      const auto answer = in_.wait(describe.dropPipeline());
      for (auto spec : answer.getPaths()) {
        const std::string start = literal_start(spec.getPattern().cStr());
        if (!start.empty()) words.push_back(std::string(answer.getPath().cStr()) + start);
      }
    });
  });
}

std::vector<std::string> broker_words::methods(const std::string& target) {
  return remembered("methods " + target, [&](std::vector<std::string>& words) {
    words = method_names(find_target(in_, target).schema);
  });
}

std::vector<std::string> broker_words::parameters(const std::string& target,
                                                  const std::string& method) {
  return remembered("parameters " + target + " " + method, [&](std::vector<std::string>& words) {
    const typed_target found = find_target(in_, target);
    KJ_IF_MAYBE (known, found.schema.findMethodByName(method.c_str())) {
      std::string text;
      for (auto field : known->getParamType().getFields()) {
        text +=
            fmt::format("{}{} = ", text.empty() ? "(" : ", ", field.getProto().getName().cStr());
      }
      words.push_back(text.empty() ? "()" : text);
    }
  });
}

std::vector<std::string> broker_words::capabilities() {
  std::vector<std::string> names;
  for (std::size_t i = 1; i <= in_.held.size(); ++i) names.push_back(fmt::format("${}", i));
  return names;
}

std::string broker_words::health() {
  std::string text = "no broker";
  attempt(in_, [&]() {
    const auto answer = in_.wait(in_.broker.admin().mountsRequest().send().dropPipeline());
    text = health_text(answer.getMounts());
  });
  return text;
}

}  // namespace bulkhead::cli
