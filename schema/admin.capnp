@0x9d3f6c1b2a584e21;
# What an operator of the broker sees. This file is its manual. `bulkhead` is a thin shell over it.
#
# Every operation is acknowledged when it is done and durable, not when it was noted. Errors as in error.capnp.

using Cxx = import "/capnp/c++.capnp";
using Error = import "error.capnp";
using Plugin = import "plugin.capnp";
$Cxx.namespace("bulkhead::schema");

interface Admin @0x8e7a2d4c5b6f4c04 {
  # Since protocol 1.

  mount @0 (spec :MountSpec) -> (status :MountStatus);
  # Enables a mount and starts it. Answers once it is durable and its first start has ended, well or badly: look at `status.state`.
  # `alreadyExists` when the path, or one above or below it, is taken; `invalidArgument` for a bad path, plugin or option;
  # `notFound` when the plugin directory holds no such file; `startFailed` when the first start failed: the mount is then not kept.

  unmount @1 (path :Text);
  # Refuses new calls, lets those in flight finish for `drain_ms_max`, stops the instance, deletes the mount's view and forgets it.
  # After the answer no call succeeds on anything that came from the mount. A removal that has begun goes on at the next start of a
  # broker that ended meanwhile: until it is done the mount is shown as `draining`, and its path is taken. Unmounting again waits for
  # the same end; after a disk error it goes on.

  mounts @2 () -> (mounts :List(MountStatus));
  # All mounts, by path.

  status @3 (path :Text) -> (status :MountStatus);
  # One mount. Answered at any moment, also while the plugin starts, hangs or stops.

  tree @4 () -> (root :TreeNode);
  # The supervision tree.

  kill @5 (path :Text, signal :Int32) -> (pid :UInt32, generation :UInt64);
  # Sends a signal to the mount's process, by its pidfd. `failedPrecondition` when there is none. Signals 1 to 64.

  restart @6 (path :Text) -> (status :MountStatus);
  # Stops the instance in good order, if there is one, and starts a new one; cuts a backoff short; does not count against the window.
  # Answers when the new one is ready or has failed. `failedPrecondition` when the mount is quarantined (that takes a `reset`).

  reset @7 (path :Text) -> (status :MountStatus);
  # Leaves quarantine: clears the window and starts.

  logs @8 (path :Text, lines :UInt32, after :UInt64) -> (lines :List(LogLine), next :UInt64);
  # The newest `lines` lines (0: 100, at most 1000) of the mount's log whose number is above `after`. Pass `next` as `after` to follow on.

  events @9 (after :UInt64, limit :UInt32) -> (events :List(Event), next :UInt64);
  # Transitions, oldest first, whose number is above `after`; at most `limit` (0: 100, at most 1000). The broker keeps the newest
  # `events_kept`.

  limits @10 () -> (limits :List(Limit));
  # Every limit of the broker: name, value, unit, and what happens at it.

  brokerStatus @11 () -> (status :BrokerStatus);

  stop @12 (path :Text) -> (status :MountStatus);
  # Stops the instance in good order and leaves the mount stopped: calls fail at once, nothing starts it but `start`, `restart`, or a
  # new start of the broker. Answers when it has stopped. Stopping a stopped mount changes nothing.

  start @13 (path :Text) -> (status :MountStatus);
  # Starts a mount that is stopped; answers when its start has ended, well or badly. `failedPrecondition` when it is quarantined (that
  # takes a `reset`). Elsewhere it changes nothing.

  reload @14 (request :ReloadRequest) -> (results :List(ReloadResult));
  # Replaces instances without a failed call: starts the new one beside the old one, introduces it, switches the mount over, lets the
  # old one finish its calls and stops it. When the new one does not come up, the old one has never noticed. A mount whose plugin must
  # be alone (feature "stop-first", or Life.handover) is stopped first and started again; so is one in backoff.
  # Answers when every mount that was meant has been dealt with, each with its own outcome: one that fails stops no other.
  # `notFound` when no mount is meant, `failedPrecondition` when the one that is named has a record that cannot be used. A mount that
  # reloads already, or is just starting or stopping, reports `failed`.

  crashes @15 (path :Text, limit :UInt32) -> (reports :List(Error.CrashReport));
  # The newest `limit` crash reports of the mount (0: all that are kept, `crash_reports_kept`), newest first.

  # -- The catalog: what may run.

