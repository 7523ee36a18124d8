// SPDX-License-Identifier: Apache-2.0
#pragma once

// All actor protocols, on one page: who can be told what, and what is answered.
//
// Messages are plain structs (actors/*_messages.hpp, broker/*_messages.hpp); they never leave the
// process. A message that holds a descriptor or a KJ object holds it by shared_ptr, and travels
// only between actors of one reactor or from a worker to a reactor. The structs of the layers above
// are only named here; this layer knows nothing of them.
//
// Spellings are those of CAF 0.17: a port to another version changes this page, reactor.hpp and
// hosted.hpp.

#include <caf/all.hpp>
#include <string>

#include "actors/instance_messages.hpp"
#include "actors/supervisor_messages.hpp"

namespace bulkhead {

struct changes_request;
struct changes_result;
struct backup_result;
struct lease_info;
struct range_request;
struct range_result;
struct store_await;
struct store_backup;
struct store_cancel;
struct store_compact;
struct store_done;
struct store_flush;
struct store_grant;
struct store_keep_alive;
template <class T>
struct store_outcome;
struct store_query;
struct store_rotate;
struct store_revoke;
struct store_status;
struct store_tick;
struct store_work;
struct txn_request;
struct txn_result;

struct image_answer;
struct image_request;

struct sample_answer;
struct sample_request;

struct mount_await_start;
struct mount_breaker;
struct mount_changed;
struct mount_check;
struct mount_condemn;
struct mount_drained;
struct mount_halt;
struct mount_handover;
struct mount_launch;
struct mount_query;
struct mount_reload;
struct mount_reset;
struct mount_hold_breaker;
struct mount_restart;
struct mount_retired;
struct mount_signal;
struct mount_signalled;
struct mount_passed;
struct mount_snapshot;
struct mount_start;
struct mount_stop;
struct mount_tick;
struct mount_trial;
struct mount_wake;
struct reload_result;

// -- instances ----------------------------------------------------------------------------------

/// The SPAWNER starts processes on a thread of its own, because starting one blocks for about a
/// millisecond.
using spawner_actor = caf::typed_actor<
    // Starts a process and answers with it, or with the reason why not. Never fails.
    caf::replies_to<spawn_request>::with<spawn_answer>,
    // Gives a process other limits while it runs.
    caf::replies_to<limits_request>::with<limits_answer>>;

/// The SAMPLER reads what processes use, on a thread of its own: hundreds of them take
/// milliseconds. What cannot be read is said in the answer. Never fails.
using sampler_actor = caf::typed_actor<caf::replies_to<sample_request>::with<sample_answer>>;

/// The IMAGE WORKER reads programs into sealed memory and hashes them, on threads of its own, or
/// answers with what it has. A refusal is an answer too (image_answer::failure). Never fails.
using image_actor = caf::typed_actor<caf::replies_to<image_request>::with<image_answer>>;

/// The INSTANCE owns one process of a plugin and its link, from start to its one death.
using instance_actor = caf::typed_actor<
    // Ends the process in good order. Answered by instance_ended to the parent.
    caf::reacts_to<instance_stop>,
    // Kills the process, which hangs. Answered by instance_ended to the parent.
    caf::reacts_to<instance_hung>,
    // Other rules for its health check, from now on.
    caf::reacts_to<instance_rules>,
    // Sends a signal to the process; false when none runs.
    caf::replies_to<instance_signal>::with<bool>,
    // Figures of this moment.
    caf::replies_to<instance_sample>::with<instance_stats>>;

/// The parent of an INSTANCE: what it is told.
using instance_parent = caf::typed_actor<
    // The plugin has been introduced and takes calls.
    caf::reacts_to<instance_ready>,
    // The limits that it was given while it ran count, or do not.
    caf::reacts_to<instance_limited>,
    // It is over; sent once per instance. The answer is the text of the error that calls in flight,
    // and capabilities that it handed out, fail with.
    caf::replies_to<instance_ended>::with<std::string>>;

// -- supervisors --------------------------------------------------------------------------------

/// The SUPERVISOR starts, watches, restarts and stops children that are actors, and answers at any
/// moment. A refusal is an answer too (supervisor_reply::answer). An exit message stops it.
using supervisor_actor = caf::typed_actor<
    // Adds a child and starts it. Answers when its start has ended, well or badly: look at
    // `child.state`. Refused: already_started, already_present, invalid (names the field),
    // stopping.
    caf::replies_to<supervisor_add>::with<supervisor_reply>,
    // One more child of a dynamic supervisor; answers as above, the reply names the child. Refused:
    // dynamic (it is not), stopping.
    caf::replies_to<supervisor_spawn>::with<supervisor_reply>,
    // Starts, restarts, terminates, erases or resets one child; answers when that is done. Refused:
    // not_found, running, restarting, not_quarantined, dynamic, stopping.
    caf::replies_to<supervisor_order>::with<supervisor_reply>,
    // One child as it is now. Refused: not_found.
    caf::replies_to<supervisor_find>::with<supervisor_reply>,
    // The supervisor and all its children as they are now.
    caf::replies_to<supervisor_query>::with<supervisor_snapshot>,
    // How many children there are, by OTP's count_children.
    caf::replies_to<supervisor_count>::with<child_count>,
    // Another policy and other children; answers when they are taken over, before starts and stops
    // that follow. Refused: invalid (names the field), stopping.
    caf::replies_to<supervisor_reconfigure>::with<supervisor_reply>,
    // From a child that is not ready as soon as it is made (actor_child_spec::ready_when_made).
    caf::reacts_to<child_ready>,
    // INTERNAL
    caf::reacts_to<supervisor_tick>>;

// -- mounts -------------------------------------------------------------------------------------

/// The MOUNT supervises the instances of one mount and switches its slot. It is the instances'
/// parent, and answers at any moment, whatever its instance does.
using mount_actor = instance_parent::extend<
    // Answers when the start that is under way has ended, well or badly; at once when none is.
    caf::replies_to<mount_await_start>::with<mount_snapshot>,
    // Stops the instance in good order, if there is one, starts another, answers as above. Cuts a
    // backoff short; not counted against the window. In quarantine it changes nothing (`refused`).
    caf::replies_to<mount_restart>::with<mount_snapshot>,
    // Leaves quarantine: clears the window and starts, answers as above. Elsewhere it changes
    // nothing.
    caf::replies_to<mount_reset>::with<mount_snapshot>,
    // Opens or closes the breaker by hand; calls in flight go on. Answers at once.
    caf::replies_to<mount_hold_breaker>::with<mount_snapshot>,
    // Stops the instance in good order; nothing starts it but start, restart and reset. Answers
    // when it has stopped.
    caf::replies_to<mount_halt>::with<mount_snapshot>,
    // Starts a mount that is stopped, answers as above. Elsewhere it changes nothing.
    caf::replies_to<mount_start>::with<mount_snapshot>,
    // What it runs may not run any more: stops it, and leaves the next start, with the same
    // release, to be refused. Answers when that is done; at once when nothing runs.
    caf::replies_to<mount_condemn>::with<mount_snapshot>,
    // Replaces the instance without a failed call; answers when the new one serves, or will not. A
    // failure is an answer too.
    caf::replies_to<mount_reload>::with<reload_result>,
    // The instance used more than a threshold of the mount allows: replaces or ends it.
    caf::reacts_to<mount_passed>,
    // Its rules or its path have changed: it goes by them from now on.
    caf::reacts_to<mount_changed>,
    // The state of this moment, or of the next one in which no change of limits is under way.
    caf::replies_to<mount_query>::with<mount_snapshot>,
    // Sends a signal to the process.
    caf::replies_to<mount_signal>::with<mount_signalled>,
    // Drains, stops the instance, and ends the actor with exit reason `user_shutdown`; the answer
    // comes before the end.
    caf::replies_to<mount_stop>::with<mount_snapshot>,
    // INTERNAL
    caf::reacts_to<mount_tick>, caf::reacts_to<mount_launch>, caf::reacts_to<mount_drained>,
    caf::reacts_to<mount_wake>, caf::reacts_to<mount_check>, caf::reacts_to<mount_trial>,
    caf::reacts_to<mount_retired>, caf::reacts_to<mount_handover>, caf::reacts_to<mount_breaker>>;

// -- the store ----------------------------------------------------------------------------------

/// The STORE owns the engine that keeps everything durable, on a thread of its own, because disks
/// block. An answer to a write means that it is on the disk. Requests take effect in the order of
/// arrival. A failure is an answer too (store_outcome).
using store_actor = caf::typed_actor<
    // One page of keys.
    caf::replies_to<range_request>::with<store_outcome<range_result>>,
    // All of it or nothing; those that wait together share one fsync.
    caf::replies_to<txn_request>::with<store_outcome<txn_result>>,
    // Leases: make one, give it its full time again, end it with its keys (answers the revision).
    caf::replies_to<store_grant>::with<store_outcome<lease_info>>,
    caf::replies_to<store_keep_alive>::with<store_outcome<lease_info>>,
    caf::replies_to<store_revoke>::with<store_outcome<std::uint64_t>>,
    // Changes after a revision, as far as there are any now.
    caf::replies_to<changes_request>::with<store_outcome<changes_result>>,
    // The same, answered when there are some; ends with its asker, or when the asker cancels it.
    caf::replies_to<store_await>::with<store_outcome<changes_result>>, caf::reacts_to<store_cancel>,
    // Forgets history.
    caf::replies_to<store_compact>::with<store_outcome<store_done>>,
    // A copy of the state in a new file, step by step between other requests.
    caf::replies_to<store_backup>::with<store_outcome<backup_result>>,
    // Encrypts with the newest key what older ones encrypted; answered at the end with how many.
    caf::replies_to<store_rotate>::with<store_outcome<std::uint64_t>>,
    // Revision, size, and whether it takes writes; or why it could not be opened.
    caf::replies_to<store_query>::with<store_outcome<store_status>>,
    // INTERNAL
    caf::reacts_to<store_flush>, caf::reacts_to<store_work>, caf::reacts_to<store_tick>>;

}  // namespace bulkhead

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::spawn_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::spawn_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::limits_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::limits_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::instance_stop)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::instance_hung)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::instance_rules)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::instance_signal)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::instance_sample)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::instance_stats)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::instance_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::instance_ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::instance_limited)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::supervisor_add)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::supervisor_spawn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::supervisor_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::supervisor_count)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::supervisor_reconfigure)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::child_count)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::supervisor_reply)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::supervisor_find)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::supervisor_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::supervisor_snapshot)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::child_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::supervisor_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_await_start)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_drained)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_launch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_reset)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_hold_breaker)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_restart)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_signal)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_signalled)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_snapshot)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_stop)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::sample_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::sample_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_passed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_breaker)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_check)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_condemn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_halt)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_reload)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_retired)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_start)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_trial)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_wake)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::reload_result)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(bulkhead::mount_handover)
