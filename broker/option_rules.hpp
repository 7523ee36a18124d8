// SPDX-License-Identifier: Apache-2.0
#pragma once

// Whether the options of a mount are what its plugin says that it takes: known, complete, and of
// their types. Pure.
//
// A plugin declares its options in `hello` (PluginInfo.options), and a registered release keeps
// that declaration; so a mount is refused before the plugin is asked, for a registered one before
// it is started. Bounds and choices do not travel: those the plugin checks, in mount(). A plugin
// that declares nothing (a null list) checks everything itself.
//
// An option is text. It reads as
//   text, data, any, list     always
//   bool                      true, false
//   int, float                a decimal number, within 64 bits
//   durationMs                a whole number of ms, or with a unit: 250ms, 30s, 5m, 2h, 7d
//   map                       a=1,b=2
// A declaration named "*" welcomes options of any other name.

#include <cstddef>
#include <string_view>
#include <vector>

#include "broker/broker.hpp"
#include "schema/plugin.capnp.h"

namespace bulkhead {

/// What a plugin may declare; more, and the start has failed.
inline constexpr std::size_t declared_options_max = 64;

/// Fails with invalid_argument, naming the option and never its value.
void check_options(schema::PluginInfo::Reader declared, const std::vector<option>& given);
/// The same for a declaration that was kept; an empty one: there are none.
void check_options(capnp::List<schema::FieldSpec>::Reader declared,
                   const std::vector<option>& given);

/// The text is one of the type. What is not known to this version passes.
bool reads_as(schema::FieldType type, std::string_view text);

}  // namespace bulkhead
