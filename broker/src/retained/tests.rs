use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::disk::{Disk, LogFile, RealDisk};
use super::{FILE_NAME, Full, Limits, Mark, OpenError, Retained, record};
use crate::message::Message;
use mqtt::Qos;

/// A moment in microseconds since 1970 at which tests look; 2026.
const NOW: i64 = 1_780_000_000_000_000;
const SECOND: i64 = 1_000_000;
const ROOMY: Limits = Limits {
    messages: 100_000,
    bytes: 64 << 20,
};

#[test]
fn a_filter_gets_what_matches_in_the_order_of_topics() {
    let folder = folder();
    let retained = open(&folder);
    for topic in [
        "a",
        "a/b",
        "a/b/c",
        "a-b/c",
        "a/b-c",
        "ab",
        "b/c",
        "/",
        "$SYS/up",
        "\u{1f321}/x",
    ] {
        retained.put(&message(topic, b"1")).unwrap();
    }
    let cases: [(&str, &[&str]); 10] = [
        (
            "#",
            &[
                "/",
                "a",
                "a-b/c",
                "a/b",
                "a/b-c",
                "a/b/c",
                "ab",
                "b/c",
                "\u{1f321}/x",
            ],
        ),
        ("a/#", &["a", "a/b", "a/b-c", "a/b/c"]),
        ("a/b/#", &["a/b", "a/b/c"]),
        ("a/+", &["a/b", "a/b-c"]),
        ("+/c", &["a-b/c", "b/c"]),
        ("a", &["a"]),
        ("c", &[]),
        ("$SYS/#", &["$SYS/up"]),
        ("+/+", &["/", "a-b/c", "a/b", "a/b-c", "b/c", "\u{1f321}/x"]),
        ("+/up", &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(topics(&retained, filter), expected, "`{filter}`");
    }
}

#[test]
fn scans_go_on_over_many_pages() {
    let folder = folder();
    let retained = open(&folder);
    // Around the boundaries of pages of 512.
    for count in [511, 512, 513, 1024, 1500] {
        for index in topics(&retained, "many/+/x").len()..count {
            retained
                .put(&message(&format!("many/{index:05}/x"), b"1"))
                .unwrap();
            retained
                .put(&message(&format!("many/{index:05}/y"), b"1"))
                .unwrap();
        }
        assert_eq!(topics(&retained, "many/+/x").len(), count);
        assert_eq!(topics(&retained, "many/#").len(), 2 * count);
    }
    retained.close();
    drop(retained);
    assert_eq!(topics(&open(&folder), "#").len(), 3000);
}

/// All pages, one after the other.
fn pages(retained: &Retained, filter: &str, through: u64) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = Some(Mark::default());
    while let Some(mark) = next {
        let page = retained.page(filter, mark, through);
        let topics = page.messages.iter();
        pages.push(topics.map(|found| found.topic.to_string()).collect());
        next = page.next;
    }
    pages
}

#[test]
fn pages_hold_what_a_whole_look_finds_and_no_more_bytes_than_a_page() {
    let folder = folder();
    let retained = open(&folder);
    for index in 0..600 {
        let topic = format!("many/{index:03}");
        retained.put(&message(&topic, &[b'x'; 1_000])).unwrap();
    }
    for topic in ["many", "many-1", "one"] {
        retained.put(&message(topic, b"1")).unwrap();
    }
    for filter in ["#", "many/#", "many/+", "+", "many", "nothing/#"] {
        let pages = pages(&retained, filter, u64::MAX);
        assert_eq!(pages.concat(), topics(&retained, filter), "`{filter}`");
        // 64 KiB, and the message that goes beyond it.
        assert!(pages.iter().all(|page| page.len() <= 66), "`{filter}`");
    }
    // Each goes on behind the last topic of the one before, which may be gone by then.
    let first = retained.page("many/#", Mark::default(), u64::MAX);
    let last = first.messages.last().expect("some");
    retained.put(&message(&last.topic, b"")).unwrap();
    let next = first.next.expect("more");
    let second = retained.page("many/#", next, u64::MAX);
    assert_eq!(&*second.messages[0].topic, "many/055");
    let behind = retained.page("many/#", Mark::behind(&"many".into()), u64::MAX);
    assert_eq!(&*behind.messages[0].topic, "many/000");
}

