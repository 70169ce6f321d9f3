//! Damage is refused with a message that says where and what to do, and nothing is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use journal::{Damage, DamageKind, Journal, LocalJournal, OpenError, Position, Settings};
use testkit::disk::*;

use crate::support::*;

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn settings() -> Settings {
    Settings {
        segment_size_bytes: 1200,
        frame_bytes_max: 300,
        ..small_settings()
    }
}

fn open(disk: &SimDisk) -> Result<LocalJournal, OpenError> {
    LocalJournal::open(Path::new("journal"), settings(), disk.shared()).map(|opened| opened.0)
}

/// Four segments; also where the last frame begins in the last of them.
fn journal() -> (Files, usize) {
    let disk = SimDisk::default();
    let journal = open(&disk).unwrap();
    let mut begin = 0;
    while disk.files().len() < 4 || begin < 500 {
        let segments = disk.files().len();
        begin = disk_offset(&disk, &journal);
        append_durably(&journal, 2);
        if disk.files().len() > segments {
            begin = 64;
        }
    }
    journal.close();
    (disk.files(), begin)
}

/// Where the next frame begins, if it does not need a new segment.
fn disk_offset(disk: &SimDisk, journal: &LocalJournal) -> usize {
    let (_, last) = disk.files().into_iter().next_back().unwrap();
    let others: usize = disk.files().values().map(Vec::len).sum::<usize>() - last.len();
    journal.status().size_bytes as usize - others
}

fn refuse(files: Files) -> Damage {
    let disk = SimDisk::from_files(files.clone());
    let error = match open(&disk) {
        Ok(journal) => panic!("opened, up to {}", journal.end()),
        Err(error) => error,
    };
    let OpenError::Damaged(damage) = error else {
        panic!("{error}");
    };
    assert_eq!(disk.files(), files);
    assert!(!disk.calls().contains(&Call::Write));
    damage
}

#[test]
fn any_byte_before_the_last_frame_that_is_not_what_it_was_is_refused() {
    let (files, last_frame) = journal();
    let last = files.keys().next_back().unwrap().clone();
    for (path, bytes) in &files {
        let end = if *path == last {
            last_frame
        } else {
            bytes.len()
        };
        for at in 0..end {
            let mut damaged = files.clone();
            damaged.get_mut(path).unwrap()[at] ^= 1 << (at % 8);
            let damage = refuse(damaged);
            // A broken name or identity of a segment shows at the next one.
            assert!(damage.path >= *path, "byte {at} of {path:?}: {damage}");
            if damage.path == *path {
                assert!(
                    damage.offset <= at as u64,
                    "byte {at} of {path:?}: {damage}"
                );
            }
        }
    }
}

#[test]
fn a_byte_in_the_last_frame_makes_a_torn_tail() {
    let (files, last_frame) = journal();
    let last = files.keys().next_back().unwrap().clone();
    for at in last_frame..files[&last].len() {
        let mut torn = files.clone();
        torn.get_mut(&last).unwrap()[at] ^= 0x10;
        let disk = SimDisk::from_files(torn);
        let journal = open(&disk).unwrap();
        check_all(&journal);
        append_durably(&journal, 5);
        check_all(&journal);
    }
}

