// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the parts of the configuration's parser share: values of a parsed TOML file, and refusals
// that name file and line. Private to broker/config_file.cpp and broker/declared_file.cpp.

#include <toml++/toml.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

/// "did you mean 'NAME'?", or all the names.
std::string suggestion(std::string_view typed, const std::vector<std::string>& names);

/// Reads values of a parsed file; every refusal names file and line.
class config_reader {
 public:
  explicit config_reader(std::string file) : file_(std::move(file)) {}

  [[noreturn]] void refuse(const toml::source_region& where, const std::string& what,
                           std::string remedy = {}) const;
  [[noreturn]] void refuse(const toml::node& where, const std::string& what,
                           std::string remedy = {}) const {
    refuse(where.source(), what, std::move(remedy));
  }

  /// Hands each value of a table to the function of its name.
  using field = std::function<void(const toml::node&)>;
  using fields = std::map<std::string, field>;
  void each(const toml::table& table, const std::string& what, const fields& known) const;

  const toml::table& table(const toml::node& node, const std::string& name) const;
  std::string text(const toml::node& node, const std::string& name) const;
  bool flag(const toml::node& node, const std::string& name) const;
  std::int64_t number(const toml::node& node, const std::string& name, std::int64_t least,
                      std::int64_t most) const;
  std::chrono::milliseconds span(const toml::node& node, const std::string& name) const;
  std::vector<std::string> names(const toml::node& node, const std::string& name) const;
  /// The place of a text among those that it may be.
  std::size_t choice(const toml::node& node, const std::string& name,
                     const std::vector<std::string>& choices) const;

 private:
  std::string file_;
};

}  // namespace bulkhead