#[test]
fn a_page_leaves_out_what_came_after_the_look_began() {
    let folder = folder();
    let retained = open(&folder);
    for topic in ["a", "b", "c"] {
        retained.put(&message(topic, b"1")).unwrap();
    }
    let began = retained.changes();
    retained.put(&message("b", b"2")).unwrap();
    retained.put(&message("c", b"")).unwrap();
    retained.put(&message("d", b"1")).unwrap();
    assert_eq!(pages(&retained, "+", began), [["a"]]);
    assert_eq!(pages(&retained, "b", began).concat(), [""; 0]);
    assert_eq!(pages(&retained, "+", retained.changes()), [["a", "b", "d"]]);
    // A start counts anew: all that is there was there.
    drop(retained);
    let retained = open(&folder);
    assert_eq!(retained.changes(), 0);
    assert_eq!(pages(&retained, "+", 0), [["a", "b", "d"]]);
}

#[test]
fn a_visitor_may_change_the_store() {
    let folder = folder();
    let retained = open(&folder);
    retained.put(&message("a", b"1")).unwrap();
    retained.put(&message("b", b"1")).unwrap();
    retained.matching("+", &mut |found| {
        retained.put(&message(&found.topic, b"")).unwrap();
    });
    assert_eq!(topics(&retained, "#"), [""; 0]);
}

#[test]
fn everything_about_a_message_comes_back_after_a_restart() {
    let folder = folder();
    let full = Message {
        topic: "alerts/active/d1/\u{fc}ber".into(),
        payload: Bytes::from_static(b"\x00payload\xff"),
        qos: Qos::AtLeastOnce,
        retain: true,
        properties: Bytes::from_static(&[0x01, 0x01, 0x26, 0, 1, b'k', 0, 1, b'v']),
        expiry_seconds: Some(u32::MAX),
        publisher: 7,
        received_at: NOW - 5 * SECOND,
        origin: Default::default(),
        holders: Default::default(),
    };
    let retained = open(&folder);
    retained.put(&full).unwrap();
    retained.put(&message("old", b"1")).unwrap();
    retained.put(&message("old", b"2")).unwrap();
    retained.put(&message("gone", b"1")).unwrap();
    retained.put(&message("gone", b"")).unwrap();
    retained.put(&message("$SYS/up", b"1")).unwrap();
    drop(retained);
    // Twice: read from what was appended, and from what was rewritten.
    drop(open(&folder));
    let retained = open(&folder);
    assert_eq!(topics(&retained, "$SYS/#"), ["$SYS/up"]);
    assert_eq!(
        contents(&retained),
        contents_of(&[("old", b"2"), (&full.topic, &full.payload)])
    );
    let found = all(&retained, "alerts/#");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].qos, full.qos);
    assert_eq!(found[0].properties, full.properties);
    assert_eq!(found[0].expiry_seconds, full.expiry_seconds);
    assert_eq!(found[0].received_at, full.received_at);
    assert!(found[0].retain);
}

/// What a process that is killed leaves behind is what it has written; a copy of the file taken
/// while it runs is just that.
#[test]
fn what_was_flushed_survives_a_kill() {
    let folder = folder();
    let after_kill = self::folder();
    let retained = open(&folder);
    let mut expected = BTreeMap::new();
    for round in 0..5u8 {
        for index in 0..20 {
            let topic = format!("d/{}", (index * 7 + round) % 30);
            // Every third is cleared.
            let payload = vec![round; usize::from(index % 3)];
            retained.put(&message(&topic, &payload)).unwrap();
            if payload.is_empty() {
                expected.remove(&topic)
            } else {
                expected.insert(topic, payload)
            };
        }
        retained.flush().unwrap();
        fs::copy(
            folder.path().join(FILE_NAME),
            after_kill.path().join(FILE_NAME),
        )
        .unwrap();
        let recovered = open(&after_kill);
        assert_eq!(contents(&recovered), expected);
        recovered.close();
    }
}

