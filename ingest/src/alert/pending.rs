//! What the alerts lane has done and the database does not know yet.
//!
//! Owns: the changes between two commits, and `published.log`. Never: talks to the store; the
//! store's writer takes the changes, and gives them back when its transaction failed. Invariant:
//! events, states and position that are taken together belong together: replaying the journal from
//! that position on those states gives the same events again.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use journal::Position;
use store::{AlertChanges, AlertEventRow, AlertStateRow};

use super::id::EventId;
use super::published::{Entry, PublishedLog};

/// How long a waiting thread sleeps before it looks at its stop flag again.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Where the alerts lane begins: what the database said when it was first loaded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertCheckpoint {
    pub position: Position,
    pub states: Vec<AlertStateRow>,
}

/// Shared by the alerts lane, which adds, and the store's writer, which takes. Clones are handles
/// to the same changes.
#[derive(Debug, Clone)]
pub struct Pending {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    events_max: usize,
    inner: Mutex<Inner>,
    /// Signalled when there is room again and when the checkpoint has come.
    changed: Condvar,
    published: Mutex<PublishedLog>,
}

#[derive(Debug, Default)]
struct Inner {
    checkpoint: Option<AlertCheckpoint>,
    restored: Vec<Entry>,
    journal_end: Option<Position>,
    events: Vec<AlertEventRow>,
    states: HashMap<InstanceKey, Option<String>>,
    position: Option<Position>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct InstanceKey {
    rule: String,
    device: String,
    metric: String,
}

impl Pending {
    /// Changes with their `published.log` in the data folder. At most `events_max` events wait for
    /// the store; then the lane waits.
    pub fn open(data_folder: &Path, events_max: usize) -> Pending {
        let (published, restored) = PublishedLog::open(data_folder);
        Pending::new(published, restored, events_max)
    }

    /// Changes without a `published.log`: for tests, and where nothing is published.
    pub fn in_memory(events_max: usize) -> Pending {
        Pending::new(PublishedLog::in_memory(), Vec::new(), events_max)
    }

    fn new(published: PublishedLog, restored: Vec<Entry>, events_max: usize) -> Pending {
        let inner = Inner {
            restored,
            ..Inner::default()
        };
        let shared = Shared {
            events_max: events_max.max(1),
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            published: Mutex::new(published),
        };
        Pending {
            shared: Arc::new(shared),
        }
    }

    /// Tells where the journal ended before the gate took its first message of this process:
    /// published events of records from there on are of records that a crash took along. To be
    /// called before the gate starts; otherwise the lane takes the journal's end when it is
    /// spawned, and the first messages of devices that were quick to reconnect may raise an alert
    /// again.
    pub fn note_journal_end(&self, end: Position) {
        self.lock().journal_end = Some(end);
    }

    /// For the lane: what `note_journal_end` was told.
    pub(crate) fn noted_journal_end(&self) -> Option<Position> {
        self.lock().journal_end
    }

    /// For the store's writer, once, after its first `Store::load`: the alerts lane starts from
    /// here. Later calls are ignored, since by then the lane itself knows best.
    pub fn deliver_checkpoint(&self, checkpoint: AlertCheckpoint) {
        let mut inner = self.lock();
        if inner.checkpoint.is_none() {
            inner.checkpoint = Some(checkpoint);
            self.shared.changed.notify_all();
        }
    }

    /// For the store's writer: everything that changed since the last call. Whatever comes back
    /// must be either `committed` or `restore`d before the next call.
    pub fn take(&self) -> AlertChanges {
        let mut inner = self.lock();
        let changes = AlertChanges {
            position: inner.position.take(),
            states: inner
                .states
                .drain()
                .map(|(key, state)| AlertStateRow {
                    rule: key.rule,
                    device: key.device,
                    metric: key.metric,
                    state,
                })
                .collect(),
            events: std::mem::take(&mut inner.events),
        };
        self.shared.changed.notify_all();
        changes
    }

