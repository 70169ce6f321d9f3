//! The thread that follows the database.
//!
//! Owns: its own connection, when the table is read, and when the copy on disk is written. Never:
//! judges a device. Invariant: what is known only ever becomes what the database said as a whole;
//! while it does not answer, what was known stays.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use access::reload::Outcome;
use store::{Settings, StoreError};
use telemetry::{Micros, now_micros};
use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};

use crate::cache::Cache;
use crate::credentials::{self, Credentials, DEVICES_MAX, Version};
use crate::known::Known;
use crate::table::{Change, Table};

/// How often the database is asked for its version: one number, so that a change counts within
/// seconds.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long the database is left alone after it did not answer; the first and the longest time.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// The copy of a million devices has 56 MB. After it was written, nothing is written for so many
/// times as long, however often something changes.
const WRITING_REST: u32 = 10;

/// The follower answers here when it has looked.
pub(crate) type Asked = oneshot::Sender<Outcome>;

pub(crate) struct Follower {
    store: Settings,
    cache: Cache,
    known: Arc<Known>,
    /// Told when the database was read, or did not answer.
    answered: SyncSender<()>,
    /// `None`: nothing was ever known.
    table: Option<Table>,
    /// Whether the copy on disk is older than the table, and when it may be written.
    is_unsaved: bool,
    save_after: Instant,
    /// When the next secret ends.
    next_end: Option<Micros>,
    is_away: bool,
    is_overfull: bool,
    /// Who waits to hear what the next look finds.
    asked: Option<Asked>,
}

/// It is to end.
struct Stopped;

impl Follower {
    pub(crate) fn new(
        store: Settings,
        cache: Cache,
        table: Option<Table>,
        known: Arc<Known>,
        answered: SyncSender<()>,
    ) -> Follower {
        Follower {
            store,
            cache,
            next_end: table
                .as_ref()
                .and_then(|table| table.next_end(now_micros())),
            table,
            known,
            answered,
            is_unsaved: false,
            save_after: Instant::now(),
            is_away: false,
            is_overfull: false,
            asked: None,
        }
    }

