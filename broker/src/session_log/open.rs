//! From the log's files to the sessions, and putting right what a crash has left apart.
//!
//! Owns: the order in which the two journals are read, and the comparison of the two. Never: writes
//! before it has read everything. Invariant: when `open` returns, the log says of every session
//! what was returned, and says it durably, or those that it does not are named as unsaved.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use foldhash::{HashMap, HashSet};
use journal::{Journal, Journals, Position, ReadError, Record, RecordBatch, for_each_record};
use tracing::{info, warn};
use uuid::Uuid;

use super::event::{self, DecodeError, Event};
use super::log::Parts;
use super::share::Messages;
use crate::delivery::Delivery;
use crate::session::{IncomingQos2, State, highest_number};

/// The log's folder in the broker's.
pub(crate) const FOLDER: &str = "sessions";
/// Space comes back in whole segments; the log is seldom larger than a few of these.
const SEGMENT_BYTES: u64 = 8 << 20;
/// Nobody reads the log's tail from memory.
const TAIL_BYTES: u64 = 0;
/// Bytes that may wait for the disk: a tenth of a second of a broker that queues all it can for
/// kept sessions, and the largest thing an event can be beside it.
const WRITE_BUFFER_BYTES: u64 = 64 << 20;
/// How long a start waits for its corrections to be durable; a disk that takes longer is full or
/// failing, and clients had better be served without than not at all.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the kept sessions cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the log of kept sessions in `{path}`", path = .path.display())]
    Log {
        path: PathBuf,
        source: journal::OpenError,
    },
    #[error("cannot look into `{path}`", path = .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot read the log of kept sessions in `{path}`", path = .path.display())]
    Read { path: PathBuf, source: ReadError },
    #[error(
        "the log of kept sessions in `{path}` has a record at position {position} that cannot be used; \
         start the version of Millrace that wrote it, or move that folder away to forget the sessions and \
         the messages that wait in them",
        path = .path.display()
    )]
    Event {
        path: PathBuf,
        position: Position,
        #[source]
        source: EventError,
    },
    #[error("cannot read the telemetry that came after the last checkpoint")]
    Telemetry(#[source] ReadError),
}

/// What is wrong with a record of the log.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EventError(#[from] DecodeError);

/// What was read and put right.
pub(super) struct Opened {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) sessions: Vec<State>,
    /// The log has no room for the corrections.
    pub(super) unsaved: bool,
}

pub(super) fn open(parts: &Parts, journals: &dyn Journals) -> Result<Opened, OpenError> {
    let path = journals.path(FOLDER);
    let settings = settings(journals, &path, parts.max_bytes)?;
    let (journal, report) = journals
        .open(FOLDER, settings)
        .map_err(|source| OpenError::Log {
            path: path.clone(),
            source,
        })?;
    if let Some(torn) = report.torn_tail {
        warn!(
            position = %torn.position,
            bytes = torn.bytes,
            file = %torn.path.display(),
            "cut an unfinished write off the log of kept sessions; the latest changes of sessions may be lost"
        );
    }
    let mut replay = read_log(&*journal, &path)?;
    let mut corrections = RecordBatch::new();
    let mut correct = |client_id: &str, event: &Event<'_>| {
        corrections.push(&event::encode(client_id, event, &mut Vec::new()));
    };
    replay.compare(&*parts.telemetry, &mut correct)?;
    let sessions = replay.finish(parts.now, parts.telemetry.end(), &mut correct);
    correct(
        "",
        &Event::Checkpoint {
            journal: parts.telemetry.identity(),
            position: parts.telemetry.end(),
        },
    );
    let unsaved = settle(&*journal, corrections);
    Ok(Opened {
        journal,
        sessions,
        unsaved,
    })
}

/// The journal's settings. Files that are larger than the configuration says, because it has been
/// changed, need room to be compacted in.
fn settings(
    journals: &dyn Journals,
    path: &Path,
    max_bytes: u64,
) -> Result<journal::Settings, OpenError> {
    let existing = journals.size_bytes(FOLDER);
    let existing = existing.map_err(|source| OpenError::Folder {
        path: path.to_owned(),
        source,
    })?;
    Ok(journal::Settings {
        max_size_bytes: max_bytes.max(existing.saturating_mul(2)),
        segment_size_bytes: SEGMENT_BYTES.min(max_bytes / 16),
        tail_memory_bytes: TAIL_BYTES,
        write_buffer_bytes: WRITE_BUFFER_BYTES,
        ..journal::Settings::default()
    })
}

fn read_log(journal: &dyn Journal, path: &Path) -> Result<Replay, OpenError> {
    let mut replay = Replay::default();
    for_each_record(journal, journal.start(), |position, record| {
        let client_id = record.client_id;
        event::decode(record, |event| replay.apply(client_id, event)).map_err(|source| {
            OpenError::Event {
                path: path.to_owned(),
                position,
                source: source.into(),
            }
        })
    })
    .map_err(|source| OpenError::Read {
        path: path.to_owned(),
        source,
    })??;
    if replay.misfits > 0 {
        warn!(
            events = replay.misfits,
            "events in the log of kept sessions did not fit and were passed over"
        );
    }
    Ok(replay)
}

