//! Every call to the disk made to fail in turn: what was reported as durable is there afterwards,
//! once and in order.

use std::path::Path;
use std::task::Waker;

use journal::{AppendError, Journal, LocalJournal, OpenError, Position, Settings, State};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use testkit::disk::*;

use crate::support::*;

fn settings() -> Settings {
    Settings {
        segment_size_bytes: 1500,
        ..small_settings()
    }
}

fn open(disk: &SimDisk) -> Result<LocalJournal, OpenError> {
    LocalJournal::open(Path::new("journal"), settings(), disk.shared()).map(|opened| opened.0)
}

/// What the journal had promised when it stopped.
#[derive(Debug, Default)]
struct Promised {
    released: Position,
    durable: Position,
    end: Position,
    state: Option<State>,
    /// The journal could not be opened.
    start_failed: bool,
}

/// Opens, appends in batches of several sizes, releases, and starts again once; stops when the
/// journal is poisoned.
fn load(disk: &SimDisk) -> Promised {
    let mut promised = Promised::default();
    for _ in 0..2 {
        let Ok(journal) = open(disk) else {
            promised.start_failed = true;
            return promised;
        };
        assert!(journal.end() >= promised.durable);
        for round in 0..12 {
            for count in [1, 7, 3] {
                let from = journal.end().0;
                let mut records = batch(from..from + count);
                match journal.append(&mut records, Waker::noop()) {
                    Ok(_) => {}
                    // The disk is full for a moment: the batch is untouched and comes again in the
                    // next round.
                    Err(AppendError::Full) => assert_eq!(records.len(), count as u32),
                    Err(AppendError::Poisoned(_)) => break,
                    Err(AppendError::Busy) => unreachable!("the write buffer is large"),
                }
            }
            let end = journal.end();
            let settled = journal.wait_durable(end, PATIENCE);
            promised.durable = journal.durable();
            promised.end = end;
            promised.state = Some(journal.status().state);
            match settled {
                Ok(true) => {}
                Ok(false) => panic!("the journal hangs"),
                Err(_) => return promised,
            }
            if round % 4 == 3 {
                promised.released = Position(end.0 - 9);
                journal.release(promised.released);
            }
        }
        // Closing can fail too.
        journal.close();
        promised.durable = journal.durable();
        promised.state = Some(journal.status().state);
        if promised.state == Some(State::Poisoned) {
            return promised;
        }
    }
    promised
}

/// Opens what is left and checks it against the promise; goes on from there.
fn recover(disk: &SimDisk, promised: &Promised, what: &str) {
    let journal = open(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(journal.start() <= promised.released, "{what}");
    assert!(journal.durable() >= promised.durable, "{what}");
    check_all(&journal);
    append_durably(&journal, 11);
    check_all(&journal);
}

/// Lets each call fail with `errno`, one after the other, until the load needs no more calls.
fn every_call_fails(errno: i32, half: bool, judge: impl Fn(Call, &SimDisk, &Promised, usize)) {
    let mut at = 0;
    loop {
        let disk = SimDisk::failing(Fault { at, errno, half });
        let promised = load(&disk);
        let calls = disk.calls();
        let Some(call) = calls.get(at) else {
            break;
        };
        let what = format!("{call:?} number {at} fails with {errno}");
        judge(*call, &disk, &promised, at);

        // The machine loses its power while nobody has repaired anything yet.
        for seed in 0..3 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for loss in [Loss::Everything, Loss::Suffix, Loss::Random] {
                let left = disk.crash(loss, &mut rng);
                recover(&left, &promised, &format!("{what}, power lost ({loss:?})"));
            }
        }
        // Only the process restarts, goes on, and the power is lost later.
        recover(&disk, &promised, &what);
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let later = Promised {
            durable: promised.durable.plus(11),
            ..promised
        };
        let left = disk.crash(Loss::Everything, &mut rng);
        recover(&left, &later, &format!("{what}, restarted, power lost"));
        at += 1;
    }
    assert!(at > 100, "the load is too small: {at} calls");
}

#[test]
fn after_an_error_nothing_is_written_again_and_nothing_is_lost() {
    for half in [false, true] {
        every_call_fails(EIO, half, |call, disk, promised, at| {
            if !promised.start_failed {
                assert_eq!(
                    promised.state,
                    Some(State::Poisoned),
                    "{call:?} number {at}"
                );
            }
            let after = disk.calls().len() - at - 1;
            assert_eq!(after, 0, "calls after {call:?} had failed");
        });
    }
}

#[test]
fn a_full_disk_is_waited_for_unless_it_fails_a_sync() {
    for errno in [ENOSPC, EDQUOT] {
        every_call_fails(errno, true, |call, _, promised, at| {
            if promised.start_failed {
                return;
            }
            let waits = matches!(call, Call::Write | Call::Allocate | Call::Create);
            let expected = if waits { State::Open } else { State::Poisoned };
            assert_eq!(promised.state, Some(expected), "{call:?} number {at}");
            if waits {
                assert_eq!(promised.durable, promised.end);
            }
        });
    }
}

#[test]
fn a_read_that_fails_stops_the_start_and_changes_nothing() {
    let disk = SimDisk::default();
    load(&disk);
    let files = disk.files();
    let mut at = 0;
    loop {
        disk.fail_read(at);
        match open(&disk) {
            Ok(_) => break,
            Err(OpenError::Io { source, .. }) => assert_eq!(source.raw_os_error(), Some(EIO)),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(disk.files(), files);
        at += 1;
    }
    // How many files there are depends on how the appends were gathered; of each more than one
    // piece is read.
    assert!(at > 2 * files.len(), "{at} reads of {} files", files.len());
}

#[test]
fn a_disk_that_cannot_promise_space_works_all_the_same() {
    let disk = SimDisk::default();
    disk.refuse_allocations(EOPNOTSUPP);
    let promised = load(&disk);
    assert_eq!(promised.durable, promised.end);
    assert!(promised.end > Position(200));
    recover(&disk, &promised, "no promised space");
}