  registerRelease @16 (spec :ReleaseSpec) -> (release :Release);
  # Enters a release. The file is copied, and the copy is hashed, checked (manifest, signature, format, architecture) and started to be
  # asked who it is; nothing of that holds up anybody else. Registering the same bytes with the same words again changes nothing;
  # `alreadyExists` when the version is there with others. `permissionDenied` when trust refuses it, `invalidArgument` for a bad
  # name, version, file or manifest, `startFailed` when it does not say hello as what it is registered as.

  releases @17 (kind :Text, name :Text) -> (releases :List(Release));
  # By kind, name and falling version. An empty `kind` or `name` means all.

  release @18 (kind :Text, name :Text, version :Text) -> (release :Release);
  # One release; an empty version: the one that a mount without a version would take. `notFound`.

  deregister @19 (kind :Text, name :Text, version :Text) -> ();
  # `failedPrecondition`, naming them, while mounts use the release, or it is pinned.

  pin @20 (kind :Text, name :Text, version :Text) -> ();
  # Every mount of the plugin takes this version at its next reload, restart by an operator, or first start, whatever its own says.
  unpin @21 (kind :Text, name :Text) -> ();
  # Unpinning what is not pinned is no error.

  # -- Trust: whose signature counts.

  trustKey @22 (key :TrustedKey) -> (key :TrustedKey);
  # Takes a public key into the trust store, or changes what is known of one. A revoked key is not taken again (`failedPrecondition`).
  untrustKey @23 (id :Text, revoke :Bool, reason :Text) -> (affected :List(Text));
  # Forgets a key, or, with `revoke`, remembers it as one whose signatures never count again. Answers the mounts whose running release
  # has no good signature left: with `revoke` they are stopped and quarantined, without it they run on until their next start.
  trust @24 () -> (trust :TrustReport);
  setTrustPolicy @25 (kind :Text, policy :SignaturePolicy) -> ();

  # -- The mount table.

  tune @26 (request :TuneRequest) -> (status :MountStatus);
  # Changes a mount's rules. What concerns calls, supervision, life, limits, thresholds and grants of addresses applies at once; all else
  # with the next reload, or at once with `reload`. All or nothing: what is against a rule changes nothing, nor does a `reload` whose new
  # instance does not come up (`startFailed`).
  move @27 (from :Text, to :Text) -> (status :MountStatus);
  # Another path for the same mount: uuid, accessor, storage and instance stay, capabilities that clients hold stay good, calls in
  # flight finish. Requests by the old path are `notFound` from then on. `alreadyExists` as with `mount`, but not for the mount itself:
  # "kv/" can become "kv/old/".
  rollback @28 (path :Text) -> (status :MountStatus);
  # Takes back the last upgrade that migrated the mount's storage: the view as the snapshot before it has it, and the version before.
  # What was written since is lost, and so is the snapshot. `failedPrecondition`, and nothing has happened, when there is no snapshot,
  # its storage is being migrated, or the release before is not registered any more or could not start.

  # -- State.

  backup @29 (file :Text) -> (bytes :UInt64, revision :UInt64);
  # A consistent copy of the state while the broker runs, in a new file on the broker's machine. Absolute path; `alreadyExists`.
  rotateStateKey @30 () -> (rewritten :UInt64);
  # Reads the key file anew and encrypts every value that an older key encrypted with its newest key.

  # -- The declared state: what the configuration file lists.

  configDiff @31 (prune :Bool) -> (changes :List(ConfigChange));
  # What `configApply` would do now. The configuration file is read anew. Changes nothing.
  configApply @32 (prune :Bool) -> (changes :List(ConfigChange));
  # Makes releases, pins and mounts what the file says, touching only what the file brought. Each change has its own outcome.
  # A mount that the file lists no more is unmounted, and its data deleted, only with `prune`. A second one waits for the first.
  # Both: `failedPrecondition` without a configuration file, `invalidArgument` for one that makes no sense: then nothing changes.

  # -- What plugins use, and what stands between them and the machine.

  usage @33 (path :Text, limit :UInt32) -> (samples :List(Usage));
  # The newest `limit` samples of the mount (0: all that are kept, `samples_kept`), oldest first. Samples are taken every `sample_ms`.
  doctor @34 () -> (findings :List(Finding));
  # How far the machine and the broker's own process are hardened: what was found, what is wanted, why, and how to get there. Looks
  # at the machine now.