    /// For the store's writer, after a commit that failed or whose outcome is unknown: the changes
    /// wait again, beneath those that have come since.
    pub fn restore(&self, changes: AlertChanges) {
        let mut inner = self.lock();
        let newer = std::mem::replace(&mut inner.events, changes.events);
        inner.events.extend(newer);
        for row in changes.states {
            let key = InstanceKey {
                rule: row.rule,
                device: row.device,
                metric: row.metric,
            };
            inner.states.entry(key).or_insert(row.state);
        }
        inner.position = inner.position.or(changes.position);
    }

    /// For the store's writer, after a commit that succeeded.
    pub fn committed(&self, changes: &AlertChanges) {
        if !changes.events.is_empty() {
            let ids = changes.events.iter();
            self.forget(ids.filter_map(|event| EventId::parse(&event.id)));
        }
    }

    /// Whether events or states wait to be committed.
    pub fn has_changes(&self) -> bool {
        let inner = self.lock();
        !inner.events.is_empty() || !inner.states.is_empty()
    }

    /// Whether records have been evaluated since the last `take`.
    pub fn position_moved(&self) -> bool {
        self.lock().position.is_some()
    }

    /// How many events wait to be committed.
    pub fn events_len(&self) -> usize {
        self.lock().events.len()
    }

    /// For the lane: blocks until the checkpoint is delivered; `None` when `stop` was set first or
    /// `timeout` has passed.
    pub(crate) fn wait_for_checkpoint(
        &self,
        stop: &AtomicBool,
        timeout: Duration,
    ) -> Option<AlertCheckpoint> {
        self.wait(stop, timeout, |inner| inner.checkpoint.clone())
    }

    /// For the lane: blocks until another event may be added; false when `stop` was set first.
    pub(crate) fn wait_for_room(&self, stop: &AtomicBool) -> bool {
        let events_max = self.shared.events_max;
        let room = |inner: &mut Inner| (inner.events.len() < events_max).then_some(());
        self.wait(stop, Duration::MAX, room).is_some()
    }

    /// For the lane: everything before `position` has been evaluated, and this is what came of it.
    pub(crate) fn record(
        &self,
        position: Position,
        events: impl IntoIterator<Item = AlertEventRow>,
        states: impl IntoIterator<Item = AlertStateRow>,
    ) {
        let mut inner = self.lock();
        inner.position = Some(position);
        inner.events.extend(events);
        for row in states {
            let key = InstanceKey {
                rule: row.rule,
                device: row.device,
                metric: row.metric,
            };
            inner.states.insert(key, row.state);
        }
    }

    /// For the lane: what an earlier process published and may not have committed. Only the first
    /// call gets it.
    pub(crate) fn take_restored(&self) -> Vec<Entry> {
        std::mem::take(&mut self.lock().restored)
    }

    /// For the lane, before it publishes: writes the ids to `published.log`.
    pub(crate) fn announce(&self, entries: &[Entry]) {
        self.published().append(entries);
    }

    /// These ids will not be asked for again.
    pub(crate) fn forget(&self, ids: impl IntoIterator<Item = EventId>) {
        self.published().forget(ids);
    }

