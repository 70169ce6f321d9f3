//! The log cannot take a change: memory goes on, and the log catches up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use journal::{Position, State as JournalState};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use testkit::PATIENCE;
use testkit::disk::{Call, EIO, Loss, SimDisk};

use super::model::*;
use crate::session::State;
use crate::session_log::Event;
use crate::session_log::log::Source;

/// Events are taken up to a third of it.
const SMALL_BYTES: u64 = 3 << 20;

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn new() -> (Arc<Wakes>, Waker) {
        let wakes = Arc::new(Wakes::default());
        (Arc::clone(&wakes), Waker::from(wakes))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn created() -> Event<'static> {
    Event::Created {
        identity: &NOBODY,
        expiry_seconds: 600,
        held_through: Position::ZERO,
    }
}

fn small() -> Logs {
    Logs::open_sized(SimDisk::default(), SimDisk::default(), SMALL_BYTES).0
}

fn model(queue: &[u64]) -> Model {
    Model {
        expiry_seconds: 600,
        queue: queue.to_vec(),
        ..Model::default()
    }
}

fn sessions(of: &[(&str, Model)]) -> Sessions {
    let sessions = Sessions::default();
    let mut by_client = sessions.by_client.lock().unwrap();
    for (client_id, model) in of {
        let saved = model.saved(client_id, Vec::new(), Position::ZERO);
        by_client.insert((*client_id).into(), saved);
    }
    drop(by_client);
    sessions
}

fn reopen(logs: Logs) -> (Logs, Vec<State>) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let telemetry_disk = logs.telemetry_disk.crash(Loss::Nothing, &mut rng);
    let disk = logs.disk.crash(Loss::Nothing, &mut rng);
    drop(logs);
    Logs::reopen(telemetry_disk, disk)
}

fn models(sessions: &[State]) -> Vec<(String, Model)> {
    let mut models: Vec<_> = sessions
        .iter()
        .map(|session| (session.client_id.to_string(), Model::of(session)))
        .collect();
    models.sort_by(|a, b| a.0.cmp(&b.0));
    models
}

/// As it is after a start: nobody is attached.
fn detached(model: Model) -> Model {
    Model {
        disconnected_at: Some(NOW),
        ..model
    }
}

/// Subscribes and unsubscribes until the log refuses.
fn fill(logs: &Logs, client_id: &str) {
    let filter = "x".repeat(10_000);
    let filter = filter.as_str();
    for number in 0.. {
        let options = options(number);
        let subscribed = Event::Subscribed { filter, options };
        let events = [subscribed, Event::Unsubscribed { filter }];
        if logs.write(client_id, &events) == Position::ZERO {
            return;
        }
    }
}

#[test]
fn at_the_size_limit_a_session_goes_on_in_memory_until_there_is_room() {
    let logs = small();
    logs.write("a", &[created()]);
    logs.write("b", &[created()]);
    fill(&logs, "a");
    assert_eq!(logs.log.unsaved(), 1);
    // Nothing of it is written until it is whole again, nor does anybody wait.
    let end = logs.log.journal().end();
    let queued = delivery(5);
    assert_eq!(logs.write("a", &[Event::Queued(&queued)]), Position::ZERO);
    assert_eq!(logs.log.journal().end(), end);
    assert_eq!(logs.stats.sessions_unsaved_changes.get(), 2);

    let source = sessions(&[("a", model(&[5])), ("b", model(&[]))]);
    logs.settle();
    logs.log.maintenance().compact(&source).unwrap();
    assert_eq!(logs.log.unsaved(), 0);
    let queued = delivery(6);
    assert_ne!(logs.write("a", &[Event::Queued(&queued)]), Position::ZERO);
    logs.settle();
    assert!(
        logs.log.journal().start() > Position::ZERO,
        "space came back"
    );
    let (_, sessions) = reopen(logs);
    let expected = [
        ("a".to_owned(), detached(model(&[5, 6]))),
        ("b".to_owned(), detached(model(&[]))),
    ];
    assert_eq!(models(&sessions), expected);
}

/// Copies that fitted would be taken back without it.
#[test]
fn what_completes_an_exchange_fits_beyond_the_size_limit() {
    let logs = small();
    for client_id in ["a", "b", "c"] {
        logs.write(client_id, &[created()]);
    }
    fill(&logs, "a");
    // To the last byte.
    while logs.write("c", &[Event::WillCleared]) != Position::ZERO {}
    let held = Event::Held {
        packet_id: 1,
        telemetry: None,
        ordinal: 1,
    };
    assert_ne!(logs.write("b", &[held]), Position::ZERO);
    assert_eq!(logs.write("b", &[Event::WillCleared]), Position::ZERO);
}

