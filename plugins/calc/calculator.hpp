// SPDX-License-Identifier: Apache-2.0
//
// The interface of calc.capnp. Functions may be ours or the caller's: they are called as
// capabilities either way, a bounded number at a time, so that a caller with a slow function costs
// the plugin little. Nothing here keeps state between calls, but for the functions and values that
// a caller holds: they live as long as they are held.
#pragma once

#include "plugins/calc/calc.capnp.h"
#include "plugins/calc/expression.hpp"

namespace bulkhead::calc {

/// Most numbers of one map, most steps of one integral, most points of one stream; more is
/// `invalidArgument`.
inline constexpr unsigned points_max = 100'000;
/// Most calls of one function that one request has under way.
inline constexpr unsigned calls_under_way_max = 64;
/// Deepest nesting and most nodes of an Expression tree; more is `invalidArgument`. libcapnp itself
/// stops at twice this depth.
inline constexpr unsigned tree_depth_max = 24;
inline constexpr unsigned tree_nodes_max = 4096;

class calculator final : public Calculator::Server {
 protected:
  kj::Promise<void> evaluate(EvaluateContext context) override;
  kj::Promise<void> evaluateTree(EvaluateTreeContext context) override;
  kj::Promise<void> define(DefineContext context) override;
  kj::Promise<void> map(MapContext context) override;
  kj::Promise<void> integrate(IntegrateContext context) override;
  kj::Promise<void> stream(StreamContext context) override;
};

}  // namespace bulkhead::calc