#[test]
fn expired_messages_are_not_shown_not_loaded_and_make_room() {
    let folder = folder();
    let limits = Limits {
        messages: 2,
        ..ROOMY
    };
    let now = crate::clock::now_micros();
    let mut short = message("short", b"1");
    short.expiry_seconds = Some(10);
    short.received_at = now;
    let mut over = message("over", b"1");
    over.expiry_seconds = Some(10);
    over.received_at = now - 10 * SECOND;

    let retained = Retained::open(folder.path(), limits).unwrap();
    retained.put(&short).unwrap();
    retained.put(&over).unwrap();
    assert_eq!(topics(&retained, "#"), ["short"]);
    let mut seen = 0;
    retained.matching_at("#", now + 10 * SECOND - 1, &mut |_| seen += 1);
    assert_eq!(seen, 1, "ten seconds are not over before they are over");
    retained.matching_at("#", now + 10 * SECOND, &mut |_| seen += 1);
    assert_eq!(seen, 1);
    // Two are kept, but one of them has expired.
    retained.put(&message("third", b"1")).unwrap();
    assert_eq!(
        retained.put(&message("fourth", b"1")),
        Err(Full::Messages(2))
    );
    drop(retained);

    let later = now + 20 * SECOND;
    let retained = Retained::open_on(Box::new(RealDisk), folder.path(), limits, later).unwrap();
    assert_eq!(topics(&retained, "#"), ["third"]);
    // A message that replaces one with an expiry does not inherit it.
    let mut plain = short.clone();
    plain.expiry_seconds = None;
    retained.put(&short).unwrap();
    retained.put(&plain).unwrap();
    let mut seen = 0;
    retained.matching_at("short", i64::MAX, &mut |_| seen += 1);
    assert_eq!(seen, 1);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let folder = folder();
    let limits = Limits {
        messages: 3,
        bytes: 2_000,
    };
    let retained = Retained::open(folder.path(), limits).unwrap();
    retained.put(&message("a", &[1; 500])).unwrap();
    retained.put(&message("b", &[1; 500])).unwrap();
    assert_eq!(
        retained.put(&message("c", &[1; 600])),
        Err(Full::Bytes(1402))
    );
    assert_eq!(
        retained.put(&message("b", &[2; 1200])),
        Err(Full::Bytes(1402))
    );
    assert_eq!(topics(&retained, "#"), ["a", "b"]);
    assert_eq!(
        contents(&retained)["b"],
        [1; 500],
        "the topic keeps what it had"
    );
    // Replacing with what fits is no addition.
    retained.put(&message("b", &[3; 600])).unwrap();
    retained.put(&message("c", &[1; 10])).unwrap();
    assert_eq!(retained.put(&message("d", b"1")), Err(Full::Messages(3)));
    retained.put(&message("a", b"")).unwrap();
    retained.put(&message("d", &[1; 100])).unwrap();
    drop(retained);
    // Limits made smaller refuse what is new and keep what is there.
    let limits = Limits {
        messages: 1,
        bytes: 100,
    };
    let retained = Retained::open(folder.path(), limits).unwrap();
    assert_eq!(topics(&retained, "#"), ["b", "c", "d"]);
    assert_eq!(retained.put(&message("e", b"1")), Err(Full::Messages(3)));
    retained.put(&message("c", b"")).unwrap();
    assert_eq!(topics(&retained, "#"), ["b", "d"]);
}