#[test]
fn who_relies_on_an_unsaved_session_waits_for_its_snapshot() {
    let logs = small();
    logs.write("a", &[created()]);
    assert!(logs.log.takes("a"));
    assert!(logs.log.saved_again("a", Waker::noop()).is_some());
    fill(&logs, "a");
    assert!(!logs.log.takes("a"));
    let (wakes, waker) = Wakes::new();
    assert_eq!(logs.log.saved_again("a", &waker), None);
    let source = sessions(&[("a", model(&[]))]);
    logs.settle();
    logs.log.maintenance().compact(&source).unwrap();
    assert_eq!(wakes.count(), 1);
    let saved = logs.log.saved_again("a", &waker);
    assert_eq!(saved, Some(logs.log.journal().end()));
}

#[test]
fn an_unsaved_session_that_ends_is_ended_in_the_log() {
    let logs = small();
    logs.write("a", &[created()]);
    logs.write("b", &[created()]);
    fill(&logs, "a");
    logs.write("a", &[Event::Ended]);
    assert_eq!(logs.log.unsaved(), 1);
    let source = sessions(&[("b", model(&[]))]);
    logs.settle();
    logs.log.maintenance().compact(&source).unwrap();
    assert_eq!(logs.log.unsaved(), 0);
    logs.settle();
    let (_, sessions) = reopen(logs);
    assert_eq!(models(&sessions), [("b".to_owned(), detached(model(&[])))]);
}

#[test]
fn no_checkpoint_while_a_session_is_unsaved() {
    let logs = small();
    logs.write("a", &[created()]);
    fill(&logs, "a");
    assert!(logs.log.maintenance().write_checkpoint().is_err());
    let source = sessions(&[("a", model(&[]))]);
    logs.settle();
    logs.log.maintenance().compact(&source).unwrap();
    assert!(logs.log.maintenance().write_checkpoint().is_ok());
}

#[test]
fn sessions_that_do_not_fit_are_not_compacted_to_death() {
    let logs = small();
    logs.write("a", &[created()]);
    fill(&logs, "a");
    let filter = "y".repeat(50_000);
    let mut large = model(&[]);
    for number in 0..60 {
        large
            .subscriptions
            .insert(format!("{filter}{number}"), number);
    }
    let source = sessions(&[("a", large)]);
    logs.settle();
    let end = logs.log.journal().end();
    logs.log.maintenance().compact(&source).unwrap();
    assert_eq!(logs.log.journal().end(), end, "nothing was written in vain");
    assert_eq!(logs.log.journal().start(), Position::ZERO);
    // It has become smaller.
    let source = sessions(&[("a", model(&[1]))]);
    logs.log.maintenance().compact(&source).unwrap();
    assert_eq!(logs.log.unsaved(), 0);
    let (_, sessions) = reopen(logs);
    assert_eq!(models(&sessions), [("a".to_owned(), detached(model(&[1])))]);
}

#[test]
fn a_full_disk_is_waited_out() {
    let logs = small();
    logs.write("a", &[created()]);
    logs.settle();
    logs.disk.set_space(Some(logs.disk.bytes()));
    // Until the promised space of the segment is used up.
    let source = Arc::new(sessions(&[("a", model(&[1, 2]))]));
    let weak = Arc::downgrade(&source) as std::sync::Weak<dyn Source>;
    logs.log.serve(weak).unwrap();
    fill(&logs, "a");
    assert_eq!(logs.log.unsaved(), 1);
    logs.disk.set_space(None);
    // The thread saves it as soon as the journal takes something again.
    let deadline = std::time::Instant::now() + PATIENCE;
    while logs.log.unsaved() > 0 {
        assert!(std::time::Instant::now() < deadline, "still unsaved");
        std::thread::yield_now();
    }
    logs.settle();
    let (_, sessions) = reopen(logs);
    assert_eq!(
        models(&sessions),
        [("a".to_owned(), detached(model(&[1, 2])))]
    );
}