  holdBreaker @35 (path :Text, open :Bool) -> (status :MountStatus);
  # Opens the mount's circuit breaker by hand: new calls fail at once as `pluginUnavailable`, those in flight go on, the instance stays.
  # With `open` false it closes, also when it opened by itself. Not kept over a new start of the broker.
}

struct NamedNumber {
  name @0 :Text;
  value @1 :UInt64;
}

struct Confinement {
  # What stands between a plugin and the machine, as an operator says it: of a mount, of a release, or of all mounts of the broker.
  # What is said of the mount goes before what is said of its release, and that before the broker's; waivers and grants add up. The
  # release's manifest can narrow the outcome and never widen it.
  profile @0 :Text;            # "strict", "strict-unprivileged", "no-userns", "interpreter"; empty: not said here.
  waive @1 :List(Text);        # Walls that may be missing, as in "cg.cpu". A start without one is logged and counted.
  limits @2 :List(NamedNumber); # "memory", "swap", "stack", "file-size" in bytes; "tasks", "fds", "signals"; "cpu-percent" of one core,
                               # "cpu-weight" (1 to 10000), "io-weight" (1 to 1000, of the disks whose scheduler shares by weight; other than
                               # 100 it requires the wall "cg.io"). 0: none of that kind is set; of swap and file-size: nothing may be used.
  grants @3 :List(Text);       # One thing each: "read-dir:/etc/ssl", "write-dir:/srv/data:/data" (its name inside), "device:/dev/null",
                               # "file:/etc/motd" (as a descriptor), "env:TZ=UTC", "net:db.example:5432" (see Host.connect).
}

struct ConfinementStatus {
  profile @0 :Text;            # Of the next start, as all below but `walls`.
  waived @1 :List(Text);
  limits @2 :List(NamedNumber); # Every limit.
  grants @3 :List(Text);       # Of environment variables only the name.
  own @4 :Confinement;         # What the mount itself says; grants as above.
  walls @5 :List(Wall);        # The report of the instance that runs; of the last start, when that was refused for a missing wall.
  unconfined @6 :Bool;         # Development: nothing stands between the plugins of this broker and the machine.
  pending @7 :Bool;            # The instance that runs has another profile, waivers or grants: these wait for the next one. Grants of
                               # addresses do not: they count at once, unless they come with another release.
  problem @8 :Text;            # When not empty: why the next start would be refused.
  gaps @9 :List(Text);         # Of `walls`: what is open because some do not stand, in sentences; as "the number of its tasks has no limit".
}

struct Wall {
  # One mechanism of the kernel.
  name @0 :Text;               # "user-ns", "seccomp", "cg.memory", ...
  state @1 :Text;              # "enforced"; "unavailable": the kernel, or this user, does not have it; "failed"; "off": not asked for.
  error @2 :Text;              # As in "EACCES"; empty: none.
  value @3 :Int64;             # Landlock's version, instructions of the filter, the uid, ...; 0: none.
  observed @4 :Bool;           # Seen from outside after the start.
  required @5 :Bool;           # By the profile.
  waived @6 :Bool;
}

struct Usage {
  # What an instance used, at one moment. A figure that could not be read is 0, and named in `unread`. What only control groups tell
  # (`throttledMs`, `tasksRefused`) is 0 too where the instance has none of its own.
  unixMs @0 :Int64;
  generation @1 :UInt64;
  rssBytes @2 :UInt64;
  pssBytes @3 :UInt64;         # Its share of pages that others map too, counted by part; the slowest figure, so taken every tenth time.
  cpuMs @4 :UInt64;            # Of its whole life.
  cpuPercent @5 :Float32;      # Of one core, since the sample before.
  threads @6 :UInt32;
  fds @7 :UInt32;
  minorFaults @8 :UInt64;
  majorFaults @9 :UInt64;
  throttledMs @10 :UInt64;     # That its quota kept it off the processor.
  oomKills @11 :UInt64;        # Of the mount, since the broker started: processes that were killed because their memory was used up.
  bytesIn @12 :UInt64;         # On the link, from the plugin; of this instance's whole life.
  bytesOut @13 :UInt64;        # To the plugin; likewise.
  calls @14 :UInt64;           # Of the mount, whichever instance they went to, since the broker started.
  unread @15 :List(Text);      # As in "pss: EACCES".
  tasksRefused @16 :UInt64;    # Threads and processes that a control group's limit of tasks refused it.
}

