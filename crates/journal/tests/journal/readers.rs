//! Readers see exactly what was appended: at the tail, behind it, while segments roll and are
//! released.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use journal::{
    AppendError, Journal, LocalJournal, Position, ReadError, Record, RecordBatch, Settings,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use testkit::disk::*;

use crate::support::*;

fn open(disk: &SimDisk, settings: Settings) -> LocalJournal {
    LocalJournal::open(Path::new("journal"), settings, disk.shared())
        .unwrap()
        .0
}

#[test]
fn records_can_be_read_before_they_are_durable() {
    let disk = SimDisk::default();
    let journal = open(&disk, small_settings());
    let syncs = disk.count(Call::Sync);
    disk.block_syncs();
    append(&journal, 3);
    disk.wait_for_calls(Call::Sync, syncs + 1);
    for _ in 0..30 {
        append(&journal, 7);
    }
    check_all(&journal);
    assert_eq!(journal.durable(), Position(0));
    disk.unblock_syncs();
}

#[test]
fn a_reader_begins_at_any_record_in_memory_and_on_disk() {
    for tail_memory_bytes in [0, 2000, 1 << 20] {
        let disk = SimDisk::default();
        let settings = Settings {
            tail_memory_bytes,
            ..small_settings()
        };
        let journal = open(&disk, settings);
        for count in 1..40 {
            append_durably(&journal, count);
        }
        let end = journal.end();
        for from in 0..=end.0 {
            let mut reader = journal.reader(Position(from)).unwrap();
            let mut chunks = Vec::new();
            let count = reader
                .read(&mut chunks, 1, std::time::Duration::ZERO)
                .unwrap();
            assert_eq!(count > 0, from < end.0);
            assert_eq!(check(&chunks, from), from + count as u64);
        }
        // All the way with small and large reads.
        for max_bytes in [1, 300, 5000, 1 << 20] {
            let mut reader = journal.reader(Position(17)).unwrap();
            read_to(&mut *reader, end, max_bytes);
        }
    }
}

#[test]
fn a_read_stays_near_its_size_when_there_is_more() {
    let disk = SimDisk::default();
    for tail_memory_bytes in [0, 1 << 20] {
        let settings = Settings {
            tail_memory_bytes,
            frame_bytes_max: 500,
            ..small_settings()
        };
        let journal = open(&disk, settings);
        for _ in 0..100 {
            append_durably(&journal, 3);
        }
        let mut reader = journal.reader(journal.start()).unwrap();
        let mut chunks = Vec::new();
        reader.read(&mut chunks, 2000, PATIENCE).unwrap();
        let bytes: usize = chunks.iter().map(|chunk| chunk.bytes().len()).sum();
        assert!(bytes > 1000 && bytes < 3000, "{bytes}");
    }
}

#[test]
fn a_waiting_reader_is_woken_by_an_append() {
    let disk = SimDisk::default();
    let journal = open(&disk, small_settings());
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reader = journal.reader(Position(0)).unwrap();
            read_to(&mut *reader, Position(200), 1000);
        });
        for _ in 0..100 {
            append_durably(&journal, 2);
        }
        reading.join().unwrap();
    });
}

#[test]
fn an_interrupted_read_returns_once_and_the_reader_goes_on() {
    let disk = SimDisk::default();
    let journal = open(&disk, small_settings());
    let mut reader = journal.reader(Position(0)).unwrap();
    let interrupter = reader.interrupter();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut chunks = Vec::new();
            let count = reader.read(&mut chunks, 1000, PATIENCE * 10).unwrap();
            (reader, count)
        });
        interrupter.interrupt();
        let (mut reader, count) = reading.join().unwrap();
        assert_eq!(count, 0);
        append(&journal, 5);
        read_to(&mut *reader, Position(5), 1000);
        // One that comes before the read ends it too, and another reader is not concerned.
        append(&journal, 5);
        interrupter.interrupt();
        assert_eq!(reader.read(&mut Vec::new(), 1000, PATIENCE).unwrap(), 0);
        read_to(&mut *reader, Position(10), 1000);
        read_to(
            &mut *journal.reader(Position(0)).unwrap(),
            Position(10),
            1000,
        );
    });
}

#[test]
fn a_reader_that_falls_behind_and_catches_up_misses_nothing() {
    let disk = SimDisk::default();
    let journal = open(&disk, small_settings());
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut reader = journal.reader(Position(0)).unwrap();
    for _ in 0..300 {
        append_durably(&journal, rng.random_range(1..40));
        if rng.random_bool(0.3) {
            let to = Position(rng.random_range(reader.position().0..=journal.end().0));
            read_to(&mut *reader, to, rng.random_range(1..5000));
        }
    }
    let end = journal.end();
    read_to(&mut *reader, end, 1000);
}

