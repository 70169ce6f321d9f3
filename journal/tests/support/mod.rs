//! Shared by the journal's tests: numbered records, and reading them back.

#![allow(dead_code, unreachable_pub)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use journal::{Chunk, Journal, Position, Reader, Record, RecordBatch, Settings};

/// Longer than anything takes; tests that pass never wait for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Small enough that segments roll and frames fill within a test.
pub fn small_settings() -> Settings {
    Settings {
        max_size_bytes: 1 << 30,
        segment_size_bytes: 4 << 10,
        tail_memory_bytes: 2 << 10,
        write_buffer_bytes: 1 << 20,
        frame_bytes_max: 2 << 10,
        retry_interval: Duration::from_millis(5),
    }
}

/// Record number `number`: everything in it follows from the number, its size too (0 to 90 bytes of payload).
pub fn push(batch: &mut RecordBatch, number: u64) {
    let topic = format!("devices/d{}/telemetry", number % 7);
    batch.push(&Record {
        received_at: number as i64,
        qos: 1,
        content_type: "",
        client_id: "client",
        user: "user",
        topic: &topic,
        payload: &payload(number),
    });
}

pub fn payload(number: u64) -> Vec<u8> {
    let length = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 91;
    (0..length).map(|index| (number + index) as u8).collect()
}

pub fn batch(numbers: std::ops::Range<u64>) -> RecordBatch {
    let mut batch = RecordBatch::new();
    numbers.for_each(|number| push(&mut batch, number));
    batch
}

/// Appends records whose numbers are their positions, and waits until they are durable.
pub fn append_durably(journal: &dyn Journal, count: u64) -> Position {
    let end = append(journal, count);
    assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
    end
}

pub fn append(journal: &dyn Journal, count: u64) -> Position {
    let from = journal.end().0;
    journal
        .append(&mut batch(from..from + count), Waker::noop())
        .unwrap()
}

/// Checks that `chunks` hold the records numbered from `from` on, without a gap; returns the number behind the last.
pub fn check(chunks: &[Chunk], from: u64) -> u64 {
    let mut next = from;
    for chunk in chunks {
        assert_eq!(chunk.first(), Position(next));
        let mut count = 0;
        for (position, record) in chunk.records() {
            assert_eq!(position, Position(next));
            assert_eq!(record.received_at, next as i64);
            assert_eq!(record.payload, payload(next), "payload of record {next}");
            next += 1;
            count += 1;
        }
        assert_eq!(count, chunk.len());
        assert_eq!(chunk.end(), Position(next));
    }
    next
}

/// Reads with `reader` up to `end`, checking every record.
pub fn read_to(reader: &mut dyn Reader, end: Position, max_bytes: usize) {
    let mut chunks = Vec::new();
    while reader.position() < end {
        let from = reader.position().0;
        chunks.clear();
        let count = reader.read(&mut chunks, max_bytes, PATIENCE).unwrap();
        assert_eq!(check(&chunks, from), from + count as u64);
        assert_eq!(reader.position(), Position(from + count as u64));
        assert!(count > 0, "nothing at {from}, before {end}");
    }
}

/// Reads all that is in the journal and checks it.
pub fn check_all(journal: &dyn Journal) {
    let mut reader = journal.reader(journal.start()).unwrap();
    read_to(&mut *reader, journal.end(), 64 << 10);
}

/// Counts how often it is woken.
#[derive(Default)]
pub struct CountingWaker(AtomicUsize);

impl CountingWaker {
    pub fn new() -> (Arc<CountingWaker>, Waker) {
        let counter = Arc::new(CountingWaker::default());
        (Arc::clone(&counter), Waker::from(counter))
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Wakes the thread that made it.
pub struct ThreadWaker(std::thread::Thread);

impl ThreadWaker {
    pub fn current() -> Waker {
        Waker::from(Arc::new(ThreadWaker(std::thread::current())))
    }
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