struct Finding {
  name @0 :Text;               # As in "kernel.io_uring_disabled".
  verdict @1 :Verdict;
  found @2 :Text;
  wanted @3 :Text;
  why @4 :Text;
  how @5 :Text;                # What to do; empty with `good`.
  enum Verdict {
    good @0;
    weak @1;                   # Worth mending: one wall less.
    bad @2;                    # Plugins or secrets are exposed.
    unknown @3;                # Could not be read, or is hidden; `found` says how.
  }
}

struct ReleaseSpec {
  kind @0 :Text;               # "secrets", "auth", "database", "generic"; empty: what the plugin says.
  name @1 :Text;               # [a-z0-9][a-z0-9_-]*, at most 64 bytes.
  version @2 :Text;            # Semantic; empty: what the manifest, else the plugin, says.
  command @3 :Text;            # The file, relative to the plugin directory. Empty: the name.
  sha256 @4 :Text;             # 64 hex digits that the file must have; empty: whatever it has.
  arguments @5 :List(Text);    # At most 64.
  environment @6 :List(Text);  # "NAME=value", beside what every plugin gets. At most 64. Never for secrets: options and storage are.
  confinement @7 :Confinement;
}

struct Release {
  kind @0 :Text;
  name @1 :Text;
  version @2 :Text;
  command @3 :Text;
  sha256 @4 :Text;
  sizeBytes @5 :UInt64;
  arguments @6 :List(Text);
  environment @7 :List(Text);  # Names only.
  link @8 :Text;               # "static", "dynamic", "script": what of it the hash covers. See broker/images.
  signedBy @9 :List(Text);     # Ids of trusted keys with a good signature; empty: unsigned.
  securityVersion @10 :UInt32; # Of the manifest; 0 without one.
  expiresUnixMs @11 :Int64;    # 0: never.
  registeredUnixMs @12 :Int64;
  declared @13 :Bool;          # The configuration file brought it.
  pinned @14 :Bool;
  preferred @15 :Bool;         # A mount without a version takes it.
  usedBy @16 :List(Text);      # Mounts that run it, or that would with their next start.
  refusal @17 :Text;           # When not empty: why it would not start now (expired, revoked, below the floor, ...).
  storageVersion @18 :UInt32;
  options @19 :List(Plugin.FieldSpec); # What it takes as mount options.
  pinDeclared @21 :Bool;       # `pinned`, and the configuration file asked for it.
  optionsKnown @20 :Bool;      # False: it does not say; options are not checked before the start.
  confinement @22 :Confinement; # Of environment variables only the name.
}

struct TrustedKey {
  id @0 :Text;                 # 64 hex digits: SHA-256 of "bulkhead-key-v1", NUL and the key. Never of the signature's own choosing.
  publicKey @1 :Text;          # base64, as the second line of a minisign public key.
  name @2 :Text;               # For people.
  plugins @3 :Text;            # What it may sign: "*", "secrets/*", "secrets/kv". Empty: "*"; of a known key: as it was, like the name and the bounds.
  notBeforeUnixMs @4 :Int64;   # 0: no bound.
  notAfterUnixMs @5 :Int64;    # 0: no bound. After it no release starts on this signature alone.
  revoked @6 :Bool;
  reason @7 :Text;             # Of the revocation.
  addedUnixMs @8 :Int64;
}

enum SignaturePolicy {
  automatic @0;  # Required as soon as any key is trusted. The default.
  required @1;
  optional @2;   # Unsigned releases may run; a signature that is there must be good.
}

struct TrustReport {
  keys @0 :List(TrustedKey);
  policies @1 :List(KindPolicy);
  floors @2 :List(Floor);
  development @3 :Bool;        # Files of the plugin directory may be mounted unregistered.
}

struct KindPolicy {
  kind @0 :Text;
  policy @1 :SignaturePolicy;
  required @2 :Bool;           # What that comes to now.
}

struct Floor {
  kind @0 :Text;
  name @1 :Text;
  signers @2 :Text;            # Ids of the keys that signed, joined by "+".
  securityVersion @3 :UInt32;  # The highest that was started; lower ones do not start.
}