#[test]
fn damage_under_a_reader_is_an_error_and_not_wrong_records() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        tail_memory_bytes: 0,
        ..Settings::default()
    };
    let (journal, _) = LocalJournal::open_dir(dir.path(), settings).unwrap();
    append_durably(&journal, 10);
    let intact = journal.status().size_bytes;
    append_durably(&journal, 10);
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(dir.path().join("00000000000000000000.log"))
        .unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"damage", intact + 40).unwrap();
    let mut reader = journal.reader(Position(0)).unwrap();
    read_to(&mut *reader, Position(10), 1);
    let error = reader.read(&mut Vec::new(), 1000, PATIENCE).unwrap_err();
    assert!(
        matches!(
            error,
            ReadError::Damaged {
                position: Position(10),
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(reader.position(), Position(10));
}

/// Several threads append, one reads and releases, one begins at the start again and again.
#[test]
fn concurrent_appenders_keep_their_order_while_segments_roll_and_go() {
    const APPENDERS: u64 = 3;
    const RECORDS: u64 = 6000;
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        segment_size_bytes: 8 << 10,
        max_size_bytes: 200 << 10,
        write_buffer_bytes: 20 << 10,
        ..small_settings()
    };
    let (journal, _) = LocalJournal::open_dir(dir.path(), settings).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for appender in 0..APPENDERS {
            let journal = &journal;
            scope.spawn(move || {
                let mut rng = ChaCha8Rng::seed_from_u64(appender);
                let mut next = 0;
                let mut last = Position::ZERO;
                while next < RECORDS {
                    let count = rng.random_range(1..20).min(RECORDS - next);
                    let mut records = RecordBatch::new();
                    for number in next..next + count {
                        push_from(&mut records, appender, number);
                    }
                    let end = append_patiently(journal, &mut records);
                    assert!(end >= last.plus(count));
                    last = end;
                    next += count;
                }
            });
        }
        let nomad = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Acquire) {
                // The start may be released between the question and the reading.
                let mut chunks = Vec::new();
                let read = journal
                    .reader(journal.start())
                    .and_then(|mut reader| reader.read(&mut chunks, 4000, PATIENCE));
                match read {
                    Ok(_) => reads += chunks.len(),
                    Err(ReadError::Released { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            reads
        });
        let mut reader = journal.reader(Position(0)).unwrap();
        let mut next = HashMap::new();
        let mut chunks = Vec::new();
        while reader.position() < Position(APPENDERS * RECORDS) {
            chunks.clear();
            reader.read(&mut chunks, 3000, PATIENCE).unwrap();
            for (_, record) in chunks.iter().flat_map(|chunk| chunk.records()) {
                let expected: &mut i64 = next.entry(record.client_id.to_owned()).or_default();
                assert_eq!(record.received_at, *expected, "{}", record.client_id);
                *expected += 1;
            }
            // Also what is not durable yet, which must be harmless.
            journal.release(reader.position());
        }
        assert!(next.values().all(|count| *count == RECORDS as i64));
        done.store(true, Ordering::Release);
        // It may wait at the end for more.
        append_patiently(&journal, &mut batch(0..1));
        assert!(nomad.join().unwrap() > 0);
    });
    assert!(journal.start() > Position(0));
}

fn push_from(batch: &mut RecordBatch, appender: u64, number: u64) {
    batch.push(&Record {
        received_at: number as i64,
        qos: 0,
        packet_id: None,
        content_type: "",
        client_id: &format!("appender {appender}"),
        user: "",
        topic: "t",
        payload: &payload(number),
    });
}

/// Waits as the gate does: the waker first, then one more attempt.
fn append_patiently(journal: &LocalJournal, records: &mut RecordBatch) -> Position {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
    loop {
        match journal.append(records, Waker::noop()) {
            Ok(end) => return end,
            Err(AppendError::Full | AppendError::Busy) => {
                journal.wake_when_writable(&waker);
                std::thread::park_timeout(PATIENCE);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Random appends, reads, releases and restarts against the simplest model there is: numbers.
#[test]
fn a_reader_sees_exactly_what_was_appended() {
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let disk = SimDisk::default();
        let settings = Settings {
            segment_size_bytes: rng.random_range(300..8000),
            frame_bytes_max: rng.random_range(100..3000),
            tail_memory_bytes: rng.random_range(0..6000),
            ..small_settings()
        };
        let mut journal = open(&disk, settings);
        let mut readers = vec![journal.reader(Position(0)).unwrap()];
        let mut released = Position::ZERO;
        for _ in 0..120 {
            match rng.random_range(0..20) {
                0..9 => {
                    append(&journal, rng.random_range(1..30));
                }
                9..16 => {
                    let which = rng.random_range(0..readers.len());
                    let reader = &mut readers[which];
                    let to = Position(rng.random_range(reader.position().0..=journal.end().0));
                    read_to(&mut **reader, to, rng.random_range(1..4000));
                }
                16 => {
                    // What is released can be gone the next moment.
                    let from = rng.random_range(released.0..=journal.end().0);
                    readers.push(journal.reader(Position(from)).unwrap());
                }
                17 => {
                    // Not beyond the slowest reader.
                    let slowest = readers.iter().map(|reader| reader.position()).min();
                    released = released.max(slowest.unwrap());
                    journal.release(released);
                }
                18 => {
                    let end = journal.end();
                    assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
                }
                _ => {
                    let positions: Vec<_> = readers.drain(..).map(|r| r.position()).collect();
                    let end = journal.end();
                    drop(journal);
                    journal = open(&disk, settings);
                    assert_eq!(journal.end(), end, "seed {seed}");
                    readers.extend(positions.iter().map(|p| journal.reader(*p).unwrap()));
                }
            }
        }
        let end = journal.end();
        for reader in &mut readers {
            read_to(&mut **reader, end, 2000);
        }
    }
}