    fn wait<T>(
        &self,
        stop: &AtomicBool,
        mut timeout: Duration,
        mut ready: impl FnMut(&mut Inner) -> Option<T>,
    ) -> Option<T> {
        let mut inner = self.lock();
        loop {
            if let Some(value) = ready(&mut inner) {
                return Some(value);
            }
            if stop.load(Ordering::Acquire) || timeout.is_zero() {
                return None;
            }
            let pause = timeout.min(STOP_CHECK);
            timeout -= pause;
            inner = self
                .shared
                .changed
                .wait_timeout(inner, pause)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// A thread that panicked leaves changes that are whole: no code between two assignments can
    /// panic.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn published(&self) -> MutexGuard<'_, PublishedLog> {
        self.shared
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u8) -> AlertEventRow {
        AlertEventRow {
            id: EventId([number; 16]).to_string(),
            time: i64::from(number),
            rule: "hot".into(),
            device: "d".into(),
            metric: "t".into(),
            severity: "warning".into(),
            state: "firing".into(),
            value: Some(1.0),
            payload: "{}".into(),
        }
    }

    fn state(device: &str, state: Option<&str>) -> AlertStateRow {
        AlertStateRow {
            rule: "hot".into(),
            device: device.into(),
            metric: "t".into(),
            state: state.map(str::to_owned),
        }
    }

    fn sorted(mut changes: AlertChanges) -> AlertChanges {
        changes.states.sort_by(|a, b| a.device.cmp(&b.device));
        changes
    }

    #[test]
    fn the_latest_state_of_an_instance_is_taken_once() {
        let pending = Pending::in_memory(10);
        assert!(!pending.has_changes() && !pending.position_moved());
        pending.record(Position(1), [event(1)], [state("a", Some("1"))]);
        pending.record(Position(2), [], [state("a", None), state("b", Some("2"))]);
        assert!(pending.has_changes() && pending.position_moved());
        let changes = sorted(pending.take());
        assert_eq!(changes.position, Some(Position(2)));
        assert_eq!(changes.events, [event(1)]);
        assert_eq!(changes.states, [state("a", None), state("b", Some("2"))]);
        assert!(!pending.has_changes() && !pending.position_moved());
        assert_eq!(pending.take().position, None);
    }

    #[test]
    fn restored_changes_lie_beneath_newer_ones() {
        let pending = Pending::in_memory(10);
        let old = [state("a", Some("1")), state("b", Some("1"))];
        pending.record(Position(1), [event(1), event(2)], old);
        let failed = pending.take();
        pending.record(Position(5), [event(3)], [state("a", None)]);
        pending.restore(failed);
        let changes = sorted(pending.take());
        assert_eq!(changes.position, Some(Position(5)));
        assert_eq!(changes.events, [event(1), event(2), event(3)]);
        assert_eq!(changes.states, [state("a", None), state("b", Some("1"))]);
    }

    #[test]
    fn a_restored_position_is_not_lost_when_nothing_newer_came() {
        let pending = Pending::in_memory(10);
        pending.record(Position(3), [], []);
        let failed = pending.take();
        pending.restore(failed);
        assert_eq!(pending.take().position, Some(Position(3)));
    }

    #[test]
    fn committed_events_leave_the_published_log() {
        let folder = tempfile::tempdir().unwrap();
        let entry = Entry {
            id: EventId([1; 16]),
            cause: EventId([2; 16]),
            position: Position(0),
            lost: false,
            started_at: 0,
            updated_at: 0,
        };
        let pending = Pending::open(folder.path(), 10);
        pending.announce(&[entry]);
        pending.record(Position(1), [event(1)], []);
        let changes = pending.take();
        let after_crash = Pending::open(folder.path(), 10);
        assert_eq!(after_crash.take_restored(), [entry]);
        assert_eq!(after_crash.take_restored(), []);
        pending.committed(&changes);
        assert_eq!(Pending::open(folder.path(), 10).take_restored(), []);
    }

    #[test]
    fn the_lane_waits_for_room_and_for_the_checkpoint() {
        let (pending, stop) = (Pending::in_memory(1), AtomicBool::new(false));
        assert!(pending.wait_for_room(&stop));
        pending.record(Position(1), [event(1)], []);
        std::thread::scope(|scope| {
            let lane = scope.spawn(|| {
                pending.wait_for_room(&stop)
                    && pending
                        .wait_for_checkpoint(&stop, Duration::MAX)
                        .is_some_and(|checkpoint| checkpoint.position == Position(9))
            });
            pending.take();
            for position in [9, 10] {
                pending.deliver_checkpoint(AlertCheckpoint {
                    position: Position(position),
                    states: Vec::new(),
                });
            }
            assert!(lane.join().unwrap());
        });
    }

    #[test]
    fn stopping_ends_every_wait() {
        let (pending, stop) = (Pending::in_memory(1), AtomicBool::new(true));
        pending.record(Position(1), [event(1)], []);
        assert!(!pending.wait_for_room(&stop));
        assert_eq!(pending.wait_for_checkpoint(&stop, Duration::MAX), None);
        let running = AtomicBool::new(false);
        let timeout = Duration::from_millis(1);
        assert_eq!(pending.wait_for_checkpoint(&running, timeout), None);
    }
}
