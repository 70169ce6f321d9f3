//! What people are shown of a journal.

use journal::{Journal, LocalJournal, OpenError, Position, inspect};

use crate::support::*;

fn filled(dir: &std::path::Path) -> (LocalJournal, u64) {
    let (journal, _) = LocalJournal::open_dir(dir, small_settings()).unwrap();
    for count in 1..40 {
        append_durably(&journal, count);
    }
    (journal, 39)
}

#[test]
fn an_empty_folder_has_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    let summary = inspect::inspect(dir.path()).unwrap();
    assert_eq!(summary, inspect::Summary::default());
    assert_eq!(inspect::verify(dir.path()).unwrap().identity, None);
    assert_eq!(
        inspect::records(dir.path(), Position(0)).unwrap().count(),
        0
    );
}

#[test]
fn a_folder_that_is_not_there_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let error = inspect::inspect(&missing).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
    assert!(matches!(error, OpenError::Io { .. }));
}

#[test]
fn the_summary_counts_what_is_there_while_it_is_open_and_after() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, frames) = filled(dir.path());
    for open in [true, false] {
        if !open {
            journal.close();
        }
        let summary = inspect::inspect(dir.path()).unwrap();
        assert_eq!(summary.identity, Some(journal.identity().to_string()));
        assert_eq!((summary.start, summary.end), (Position(0), journal.end()));
        assert_eq!(summary.records, journal.end().0);
        assert_eq!(summary.frames, frames);
        assert_eq!(summary.size_bytes, journal.status().size_bytes);
        assert_eq!((&summary.torn_tail, &summary.damage), (&None, &None));
        assert!(summary.segments.len() > 3);
        let mut next = Position(0);
        for segment in &summary.segments {
            assert_eq!(segment.first, next);
            assert_eq!(segment.first_received_at, Some(next.0 as i64));
            next = segment.end;
            assert_eq!(segment.last_received_at, Some(next.0 as i64 - 1));
            assert!(segment.file_bytes >= segment.size_bytes);
        }
        let report = inspect::verify(dir.path()).unwrap();
        assert_eq!(report.records, summary.records);
        assert_eq!(report.segments, summary.segments.len() as u64);
        serde_json::to_string(&summary).unwrap();
        serde_json::to_string(&report).unwrap();
    }
}

#[test]
fn damage_is_described_and_what_comes_before_it_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = filled(dir.path());
    journal.close();
    let whole = inspect::inspect(dir.path()).unwrap();
    let damaged = &whole.segments[2];
    let path = dir.path().join(&damaged.file);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[64 + 40] ^= 1;
    std::fs::write(&path, &bytes).unwrap();

    let summary = inspect::inspect(dir.path()).unwrap();
    assert_eq!(summary.end, damaged.first);
    assert_eq!(summary.identity, whole.identity);
    let message = summary.damage.unwrap();
    assert!(message.contains(&damaged.file), "{message}");
    let error = inspect::verify(dir.path()).unwrap_err();
    assert_eq!(error.to_string(), message);
    // Nothing was changed.
    assert_eq!(std::fs::read(&path).unwrap(), bytes);

    let mut walk = inspect::records(dir.path(), Position(0)).unwrap();
    let mut next = 0;
    let error = loop {
        match walk.next().unwrap() {
            Ok(chunk) => next = check(&[chunk], next),
            Err(error) => break error,
        }
    };
    assert_eq!(Position(next), damaged.first);
    assert_eq!(error.to_string(), message);
    assert!(walk.next().is_none());
}

#[test]
fn a_torn_tail_is_shown_and_left() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = filled(dir.path());
    journal.close();
    let whole = inspect::inspect(dir.path()).unwrap();
    let last = whole.segments.last().unwrap();
    let path = dir.path().join(&last.file);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.pop();
    std::fs::write(&path, &bytes).unwrap();

    let summary = inspect::inspect(dir.path()).unwrap();
    let torn = summary.torn_tail.unwrap();
    assert_eq!(torn.path, path);
    assert_eq!(torn.position, summary.end);
    assert_eq!(torn.offset + torn.bytes, bytes.len() as u64);
    assert_eq!(inspect::verify(dir.path()).unwrap().torn_tail, Some(torn));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let end = read_records(dir.path(), 0);
    assert_eq!(Position(end), summary.end);
}

#[test]
fn records_are_read_from_any_position() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = filled(dir.path());
    let end = journal.end().0;
    for from in [0, 1, 100, end - 1] {
        assert_eq!(read_records(dir.path(), from), end);
    }
    let beyond = inspect::records(dir.path(), Position(end + 5)).unwrap();
    assert_eq!(beyond.count(), 0);
}

#[test]
fn a_walk_begins_with_what_is_still_there() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = filled(dir.path());
    journal.release(Position(300));
    while journal.start() < Position(200) {
        append_durably(&journal, 1);
    }
    journal.close();
    let start = journal.start();
    let first = inspect::records(dir.path(), Position(0))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(first.first(), start);
    assert_eq!(inspect::inspect(dir.path()).unwrap().start, start);
}

#[test]
fn verifying_while_a_process_writes_finds_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = LocalJournal::open_dir(dir.path(), small_settings()).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for round in 0..400 {
                append_durably(&journal, round % 30 + 1);
                if round % 10 == 0 {
                    journal.release(Position(journal.end().0.saturating_sub(500)));
                }
            }
        });
        while !writing.is_finished() {
            let durable = journal.durable();
            let report = inspect::verify(dir.path()).unwrap();
            assert!(report.end >= durable);
            let summary = inspect::inspect(dir.path()).unwrap();
            assert_eq!(summary.damage, None);
        }
    });
}

/// Checks all records from `from` on; returns the end.
fn read_records(dir: &std::path::Path, from: u64) -> u64 {
    inspect::records(dir, Position(from))
        .unwrap()
        .fold(from, |next, chunk| check(&[chunk.unwrap()], next))
}
