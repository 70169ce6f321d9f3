//! What is appended is durable, read back, and still there after a restart.

use std::task::Waker;
use std::time::Duration;

use crate::support::*;
use journal::{
    AppendError, Journal, LocalJournal, Position, ReadError, RecordBatch, Settings, State,
};

fn open(dir: &tempfile::TempDir, settings: Settings) -> (LocalJournal, journal::OpenReport) {
    LocalJournal::open_dir(&dir.path().join("journal"), settings).unwrap()
}

#[test]
fn records_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, report) = open(&dir, Settings::default());
    assert!(report.created);
    assert_eq!((journal.start(), journal.end()), (Position(0), Position(0)));
    let identity = journal.identity();
    append_durably(&journal, 10);
    let end = append(&journal, 5);
    assert_eq!(end, Position(15));
    check_all(&journal);
    drop(journal);

    let (journal, report) = open(&dir, Settings::default());
    assert!(!report.created);
    assert_eq!(report.torn_tail, None);
    assert_eq!(report.identity, identity);
    assert_eq!(journal.identity(), identity);
    assert_eq!((journal.durable(), journal.end()), (end, end));
    check_all(&journal);
    append_durably(&journal, 3);
    check_all(&journal);
    assert_eq!(journal.end(), Position(18));
}

#[test]
fn segments_roll_and_everything_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(&dir, small_settings());
    for count in 1..60 {
        append_durably(&journal, count % 13 + 1);
    }
    let end = journal.end();
    check_all(&journal);
    drop(journal);
    let (journal, report) = open(&dir, small_settings());
    assert!(report.segments > 5, "{report:?}");
    assert_eq!(journal.end(), end);
    check_all(&journal);
}

#[test]
fn a_clean_stop_leaves_no_promised_space() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(&dir, Settings::default());
    append_durably(&journal, 1);
    let size = journal.status().size_bytes;
    drop(journal);
    let file = dir.path().join("journal/00000000000000000000.log");
    assert_eq!(std::fs::metadata(file).unwrap().len(), size);
}

#[test]
fn an_empty_batch_is_durable_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(&dir, Settings::default());
    append_durably(&journal, 2);
    let end = journal.append(&mut RecordBatch::new(), Waker::noop());
    assert_eq!(end, Ok(Position(2)));
}

#[test]
fn a_closed_journal_refuses_appends_and_can_still_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(&dir, small_settings());
    append(&journal, 100);
    journal.close();
    journal.close();
    assert_eq!(journal.durable(), Position(100));
    let mut refused = batch(100..101);
    assert!(matches!(
        journal.append(&mut refused, Waker::noop()),
        Err(AppendError::Poisoned(_))
    ));
    assert_eq!(refused.len(), 1);
    assert_eq!(journal.status().state, State::Open);
    assert_eq!(journal.wait_durable(Position(100), PATIENCE), Ok(true));
    assert!(journal.wait_durable(Position(101), PATIENCE).is_err());
    check_all(&journal);
}

#[test]
fn a_reader_begins_only_where_records_are() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(&dir, small_settings());
    append_durably(&journal, 5);
    assert!(matches!(
        journal.reader(Position(6)).err(),
        Some(ReadError::Beyond {
            end: Position(5),
            ..
        })
    ));
    let mut reader = journal.reader(Position(5)).unwrap();
    let mut chunks = Vec::new();
    assert_eq!(reader.read(&mut chunks, 1000, Duration::ZERO).unwrap(), 0);
    assert!(chunks.is_empty());
}

#[test]
fn released_segments_go_and_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(&dir, small_settings());
    let mut old = journal.reader(Position(0)).unwrap();
    for _ in 0..40 {
        append_durably(&journal, 10);
    }
    journal.release(Position(200));
    // Going backwards, and beyond the end, is harmless.
    journal.release(Position(100));
    // Removal is the writer's work between two commits; it removes one segment each time.
    while journal.start() == Position(0) || append_durably(&journal, 1) < Position(460) {}
    let start = journal.start();
    assert!(start > Position(0) && start <= Position(200), "{start}");
    check_all(&journal);
    assert!(matches!(
        old.read(&mut Vec::new(), 1, PATIENCE),
        Err(ReadError::Released { .. })
    ));
    assert!(matches!(
        journal.reader(Position(0)).err(),
        Some(ReadError::Released { .. })
    ));
    drop(journal);
    let (journal, report) = open(&dir, small_settings());
    assert_eq!(report.start, start);
    check_all(&journal);
}
