//! The size limit and the full disk: appends are refused, nothing is lost, and it ends by itself.

use std::path::Path;
use std::task::Waker;

use journal::{AppendError, Journal, LocalJournal, Position, Settings, State};
use testkit::disk::*;

use crate::support::*;

fn open(disk: &SimDisk, settings: Settings) -> LocalJournal {
    LocalJournal::open(Path::new("journal"), settings, disk.shared())
        .unwrap()
        .0
}

/// Appends until the journal says that it is full; checks that the refused batch is untouched.
fn fill(journal: &LocalJournal) {
    loop {
        let from = journal.end().0;
        let mut records = batch(from..from + 10);
        match journal.append(&mut records, Waker::noop()) {
            Ok(_) => {}
            Err(AppendError::Full) => {
                assert_eq!(records.len(), 10);
                assert_eq!(records.byte_len(), batch(from..from + 10).byte_len());
                return;
            }
            // It passes, or becomes full.
            Err(AppendError::Busy) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The writer wakes when it has changed the state, in its own time.
fn wait_until_woken(counter: &CountingWaker) {
    let begun = std::time::Instant::now();
    while counter.count() == 0 {
        assert!(begun.elapsed() < PATIENCE, "never woken");
        std::thread::yield_now();
    }
}

#[test]
fn at_the_limit_appends_are_refused_until_space_is_released() {
    let disk = SimDisk::default();
    let settings = Settings {
        max_size_bytes: 20 << 10,
        ..small_settings()
    };
    let journal = open(&disk, settings);
    for _ in 0..20 {
        fill(&journal);
        let end = journal.end();
        assert_eq!(journal.status().state, State::Full);
        // What was accepted still fits.
        assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
        assert!(journal.status().size_bytes > 14 << 10);
        let (counter, waker) = CountingWaker::new();
        journal.wake_when_writable(&waker);
        assert_eq!(counter.count(), 0);
        assert!(matches!(
            journal.append(&mut batch(0..1), Waker::noop()),
            Err(AppendError::Full)
        ));
        // The oldest segment goes.
        let second = disk.files().into_keys().nth(1).unwrap();
        let next = second.file_stem().unwrap().to_str().unwrap().parse();
        journal.release(Position(next.unwrap()));
        wait_until_woken(&counter);
        assert_eq!(journal.status().state, State::Open);
        check_all(&journal);
    }
    journal.close();
    assert!(disk.peak_bytes() <= 20 << 10, "{}", disk.peak_bytes());
    let reopened = open(&disk, settings);
    assert_eq!(reopened.end(), journal.end());
    check_all(&reopened);
}

/// The last commits of a stop come after the journal's end, and a full disk needs their space at
/// once.
#[test]
fn what_is_released_after_the_end_is_removed() {
    let disk = SimDisk::default();
    let settings = Settings {
        max_size_bytes: 20 << 10,
        ..small_settings()
    };
    let journal = open(&disk, settings);
    fill(&journal);
    journal.close();
    let before = disk.files().len();
    assert!(before > 2, "{before} segments");
    journal.release(journal.end());
    assert_eq!(disk.files().len(), 1, "the active one stays");
    assert!(journal.start() > Position::ZERO);
    let reopened = open(&disk, settings);
    assert_eq!(reopened.start(), journal.start());
    assert_eq!(reopened.end(), journal.end());
    check_all(&reopened);
}

#[test]
fn the_limit_holds_for_whatever_sizes_are_chosen() {
    for (max_size_bytes, segment_size_bytes) in
        [(3000, 3000), (4000, 1000), (5000, 100_000), (9000, 2500)]
    {
        let disk = SimDisk::default();
        let settings = Settings {
            max_size_bytes,
            segment_size_bytes,
            ..small_settings()
        };
        let journal = open(&disk, settings);
        for _ in 0..30 {
            fill(&journal);
            let end = journal.end();
            assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
            let (counter, waker) = CountingWaker::new();
            journal.wake_when_writable(&waker);
            // Everything in the one segment is released: a new one is begun so that it can go.
            journal.release(end);
            wait_until_woken(&counter);
            append_durably(&journal, 3);
        }
        assert!(journal.end() > Position(300));
        journal.close();
        assert!(disk.peak_bytes() <= max_size_bytes);
        check_all(&open(&disk, settings));
    }
}

#[test]
fn what_was_released_before_it_was_full_is_used() {
    let disk = SimDisk::default();
    let settings = Settings {
        max_size_bytes: 3000,
        segment_size_bytes: 3000,
        ..small_settings()
    };
    let journal = open(&disk, settings);
    for _ in 0..100 {
        let from = journal.end().0;
        let mut records = batch(from..from + 10);
        // Everything is released all the time, so being full ends at once.
        loop {
            match journal.append(&mut records, Waker::noop()) {
                Ok(end) => {
                    assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
                    journal.release(end);
                    break;
                }
                Err(AppendError::Full) => {
                    let (counter, waker) = CountingWaker::new();
                    journal.wake_when_writable(&waker);
                    wait_until_woken(&counter);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(journal.end(), Position(1000));
}

#[test]
fn a_batch_that_can_never_fit_does_not_stop_the_others() {
    let disk = SimDisk::default();
    let settings = Settings {
        max_size_bytes: 3000,
        segment_size_bytes: 1000,
        ..small_settings()
    };
    let journal = open(&disk, settings);
    let refused = journal.append(&mut batch(0..100), Waker::noop());
    assert_eq!(refused, Err(AppendError::Full));
    assert_eq!(journal.status().state, State::Open);
    append_durably(&journal, 2);
    check_all(&journal);
}

#[test]
fn a_full_disk_is_waited_for() {
    let disk = SimDisk::default();
    let settings = Settings {
        write_buffer_bytes: 10 << 10,
        ..small_settings()
    };
    let journal = open(&disk, settings);
    append_durably(&journal, 20);
    disk.set_space(Some(9 << 10));
    fill(&journal);
    let (end, durable) = (journal.end(), journal.durable());
    assert!(durable < end);
    assert_eq!(journal.status().state, State::Full);
    let (counter, waker) = CountingWaker::new();
    journal.wake_when_writable(&waker);
    // It tries again now and then, and nothing is acknowledged meanwhile.
    disk.wait_for_calls(Call::Truncate, disk.count(Call::Truncate) + 3);
    assert_eq!(journal.durable(), durable);
    assert_eq!(counter.count(), 0);
    // What waits can be read.
    check_all(&journal);

    // Somebody frees space.
    disk.set_space(None);
    assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
    wait_until_woken(&counter);
    assert_eq!(journal.status().state, State::Open);
    append_durably(&journal, 20);
    check_all(&journal);
    drop(journal);
    check_all(&open(&disk, settings));
}

#[test]
fn a_full_disk_is_used_again_when_segments_are_released() {
    let disk = SimDisk::default();
    let settings = Settings {
        // Only a release can end the wait in this test's time.
        retry_interval: PATIENCE * 10,
        write_buffer_bytes: 10 << 10,
        ..small_settings()
    };
    let journal = open(&disk, settings);
    disk.set_space(Some(9 << 10));
    fill(&journal);
    let end = journal.end();
    assert!(journal.durable() < end);
    let mut released = Position::ZERO;
    while journal.durable() < end {
        // The reader keeps up with what is durable, as ingest does.
        let durable = journal.durable();
        if durable > released {
            released = durable;
            journal.release(released);
        }
        std::thread::yield_now();
    }
    append_durably(&journal, 20);
    check_all(&journal);
}

#[test]
fn a_full_disk_without_promised_space_is_waited_for_too() {
    let disk = SimDisk::default();
    disk.refuse_allocations(EOPNOTSUPP);
    let settings = Settings {
        write_buffer_bytes: 10 << 10,
        ..small_settings()
    };
    let journal = open(&disk, settings);
    disk.set_space(Some(9 << 10));
    fill(&journal);
    let (end, durable) = (journal.end(), journal.durable());
    assert!(durable < end);
    let mut rng = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(1);
    for loss in [Loss::Everything, Loss::Nothing, Loss::Suffix, Loss::Random] {
        let left = disk.crash(loss, &mut rng);
        let left = open(&left, settings);
        assert!(left.end() >= durable);
        check_all(&left);
    }
    disk.set_space(None);
    assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
    check_all(&journal);
}

#[test]
fn closing_does_not_wait_for_a_full_disk() {
    let disk = SimDisk::default();
    let settings = Settings {
        retry_interval: PATIENCE * 10,
        write_buffer_bytes: 10 << 10,
        ..small_settings()
    };
    let journal = open(&disk, settings);
    disk.set_space(Some(9 << 10));
    fill(&journal);
    journal.close();
    let durable = journal.durable();
    assert!(durable < journal.end());
    assert!(journal.wait_durable(journal.end(), PATIENCE).is_err());
    let journal = open(&disk, settings);
    assert!(journal.end() >= durable);
    check_all(&journal);
}