#[test]
fn the_log_is_rewritten_before_it_is_mostly_garbage() {
    let folder = folder();
    let path = folder.path().join(FILE_NAME);
    let retained = open(&folder);
    retained.put(&message("still", &[9; 1000])).unwrap();
    let mut longest = 0;
    for round in 0..100u8 {
        retained
            .put(&message("often", &vec![round; 64 << 10]))
            .unwrap();
        retained.flush().unwrap();
        longest = longest.max(fs::metadata(&path).unwrap().len());
    }
    // 6.4 MB were written; allowed are 1 MB of garbage, what is live, and the change that exceeds
    // it.
    assert!(longest > 1 << 20, "`{longest}` bytes: nothing gathered");
    assert!(
        longest < (1 << 20) + 3 * (64 << 10),
        "`{longest}` bytes: not rewritten"
    );
    let expected = contents_of(&[("often", &[99; 64 << 10]), ("still", &[9; 1000])]);
    assert_eq!(contents(&retained), expected);
    drop(retained);
    let retained = open(&folder);
    assert_eq!(contents(&retained), expected);
    let live = 12 + 2 * 32 + 5 + 5 + 1000 + (64 << 10);
    assert_eq!(
        fs::metadata(&path).unwrap().len(),
        live,
        "rewritten at start"
    );
    assert!(!path.with_extension("log.new").exists());
}

#[test]
fn a_log_torn_at_any_byte_of_its_last_record_loses_that_record_only() {
    let records = log_of(&[("a", b"1"), ("b", b"22"), ("c/d", b"333")]);
    let whole = records.concat();
    let last = whole.len() - records[3].len();
    for cut in last..whole.len() {
        let folder = folder();
        fs::write(folder.path().join(FILE_NAME), &whole[..cut]).unwrap();
        let retained = open(&folder);
        assert_eq!(topics(&retained, "#"), ["a", "b"], "cut at `{cut}`");
        retained.put(&message("e", b"5")).unwrap();
        drop(retained);
        assert_eq!(
            topics(&open(&folder), "#"),
            ["a", "b", "e"],
            "cut at `{cut}`"
        );
        assert!(
            !folder.path().join("retained.log.damaged").exists(),
            "cut at `{cut}`"
        );
    }
}

#[test]
fn a_damaged_log_is_moved_aside_and_what_came_before_is_kept() {
    let records = log_of(&[("a", b"1"), ("b", b"22"), ("c/d", b"333")]);
    let whole = records.concat();
    let start = records[0].len() + records[1].len();
    for at in start..start + records[2].len() {
        let folder = folder();
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        fs::write(folder.path().join(FILE_NAME), &damaged).unwrap();
        let retained = open(&folder);
        assert_eq!(topics(&retained, "#"), ["a"], "byte `{at}`");
        let aside = fs::read(folder.path().join("retained.log.damaged")).unwrap();
        assert_eq!(aside, damaged, "byte `{at}`");
        drop(retained);
        assert_eq!(topics(&open(&folder), "#"), ["a"], "byte `{at}`");
    }
}

