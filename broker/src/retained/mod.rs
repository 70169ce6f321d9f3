//! Retained messages: the last one of each topic, in memory for whoever subscribes and in a journal
//! for the next start.
//!
//! Owns: the store's bounds, expiry, and the journal `retained`. Never: makes a caller wait for the
//! disk; a thread writes what has changed since it last looked. Invariants: memory and journal
//! agree once the thread has caught up; what was synced survives power loss.
//!
//! Retained messages can be built again by those who published them, so damage never stops the
//! broker: what was readable before it is kept, the damaged folder is moved aside, and a warning
//! says so.

mod earlier;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod home;
mod log;
mod record;
mod store;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::{Chunk, Journals, Position, ReadError};
use tracing::error;

use self::earlier::Found;
use self::home::Home;
use self::log::Writer;
pub(crate) use self::record::RecordError;
use self::store::Store;
use crate::clock::now_micros;
use crate::lock::{read, write};
use crate::message::Message;

/// The journal's folder in the data folder.
pub(crate) const FOLDER: &str = home::NAME;

/// What the store holds at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) messages: usize,
    /// Topics, payloads, properties, and a fixed cost for each message.
    pub(crate) bytes: usize,
}

/// Why a message is not retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("`{0}` are kept: `broker.max_retained_messages` is reached")]
    Messages(usize),
    #[error("`{0}` bytes are kept: `broker.max_retained_bytes` is reached")]
    Bytes(usize),
    /// More topics changed than may be kept, and the disk has taken none of the changes.
    #[error("`{0}` changes of retained messages wait for the disk")]
    Unwritten(usize),
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("`{}` has format `{found}`, this version reads `{known}`", path.display())]
    Format {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    #[error("cannot open the retained messages in `{}`", path.display())]
    Journal {
        path: PathBuf,
        source: journal::OpenError,
    },
    #[error("cannot read the retained messages in `{}`", path.display())]
    Replay { path: PathBuf, source: ReadError },
    #[error(
        "the record at position {position} of the retained messages in `{}` cannot be used; start \
         the version of Millrace that wrote it",
        path.display()
    )]
    Record {
        path: PathBuf,
        position: Position,
        source: RecordError,
    },
    #[error("cannot start the thread `retained`")]
    Thread(#[source] io::Error),
}

/// The retained messages as they are read from what the data folder holds, for people who ask.
pub(crate) struct Inspection(Store);

impl Inspection {
    /// Begins with what an earlier version has left in the folder, and bytes of it that are no
    /// messages.
    pub(crate) fn begin(data: &Path) -> Result<(Inspection, u64), OpenError> {
        let unlimited = Limits {
            messages: usize::MAX,
            bytes: usize::MAX,
        };
        let mut store = Store::new(unlimited);
        let file = data.join(earlier::FILE_NAME);
        let found = earlier::read(&file, &mut |message| store.load(message))?;
        let unread_bytes = match found {
            Found::Messages { unread_bytes } => unread_bytes,
            Found::Nothing | Found::Note => 0,
        };
        Ok((Inspection(store), unread_bytes))
    }

    /// The position of the first record that cannot be used, and why.
    pub(crate) fn read(&mut self, chunk: &Chunk) -> Result<(), (Position, RecordError)> {
        for (position, record) in chunk.records() {
            let message = record::decode(&record).map_err(|error| (position, error))?;
            self.0.load(message);
        }
        Ok(())
    }

    pub(crate) fn messages(&self) -> usize {
        self.0.len()
    }
}

/// A place between two topics; first the one before all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mark(Option<Arc<str>>);

impl Mark {
    /// Behind the topic.
    pub(crate) fn behind(topic: &Arc<str>) -> Mark {
        Mark(Some(Arc::clone(topic)))
    }
}

/// Some of the messages that match a filter.
pub(crate) struct Page {
    pub(crate) messages: Vec<Arc<Message>>,
    /// Where it goes on; `None`: these are the last.
    pub(crate) next: Option<Mark>,
}