/// Whether a record of the log can be used.
pub(crate) fn check(record: &Record<'_>) -> Result<(), EventError> {
    Ok(event::decode(record, |_| ())?)
}

/// Appends the corrections and waits for them; true when the log did not take them.
fn settle(journal: &dyn Journal, mut corrections: RecordBatch) -> bool {
    let end = match journal.append(&mut corrections, Waker::noop()) {
        Ok(end) => end,
        Err(error) => {
            warn!(%error, "the log of kept sessions has no room: sessions are in memory only for now");
            return true;
        }
    };
    match journal.wait_durable(end, SETTLE_TIMEOUT) {
        Ok(true) => {}
        Ok(false) => warn!(
            "the log of kept sessions is not durable yet: changes may be lost with a crash until it is"
        ),
        Err(error) => warn!(%error, "the log of kept sessions has failed"),
    }
    false
}

/// The sessions while the log is read.
#[derive(Default)]
struct Replay {
    sessions: HashMap<Box<str>, Replayed>,
    checkpoint: Option<Checkpoint>,
    /// Checkpoints so far.
    checkpoints: u64,
    misfits: u64,
    messages: Messages,
}

#[derive(Clone, Copy)]
struct Checkpoint {
    journal: Uuid,
    position: Position,
}

struct Replayed {
    session: State,
    /// Checkpoints before its `held_through` was set last: a later checkpoint is in its place.
    checkpoints: u64,
}

impl Replay {
    fn apply(&mut self, client_id: &str, event: &Event<'_>) {
        match *event {
            Event::Checkpoint { journal, position } => {
                self.checkpoint = Some(Checkpoint { journal, position });
                self.checkpoints += 1;
            }
            Event::Created { .. } | Event::Restored { .. } => {
                let mut session = State::new(client_id);
                // Both fit any state.
                let _ = session.apply(event);
                let replayed = Replayed {
                    session,
                    checkpoints: self.checkpoints,
                };
                self.sessions.insert(client_id.into(), replayed);
            }
            Event::Ended => drop(self.sessions.remove(client_id)),
            _ => self.apply_to_known(client_id, event),
        }
    }

    /// Skips an event of a session that is not known: compaction released what was before, and a
    /// snapshot of the session or its end follows in the log.
    fn apply_to_known(&mut self, client_id: &str, event: &Event<'_>) {
        let Some(replayed) = self.sessions.get_mut(client_id) else {
            return;
        };
        if let Event::Held {
            telemetry: Some(_), ..
        } = event
        {
            if replayed.checkpoints != self.checkpoints {
                replayed.session.held_through = Position::ZERO;
            }
            replayed.checkpoints = self.checkpoints;
        }
        let applied = self
            .messages
            .shared(event, |event| replayed.session.apply(event).map(drop));
        if applied.is_err() {
            self.misfits += 1;
        }
    }

