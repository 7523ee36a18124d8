@0xb3f0a5e1c2d94870;
# The typed interface of the plugin `calc`: a calculator whose values and functions are live objects. This file is its manual.
#
# It shows what a typed interface can do across the broker: `evaluate` is a plain call, `define` returns a capability that can be called
# as long as it is held, `map` and `integrate` call a function of the caller's own, and `stream` pushes values to the caller
# with flow control. Errors are kinds of schema/error.capnp: `invalidArgument` for an expression that does not read or evaluate, with
# the position; what a caller's function says passes through.
#
# Expressions: numbers, names, + - * / % ^ (to the right, above unary minus), parentheses, and calls: sqrt cbrt exp ln log2 log10 sin cos
# tan asin acos atan sinh cosh tanh abs floor ceil round sign of one argument, pow hypot atan2 min max of two; pi, e, tau.
# Limits: a text of at most 4,096 bytes, 64 levels, 4,096 parts, 16 parameters, 100,000 points or steps.

using Cxx = import "/capnp/c++.capnp";
using Bulkhead = import "/schema/annotations.capnp";
$Cxx.namespace("bulkhead::calc");

interface Calculator @0xd8a1f7c39e6b4205 $Bulkhead.help("Evaluates expressions and makes functions.") {
  evaluate @0 (expression :Text) -> (value :Float64)
      $Bulkhead.idempotent $Bulkhead.help("The value of an expression, as in '2 * (3 + 4)'.");

  evaluateTree @1 (expression :Expression) -> (value :Value)
      $Bulkhead.help("Evaluates a tree that may hold values and functions of earlier calls; returns a live value.");

  define @2 (parameters :List(Text), body :Text) -> (function :Function)
      $Bulkhead.help("Makes a function, as in parameters = [\"x\"], body = \"x^2 + 1\".");

  map @3 (function :Function, over :List(Float64)) -> (values :List(Float64))
      $Bulkhead.help("Calls a function of one argument, the caller's or one of ours, for each number.");

  integrate @4 (function :Function, from :Float64, to :Float64, steps :UInt32 = 100) -> (area :Float64)
      $Bulkhead.help("Simpson's rule; `steps` is even, at least 2.");

  stream @5 (function :Function, from :Float64, to :Float64, count :UInt32, sink :Sink) -> (sent :UInt32)
      $Bulkhead.help("Pushes `count` points of a function into the caller's sink, no faster than it takes them.");
}

struct Point {
  x @0 :Float64;
  y @1 :Float64;
}

interface Sink @0xe1c45a90b7d83f16 {
  push @0 Point -> stream;
  done @1 () $Bulkhead.help("All points were pushed, and taken.");
}

interface Value @0x9f2b6d07c81ae453 {
  read @0 () -> (value :Float64) $Bulkhead.idempotent;
}

interface Function @0xa6d90e4f5b7c1832 {
  # Made by `define`, or by a caller.
  call @0 (arguments :List(Float64)) -> (value :Float64);
}

struct Expression {
  union {
    literal @0 :Float64;
    text @1 :Text;
    value @2 :Value;
    apply :group {
      function @3 :Function;
      arguments @4 :List(Expression);
    }
  }
}
