// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/tokenizer.hpp"

namespace bulkhead::cli {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

char closing(char c) {
  switch (c) {
    case '(':
      return ')';
    case '{':
      return '}';
    case '[':
      return ']';
    default:
      return '\0';
  }
}

/// Reads one line. Each member takes what it is named for, at `at_`.
class reader {
 public:
  explicit reader(std::string_view line) : line_(line) {}

  words read() {
    while (result_.error.empty() && skip_blanks()) read_word();
    return std::move(result_);
  }

 private:
  bool skip_blanks() {
    while (at_ < line_.size() && (is_blank(line_[at_]) || joins_lines())) {
      at_ += joins_lines() ? 2 : 1;
    }
    return at_ < line_.size() && line_[at_] != '#';
  }

  bool joins_lines() const { return line_.substr(at_, 2) == "\\\n"; }

  void read_word() {
    word_ = word{{}, at_, at_};
    bool verbatim_may_begin = true;
    while (result_.error.empty() && at_ < line_.size() && !is_blank(line_[at_])) {
      const char c = line_[at_];
      if (verbatim_may_begin && closing(c) != '\0') {
        read_brackets();
      } else if (c == '\'' || c == '"') {
        read_quotes(c);
      } else if (joins_lines()) {
        at_ += 2;
      } else if (c == '\\') {
        read_escape();
      } else {
        word_.text += c;
        ++at_;
      }
      verbatim_may_begin = word_.text.size() >= 2 && line_[at_ - 1] == '=' &&
                           word_.text.compare(word_.text.size() - 2, 2, ":=") == 0;
    }
    word_.end = at_;
    result_.list.push_back(std::move(word_));
  }

  void read_quotes(char quote) {
    for (++at_; at_ < line_.size() && line_[at_] != quote; ++at_) {
      const bool escaped = quote == '"' && line_[at_] == '\\' && at_ + 1 < line_.size() &&
                           (line_[at_ + 1] == '"' || line_[at_ + 1] == '\\');
      if (escaped) ++at_;
      word_.text += line_[at_];
    }
    if (at_ == line_.size()) return stay_open("a quote is not closed");
    ++at_;
  }

  void read_escape() {
    if (++at_ == line_.size()) return stay_open("the line ends in a backslash");
    word_.text += line_[at_++];
  }

  /// Everything up to the bracket that closes the one at `at_`, as it stands.
  void read_brackets() {
    std::string expected;
    char quote = '\0';
    for (; at_ < line_.size(); ++at_) {
      const char c = line_[at_];
      word_.text += c;
      if (quote != '\0') {
        if (c == '\\' && at_ + 1 < line_.size()) {
          word_.text += line_[++at_];
        } else if (c == quote) {
          quote = '\0';
        }
      } else if (c == '"') {
        quote = c;
      } else if (closing(c) != '\0') {
        expected += closing(c);
      } else if (c == expected.back()) {
        expected.pop_back();
        if (expected.empty()) {
          ++at_;
          return;
        }
      } else if (c == ')' || c == '}' || c == ']') {
        result_.error = std::string("'") + c + "' where '" + expected.back() + "' was expected";
        return;
      }
    }
    stay_open(quote != '\0' ? "a quote is not closed"
                            : std::string("'") + expected.back() + "' is missing at the end");
  }

  void stay_open(std::string error) {
    result_.error = std::move(error);
    result_.open = true;
  }

  std::string_view line_;
  std::size_t at_ = 0;
  word word_;
  words result_;
};

}  // namespace

std::vector<std::string> words::texts() const {
  std::vector<std::string> texts;
  texts.reserve(list.size());
  for (const auto& word : list) texts.push_back(word.text);
  return texts;
}

words tokenize(std::string_view line) {
  return reader(line).read();
}

std::string quote(std::string_view text) {
  const bool plain = !text.empty() && text.find_first_of(" \t\n\r'\"\\") == text.npos &&
                     std::string_view("#({[").find(text.front()) == text.npos &&
                     text.find(":=") == text.npos;
  if (plain) return std::string(text);
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

}  // namespace bulkhead::cli