    /// Returns when the sender of `orders` is gone.
    pub(crate) fn run(mut self, orders: &Receiver<Asked>) {
        let mut pause = RETRY_MIN;
        loop {
            let failure = match self.follow(orders, &mut pause) {
                Ok(Stopped) => break,
                Err(failure) => failure,
            };
            self.tell_away(&failure);
            self.answer(Outcome::Failed);
            let _ = self.answered.try_send(());
            if self.wait(orders, pause).is_err() {
                break;
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
        self.save_after = Instant::now();
        self.save();
    }

    /// Over one connection: everything, then what changes.
    fn follow(
        &mut self,
        orders: &Receiver<Asked>,
        pause: &mut Duration,
    ) -> Result<Stopped, StoreError> {
        let mut database = credentials::open(&self.store)?;
        let mut version = self.read_all(&mut *database)?;
        *pause = RETRY_MIN;
        self.is_away = false;
        let _ = self.answered.try_send(());
        loop {
            self.save();
            if self.wait(orders, POLL_INTERVAL).is_err() {
                return Ok(Stopped);
            }
            let found = database.version()?;
            if found < version || self.asked.is_some() {
                // Somebody put an older state back, or may have changed rows by hand.
                version = self.read_all(&mut *database)?;
            } else if found > version {
                version = self.read_changes(&mut *database, version)?;
            }
        }
    }

    fn read_all(&mut self, database: &mut dyn Credentials) -> Result<Version, StoreError> {
        let (mut entries, mut devices) = (Vec::new(), 0);
        let version = database.read(0, &mut |credential| {
            let change = Change::from(&credential);
            if change.holds() {
                devices += 1;
                if devices <= DEVICES_MAX {
                    entries.extend(change.entries());
                }
            }
        })?;
        // The database counts changes from 0, and keeps the count when rows are deleted by hand.
        if version > 0 {
            self.known.had_one();
        }
        let table = Table::of(entries);
        let is_known = |known: &Table| known.entries().eq(table.entries());
        let is_same = self.table.as_ref().is_some_and(is_known);
        // That there are none is no news where there never were devices, and no reason for a file.
        let is_news = !is_same && (self.table.is_some() || table.len() > 0);
        if !is_same {
            // Most sites have no device with a secret: nothing to say.
            if is_news {
                info!(
                    devices = table.len(),
                    "device secrets loaded from the database"
                );
            }
            self.is_unsaved |= is_news;
            self.take(table);
            self.known.secrets_ended();
        }
        self.tell_overfull(devices);
        self.answer(if is_news { Outcome::New } else { Outcome::Same });
        Ok(version)
    }

    fn read_changes(
        &mut self,
        database: &mut dyn Credentials,
        since: Version,
    ) -> Result<Version, StoreError> {
        let mut changes = Vec::new();
        let version = database.read(since, &mut |credential| {
            changes.push(Change::from(&credential));
        })?;
        self.known.had_one();
        let known = self.table.take().unwrap_or_default();
        let table = known.with(&changes);
        let is_overfull = table.len() > DEVICES_MAX;
        let secrets_end = known.holds_any(&changes);
        if is_overfull {
            // More than `millrace device add` allows: somebody wrote past it.
            self.table = Some(known);
            return self.read_all(database);
        }
        debug!(
            changed = changes.len(),
            devices = table.len(),
            "device credentials changed"
        );
        self.is_unsaved = true;
        self.take(table);
        if secrets_end {
            self.known.secrets_ended();
        }
        Ok(version)
    }

    fn take(&mut self, table: Table) {
        self.next_end = table.next_end(now_micros());
        self.known.set(table.clone());
        self.table = Some(table);
    }

    /// Connections that an ended secret has let in are looked through.
    fn let_secrets_end(&mut self) {
        let now = now_micros();
        if self.next_end.is_some_and(|end| end <= now) {
            self.next_end = self.table.as_ref().and_then(|table| table.next_end(now));
            self.known.secrets_ended();
        }
    }

    fn save(&mut self) {
        let started = Instant::now();
        let Some(table) = &self.table else { return };
        if !self.is_unsaved || started < self.save_after {
            return;
        }
        match self.cache.write(table) {
            Ok(()) => self.is_unsaved = false,
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "device credentials are not kept for a start without the database"
            ),
        }
        self.save_after = Instant::now() + started.elapsed() * WRITING_REST;
    }

    /// Lets time pass, until somebody asks. Secrets that end meanwhile do so whether or not the
    /// database answers.
    fn wait(&mut self, orders: &Receiver<Asked>, time: Duration) -> Result<(), Stopped> {
        match orders.recv_timeout(time) {
            Ok(asked) => self.asked = Some(asked),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
        }
        self.let_secrets_end();
        Ok(())
    }

    fn answer(&mut self, outcome: Outcome) {
        if let Some(asked) = self.asked.take() {
            // Whoever asked may have given up.
            let _ = asked.send(outcome);
        }
    }

    /// Once for each absence, and to whoever asks.
    fn tell_away(&mut self, failure: &StoreError) {
        if std::mem::replace(&mut self.is_away, true) && self.asked.is_none() {
            return;
        }
        let error = failure as &dyn std::error::Error;
        let devices = self.table.as_ref().map_or(0, Table::len);
        warn!(
            error,
            devices,
            "the database cannot be asked for device credentials; what is known still holds"
        );
    }

    fn tell_overfull(&mut self, devices: usize) {
        let is_overfull = devices > DEVICES_MAX;
        if is_overfull && !self.is_overfull {
            error!(
                devices,
                limit = DEVICES_MAX,
                "there are more device credentials than are held; some devices are not let in, and \
                 changes may not count"
            );
        }
        self.is_overfull = is_overfull;
    }
}
