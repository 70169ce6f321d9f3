//! What can only be seen from inside: memory.

use std::task::Waker;
use std::time::Duration;

use super::*;
use crate::Record;

const PATIENCE: Duration = Duration::from_secs(30);

fn record(payload: &[u8]) -> Record<'_> {
    Record {
        received_at: 0,
        qos: 1,
        packet_id: None,
        content_type: "",
        client_id: "c",
        user: "",
        topic: "t",
        payload,
    }
}

#[test]
fn the_tail_stays_within_its_budget_whatever_the_size_of_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        tail_memory_bytes: 100_000,
        ..Settings::default()
    };
    let (journal, _) = LocalJournal::open_dir(dir.path(), settings).unwrap();
    for (appends, payload) in [(5000, 10), (500, 1000), (20, 100_000)] {
        for _ in 0..appends {
            let mut batch = RecordBatch::new();
            batch.push(&record(&vec![7; payload]));
            journal.append(&mut batch, Waker::noop()).unwrap();
        }
        let end = journal.end();
        assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
        let state = journal.shared.lock();
        assert!(state.tail.bytes() <= 100_000, "{}", state.tail.bytes());
        assert_eq!((state.waiting_bytes, state.reserved_bytes), (0, 0));
    }
}

#[test]
fn a_small_batch_in_a_large_buffer_holds_only_its_own_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = LocalJournal::open_dir(dir.path(), Settings::default()).unwrap();
    let mut batch = RecordBatch::new();
    batch.push(&record(&vec![0; 1 << 20]));
    journal.append(&mut batch, Waker::noop()).unwrap();
    let before = journal.shared.lock().tail.bytes();
    batch.bytes.reserve(1 << 20);
    batch.push(&record(&[0; 100]));
    let length = batch.byte_len();
    journal.append(&mut batch, Waker::noop()).unwrap();
    let grown = journal.shared.lock().tail.bytes() - before;
    assert_eq!(grown, held_memory(length));
    assert!(batch.bytes.capacity() >= 1 << 20);
}