#[test]
fn the_message_says_where_and_what_to_do() {
    let (mut files, _) = journal();
    let path = files.keys().next().unwrap().clone();
    files.get_mut(&path).unwrap()[64 + 32 + 5] ^= 1;
    let damage = refuse(files);
    assert_eq!((damage.offset, damage.position), (64, Position(0)));
    let message = format!("{damage}; {}", damage.advice("that costs much"));
    for part in [
        "`journal/00000000000000000000.log`",
        "byte 64",
        "position 0",
        "checksum",
        "restore this file from a copy",
        "`millrace journal verify 'journal'`",
        "move the folder `journal` away: that costs much",
    ] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn a_segment_that_is_missing_is_a_gap() {
    let (files, _) = journal();
    let names: Vec<_> = files.keys().cloned().collect();
    for missing in &names[1..names.len() - 1] {
        let mut files = files.clone();
        files.remove(missing);
        let damage = refuse(files);
        assert!(matches!(damage.kind, DamageKind::Gap(_)), "{damage}");
    }
    // The oldest ones may be released, and nothing says that there was a later one.
    for missing in [&names[0], &names[names.len() - 1]] {
        let mut files = files.clone();
        files.remove(missing);
        check_all(&open(&SimDisk::from_files(files)).unwrap());
    }
}

#[test]
fn a_segment_of_another_journal_is_refused() {
    let (mut files, _) = journal();
    let (others, _) = journal();
    let path = files.keys().nth(1).unwrap().clone();
    files.insert(path.clone(), others[&path].clone());
    let damage = refuse(files);
    assert!(
        matches!(damage.kind, DamageKind::Foreign { .. }),
        "{damage}"
    );
    assert!(
        damage.to_string().contains("belongs to journal"),
        "{damage}"
    );
}

#[test]
fn a_frame_of_another_journal_is_no_frame() {
    let (mut files, _) = journal();
    let (others, _) = journal();
    let path = files.keys().next().unwrap().clone();
    let foreign = others[&path][64..].to_vec();
    files.get_mut(&path).unwrap()[64..].copy_from_slice(&foreign);
    let damage = refuse(files);
    assert!(
        matches!(damage.kind, DamageKind::SealedFrame(..)),
        "{damage}"
    );
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (mut files, _) = journal();
    for bytes in files.values_mut() {
        bytes[8] = 9;
    }
    let damage = refuse(files);
    assert_eq!(damage.kind, DamageKind::Version(9));
    assert!(damage.to_string().contains("format version 9"), "{damage}");
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let (mut files, _) = journal();
    let path = files.keys().next_back().unwrap().clone();
    let bytes = files.remove(&path).unwrap();
    files.insert(PathBuf::from("journal/00000000000000999999.log"), bytes);
    let damage = refuse(files);
    assert!(matches!(damage.kind, DamageKind::Name(_)), "{damage}");
}

#[test]
fn a_header_that_is_gone_is_damage_when_frames_lie_behind_it() {
    let (files, _) = journal();
    for path in files.keys() {
        let mut files = files.clone();
        files.get_mut(path).unwrap()[..64].fill(0);
        let damage = refuse(files);
        assert_eq!(damage.kind, DamageKind::Header);
        assert_eq!(damage.path, *path);
    }
}

#[test]
fn a_lone_segment_without_a_header_is_damage_unless_it_is_the_very_first() {
    let files = Files::from([(PathBuf::from("journal/00000000000000000700.log"), vec![])]);
    let damage = refuse(files);
    assert_eq!(damage.kind, DamageKind::Header);
    assert_eq!(damage.position, Position(700));
}

#[test]
fn a_payload_that_looks_like_a_frame_does_not_make_a_torn_tail_damage() {
    // The whole file of a journal, as it would be published by somebody who reads along.
    let disk = SimDisk::default();
    let journal = open(&disk).unwrap();
    append_durably(&journal, 30);
    let copy = disk.files().into_values().next().unwrap();
    let begin = disk_offset(&disk, &journal);
    let mut records = journal::RecordBatch::new();
    records.push(&journal::Record {
        received_at: 0,
        qos: 0,
        packet_id: None,
        content_type: "",
        client_id: "",
        user: "",
        topic: "copy",
        payload: &copy,
    });
    let end = journal
        .append(&mut records, std::task::Waker::noop())
        .unwrap();
    assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
    journal.close();
    let mut files = disk.files();
    let (_, bytes) = files.iter_mut().next_back().unwrap();
    // It got a segment of its own, so that its frame begins behind the header.
    let begin = if files_begin_with_copy(bytes) {
        64
    } else {
        begin
    };
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    bytes[begin + 8] ^= 1;
    let disk = SimDisk::from_files(files);
    let journal = open(&disk).unwrap();
    assert_eq!(journal.end(), Position(30));
    check_all(&journal);
}

fn files_begin_with_copy(bytes: &[u8]) -> bool {
    // The frame behind the header holds exactly one record.
    bytes[64 + 24..64 + 28] == 1u32.to_le_bytes()
}
