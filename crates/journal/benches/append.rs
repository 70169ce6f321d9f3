//! How fast records become durable, beside a bare file that is written and synced in frames of the
//! same size.
//!
//! `cargo bench -p journal` prints medians over a few short runs. Nothing is judged here: the disk
//! decides most of it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use journal::{
    AppendError, Journal, LocalJournal, Position, Record, RecordBatch, Settings, inspect,
};

const RECORD_BYTES: usize = 120;
const RUN: Duration = Duration::from_millis(250);
const RUNS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    println!("records of {RECORD_BYTES} bytes, medians of {RUNS} runs of {RUN:?}\n");
    println!("appenders do not wait for the disk (they wait when they are told `Busy`)");
    println!("threads  batch      records/s    appends/s  bytes/sync    bare file  ratio");
    for threads in [1, 2] {
        for batch in [1, 10, 100, 1000] {
            print_median(threads, batch, false);
        }
    }
    println!("\neach append waits until it is durable");
    println!("threads  batch      records/s    appends/s  bytes/sync    bare file  ratio");
    for threads in [1, 2, 100] {
        for batch in [1, 100] {
            print_median(threads, batch, true);
        }
    }
    print_latency();
}

struct Run {
    records_per_second: f64,
    bytes_per_sync: usize,
    bare_records_per_second: f64,
}

fn print_median(threads: usize, batch: u32, wait: bool) {
    let mut runs: Vec<_> = (0..RUNS).map(|_| run(threads, batch, wait)).collect();
    runs.sort_by(|a, b| a.records_per_second.total_cmp(&b.records_per_second));
    let median = &runs[RUNS / 2];
    println!(
        "{threads:7} {batch:6} {:14.0} {:12.0} {:11} {:12.0} {:6.2}",
        median.records_per_second,
        median.records_per_second / f64::from(batch),
        median.bytes_per_sync,
        median.bare_records_per_second,
        median.records_per_second / median.bare_records_per_second,
    );
}

/// One run in a journal of its own, then the same pattern on a bare file.
fn run(threads: usize, batch: u32, wait: bool) -> Run {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for the journal");
    let (journal, _) = LocalJournal::open_dir(dir.path(), Settings::default()).expect("a journal");
    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| append_until(&journal, batch, wait, &stop));
        }
        std::thread::sleep(RUN);
        stop.store(true, Ordering::Release);
    });
    let durable = journal.wait_durable(journal.end(), PATIENCE);
    assert_eq!(durable, Ok(true));
    let elapsed = begun.elapsed();
    let records = journal.end().0;
    journal.close();

    let summary = inspect::inspect(dir.path()).expect("an intact journal");
    let bytes_per_sync = (summary.size_bytes / summary.frames.max(1)) as usize;
    let records_per_sync = records as f64 / summary.frames.max(1) as f64;
    let syncs_per_second = bare_file(&dir.path().join("bare"), bytes_per_sync);
    Run {
        records_per_second: records as f64 / elapsed.as_secs_f64(),
        bytes_per_sync,
        bare_records_per_second: syncs_per_second * records_per_sync,
    }
}

fn append_until(journal: &LocalJournal, count: u32, wait: bool, stop: &AtomicBool) {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut batch = RecordBatch::new();
    while !stop.load(Ordering::Acquire) {
        for _ in 0..count {
            push(&mut batch);
        }
        let end = loop {
            let registered = if wait { &waker } else { Waker::noop() };
            match journal.append(&mut batch, registered) {
                Ok(end) => break end,
                Err(AppendError::Full | AppendError::Busy) => {
                    journal.wake_when_writable(&waker);
                    std::thread::park();
                }
                Err(error) => panic!("{error}"),
            }
        };
        while wait && journal.durable() < end {
            std::thread::park();
        }
    }
}

/// Writes and syncs `bytes` at a time; returns how often a second.
fn bare_file(path: &Path, bytes: usize) -> f64 {
    let mut file = File::create(path).expect("a bare file");
    let frame = vec![7; bytes];
    let begun = Instant::now();
    let mut syncs = 0;
    while begun.elapsed() < RUN {
        file.write_all(&frame).expect("the bare file takes bytes");
        file.sync_data().expect("the bare file can be synced");
        syncs += 1;
    }
    f64::from(syncs) / begun.elapsed().as_secs_f64()
}

fn print_latency() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for the journal");
    let (journal, _) = LocalJournal::open_dir(dir.path(), Settings::default()).expect("a journal");
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut batch = RecordBatch::new();
    let mut append = || {
        push(&mut batch);
        let begun = Instant::now();
        let end = journal.append(&mut batch, &waker).expect("there is room");
        while journal.durable() < end {
            std::thread::park();
        }
        begun.elapsed()
    };
    let mut durations: Vec<_> = (0..2000).map(|_| append()).collect();
    durations.sort_unstable();
    assert_eq!(journal.end(), Position(2000));
    println!(
        "\none durable append: p50 {:?}, p99 {:?}",
        durations[1000], durations[1980]
    );
}

fn push(batch: &mut RecordBatch) {
    const PAYLOAD: [u8; RECORD_BYTES - 20 - 8 - 23] = [b'x'; RECORD_BYTES - 20 - 8 - 23];
    batch.push(&Record {
        received_at: 1_700_000_000_000_000,
        qos: 1,
        packet_id: None,
        content_type: "",
        client_id: "dev-0001",
        user: "",
        topic: "devices/0001/telemetry0",
        payload: &PAYLOAD,
    });
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
