// SPDX-License-Identifier: Apache-2.0
//
// Errors as text and back: the shape of schema/error.capnp.
//
// An exception of Cap'n Proto carries a type and a text, nothing else. Bulkhead's texts say what
// happened, why, and what to do, one line each, and end in a line for programs. This file writes
// and reads them. Texts of others are read as well: they become `what`, with a kind by their type.
//
// Who speaks? Every RPC hop prefixes "remote exception: ". To a client of the broker, one prefix
// means that the broker says it and two or more that the plugin does; to the broker, one prefix is
// the plugin. A plugin can add prefixes but not remove them, so it cannot speak as the broker. From
// a plugin only the kinds count that error.capnp marks "plugin may use"; the others are read as
// `pluginError`, so that a plugin cannot claim to be quarantined or unmounted.
//
// Texts are hostile: control characters, broken UTF-8, and marks that reorder text are escaped as
// \xNN on the way out; the whole is cut at a limit, and the line for programs survives the cut.
// Keep secrets and addresses in memory out of what you put in: nothing here can tell them.
#pragma once

#include <kj/exception.h>
#include <kj/string.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/error.capnp.h"
#include "schema/wire/wire_limits.hpp"

namespace bulkhead::wire {

/// Hops after which a plugin speaks, as a client of the broker sees it ...
inline constexpr unsigned plugin_hops_at_client = 2;
/// ... and as the broker sees it.
inline constexpr unsigned plugin_hops_at_broker = 1;

struct error_info {
  schema::ErrorKind kind = schema::ErrorKind::UNKNOWN;
  std::string what;    ///< one line
  std::string why;     ///< one line, or empty
  std::string remedy;  ///< one line, or empty; "try:" in the text
  /// Pairs for programs, in order, without `kind`. Keys are [a-z0-9_]+; values are any bytes.
  std::vector<std::pair<std::string, std::string>> detail;
  unsigned hops = 0;  ///< "remote exception: " prefixes that were read; not written
  unsigned plugin_hops = plugin_hops_at_client;

  /// True when a plugin said it.
  bool from_plugin() const { return hops >= plugin_hops; }

  /// The value of a detail, or nothing.
  const std::string* find(std::string_view key) const;
};

/// The text of an error, at most `bytes_max` bytes (at least 256).
std::string format_error(const error_info& info, std::size_t bytes_max = error_text_bytes_max);

/// Reads any text. Never throws; what it cannot make out is in `what`.
error_info parse_error(kj::StringPtr text, kj::Exception::Type type,
                       unsigned plugin_hops = plugin_hops_at_client);
error_info parse_error(const kj::Exception& exception,
                       unsigned plugin_hops = plugin_hops_at_client);

/// The exception that carries `info` over RPC, of the type that belongs to its kind.
kj::Exception make_exception(const error_info& info);

/// A foreign exception in Bulkhead's shape: escaped, cut, with a kind a plugin may use. For the
/// broker, before it passes on what a plugin said. The prefixes stay, so the hops still count.
kj::Exception clean_exception(const kj::Exception& exception,
                              unsigned plugin_hops = plugin_hops_at_broker);

/// The enumerator in snake_case, as in "plugin_crashed"; "unknown" for one of a newer version.
std::string_view kind_name(schema::ErrorKind kind);

/// The reverse; `UNKNOWN` for a name that this version does not know.
schema::ErrorKind kind_from_name(std::string_view name);

/// The exception type a kind travels as.
kj::Exception::Type kind_type(schema::ErrorKind kind);

/// True for the kinds that a plugin can say of itself.
bool plugin_may_use(schema::ErrorKind kind);

/// `text` as one line of valid UTF-8 that a terminal can show: control characters, bytes that are
/// no UTF-8, and bidirectional marks become \xNN.
std::string escape_line(std::string_view text);

}  // namespace bulkhead::wire
