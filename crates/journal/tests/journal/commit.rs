//! Group commit: who is woken, when, and what a failure means for those who wait.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Duration;

use journal::{AppendError, Journal, LocalJournal, Position, Settings, State};
use testkit::disk::*;

use crate::support::*;

fn open(disk: &SimDisk, settings: Settings) -> LocalJournal {
    LocalJournal::open(Path::new("journal"), settings, disk.shared())
        .unwrap()
        .0
}

#[test]
fn what_gathers_during_a_sync_shares_the_next_one() {
    let disk = SimDisk::default();
    let journal = open(&disk, Settings::default());
    let syncs = disk.count(Call::Sync);
    disk.block_syncs();
    append(&journal, 1);
    disk.wait_for_calls(Call::Sync, syncs + 1);
    for _ in 0..100 {
        append(&journal, 3);
    }
    assert_eq!(journal.durable(), Position(0));
    disk.unblock_syncs();
    assert_eq!(journal.wait_durable(Position(301), PATIENCE), Ok(true));
    assert_eq!(disk.count(Call::Sync), syncs + 2);
    assert_eq!(disk.count(Call::Write), syncs + 2);
}

#[test]
fn more_chunks_than_one_call_may_carry_are_one_frame() {
    let disk = SimDisk::default();
    let journal = open(&disk, Settings::default());
    let syncs = disk.count(Call::Sync);
    disk.block_syncs();
    append(&journal, 1);
    disk.wait_for_calls(Call::Sync, syncs + 1);
    for _ in 0..3000 {
        append(&journal, 1);
    }
    disk.unblock_syncs();
    assert_eq!(journal.wait_durable(Position(3001), PATIENCE), Ok(true));
    assert_eq!(disk.count(Call::Sync), syncs + 2);
    drop(journal);
    check_all(&open(&disk, Settings::default()));
}

#[test]
fn a_batch_larger_than_a_frame_or_a_segment_is_taken_whole() {
    let disk = SimDisk::default();
    let settings = small_settings();
    let journal = open(&disk, settings);
    append(&journal, 2);
    let end = append(&journal, 500);
    append(&journal, 2);
    assert_eq!(journal.wait_durable(end.plus(2), PATIENCE), Ok(true));
    check_all(&journal);
    drop(journal);
    check_all(&open(&disk, settings));
}

#[test]
fn every_append_wakes_its_waker_once_and_not_before_it_is_durable() {
    let disk = SimDisk::default();
    let journal = open(&disk, small_settings());
    let syncs = disk.count(Call::Sync);
    disk.block_syncs();
    let mut counters = Vec::new();
    for count in 0..300 {
        let (counter, waker) = CountingWaker::new();
        let from = journal.end().0;
        let mut records = batch(from..from + count % 5 + 1);
        journal.append(&mut records, &waker).unwrap();
        assert!(records.is_empty());
        counters.push(counter);
    }
    disk.wait_for_calls(Call::Sync, syncs + 1);
    assert!(counters.iter().all(|counter| counter.count() == 0));
    disk.unblock_syncs();
    journal.close();
    assert_eq!(journal.durable(), journal.end());
    assert!(counters.iter().all(|counter| counter.count() == 1));
}

#[test]
fn who_waits_for_what_others_appended_is_woken_when_it_is_durable() {
    let disk = SimDisk::default();
    let journal = open(&disk, Settings::default());
    let syncs = disk.count(Call::Sync);
    disk.block_syncs();
    append(&journal, 1);
    disk.wait_for_calls(Call::Sync, syncs + 1);
    let end = append(&journal, 1);
    let (first, first_waker) = CountingWaker::new();
    let (second, second_waker) = CountingWaker::new();
    let (both, both_waker) = CountingWaker::new();
    // A task asks at each of its turns, whatever has woken it.
    for _ in 0..100 {
        journal.wake_when_durable(Position(1), &first_waker);
        journal.wake_when_durable(end, &second_waker);
        journal.wake_when_durable(end, &both_waker.clone());
        journal.wake_when_durable(Position(1), &both_waker);
    }
    assert_eq!((first.count(), second.count()), (0, 0));
    disk.unblock_syncs();
    assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
    // The writer wakes the waiters before it goes on, and ends when it is done.
    journal.close();
    assert_eq!((first.count(), second.count()), (1, 1));
    assert_eq!(both.count(), 2, "once for each position");
    journal.wake_when_durable(end, &first_waker);
    journal.wake_when_durable(end.plus(1), &first_waker);
    assert_eq!(first.count(), 3, "at once: it is durable, or will never be");
}

