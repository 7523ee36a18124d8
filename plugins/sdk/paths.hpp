// SPDX-License-Identifier: Apache-2.0
//
// The request style: which paths a plugin serves, and with what.
//
//     sdk::paths<notes> api;  // notes: the author's class, one object per mount
//     api.at("note/{name}", "One note.")
//         .read("Returns it.", &notes::read)
//         .write("Stores it.", &notes::write, {sdk::text("body").required().help("The text.")})
//         .remove("Forgets it.", &notes::remove);
//     api.at("note", "All notes.").list("Their names.", &notes::list);
//
// A handler is anything that can be called with (notes&, const sdk::request&): a member function or
// a lambda. It returns `response` or `fields`, a kj::Promise of one of them, or nothing. Handlers
// of one mount run on one thread and interleave only where they return a promise. Declarations are
// made once, before serve(); `hello` ships them, so they cannot depend on a mount.
//
// Done before a handler runs: the path is checked (at most 1,024 bytes, no empty segment, one
// trailing slash is dropped), the most specific pattern is chosen (pattern.hpp), an unknown path or
// operation fails with the nearest name, {x*} may be empty for `list` alone, and fields are checked
// (field.hpp). The operation `help` is answered from the declarations.
#pragma once

#include <kj/async.h>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "plugins/sdk/field.hpp"
#include "plugins/sdk/pattern.hpp"
#include "plugins/sdk/request.hpp"

namespace bulkhead::sdk {

/// Longest path of a request, in bytes; a longer one is `invalidArgument`.
inline constexpr std::size_t request_path_bytes_max = 1024;
/// Most fields of a request; more are `invalidArgument`.
inline constexpr std::size_t request_fields_max = 256;

/// The part of `paths` that knows no author's class. Immutable once serve() began.
class path_table {
 public:
  using handler = std::function<kj::Promise<response>(void* state, const request&)>;
  struct operation_entry {
    operation what;
    std::string summary;
    std::vector<field> takes;
    handler run;
  };
  struct path_entry {
    pattern where;
    std::string summary;
    std::vector<operation_entry> operations;
  };

  /// Index of the new entry. Throws std::invalid_argument for a bad pattern or one that is there.
  std::size_t add_path(std::string where, std::string summary);
  void add_operation(std::size_t path, operation_entry entry);

  /// Checks and serves one request with the mount's object. What is wrong comes back as a failed
  /// promise of `error`.
  kj::Promise<response> handle(void* state, schema::Request::Reader from) const;
  /// Text for people: all paths for "", one path in full otherwise.
  std::string help(std::string_view path) const;
  void write_specs(schema::PluginInfo::Builder to) const;
  bool empty() const { return entries_.empty(); }

 private:
  const path_entry* find(std::string_view path, pattern::captures& captures) const;
  [[noreturn]] void no_such_path(std::string_view path) const;
  kj::Promise<response> dispatch(void* state, schema::Request::Reader from) const;

  std::vector<path_entry> entries_;
};

namespace detail {

template <class R>
kj::Promise<response> as_promise(R&& result) {
  if constexpr (requires { result.then([](auto&&) {}); }) {
    return result.then([](auto&& done) { return response(std::forward<decltype(done)>(done)); });
  } else {
    return response(std::forward<R>(result));
  }
}

template <class T, class F>
path_table::handler erase(F run) {
  return [run = std::move(run)](void* state, const request& what) -> kj::Promise<response> {
    auto& object = *static_cast<T*>(state);
    using result = std::invoke_result_t<const F&, T&, const request&>;
    if constexpr (std::is_void_v<result>) {
      std::invoke(run, object, what);
      return response();
    } else if constexpr (std::is_same_v<result, kj::Promise<void>>) {
      return std::invoke(run, object, what).then([] { return response(); });
    } else {
      return as_promise(std::invoke(run, object, what));
    }
  };
}

}  // namespace detail

/// The operations of one path, for declaring in a chain. Refers to its `paths`.
template <class T>
class path {
 public:
  path(path_table& table, std::size_t index) : table_(table), index_(index) {}

  template <class F>
  path& read(std::string summary, F run, std::vector<field> takes = {}) {
    return on(operation::READ, std::move(summary), std::move(run), std::move(takes));
  }
  template <class F>
  path& write(std::string summary, F run, std::vector<field> takes = {}) {
    return on(operation::WRITE, std::move(summary), std::move(run), std::move(takes));
  }
  template <class F>
  path& list(std::string summary, F run, std::vector<field> takes = {}) {
    return on(operation::LIST, std::move(summary), std::move(run), std::move(takes));
  }
  /// The operation `delete`.
  template <class F>
  path& remove(std::string summary, F run, std::vector<field> takes = {}) {
    return on(operation::DELETE, std::move(summary), std::move(run), std::move(takes));
  }

 private:
  template <class F>
  path& on(operation what, std::string summary, F run, std::vector<field> takes) {
    table_.add_operation(
        index_, {what, std::move(summary), std::move(takes), detail::erase<T>(std::move(run))});
    return *this;
  }

  path_table& table_;
  std::size_t index_;
};

/// The paths of a plugin whose mounts are objects of class T.
template <class T>
class paths {
 public:
  /// Declares a path; see pattern.hpp for its spelling. `summary` is one sentence.
  path<T> at(std::string where, std::string summary) {
    return {*table_, table_->add_path(std::move(where), std::move(summary))};
  }
  std::shared_ptr<const path_table> table() const { return table_; }

 private:
  std::shared_ptr<path_table> table_ = std::make_shared<path_table>();
};

}  // namespace bulkhead::sdk