struct TuneRequest {
  # What is not set stays.
  path @0 :Text;
  spec @1 :MountSpec;          # Holds the new values of the fields that `fields` names.
  fields @2 :List(Text);       # Of "options", "version", "description", "restart", "supervision", "life", "calls", "profile", "waive",
                               # "limits", "grants", "thresholds". Each of the last five replaces what the mount said.
  unset @3 :List(Text);        # Names of options to take away. `options` in `spec` are set one by one; the others stay.
  reload @4 :Bool;
}

struct ConfigChange {
  action @0 :Text;             # "register", "deregister", "pin", "unpin", "mount", "unmount", "tune". Only told, never done: "keep",
                               # what stays although the file lists it no more; "configure", what waits for a start of the broker.
  target @1 :Text;             # "secrets/kv@1.2.0", "kv/".
  detail @2 :Text;             # One line, as in "version 1.2.0 -> 1.3.0".
  problem @3 :Text;            # When not empty: why it cannot be, or was not, done.
}

struct ReloadRequest {
  union {
    path @0 :Text;             # This mount.
    plugin @1 :Text;           # Every mount of this plugin (MountSpec.plugin).
  }
  version @2 :Text;            # When not empty: the new instance must introduce itself with this version, or it is not taken.
  canaryPercent @3 :UInt8;     # 1 to 99: so many of a hundred calls go to the new instance first ...
  canaryMs @4 :UInt32 = 10000; # ... for this long; then it gets all, or, when it did worse than the old one, none. 0 %: no trial.
}

struct ReloadResult {
  path @0 :Text;
  outcome @1 :ReloadOutcome;
  reason @2 :Text;             # With `failed`: why. One line.
  generationBefore @3 :UInt64; # 0 when none ran.
  generationAfter @4 :UInt64;
  versionBefore @5 :Text;
  versionAfter @6 :Text;
  tookMs @7 :UInt64;           # Until the new instance served.
}

enum ReloadOutcome {
  replaced @0;   # The new instance was started beside the old one and took over.
  restarted @1;  # The old one was stopped first, or there was none.
  failed @2;     # The old instance serves on; with `stop-first`, see the mount's state.
  nothing @3;    # No instance runs: the mount is stopped, asleep or quarantined. Its next start takes the new program.
}

struct MountSpec {
  path @0 :Text;                   # As in "kv/"; a missing trailing slash is added. Segments of [A-Za-z0-9_.-]+, at most 256 bytes.
  plugin @1 :Text;                 # The name of a plugin in the catalog; in development mode also of a file in the plugin directory.
  options @2 :List(Plugin.Option);
  description @3 :Text;            # For people; at most 1024 bytes.
  restart @4 :RestartType;
  supervision @5 :Supervision;     # Null: the broker's defaults.
  life @6 :Life;                   # Null: the broker's defaults.
  group @7 :Text;                  # The group supervisor that the mount joins, by its name in the configuration; empty: none.
  calls @8 :CallRules;             # Null: the broker's defaults.
  version @9 :Text;                # Of the release to run; empty: the pinned one, else the highest.
  kind @10 :Text;                  # "secrets", "auth", "database", "generic"; empty: the only kind that has this plugin.
  confinement @11 :Confinement;    # Null: as the release and the broker say.
  thresholds @12 :List(NamedNumber); # "rss-warn", "rss-restart", "rss-quarantine" in bytes, and the same of "cpu" (percent of one core),
                                   # "threads" and "fds": a sample above it is an event, replaces the instance as `reload` does, or
                                   # ends it and quarantines the mount. Acts on `threshold_samples` samples in a row. An instance that is
                                   # above one within a minute of its start is replaced the less often the less that helps: after one
                                   # minute, then two, at most `replacement_wait_ms_max` (event "not_replaced"). A tune starts anew.
}

struct Life {
  # When an instance is started, watched, stopped and replaced, apart from crashes.
  start @0 :StartMode;
  idleStopMs @1 :UInt32;            # An instance without a call for this long is stopped; the next call starts another. 0: never;
                                    # else at least 100.
  pingEveryMs @2 :UInt32 = 10000;   # How often an instance is asked whether its event loop turns. 0: never.
  pingWaitMs @3 :UInt32 = 20000;    # One that has not answered by then is killed, and replaced by the restart rules.
  callAgeMaxMs @4 :UInt32;          # The same for one whose oldest call in flight is older than this. 0: no limit of this kind;
                                    # else less than `CallRules.callMaxMs`, at which a call ends anyway.
  lifetimeMaxMs @5 :UInt64;         # An instance that was ready for this long is replaced as by `reload`. 0: never; else at least 1000.
  callsMax @6 :UInt64;              # The same after this many calls. 0: never.
  handover @7 :Handover;
  startMaxMs @8 :UInt32;            # From the start of the process to ready; then the start has failed. 0: `start_ms_max`.
}