#[test]
fn durable_is_true_when_the_waker_is_called() {
    struct Check(LocalJournalRef, Position, AtomicBool);
    type LocalJournalRef = std::sync::Weak<LocalJournal>;
    impl std::task::Wake for Check {
        fn wake(self: std::sync::Arc<Self>) {
            if let Some(journal) = self.0.upgrade() {
                let durable = journal.durable() >= self.1;
                self.2.store(durable, Ordering::SeqCst);
            }
        }
    }
    let disk = SimDisk::default();
    let journal = std::sync::Arc::new(open(&disk, small_settings()));
    let mut checks = Vec::new();
    for number in 0..50 {
        let check = std::sync::Arc::new(Check(
            std::sync::Arc::downgrade(&journal),
            Position(number + 1),
            AtomicBool::new(false),
        ));
        let waker = Waker::from(std::sync::Arc::clone(&check));
        journal
            .append(&mut batch(number..number + 1), &waker)
            .unwrap();
        checks.push(check);
    }
    journal.close();
    assert!(checks.iter().all(|check| check.2.load(Ordering::SeqCst)));
}

#[test]
fn a_full_write_buffer_is_busy_until_half_of_it_is_free() {
    let disk = SimDisk::default();
    let settings = Settings {
        write_buffer_bytes: 4 << 10,
        ..small_settings()
    };
    let journal = open(&disk, settings);
    let syncs = disk.count(Call::Sync);
    disk.block_syncs();
    append(&journal, 1);
    disk.wait_for_calls(Call::Sync, syncs + 1);
    let mut records = loop {
        let from = journal.end().0;
        let mut records = batch(from..from + 5);
        match journal.append(&mut records, Waker::noop()) {
            Ok(_) => {}
            Err(AppendError::Busy) => break records,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(journal.end() > Position(10));
    assert_eq!(records.len(), 5);
    assert_eq!(journal.status().state, State::Open);

    let (counter, waker) = CountingWaker::new();
    journal.wake_when_writable(&waker);
    journal.wake_when_writable(&waker);
    assert_eq!(counter.count(), 0);
    disk.unblock_syncs();
    let end = journal.end();
    assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
    let end = journal.append(&mut records, Waker::noop()).unwrap();
    assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
    journal.close();
    assert_eq!(counter.count(), 1);
    check_all(&journal);
}

#[test]
fn one_batch_larger_than_the_write_buffer_is_accepted_when_nothing_waits() {
    let disk = SimDisk::default();
    let settings = Settings {
        write_buffer_bytes: 1 << 10,
        ..small_settings()
    };
    let journal = open(&disk, settings);
    append_durably(&journal, 300);
    check_all(&journal);
}

#[test]
fn who_can_write_now_is_woken_at_once() {
    let disk = SimDisk::default();
    let journal = open(&disk, small_settings());
    let (counter, waker) = CountingWaker::new();
    journal.wake_when_writable(&waker);
    assert_eq!(counter.count(), 1);
}

#[test]
fn a_failed_sync_ends_all_waiting() {
    let disk = SimDisk::default();
    let journal = open(&disk, small_settings());
    append_durably(&journal, 10);
    let syncs = disk.count(Call::Sync);
    disk.block_syncs();
    append(&journal, 1);
    disk.wait_for_calls(Call::Sync, syncs + 1);

    let mut counters = Vec::new();
    for _ in 0..20 {
        let (counter, waker) = CountingWaker::new();
        let from = journal.end().0;
        journal.append(&mut batch(from..from + 1), &waker).unwrap();
        counters.push(counter);
    }
    let (writable, waker) = CountingWaker::new();
    journal.wake_when_writable(&waker);
    assert_eq!(writable.count(), 0);
    // The first sync succeeds, the one of the next frame fails.
    disk.fail_next(1, EIO);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| journal.wait_durable(Position(31), PATIENCE));
        disk.unblock_syncs();
        assert!(waiting.join().unwrap().is_err());
    });
    // Wakers are called after the threads; closing waits for the writer's end.
    let durable = journal.durable();
    journal.close();
    assert_eq!(durable, Position(11));
    assert_eq!(journal.status().state, State::Poisoned);
    assert!(counters.iter().all(|counter| counter.count() == 1));
    assert_eq!(writable.count(), 1);

    let calls = disk.calls().len();
    let mut records = batch(31..32);
    let refused = journal.append(&mut records, Waker::noop());
    assert!(matches!(refused, Err(AppendError::Poisoned(_))));
    assert_eq!(records.len(), 1);
    let (counter, waker) = CountingWaker::new();
    journal.wake_when_writable(&waker);
    assert_eq!(counter.count(), 1);
    assert_eq!(disk.calls().len(), calls);
    // What was appended can still be read, durable or not.
    check_all(&journal);
}

#[test]
fn waiting_ends_when_the_time_is_over() {
    let disk = SimDisk::default();
    let journal = open(&disk, small_settings());
    append_durably(&journal, 1);
    assert_eq!(journal.wait_durable(Position(2), Duration::ZERO), Ok(false));
    let moment = Duration::from_millis(1);
    assert_eq!(journal.wait_durable(Position(2), moment), Ok(false));
    assert_eq!(journal.wait_durable(Position(1), Duration::MAX), Ok(true));
}
