// SPDX-License-Identifier: Apache-2.0
#include "broker/value.hpp"

#include <algorithm>

namespace bulkhead {

bool operator==(const field& left, const field& right) {
  return left.name == right.name && left.value == right.value;
}

bool operator==(const value& left, const value& right) {
  return left.secret == right.secret && left.content == right.content;
}

const value* find(const fields& among, std::string_view name) {
  const auto found = std::find_if(among.begin(), among.end(),
                                  [name](const field& each) { return each.name == name; });
  return found == among.end() ? nullptr : &found->value;
}

}  // namespace bulkhead