enum StartMode {
  eager @0;  # With the mount, and with the broker.
  lazy @1;   # With the first call.
}

enum Handover {
  overlap @0;    # The new instance starts while the old one serves, unless the plugin says that it must be alone.
  stopFirst @1;  # The old one is stopped before the new one starts.
}

struct CallRules {
  # What callers may ask of a mount, and when it is left in peace. A zero means the broker's limit of that name, but for the breaker.
  inFlightMax @0 :UInt32;             # `calls_in_flight_max`
  waitingMax @1 :UInt32;              # `calls_waiting_max`
  waitMaxMs @2 :UInt32;               # `slot_wait_ms_max`
  callMaxMs @3 :UInt32;               # `call_ms_max`
  breakerFailures @4 :UInt32 = 10;    # So many calls in a row without an answer in time open the breaker. 0: no breaker.
  breakerOpenMs @5 :UInt32 = 15000;   # An open one refuses calls for this long, then lets one through as a probe ...
  breakerOpenMaxMs @6 :UInt32 = 300000; # ... and doubles the time, up to this, when the probe fails. It closes when one succeeds.
}

struct Supervision {
  # How often a mount's instance may be restarted, and how long each restart waits. The defaults are the broker's, here as field
  # defaults; a struct with everything zero but `intensity` is refused as `invalidArgument` (a period of 0).
  intensity @0 :UInt32 = 3;           # Restarts allowed ...
  periodMs @1 :UInt32 = 30000;        # ... in this period; one more quarantines the mount. 1 ms to 1 day.
  backoffFirstMs @2 :UInt32 = 100;    # The first restart is immediate; the second waits this long.
  backoffMaxMs @3 :UInt32 = 30000;    # Each further one waits twice as long, up to this, plus up to a fifth by chance.
  backoffStableMs @4 :UInt32 = 60000; # An instance that was ready this long starts the sequence anew.
}

enum RestartType {
  # When an instance that ended is started again: OTP's words.
  permanent @0;  # Always. The default.
  transient @1;  # Only after an abnormal end: a signal, a status other than 0, a protocol violation.
  temporary @2;  # Never.
}

enum MountState {
  starting @0;     # A process is being started or introduced. Calls wait.
  ready @1;        # Calls are served.
  draining @2;     # No new calls; those in flight may finish.
  stopped @3;      # Nothing runs and nothing will start by itself.
  backoff @4;      # The last instance failed; the next start is timed. Calls wait, up to their limit.
  quarantined @5;  # The supervisor gave up. Calls fail at once until `reset`.
}