    /// Compares the held ids with the telemetry journal; see the module's description. Tells each
    /// difference to `correct`.
    fn compare(
        &mut self,
        telemetry: &dyn Journal,
        correct: &mut impl FnMut(&str, &Event<'_>),
    ) -> Result<(), OpenError> {
        let Some(checkpoint) = self.checkpoint else {
            return Ok(());
        };
        if checkpoint.journal != telemetry.identity() {
            warn!(
                "the telemetry journal is another one than at the last checkpoint: repeated QoS 2 publishes \
                 from before the stop may be journalled twice"
            );
            return Ok(());
        }
        let end = telemetry.end();
        for replayed in self.sessions.values_mut() {
            if replayed.checkpoints != self.checkpoints {
                replayed.session.held_through = checkpoint.position;
            }
            forget_lost(&mut replayed.session, end, correct);
        }
        let from = checkpoint.position.max(telemetry.start());
        if from >= end {
            return Ok(());
        }
        let mut found = 0_u64;
        let sessions = &mut self.sessions;
        let scanned = for_each_record(telemetry, from, |position, record| {
            if let Some(packet_id) = record.packet_id
                && let Some(replayed) = sessions.get_mut(record.client_id)
                && position >= replayed.session.held_through
            {
                found += 1;
                find_record(&mut replayed.session, packet_id, position, correct);
            }
            Ok::<_, std::convert::Infallible>(())
        });
        let Ok(()) = scanned.map_err(OpenError::Telemetry)?;
        if found > 0 {
            info!(
                publishes = found,
                "QoS 2 publishes were journalled and not yet noted: they are not journalled again"
            );
        }
        Ok(())
    }

    /// The sessions as they begin now; `telemetry_end` is what their checkpoint will say.
    fn finish(
        self,
        now: i64,
        telemetry_end: Position,
        correct: &mut impl FnMut(&str, &Event<'_>),
    ) -> Vec<State> {
        let mut sessions: Vec<_> = self
            .sessions
            .into_values()
            .map(|replayed| replayed.session)
            .collect();
        number(&mut sessions, correct);
        take_back(&mut sessions, correct);
        for session in &mut sessions {
            if session.disconnected_at.is_none() {
                let detached = Event::Detached {
                    at: now,
                    expiry_seconds: session.expiry_seconds,
                };
                correct(&session.client_id, &detached);
                session.disconnected_at = Some(now);
            }
            session.held_through = telemetry_end;
            for hold in session.incoming.values_mut() {
                if let IncomingQos2::Whole(telemetry) = hold {
                    // Its record is durable: it was read, or lies before the end that was
                    // recovered.
                    *telemetry = None;
                }
            }
        }
        sessions
    }
}

/// Gives a number to the sessions that have none, since an earlier Millrace wrote them down.
fn number(sessions: &mut [State], correct: &mut impl FnMut(&str, &Event<'_>)) {
    let mut next = highest_number(sessions) + 1;
    let mut known = HashSet::default();
    for session in sessions {
        if session.number == 0 || !known.insert(session.number) {
            session.number = next;
            next += 1;
            let numbered = Event::Numbered {
                number: session.number,
                completed_through: session.completed_through,
            };
            correct(&session.client_id, &numbered);
        }
    }
}

/// Takes back the copies of QoS 2 publishes that were not complete at the end, as long as their
/// publishers may come back.
fn take_back(sessions: &mut [State], correct: &mut impl FnMut(&str, &Event<'_>)) {
    let completed: HashMap<u64, u64> = sessions
        .iter()
        .map(|session| (session.number, session.completed_through))
        .collect();
    let is_complete = |publisher: u64, ordinal: u64| {
        // The copies of one whose session is over are as good as any.
        let completed = completed.get(&publisher);
        completed.is_none_or(|completed_through| ordinal <= *completed_through)
    };
    let mut begun = completed.clone();
    for (publisher, ordinal) in sessions.iter().flat_map(State::origins) {
        if let Some(begun) = begun.get_mut(&publisher) {
            *begun = ordinal.max(*begun);
        }
    }
    let mut taken = 0;
    for session in sessions {
        let client_id = Arc::clone(&session.client_id);
        // What is in flight stays. At QoS 2 it is complete, and at QoS 1 it may come twice.
        let goes = |delivery: &Delivery| {
            let message = &delivery.message;
            !is_complete(message.publisher, message.origin.ordinal)
        };
        let gone = session.take_out(goes, |event| correct(&client_id, event));
        taken += gone.len();
        // No further exchange has the ordinal of one that was begun.
        session.completed_through = begun[&session.number];
    }
    if taken > 0 {
        info!(
            copies = taken,
            "QoS 2 publishes were not complete: their copies are taken back, and their clients publish again"
        );
    }
}

/// The telemetry records at `end` and beyond are lost: the clients of the publishes that had them
/// publish again, and the journal is to have that. Tells each to `correct`.
fn forget_lost(session: &mut State, end: Position, correct: &mut impl FnMut(&str, &Event<'_>)) {
    let is_lost = |incoming: &IncomingQos2| match incoming {
        IncomingQos2::Whole(Some(position)) => *position >= end,
        _ => false,
    };
    let incoming = session.incoming.iter();
    let lost: Vec<_> = incoming
        .filter(|(_, incoming)| is_lost(incoming))
        .map(|(packet_id, _)| *packet_id)
        .collect();
    for packet_id in lost {
        let distributed = Event::Distributed {
            packet_id,
            ordinal: 0,
        };
        apply_and_correct(session, &distributed, correct);
    }
    session.held_through = session.held_through.min(end);
}

/// The telemetry journal has a record of a QoS 2 publish that the log was not told of. Tells it to
/// `correct`.
fn find_record(
    session: &mut State,
    packet_id: u16,
    position: Position,
    correct: &mut impl FnMut(&str, &Event<'_>),
) {
    let event = match session.incoming.get(&packet_id) {
        // It was the record alone that was missing.
        Some(IncomingQos2::Distributed) => Event::Held {
            packet_id,
            telemetry: Some(position),
            ordinal: 0,
        },
        // What is held under the id was released, and the log could not be told.
        Some(IncomingQos2::Whole(_) | IncomingQos2::Journalled) | None => {
            Event::Journalled { packet_id }
        }
    };
    apply_and_correct(session, &event, correct);
}

/// To be called with events that fit any state.
fn apply_and_correct(
    session: &mut State,
    event: &Event<'_>,
    correct: &mut impl FnMut(&str, &Event<'_>),
) {
    if session.apply(event).is_ok() {
        correct(&session.client_id, event);
    }
}