/// The space comes back as late as it can: right before the log is closed.
#[test]
fn the_end_of_the_log_saves_what_a_full_disk_kept_in_memory() {
    let logs = small();
    logs.write("a", &[created()]);
    logs.write("b", &[created()]);
    logs.settle();
    logs.disk.set_space(Some(logs.disk.bytes()));
    fill(&logs, "a");
    assert_eq!(logs.log.unsaved(), 1);
    // The journal has noticed, so that it takes nothing until it tries again.
    let deadline = std::time::Instant::now() + PATIENCE;
    while logs.log.journal().status().state != JournalState::Full {
        assert!(std::time::Instant::now() < deadline, "never full");
        logs.write("b", &[Event::Unsubscribed { filter: "f" }]);
        std::thread::yield_now();
    }
    let source = Arc::new(sessions(&[("a", model(&[1, 2])), ("b", model(&[3]))]));
    let weak = Arc::downgrade(&source) as std::sync::Weak<dyn Source>;
    logs.disk.set_space(None);
    logs.log.serve(weak).unwrap();
    logs.log.close();
    assert_eq!(logs.log.unsaved(), 0);
    let (_, sessions) = reopen(logs);
    let saved = models(&sessions);
    assert_eq!(saved[0], ("a".to_owned(), detached(model(&[1, 2]))));
}

/// It is not the disk that is full but the part of the log that events may use.
#[test]
fn the_end_of_the_log_saves_what_its_limit_kept_in_memory() {
    let logs = small();
    logs.write("a", &[created()]);
    fill(&logs, "a");
    assert_eq!(logs.log.unsaved(), 1);
    let source = Arc::new(sessions(&[("a", model(&[1, 2]))]));
    let weak = Arc::downgrade(&source) as std::sync::Weak<dyn Source>;
    logs.log.serve(weak).unwrap();
    logs.log.close();
    assert_eq!(logs.log.unsaved(), 0);
    let (_, sessions) = reopen(logs);
    let expected = [("a".to_owned(), detached(model(&[1, 2])))];
    assert_eq!(models(&sessions), expected);
}

#[test]
fn after_a_failed_sync_nobody_waits() {
    let logs = small();
    logs.write("a", &[created()]);
    logs.settle();
    let syncs = logs.disk.count(Call::Sync);
    logs.disk.fail_next(1, EIO);
    let queued = delivery(1);
    let end = logs.write("a", &[Event::Queued(&queued)]);
    assert!(logs.log.journal().wait_durable(end, PATIENCE).is_err());
    assert_eq!(logs.disk.count(Call::Sync), syncs + 1);
    assert_eq!(logs.write("a", &[Event::Queued(&queued)]), Position::ZERO);
    assert_eq!(logs.stats.sessions_unsaved_changes.get(), 1);
    // Nothing after the failure is on the disk, nothing before it is lost.
    let (_, sessions) = reopen(logs);
    assert_eq!(sessions.len(), 1);
}

/// A log that is never compacted would end at its limit.
#[test]
fn the_thread_keeps_the_log_small() {
    let logs = small();
    let source = Arc::new(Sessions::default());
    let weak = Arc::downgrade(&source) as std::sync::Weak<dyn Source>;
    logs.log.serve(weak).unwrap();
    let mut by_client = source.by_client.lock().unwrap();
    for client_id in ["a", "b", "c"] {
        let saved = model(&[]).saved(client_id, Vec::new(), Position::ZERO);
        by_client.insert(client_id.into(), saved);
        logs.write(client_id, &[created()]);
    }
    drop(by_client);
    let filter = "z".repeat(1_000);
    let mut written = 0;
    for number in 0.. {
        // The session's lock.
        let mut by_client = source.by_client.lock().unwrap();
        let session = by_client.get_mut("b").unwrap();
        let packet_id = (number % 65_535 + 1) as u16;
        session.window.set_last_packet_id(packet_id);
        session
            .subscriptions
            .insert(filter.as_str().into(), options(number));
        let mut batch = logs.log.batch("b");
        batch.push_state(session);
        written += batch.byte_len();
        logs.log.write(batch, Waker::noop());
        drop(by_client);
        if written > 5 * SMALL_BYTES && logs.log.unsaved() == 0 {
            break;
        }
    }
    assert!(logs.stats.session_log_compactions.get() > 0);
    assert!(logs.disk.peak_bytes() <= SMALL_BYTES);
    logs.log.close();
    let expected: Vec<_> = {
        let by_client = source.by_client.lock().unwrap();
        by_client
            .iter()
            .map(|(client_id, session)| (client_id.clone(), detached(Model::of(session))))
            .collect()
    };
    let (_, sessions) = reopen(logs);
    assert_eq!(models(&sessions), expected);
}
