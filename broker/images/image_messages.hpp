// SPDX-License-Identifier: Apache-2.0
#pragma once

// The messages of the image worker: plain structs. Who sends what to whom is in
// actors/protocols.hpp.

#include <memory>
#include <optional>
#include <string>

#include "broker/images/image_vault.hpp"

namespace bulkhead {

struct image_request {
  image_source source;
  std::optional<trust::digest> expected;
};

/// An image, or the reason why there is none: exactly one of the two.
struct image_answer {
  std::shared_ptr<const image> made;
  std::shared_ptr<const image_error> failure;
};

}  // namespace bulkhead
