//! What a restart finds, whatever the disk did.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::{Full, Limits};
use super::*;
use journal::Journals as _;
use testkit::disk::{Fault, Loss};

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
    // Twice: what was read is not written again.
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

    let retained = open_with(&folder, limits).unwrap();
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
    let journals = journals(folder.path());
    let retained = Retained::open_at(journals, folder.path(), limits, later).unwrap();
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
                assert!(retained.flush());
            }
        }
        assert_eq!(contents(&retained), expected);
    }
}

/// The power may go at once: what was flushed is there, and what a crash leaves of the rest is some
/// of the latest changes.
#[test]
fn what_was_flushed_survives_power_loss() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let folder = folder();
    let disk = SimDisk::default();
    let retained = open_on(&disk, &folder).unwrap();
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
        assert!(retained.flush());
        for loss in [Loss::Everything, Loss::Nothing] {
            let after = disk.crash(loss, &mut random);
            let recovered = open_on(&after, &folder).unwrap();
            assert_eq!(contents(&recovered), expected);
        }
    }
}

#[test]
fn the_journal_is_compacted_before_it_is_mostly_garbage() {
    let folder = folder();
    let disk = SimDisk::default();
    let retained = open_on(&disk, &folder).unwrap();
    retained.put(&message("still", &[9; 1000])).unwrap();
    for round in 0..200u8 {
        let large = vec![round; 64 << 10];
        retained.put(&message("often", &large)).unwrap();
        assert!(retained.flush());
    }
    // 13 MB were written; allowed are 1 MB of garbage, what is live, and two segments that are not
    // full yet or wait for their end.
    let peak = disk.peak_bytes();
    assert!(peak < 4 << 20, "`{peak}` bytes: not compacted");
    let expected = contents_of(&[("often", &[199; 64 << 10]), ("still", &[9; 1000])]);
    assert_eq!(contents(&retained), expected);
    drop(retained);
    assert_eq!(contents(&open_on(&disk, &folder).unwrap()), expected);
}

/// Each call to the disk fails once, in turn: memory is never wrong, and the next flush makes the
/// journal right.
#[test]
fn any_failed_call_to_the_disk_is_made_good() {
    const EIO: i32 = 5;
    for failing in 0.. {
        let folder = folder();
        let disk = SimDisk::failing(Fault {
            at: failing,
            errno: EIO,
            half: true,
        });
        let mut opened = open_on(&disk, &folder);
        if opened.is_err() {
            // Not at start: then it is for the operator to see to it. The next start works.
            opened = open_on(&disk, &folder);
        }
        let retained = opened.unwrap();
        let mut failures = 0;
        for round in 0..12u8 {
            let large = vec![round; 100 << 10];
            let device = format!("d/{round}");
            retained.put(&message("often", &large)).unwrap();
            retained.put(&message(&device, &[round])).unwrap();
            let cleared = format!("d/{}", round / 2);
            retained.put(&message(&cleared, b"")).unwrap();
            if !retained.flush() {
                failures += 1;
                assert!(retained.flush(), "call `{failing}` failed once");
            }
        }
        assert!(failures <= 1);
        let in_memory = contents(&retained);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let after = disk.crash(Loss::Everything, &mut random);
        let found = contents(&open_on(&after, &folder).unwrap());
        assert_eq!(found, in_memory, "call `{failing}` failed");
        retained.close();
        let calls = disk.calls().len();
        if calls < failing {
            assert!(failing > 15, "`{failing}` calls only");
            return;
        }
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing_but_the_wait() {
    let folder = folder();
    let disk = SimDisk::default();
    disk.set_space(Some(0));
    // A full disk does not stop the start.
    let limits = Limits {
        messages: 2,
        ..ROOMY
    };
    let journals = Arc::new(disk.journals());
    let retained = Retained::open_at(journals, folder.path(), limits, NOW).unwrap();
    retained.put(&message("a", b"1")).unwrap();
    assert!(!retained.flush());
    assert_eq!(topics(&retained, "#"), ["a"]);
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
    disk.set_space(None);
    assert!(retained.flush());
    retained.put(&message("b", b"1")).unwrap();
    // Full again, so that the journal takes something and cannot write it.
    disk.set_space(Some(disk.bytes()));
    let large = vec![7; 3 << 20];
    retained.put(&message("a", &large)).unwrap();
    assert!(!retained.flush());
    disk.set_space(None);
    retained.close();
    let found = open_on(&disk, &folder).unwrap();
    assert_eq!(contents(&found), contents_of(&[("a", &large), ("b", b"1")]));
}

/// Wherever the damage is: what lies before it is kept, and the whole of it is set aside.
#[test]
fn a_damaged_journal_is_moved_aside_and_what_came_before_is_kept() {
    let folder = folder();
    let retained = open(&folder);
    for (topic, payload) in [("a", b"1"), ("b", b"2"), ("c", b"3")] {
        retained.put(&message(topic, payload)).unwrap();
        assert!(retained.flush());
    }
    drop(retained);
    let segment = folder.path().join("retained/00000000000000000000.log");
    let whole = fs::read(&segment).unwrap();
    let written = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for at in (0..written).step_by(7) {
        fs::write(&segment, &whole).unwrap();
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        fs::write(&segment, &damaged).unwrap();
        let retained = open(&folder);
        let kept = topics(&retained, "#");
        assert_eq!(kept, ["a", "b", "c"][..kept.len()], "byte `{at}`");
        drop(retained);
        assert_eq!(topics(&open(&folder), "#"), kept, "byte `{at}`");
        let aside = folder
            .path()
            .join("retained.damaged/00000000000000000000.log");
        // Damage behind the last whole frame is a torn tail, which is cut.
        if kept.len() < 2 {
            assert_eq!(fs::read(aside).unwrap(), damaged, "byte `{at}`");
        }
        fs::remove_dir_all(folder.path().join("retained")).unwrap();
        fs::create_dir(folder.path().join("retained")).unwrap();
    }
}

#[test]
fn a_record_of_a_newer_version_is_refused() {
    let folder = folder();
    drop(open(&folder));
    let journals = journals(folder.path());
    let (journal, _) = journals
        .open("retained", journal::Settings::default())
        .unwrap();
    let mut batch = journal::RecordBatch::new();
    batch.push(&journal::Record {
        received_at: NOW,
        qos: 1,
        packet_id: None,
        content_type: "",
        client_id: "",
        user: "",
        topic: "a",
        payload: b"\x02 something else",
    });
    journal
        .append(&mut batch, std::task::Waker::noop())
        .unwrap();
    journal.close();
    let error = open_with(&folder, ROOMY).err().unwrap();
    assert!(matches!(error, OpenError::Record { .. }), "{error}");
}
