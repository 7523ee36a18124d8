// SPDX-License-Identifier: Apache-2.0
#include "tools/bulkhead/line_editor.hpp"

#include <fcntl.h>
#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <deque>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "tools/bulkhead/table.hpp"

namespace bulkhead::cli {

struct line_editor::state {
  state(terminal_input& input, completion_source& source, std::optional<std::string> history_file)
      : input(input), source(source), history_file(std::move(history_file)) {}

  terminal_input& input;
  completion_source& source;
  std::optional<std::string> history_file;
  EditLine* editor = nullptr;
  History* history = nullptr;
  HistEvent event{};
  std::string prompt;
  std::string last;
  bool interrupted = false;
  std::mbstate_t conversion{};
};

namespace {

using state_pointer = void*;

template <typename State>
State& state_of(EditLine* editor) {
  state_pointer pointer = nullptr;
  el_get(editor, EL_CLIENTDATA, &pointer);
  return *static_cast<State*>(pointer);
}

void print_columns(const std::vector<std::string>& words) {
  constexpr std::size_t line_width = 80;
  std::size_t width = 0;
  for (const auto& word : words) width = std::max(width, character_count(word) + 2);
  const std::size_t per_line = std::max<std::size_t>(1, line_width / width);
  std::fputc('\n', stdout);
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::fputs(words[i].c_str(), stdout);
    const bool ends_line = (i + 1) % per_line == 0 || i + 1 == words.size();
    const std::size_t blanks = width - character_count(words[i]);
    std::fputs(ends_line ? "\n" : std::string(blanks, ' ').c_str(), stdout);
  }
  std::fflush(stdout);
}

/// A word that more can follow: a folder, or an open bracket.
bool goes_on(const std::string& word) {
  return !word.empty() && (word.back() == '/' || word.back() == ' ');
}

template <typename State>
char* prompt_function(EditLine* editor) {
  return state_of<State>(editor).prompt.data();
}

/// libedit asks for wide characters, whatever the interface it is used by.
template <typename State>
int read_function(EditLine* editor, wchar_t* character) {
  State& state = state_of<State>(editor);
  while (true) {
    char byte = 0;
    switch (state.input.read_byte(byte)) {
      case terminal_input::result::interrupted:
        state.interrupted = true;
        errno = EINTR;
        return -1;
      case terminal_input::result::end:
        return 0;
      case terminal_input::result::byte:
        break;
    }
    const std::size_t taken = std::mbrtowc(character, &byte, 1, &state.conversion);
    if (taken == static_cast<std::size_t>(-2)) continue;  // more bytes belong to it
    if (taken == static_cast<std::size_t>(-1)) {
      state.conversion = {};
      continue;  // a byte that begins nothing
    }
    return 1;
  }
}

template <typename State>
unsigned char complete_function(EditLine* editor, int) {
  State& state = state_of<State>(editor);
  const LineInfo* info = el_line(editor);
  const std::string line(info->buffer, info->cursor);
  const completions found = complete(line, state.source);
  if (found.list.empty()) return CC_REFRESH_BEEP;
  const std::string typed = line.substr(found.begin);
  std::string insertion = common_prefix(found.list);
  if (insertion.size() < typed.size()) return CC_REFRESH_BEEP;
  insertion.erase(0, typed.size());
  if (found.list.size() == 1 && !goes_on(found.list.front())) insertion += ' ';
  if (insertion.empty()) {
    print_columns(found.list);
    return CC_REDISPLAY;
  }
  return el_insertstr(editor, insertion.c_str()) == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
}

/// Appends to a file that only its owner can read.
bool append(const std::filesystem::path& path, const std::string& text) {
  constexpr mode_t owner_only = S_IRUSR | S_IWUSR;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, owner_only);
  if (file < 0) return false;
  const auto written = ::write(file, text.data(), text.size());
  ::close(file);
  return written == static_cast<ssize_t>(text.size());
}

/// The newest lines. A file that has grown far beyond them is replaced by one that holds only them.
std::deque<std::string> read_history(const std::filesystem::path& path) {
  std::deque<std::string> lines;
  std::size_t seen = 0;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    lines.push_back(std::move(line));
    if (lines.size() > history_lines_max) lines.pop_front();
    ++seen;
  }
  if (seen < std::size_t{2} * history_lines_max) return lines;
  std::string newest;
  for (const auto& line : lines) newest += line + "\n";
  auto shorter = path;
  shorter += "." + std::to_string(::getpid());
  std::error_code ignored;  // the long one is as good
  if (append(shorter, newest)) std::filesystem::rename(shorter, path, ignored);
  return lines;
}

void choose_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

line_editor::line_editor(terminal_input& input, completion_source& source,
                         std::optional<std::string> history_file)
    : state_(std::make_unique<state>(input, source, std::move(history_file))) {
  choose_utf8();
  state_->history = history_init();
  history(state_->history, &state_->event, H_SETSIZE, history_lines_max);
  history(state_->history, &state_->event, H_SETUNIQUE, 1);
  state_->editor = el_init("bulkhead", stdin, stdout, stderr);
  EditLine* editor = state_->editor;
  el_set(editor, EL_CLIENTDATA, state_.get());
  el_set(editor, EL_PROMPT, &prompt_function<state>);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_HIST, history, state_->history);
  el_set(editor, EL_GETCFN, &read_function<state>);
  el_set(editor, EL_ADDFN, "bulkhead-complete", "Completes the word", &complete_function<state>);
  el_set(editor, EL_BIND, "\t", "bulkhead-complete", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_set(editor, EL_BIND, "^W", "ed-delete-prev-word", nullptr);
  if (!state_->history_file) return;
  for (const auto& line : read_history(*state_->history_file)) {
    history(state_->history, &state_->event, H_ENTER, line.c_str());
    state_->last = line;
  }
}

line_editor::~line_editor() {
  el_end(state_->editor);
  history_end(state_->history);
}

line_editor::result line_editor::read(const std::string& prompt, std::string& line) {
  state_->prompt = prompt;
  state_->interrupted = false;
  el_resize(state_->editor);
  int count = 0;
  const char* text = el_gets(state_->editor, &count);
  if (state_->interrupted) {
    el_reset(state_->editor);
    std::fputs("^C\n", stdout);
    std::fflush(stdout);
    return result::interrupted;
  }
  if (text == nullptr || count <= 0) return result::end;
  line.assign(text, static_cast<std::size_t>(count));
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  return result::line;
}

void line_editor::remember(const std::string& line) {
  const bool wanted =
      line.find_first_not_of(" \t") != std::string::npos && line[0] != ' ' && line != state_->last;
  if (!wanted) return;
  history(state_->history, &state_->event, H_ENTER, line.c_str());
  state_->last = line;
  if (!state_->history_file) return;
  const std::filesystem::path path(*state_->history_file);
  std::error_code ignored;  // no history is no reason to fail
  std::filesystem::create_directories(path.parent_path(), ignored);
  if (!append(path, line + "\n")) state_->history_file.reset();
}

}  // namespace bulkhead::cli
