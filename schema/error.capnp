@0xd8b1a1d5b0f7c9a3;
# Kinds of error, and the report of a crash. This file is their manual.
#
# Cap'n Proto carries four exception types (FAILED, OVERLOADED, DISCONNECTED, UNIMPLEMENTED) and a text. Bulkhead's texts have a
# fixed shape, so that people and programs both get theirs:
#
#     <what happened, one line>
#     why: <the cause, one line>                  (optional)
#     try: <what to do about it, one line>        (optional)
#     detail: kind=plugin_crashed mount=kv/ generation=3 signal=9
#
# The last line is for programs: `key=value` pairs separated by one space; in a value, bytes outside [A-Za-z0-9_./:,+-] are
# percent-encoded. `kind` is always first and is the enumerator below in snake_case. Unknown keys are to be ignored. A text never
# holds a secret and never an address in memory.
#
# Since protocol 1.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");

enum ErrorKind {
  # What a caller can switch on. The exception type it travels as is in brackets; "plugin may use" marks what a plugin can say of
  # itself: from a plugin every other kind is read as `pluginError`.
  unknown @0;            # [FAILED] A kind that this version does not know.
  invalidArgument @1;    # [FAILED] The call itself is wrong: repeat it and it fails again. Plugin may use.
  notFound @2;           # [FAILED] What was named is not there. Plugin may use.
  alreadyExists @3;      # [FAILED] What was to be made is there. Plugin may use.
  permissionDenied @4;   # [FAILED] Not allowed for this caller. Plugin may use.
  conflict @5;           # [FAILED] A compare-and-set compared unequal. Plugin may use.
  failedPrecondition @6; # [FAILED] Not in this state. Plugin may use.
  unsupported @7;        # [UNIMPLEMENTED] No such method or operation here. Plugin may use.
  overloaded @8;         # [OVERLOADED] A limit is reached: back off. Plugin may use.
  deadlineExceeded @9;   # [OVERLOADED] No answer in time; whether it took effect is not known.
  pluginError @10;       # [FAILED] The plugin failed the call in its own words. Plugin may use.
  pluginCrashed @11;     # [DISCONNECTED] The instance ended with the call in flight; whether it took effect is not known.
  pluginUnavailable @12; # [DISCONNECTED] The mount was not ready in time.
  quarantined @13;       # [FAILED] The supervisor gave up on the mount; an operator must act.
  startFailed @14;       # [FAILED] The plugin could not be started; the text names the step.
  unmounted @15;         # [DISCONNECTED] The mount is gone, and with it all that came from it.
  storage @16;           # [FAILED] The store refused: disk full, damaged, read-only.
  protocolViolation @17; # [FAILED] The other side broke the contract; its connection is closed.
  brokerStopping @18;    # [DISCONNECTED] The broker is going down.
  internal @19;          # [FAILED] A defect of the broker; please report it.
}

struct CrashReport {
  # Why an instance ended, and what followed. Kept for the last instances of a mount, and told to every call that it took along.
  mount @0 :Text;
  uuid @1 :Text;
  generation @2 :UInt64;
  plugin @3 :Text;
  cause :union {
    exited @4 :Int32;        # It exited by itself with this status.
    signaled @5 :Int32;      # A signal ended it.
    startFailed @6 :Text;    # It never became ready; the step and the reason.
    violation @7 :Text;      # It broke the protocol; the broker ended it.
    linkClosed @8 :Void;     # It closed descriptor 3 and lived on; the broker ended it.
    stopped @9 :Void;        # The broker asked it to, and it obeyed.
    stopKilled @10 :Void;    # The broker asked it to, and had to kill it.
    unknown @16 :Void;       # The status could not be had in time.
    unresponsive @18 :Text;  # It did not answer in time (which question, how long); the broker ended it.
    overLimit @23 :Text;     # It used more than a threshold of its mount allows; the broker ended it.
  }
  coreDumped @11 :Bool;
  uptimeMs @12 :UInt64;      # From start of the process to its end.
  callsInFlight @13 :UInt32; # How many calls ended as `pluginCrashed`.
  lastLines @14 :List(Text); # The newest lines of its log, oldest first, at most 10.
  next @15 :Text;            # What the supervisor does: "restarts at once", "restarts in 400 ms", "quarantined", "stays down".
  atUnixMs @17 :Int64;
  pluginVersion @19 :Text;   # As it introduced itself; empty when it never did.
  calls @20 :List(LostCall); # The oldest of the calls that ended with it, at most `crash_calls_max`.
  outOfMemory @21 :Bool;     # The kernel killed it because its memory was used up.
  remedy @22 :Text;          # What to try; empty when there is nothing to say.
  breach @24 :LimitBreach;   # The limit whose breach the violation was; null when it was another.
}

struct LimitBreach {
  # A limit of a plugin's link that it passed.
  limit @0 :Text;            # As `limits` lists it: "plugin_calls_open_max".
  unit @1 :Text;             # What was counted: "calls".
  count @2 :UInt64;
  allowed @3 :UInt64;
}

struct LostCall {
  # A call that was in flight when its instance ended. It may have taken effect.
  method @0 :Text;           # "read kv/app" in the request style; interface id and method number in the typed style.
  ageMs @1 :UInt64;
  outcome @2 :Text;          # How it ended for its caller: a kind of error.
}