/// The store and the thread behind it; shared by all connections.
pub(crate) struct Retained {
    shared: Arc<log::Shared>,
    writer: Writer,
}

impl Retained {
    /// Reads what the journal holds, or what an earlier version has left in the folder `data`.
    /// Messages beyond the limits are loaded all the same: limits refuse what is new.
    pub(crate) fn open(
        journals: Arc<dyn Journals>,
        data: &Path,
        limits: Limits,
    ) -> Result<Retained, OpenError> {
        Retained::open_at(journals, data, limits, now_micros())
    }

    fn open_at(
        journals: Arc<dyn Journals>,
        data: &Path,
        limits: Limits,
        now: i64,
    ) -> Result<Retained, OpenError> {
        let home = Home::new(journals, data);
        let mut store = Store::new(limits);
        let loaded = home.load(&mut store)?;
        store.purge(now);
        let shared = Arc::new(log::Shared::new(store));
        let writer = Writer::start(home, loaded, &shared)?;
        Ok(Retained { shared, writer })
    }

    /// Keeps the message as its topic's retained one; an empty payload clears it [MQTT-3.3.1-6],
    /// [MQTT-3.3.1-7]. When it is refused, the topic keeps the message it had.
    ///
    /// The payload is kept as it is, so it must not be a small part of a large buffer.
    pub(crate) fn put(&self, message: &Message) -> Result<(), Full> {
        let wake = {
            let mut store = write(&self.shared.store);
            let idle = store.is_written();
            if message.payload.is_empty() {
                store.clear(&message.topic);
            } else {
                store.put(store::copy(message), now_micros())?;
            }
            idle && !store.is_written()
        };
        if wake {
            self.writer.wake();
        }
        Ok(())
    }

    /// Messages kept.
    pub(crate) fn len(&self) -> usize {
        read(&self.shared.store).len()
    }

    /// How often the store has changed. What is put from now on comes with a higher number.
    pub(crate) fn changes(&self) -> u64 {
        read(&self.shared.store).changes()
    }

    /// The next messages that match the filter, in the order of their topics, without those that
    /// came with a later change than `through`: as many as are found in a bounded time, and a
    /// bounded number of bytes. There may be none though more follow.
    pub(crate) fn page(&self, filter: &str, from: Mark, through: u64) -> Page {
        let mut messages = Vec::new();
        let mut scan = store::Scan::behind(from.0, filter, through);
        read(&self.shared.store).page(&mut scan, now_micros(), &mut messages);
        let next = (!scan.is_done()).then(|| Mark(scan.into_after()));
        Page { messages, next }
    }

    /// What they count against `Limits::bytes`.
    pub(crate) fn bytes(&self) -> usize {
        read(&self.shared.store).bytes()
    }

    /// Shows `visit` the messages of all topics that match, in the order of their topics. A shared
    /// subscription gets none of them (section 4.8.2); the caller knows.
    ///
    /// The store is not locked while `visit` runs. A message that is put or cleared meanwhile may
    /// be seen or not.
    pub(crate) fn matching(&self, filter: &str, visit: &mut dyn FnMut(&Arc<Message>)) {
        self.matching_at(filter, now_micros(), visit);
    }

    fn matching_at(&self, filter: &str, now: i64, visit: &mut dyn FnMut(&Arc<Message>)) {
        let mut page = Vec::new();
        let mut scan = store::Scan::new(filter);
        while !scan.is_done() {
            read(&self.shared.store).page(&mut scan, now, &mut page);
            for message in page.drain(..) {
                visit(&message);
            }
        }
    }

    /// Waits until everything that was put before is synced; false when the disk fails meanwhile.
    fn flush(&self) -> bool {
        self.writer.flush()
    }

    /// Writes what is left and ends the thread. Later changes are kept in memory only.
    pub(crate) fn close(&self) {
        // The thread has logged why, and tries once more before it ends.
        self.flush();
        self.writer.stop();
        let changes = self.writer.unsynced();
        if changes > 0 {
            error!(
                changes,
                "the latest changes of retained messages are lost: the disk did not take them"
            );
        }
    }
}
