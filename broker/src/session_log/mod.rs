//! Kept sessions on disk: what a client that comes back after a crash or a restart finds.
//!
//! Owns: the log of every change of every kept session (expiry above 0), its size, and the sessions
//! it gives back at start. Never: decides anything about a session, or keeps one in memory; blocks
//! or fails a caller. Invariant: after any crash, what `open` returns is what the sessions were
//! after some of the last changes written, all in order, and never before a change whose position
//! was reported durable.
//!
//! The log is a journal (crate `journal`) in `data/sessions/`: group commit, torn tails, full disks
//! and failed syncs are solved there. An event is a record (`event.rs`), a batch of events is atomic,
//! and a state is what `state.rs` makes of the events in order.
//!
//! ## What a session owes the log
//!
//! 1. Events are written under the session's lock, so that the log's order is the memory's. `Created`
//!    is written when `Source` already knows the session; nothing is written after `Ended`.
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
//!    | PUBREC of telemetry | the telemetry journal (see below) |
//!    | PUBREC of anything else | `Held`, which is written after what the message queued: `end` |
//!    | PUBACK of anything else | what the message queued for kept sessions: `end` after the fan-out |
//!    | PUBCOMP | `Released`: a release that is lost would swallow the next message with that id |
//!    | outgoing PUBLISH at QoS 2 | `Sent` or `Taken`: after a crash the id could name another message, and the client would drop it as a duplicate |
//!    | PUBREL | `Received`: after a crash the PUBLISH would be sent again, and the client has forgotten the id |
//!
//!    An outgoing PUBLISH at QoS 1, a PUBACK or a PUBCOMP that came in, need not wait: the worst is
//!    that a message is sent again. `write` returns the position to wait for, `durable` and the waker
//!    tell when it is reached.
//! 4. `held_through` and the positions in `held` are part of the session: it keeps them and gives them
//!    back through `Source`.
//!
//! When a change does not fit (disk full, `max_session_log_size`), the session goes on in memory:
//! `write` returns `Position::ZERO`, so that nobody waits, the session is *unsaved*, further events of
//! it are skipped (they would not fit what the log knows), and a snapshot of its whole state is written
//! as soon as there is room (`tender.rs`).
//!
//! ## Exactly once across a crash
//!
//! A telemetry PUBLISH at QoS 2 goes into the telemetry journal T with its packet id, and *then* its
//! `Held` event, with the record's position, into this log L. The two are synced on their own, so a
//! crash can leave either without the other:
//!
//! - **T has the record, L does not have `Held`.** The client got no PUBCOMP, and maybe no PUBREC, and
//!   sends the PUBLISH or the PUBREL again. So `open` reads T and adds the id to `held`, unless the
//!   session has accounted for the record: it remembers `held_through`, the position behind the last
//!   record it wrote a `Held` for. One client's records and `Held` events come in the same order, so
//!   every record before `held_through` was told, and every one from there on was not.
//! - **L has `Held`, T lost the record.** PUBREC waits for T, so the client sends the PUBLISH again, and
//!   it must be journalled: `open` forgets held ids whose record lies beyond T's end.
//! - **Positions come again.** After T lost its tail, new records get the positions of the lost ones. So
//!   `open` ends with a `Checkpoint` that sets `held_through` of all sessions to T's end, durable before
//!   the first client is let in.
//! - **A session that begins** (also after clean start) sets `held_through` to T's end: records of its
//!   predecessor, with the same client id, are not its own.
//!
//! Reading all of T would take long, so a `Checkpoint` is written every second: "every record of T
//! before P has its `Held` in this log before this checkpoint". That is true because P is taken, and the
//! checkpoint written, under an exclusive lock whose shared side (`exchange`) a client holds from its
//! append to T until its `Held` is written, and because none is written while a session is unsaved. A
//! checkpoint names the journal it speaks of; positions of another T say nothing, and are not used.
//!
//! ## What is left: QoS 2 that is not telemetry, once more after a crash
//!
//! Such a publish is written as the copies that it queued, an append for each subscriber, and then its
//! publisher's `Held`. A crash in between, some microseconds (longer while the router is busy), leaves
//! copies without `Held`: the client got no PUBREC, publishes again, and those who had a copy
//! get another one. Nothing is lost. What would close the gap, and why it is not done:
//!
//! - *`Held` first.* Then the repetition is taken for known, and whoever was not reached has lost the
//!   message: worse.
//! - *One append for all.* The copies would be written when the fan-out ends. But a session may send or
//!   drop its copy as soon as its lock is free, and what it writes of that must come behind. So the fan-out
//!   would hold the locks of all subscribers, or each subscriber's task would wait for the end of a
//!   fan-out, of which the router's part ends some time later on another thread.
//! - *The start takes back copies without `Held`.* By then a subscriber may have its copy: its PUBLISH
//!   waits for its own `Sent`, and would have to wait for the publisher's `Held` too.
//! - *The start finishes the fan-out.* For this the publisher must write the message before the fan-out,
//!   all of it, a second time; and each copy must say which publish, which subscription and which group
//!   it is of, since overlapping subscriptions have a copy each and a group has one for all. That doubles
//!   what every such publish writes, for the sake of a crash.

mod bytes;
mod event;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod log;
mod open;
mod share;
mod state;
mod tender;

pub(crate) use event::Event;
pub(crate) use log::{Exchange, Parts, SessionLog, Source};
pub(crate) use open::OpenError;
pub(crate) use state::{SavedInflight, SavedSession, SavedWill};

#[cfg(test)]
pub(crate) mod tests;