struct MountStatus {
  path @0 :Text;
  uuid @1 :Text;
  accessor @2 :Text;              # A short name that never changes, as in "kv_5f3a9c01": for logs and policies.
  plugin @3 :Text;                # The file.
  pluginName @4 :Text;            # What it calls itself; empty before its first hello.
  pluginVersion @5 :Text;
  state @6 :MountState;
  reason @7 :Text;                # Why it is in this state, one line.
  generation @8 :UInt64;          # Of the newest instance; 0 before the first.
  pid @9 :UInt32;                 # 0 when none runs.
  uptimeMs @10 :UInt64;           # Since the instance became ready; 0 when it is not.
  restarts @11 :UInt64;           # Since the broker started.
  restartsInWindow @12 :UInt32;   # Of `intensity` allowed ...
  intensity @13 :UInt32;
  periodMs @14 :UInt32;           # ... in this period.
  backoffMs @15 :UInt64;          # What is left of the delay; 0 outside `backoff`.
  callsInFlight @16 :UInt32;
  callsWaiting @17 :UInt32;       # In the slot's queue, until the mount is ready.
  callsTotal @18 :UInt64;
  callsFailed @19 :UInt64;
  oldestCallMs @20 :UInt64;       # Age of the oldest call in flight.
  bytesIn @21 :UInt64;            # From the plugin, this instance.
  bytesOut @22 :UInt64;
  lastCrash @23 :Error.CrashReport; # Null when none ended by itself.
  description @24 :Text;
  restart @25 :RestartType;
  options @26 :List(Plugin.Option);
  supervision @27 :Supervision;
  life @28 :Life;
  group @29 :Text;
  calls @30 :CallRules;
  breaker @31 :BreakerState;
  breakerMs @32 :UInt64;          # With `open`: until it lets a probe through.
  reload @33 :Text;               # A reload under way, one line; empty when there is none.
  kind @34 :Text;                 # Of the catalog; empty for an unregistered file.
  versionWanted @35 :Text;        # What the next reload takes; empty for an unregistered file. `pluginVersion` is what runs.
  sha256 @36 :Text;               # Of the bytes that run; empty when none do, or unregistered.
  signedBy @37 :List(Text);       # Key ids, by the instance's release.
  unregistered @38 :Bool;         # Development: nobody has vouched for what runs here.
  version @39 :Text;              # As in MountSpec.
  storageVersion @40 :UInt32;     # Of the mount's storage.
  snapshot @41 :Text;             # What `rollback` would return to, as in "1.2.0, 2026-11-20T10:00:00Z"; empty: nothing.
  declared @42 :Bool;             # The configuration file brought it.
  optionsPending @43 :Bool;       # The instance that runs has other options, `optionsRunning`: `options` wait for the next one.
  optionsRunning @44 :List(Plugin.Option);
  confinement @45 :ConfinementStatus; # Null in the list of `mounts`: it is worked out where one mount is told of.
  usage @46 :Usage;               # The newest sample; null before the first.
  thresholds @47 :List(NamedNumber);
  breakerHeld @48 :Bool;          # Open by `holdBreaker`.
}

enum BreakerState {
  closed @0;    # Calls pass.
  open @1;      # The last calls went unanswered: calls fail at once as `pluginUnavailable`.
  halfOpen @2;  # One call is let through to see.
}

struct TreeNode {
  # One actor of the supervision tree.
  name @0 :Text;
  kind @1 :Text;           # "supervisor", "mount", "instance", "worker".
  state @2 :Text;
  detail @3 :Text;         # One line: "pid 4127, up 3 s, 1 of 3 restarts in 30 s".
  children @4 :List(TreeNode);
}

struct LogLine {
  number @0 :UInt64;
  unixMs @1 :Int64;
  generation @2 :UInt64;
  source @3 :LogSource;
  level @4 :Plugin.LogLevel;
  text @5 :Text;           # Control characters escaped; at most `log_line_bytes_max` bytes.
}

enum LogSource { stdout @0; stderr @1; plugin @2; broker @3; }

struct Event {
  number @0 :UInt64;
  unixMs @1 :Int64;
  mount @2 :Text;          # Empty for events of the broker itself.
  generation @3 :UInt64;
  name @4 :Text;           # As in "starting", "ready", "crashed", "backoff", "quarantined", "stopped", "mounted", "unmounted".
  reason @5 :Text;
}

struct Limit {
  name @0 :Text;
  value @1 :UInt64;
  unit @2 :Text;
  outcome @3 :Text;        # What happens at the limit.
}

struct BrokerStatus {
  version @0 :Text;
  pid @1 :UInt32;
  uptimeMs @2 :UInt64;
  mounts @3 :UInt32;
  mountsReady @4 :UInt32;
  clients @5 :UInt32;
  socketPath @6 :Text;
  stateDirectory @7 :Text;
  pluginDirectory @8 :Text;
  unconfined @9 :Bool;            # Development: plugins run with nothing between them and the machine.
  confinement @10 :Confinement;   # What counts where neither mount nor release says otherwise.
  wallsMissing @11 :List(NamedNumber); # Starts since the broker began whose waived wall was missing, by wall.
  memoryBytes @12 :UInt64;        # Of the broker's process.
  shedding @13 :Bool;             # It is above `memory_soft_bytes_max`: new calls are answered `overloaded`.
  callsShed @14 :UInt64;
  connectionsOut @15 :UInt32;     # For plugins (Host.connect): open, or being made.
  lookups @16 :UInt32;            # Of names, for these.
  connectionsRefused @17 :UInt64; # Since the broker began, for `broker_connections_max` or `broker_lookups_max`.
  connectionsRevoked @18 :UInt64; # Since the broker began: ended because their grant was taken away.
}
