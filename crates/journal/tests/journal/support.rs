//! Shared by the journal's tests: numbered records, and reading them back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use journal::{Chunk, Journal, Position, Reader, Record, RecordBatch, Settings};
pub(crate) use testkit::PATIENCE;

/// Small enough that segments roll and frames fill within a test.
pub(crate) fn small_settings() -> Settings {
    Settings {
        max_size_bytes: 1 << 30,
        segment_size_bytes: 4 << 10,
        tail_memory_bytes: 2 << 10,
        write_buffer_bytes: 1 << 20,
        frame_bytes_max: 2 << 10,
        retry_interval: Duration::from_millis(5),
    }
}

/// Record number `number`: everything in it follows from the number, its size too (0 to 90 bytes of
/// payload).
pub(crate) fn push(batch: &mut RecordBatch, number: u64) {
    let topic = format!("devices/d{}/telemetry", number % 7);
    batch.push(&Record {
        received_at: number as i64,
        qos: 1,
        packet_id: None,
        content_type: "",
        client_id: "client",
        user: "user",
        topic: &topic,
        payload: &payload(number),
    });
}

pub(crate) fn payload(number: u64) -> Vec<u8> {
    let length = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 91;
    (0..length).map(|index| (number + index) as u8).collect()
}

pub(crate) fn batch(numbers: std::ops::Range<u64>) -> RecordBatch {
    let mut batch = RecordBatch::new();
    numbers.for_each(|number| push(&mut batch, number));
    batch
}

/// Appends records whose numbers are their positions, and waits until they are durable.
pub(crate) fn append_durably(journal: &dyn Journal, count: u64) -> Position {
    let end = append(journal, count);
    assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
    end
}

pub(crate) fn append(journal: &dyn Journal, count: u64) -> Position {
    let from = journal.end().0;
    journal
        .append(&mut batch(from..from + count), Waker::noop())
        .unwrap()
}

/// Checks that `chunks` hold the records numbered from `from` on, without a gap; returns the number
/// behind the last.
pub(crate) fn check(chunks: &[Chunk], from: u64) -> u64 {
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
pub(crate) fn read_to(reader: &mut dyn Reader, end: Position, max_bytes: usize) {
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
pub(crate) fn check_all(journal: &dyn Journal) {
    let mut reader = journal.reader(journal.start()).unwrap();
    read_to(&mut *reader, journal.end(), 64 << 10);
}

/// Counts how often it is woken.
#[derive(Default)]
pub(crate) struct CountingWaker(AtomicUsize);

impl CountingWaker {
    pub(crate) fn new() -> (Arc<CountingWaker>, Waker) {
        let counter = Arc::new(CountingWaker::default());
        (Arc::clone(&counter), Waker::from(counter))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
