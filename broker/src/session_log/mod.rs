//! Kept sessions on disk: what a client that comes back after a crash or a restart finds.
//!
//! Owns: the log of every change of every kept session (expiry above 0), its size, and the sessions
//! it gives back at start. Never: decides anything about a session, or keeps one in memory; blocks
//! or fails a caller. Invariant: after any crash, what `open` returns is what the sessions were
//! after some of the last changes written, all in order, and never before a change whose position
//! was reported durable.
//!
//! The log is a journal (crate `journal`) in `data/sessions/`: group commit, torn tails, full disks
//! and failed syncs are solved there. An event is a record (`event.rs`), a batch of events is
//! atomic, and a state is what `session::State` makes of the events in order.
//!
//! ## What a session owes the log
//!
//! 1. Events are written under the session's lock, so that the log's order is the memory's.
//!    `Created` is written when `Source` already knows the session; nothing is written after
//!    `Ended`.
//! 2. Queued, in flight and dropped are told of deliveries at QoS 1 and 2 only; the log's queue is
//!    the session's queue without QoS 0. The retained messages of a new subscription are not in it:
//!    the log knows that they are to be sent, and of each when it goes into flight. After a restart
//!    they are sent from the first on, before the queue.
//! 3. What the other side concludes from a packet must be durable before that packet leaves:
//!
//!    | packet | waits for |
//!    | --- | --- |
//!    | CONNACK of a kept session | `Created` or `Attached` |
//!    | SUBACK, UNSUBACK of a kept session | what was told for it: `end` after the last filter |
//!    | PUBREC | `Held`, which is written after what the message queued, and the telemetry journal, if it is telemetry |
//!    | PUBACK | what the message queued for kept sessions: `end` after the fan-out |
//!    | PUBCOMP | `Released`: a release that is lost would swallow the next message with that id |
//!    | outgoing PUBLISH at QoS 2 | `Sent` or `Taken`: after a crash the id could name another message, and the client would drop it as a duplicate. `Sent` is written behind the publisher's `Held` (see below) |
//!    | PUBREL | `Received`: after a crash the PUBLISH would be sent again, and the client has forgotten the id |
//!
//!    An outgoing PUBLISH at QoS 1, a PUBACK or a PUBCOMP that came in, need not wait: the worst is
//!    that a message is sent again. `write` returns the position to wait for, `durable` and the
//!    waker tell when it is reached.
//! 4. What the log has of a session is a `session::State`, which the session changes by the events
//!    that it writes. A start makes the state of the same events by the same `apply`, and `Source`
//!    shows it for a snapshot.
//!
//! When a change does not fit (disk full, `max_session_log_size`), the session goes on in memory:
//! `write` returns `Position::ZERO`, so that nobody waits, the session is *unsaved*, further events
//! of it are skipped (they would not fit what the log knows), and a snapshot of its whole state is
//! written as soon as there is room (`maintenance.rs`).
//!
//! ## One publish, many events
//!
//! A QoS 2 publish is written as the copies that it queued, an append for each subscriber, and then
//! its publisher's `Held`. A crash in between must leave nothing of it: the client has no PUBREC,
//! and publishes again. So `Held` is the one point at which all of it counts:
//!
//! - A session has a *number* for life, which its messages carry as their publisher, and counts its
//!   exchanges: a copy carries the *ordinal* of the one it came by (`copied`). `Held` is written in
//!   that order, when all copies are queued, and says that the exchanges up to its own are
//!   complete.
//! - `open` **takes back** queued copies of exchanges that are not complete, as long as the
//!   publisher's session lives. When it is over there is no exchange to be repeated, and the copies
//!   stay. A copy says what it depends on, so it may move to another session, or into a snapshot,
//!   at any time.
//! - No client may have what is taken back: a QoS 2 delivery goes into flight only when its
//!   exchange is told (`exchange.rs`). Then `Sent` lies behind `Held`, and is not durable without
//!   it. A copy at QoS 1 is sent at once, and what is in flight stays: it may come again, as QoS 1
//!   may.
//!
//! A publish of a session that is not kept is nobody's to repeat: its copies depend on nothing.
//!
//! `Held` may use the room that compaction has, since it is small and copies that fitted are lost
//! without it. When it does not fit all the same, PUBREC waits until the session is saved again.
//! Copies of an unsaved publisher depend on nothing: after a crash they can come twice, but are not
//! lost.
//!
//! ## Two journals
//!
//! A telemetry PUBLISH at QoS 2 goes into the telemetry journal T with its packet id, and *then*
//! its `Held` event, with the record's position, into this log L. The two are synced on their own,
//! so a crash can leave either without the other:
//!
//! - **T has the record, L does not have `Held`.** The copies are taken back, and the id is held as
//!   *journalled*: when the client publishes again, subscribers get it and T does not. `open` finds
//!   the record when it reads T, unless the session has accounted for it: it remembers
//!   `held_through`, the position behind the last record it wrote a `Held` for. One client's
//!   records and `Held` events come in the same order, so every record before `held_through` was
//!   told, and every one from there on was not.
//! - **L has `Held`, T lost the record.** The copies stay, and the id is held as *distributed*:
//!   when the client publishes again, T gets the record and nobody else does. The same is told at
//!   once when T has no room: the copies need not wait for it, and a client that is lost meanwhile
//!   is no new publisher.
//! - **Both halves are states like others** until the client has published again, over further
//!   crashes too: `open` writes them down, and a record that is found of a *distributed* id makes
//!   it whole.
//! - **Positions come again.** After T lost its tail, new records get the positions of the lost
//!   ones. So `open` ends with a `Checkpoint` that sets `held_through` of all sessions to T's end,
//!   durable before the first client is let in.
//! - **A session that begins** (also after clean start) sets `held_through` to T's end: records of
//!   its predecessor, with the same client id, are not its own.
//!
//! Reading all of T would take long, so a `Checkpoint` is written every second: "every record of T
//! before P has its `Held` in this log before this checkpoint". That is true because P is taken,
//! and the checkpoint written, under an exclusive lock whose shared side (`exchange`) a client
//! holds from its append to T until its `Held` is written, and because none is written while a
//! session is unsaved. A checkpoint names the journal it speaks of; positions of another T say
//! nothing, and are not used.

mod bytes;
mod event;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod log;
mod maintenance;
mod open;
mod share;

pub(crate) use event::Event;
pub(crate) use log::{Batch, Exchange, Parts, SessionLog, Source};
pub(crate) use open::{EventError, FOLDER, OpenError, check};

#[cfg(test)]
pub(crate) mod tests;