#[test]
fn a_file_that_is_no_log_is_moved_aside_and_a_newer_format_refused() {
    for content in [
        &b"x"[..],
        b"",
        b"MRETAIN",
        b"not a log, but long enough to be one",
    ] {
        let folder = folder();
        let path = folder.path().join(FILE_NAME);
        fs::write(&path, content).unwrap();
        assert_eq!(topics(&open(&folder), "#"), [""; 0]);
        assert_eq!(
            fs::read(path.with_extension("log.damaged")).unwrap(),
            content
        );
    }
    let folder = folder();
    let path = folder.path().join(FILE_NAME);
    fs::write(&path, b"MRETAIN\n\x02\0\0\0").unwrap();
    let error = Retained::open(folder.path(), ROOMY).err().unwrap();
    assert!(
        matches!(
            error,
            OpenError::Format {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        fs::read(&path).unwrap(),
        b"MRETAIN\n\x02\0\0\0",
        "untouched"
    );
    let error = Retained::open(&folder.path().join("missing"), ROOMY)
        .err()
        .unwrap();
    assert!(matches!(error, OpenError::Write { .. }), "{error}");
}

#[test]
fn random_changes_and_restarts_agree_with_a_map() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let folder = folder();
    let mut expected = BTreeMap::new();
    for _ in 0..20 {
        let retained = open(&folder);
        assert_eq!(contents(&retained), expected);
        for _ in 0..300 {
            let topic = format!("t/{}", random.random_range(0..40));
            let payload = vec![random.random(); random.random_range(0..5)];
            retained.put(&message(&topic, &payload)).unwrap();
            if payload.is_empty() {
                expected.remove(&topic)
            } else {
                expected.insert(topic, payload)
            };
            if random.random_ratio(1, 50) {
                retained.flush().unwrap();
            }
        }
        assert_eq!(contents(&retained), expected);
    }
}

#[test]
fn many_threads_may_put_at_once() {
    let folder = folder();
    let retained = open(&folder);
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let retained = &retained;
            scope.spawn(move || {
                for index in 0..500 {
                    retained
                        .put(&message(&format!("own/{thread}"), &[thread; 3]))
                        .unwrap();
                    retained
                        .put(&message(&format!("shared/{}", index % 7), &[thread]))
                        .unwrap();
                }
            });
        }
    });
    let in_memory = contents(&retained);
    assert_eq!(in_memory.len(), 4 + 7);
    drop(retained);
    assert_eq!(contents(&open(&folder)), in_memory);
}

/// Each call to the disk fails once, in turn: memory is never wrong, and the next flush makes the
/// file right.
#[test]
fn any_failed_call_to_the_disk_is_made_good() {
    for failing in 0.. {
        let folder = folder();
        let faults = Arc::new(Mutex::new(Faults {
            fail_at: Some(failing),
            ..Faults::default()
        }));
        let disk = || {
            Box::new(FaultyDisk {
                faults: Arc::clone(&faults),
            })
        };
        let mut opened = Retained::open_on(disk(), folder.path(), ROOMY, NOW);
        if opened.is_err() {
            // Not at start: then it is for the operator to see to it. The next start works.
            opened = Retained::open_on(disk(), folder.path(), ROOMY, NOW);
        }
        let retained = opened.unwrap();
        let mut failures = 0;
        for round in 0..30u8 {
            retained
                .put(&message("often", &vec![round; 100 << 10]))
                .unwrap();
            retained
                .put(&message(&format!("d/{round}"), &[round]))
                .unwrap();
            retained
                .put(&message(&format!("d/{}", round / 2), b""))
                .unwrap();
            if retained.flush().is_err() {
                failures += 1;
                retained.flush().unwrap();
            }
        }
        assert!(failures <= 1);
        let in_memory = contents(&retained);
        let on_disk = self::folder();
        fs::copy(
            folder.path().join(FILE_NAME),
            on_disk.path().join(FILE_NAME),
        )
        .unwrap();
        assert_eq!(
            contents(&open(&on_disk)),
            in_memory,
            "call `{failing}` failed"
        );
        retained.close();
        let calls = faults.lock().unwrap().calls;
        if calls < failing {
            assert!(failing > 15, "`{failing}` calls only");
            return;
        }
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing_but_the_wait() {
    let folder = folder();
    let faults = Arc::new(Mutex::new(Faults {
        full: true,
        ..Faults::default()
    }));
    let disk = Box::new(FaultyDisk {
        faults: Arc::clone(&faults),
    });
    // A full disk does not stop the start.
    let limits = Limits {
        messages: 2,
        ..ROOMY
    };
    let retained = Retained::open_on(disk, folder.path(), limits, NOW).unwrap();
    retained.put(&message("a", b"1")).unwrap();
    assert_eq!(
        retained.flush().unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    assert_eq!(topics(&retained, "#"), ["a"]);
    assert!(!folder.path().join(FILE_NAME).exists());
    // What waits for the disk is bounded as well.
    let mut refused = false;
    for index in 0..10_001 {
        let topic = format!("t/{index}");
        match retained.put(&message(&topic, b"1")) {
            Ok(()) => retained.put(&message(&topic, b"")).unwrap(),
            Err(error) => refused |= matches!(error, Full::Unwritten(10_000)),
        }
    }
    assert!(refused);
    faults.lock().unwrap().full = false;
    retained.flush().unwrap();
    retained.put(&message("b", b"1")).unwrap();
    retained.close();
    assert_eq!(topics(&open(&folder), "#"), ["a", "b"]);
}

#[derive(Default)]
struct Faults {
    calls: usize,
    /// Which call fails, once.
    fail_at: Option<usize>,
    /// Every write fails.
    full: bool,
}

impl Faults {
    fn call(&mut self) -> io::Result<()> {
        let call = self.calls;
        self.calls += 1;
        match self.fail_at {
            Some(failing) if failing == call => Err(io::Error::other("injected")),
            _ => Ok(()),
        }
    }
}

struct FaultyDisk {
    faults: Arc<Mutex<Faults>>,
}

struct FaultyFile {
    file: Box<dyn LogFile>,
    faults: Arc<Mutex<Faults>>,
}

impl FaultyDisk {
    fn file(&self, file: Box<dyn LogFile>) -> Box<dyn LogFile> {
        let faults = Arc::clone(&self.faults);
        Box::new(FaultyFile { file, faults })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        self.faults.lock().unwrap().call()?;
        Ok(self.file(RealDisk.create(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        self.faults.lock().unwrap().call()?;
        Ok(self.file(RealDisk.append(path)?))
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.faults.lock().unwrap().call()?;
        fs::rename(from, to)
    }

    fn keep_aside(&self, path: &Path, aside: &Path) -> io::Result<()> {
        self.faults.lock().unwrap().call()?;
        RealDisk.keep_aside(path, aside)
    }

    fn remove(&self, path: &Path) {
        RealDisk.remove(path);
    }
}

impl LogFile for FaultyFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut faults = self.faults.lock().unwrap();
        if faults.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Err(error) = faults.call() {
            // As a failing write does: some of it is there.
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // Read back by this very process, so nothing need reach the disk itself.
        self.faults.lock().unwrap().call()
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &TempDir) -> Retained {
    Retained::open(folder.path(), ROOMY).unwrap()
}

fn message(topic: &str, payload: &[u8]) -> Message {
    Message {
        topic: topic.into(),
        payload: Bytes::copy_from_slice(payload),
        qos: Qos::AtMostOnce,
        retain: true,
        properties: Bytes::new(),
        expiry_seconds: None,
        publisher: 1,
        received_at: NOW,
        origin: Default::default(),
        holders: Default::default(),
    }
}

/// The file's header and then a record for each message.
fn log_of(messages: &[(&str, &[u8])]) -> Vec<Vec<u8>> {
    let mut records = vec![record::file_header().to_vec()];
    for (topic, payload) in messages {
        let mut bytes = Vec::new();
        record::encode_set(&mut bytes, &message(topic, payload));
        records.push(bytes);
    }
    records
}

fn all(retained: &Retained, filter: &str) -> Vec<Arc<Message>> {
    let mut found = Vec::new();
    retained.matching(filter, &mut |message| found.push(Arc::clone(message)));
    found
}

fn topics(retained: &Retained, filter: &str) -> Vec<String> {
    all(retained, filter)
        .iter()
        .map(|message| message.topic.to_string())
        .collect()
}

fn contents(retained: &Retained) -> BTreeMap<String, Vec<u8>> {
    all(retained, "#")
        .iter()
        .map(|message| (message.topic.to_string(), message.payload.to_vec()))
        .collect()
}

fn contents_of(messages: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    messages
        .iter()
        .map(|(topic, payload)| (topic.to_string(), payload.to_vec()))
        .collect()
}
