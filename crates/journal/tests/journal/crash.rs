//! The process or the power goes at any moment: nothing durable is lost, nothing half-written is
//! kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use journal::{Journal, LocalJournal, OpenError, OpenReport, Position, Settings};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use testkit::disk::*;

use crate::support::*;

const FILE: &str = "journal/00000000000000000000.log";

fn open(disk: &SimDisk, settings: Settings) -> Result<(LocalJournal, OpenReport), OpenError> {
    LocalJournal::open(Path::new("journal"), settings, disk.shared())
}

/// One segment for all that these tests write.
fn roomy() -> Settings {
    Settings {
        segment_size_bytes: 6000,
        ..Settings::default()
    }
}

/// A journal of one segment with frames of 4, 2 and 9 records; the files, and where the last frame
/// begins and ends.
fn three_frames() -> (BTreeMap<PathBuf, Vec<u8>>, usize, usize) {
    let disk = SimDisk::default();
    let (journal, _) = open(&disk, roomy()).unwrap();
    append_durably(&journal, 4);
    append_durably(&journal, 2);
    let begin = journal.status().size_bytes as usize;
    append_durably(&journal, 9);
    let end = journal.status().size_bytes as usize;
    journal.close();
    (disk.files(), begin, end)
}

fn with_file(
    files: &BTreeMap<PathBuf, Vec<u8>>,
    change: impl FnOnce(&mut Vec<u8>),
) -> (SimDisk, Vec<u8>) {
    let mut files = files.clone();
    let bytes = files.get_mut(Path::new(FILE)).unwrap();
    change(bytes);
    let changed = bytes.clone();
    (SimDisk::from_files(files), changed)
}

/// Opens, expects `end`, and goes on.
fn check_torn(disk: &SimDisk, end: u64, torn_bytes: Option<u64>, what: &str) {
    let (journal, report) = open(disk, roomy()).unwrap();
    assert_eq!(journal.end(), Position(end), "{what}");
    let torn = report.torn_tail.map(|torn| {
        assert_eq!(torn.position, Position(end));
        assert_eq!(torn.path, Path::new(FILE));
        torn.bytes
    });
    assert_eq!(torn, torn_bytes, "{what}");
    append_durably(&journal, 3);
    check_all(&journal);
    // Nothing of the torn frame is left behind the new one, also without a clean stop.
    let killed = SimDisk::from_files(disk.files());
    assert_eq!(open(&killed, roomy()).unwrap().1.torn_tail, None, "{what}");
    drop(journal);
    let (journal, report) = open(disk, roomy()).unwrap();
    assert_eq!(report.torn_tail, None, "{what}");
    assert_eq!(journal.end(), Position(end + 3));
    check_all(&journal);
}

#[test]
fn the_last_frame_torn_at_every_byte_is_cut() {
    let (files, begin, end) = three_frames();
    for promised in [false, true] {
        for cut in begin..=end {
            let whole = files[Path::new(FILE)].clone();
            let (disk, bytes) = with_file(&files, |bytes| {
                bytes.truncate(cut);
                if promised {
                    bytes.resize(end + 5000, 0);
                }
            });
            let what = format!("cut at {cut}, promised space: {promised}");
            // The frame's last bytes can be zeros themselves.
            if bytes.len() >= end && bytes[..end] == whole[..end] {
                check_torn(&disk, 15, None, &what);
                continue;
            }
            let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            let torn = written.saturating_sub(begin) as u64;
            check_torn(&disk, 6, (torn > 0).then_some(torn), &what);
        }
    }
}

#[test]
fn a_last_frame_that_misses_its_beginning_is_cut() {
    let (files, begin, end) = three_frames();
    for from in begin + 1..end {
        let (disk, bytes) = with_file(&files, |bytes| bytes[begin..from].fill(0));
        let written = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let torn = written.saturating_sub(begin) as u64;
        check_torn(
            &disk,
            6,
            (torn > 0).then_some(torn),
            &format!("from {from}"),
        );
    }
}

#[test]
fn a_segment_whose_creation_was_cut_short_is_created_again() {
    let disk = SimDisk::default();
    let (journal, _) = open(&disk, small_settings()).unwrap();
    while disk.files().len() < 4 {
        append_durably(&journal, 20);
    }
    journal.close();
    // The fourth segment as it looks while it is being created.
    let mut complete = disk.files();
    let (name, last) = complete.pop_last().unwrap();
    let header = last[..64].to_vec();
    let end: u64 = name.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let end = Position(end);
    for written in 0..=64 {
        for promised in [0, 300] {
            let mut files = complete.clone();
            let mut bytes = header[..written].to_vec();
            bytes.resize(written + promised, 0);
            files.insert(name.clone(), bytes);
            let left = SimDisk::from_files(files);
            let (journal, report) = open(&left, small_settings()).unwrap();
            assert_eq!(report.end, end);
            append_durably(&journal, 50);
            check_all(&journal);
            drop(journal);
            check_all(&open(&left, small_settings()).unwrap().0);
        }
    }
}

#[test]
fn a_first_segment_whose_creation_was_cut_short_is_created_again() {
    for length in [0, 10, 63, 64, 5000] {
        let files = BTreeMap::from([(PathBuf::from(FILE), vec![0; length])]);
        let disk = SimDisk::from_files(files);
        let (journal, report) = open(&disk, small_settings()).unwrap();
        assert!(report.created);
        append_durably(&journal, 50);
        check_all(&journal);
    }
}

#[test]
fn the_power_goes_at_seeded_moments() {
    for seed in 0..150 {
        power_goes(seed);
    }
}

/// Lives through several losses of power, with rolling and released segments, and sometimes little
/// space.
fn power_goes(seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let settings = Settings {
        segment_size_bytes: rng.random_range(500..6000),
        frame_bytes_max: rng.random_range(200..4000),
        tail_memory_bytes: rng.random_range(0..4000),
        ..small_settings()
    };
    let mut disk = SimDisk::default();
    let mut durable = Position::ZERO;
    let mut released = Position::ZERO;
    for life in 0..6 {
        let opened = open(&disk, settings);
        let (journal, _) = opened.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let what = format!("seed {seed}, life {life}");
        assert!(journal.start() <= released, "{what}");
        assert!(journal.end() >= durable, "{what}");
        check_all(&journal);
        let limited = rng.random_bool(0.3);
        if limited {
            disk.set_space(Some(disk.bytes() + rng.random_range(0..8000)));
        }
        for _ in 0..rng.random_range(1..40) {
            let from = journal.end().0;
            let mut records = batch(from..from + rng.random_range(1..30));
            if journal
                .append(&mut records, std::task::Waker::noop())
                .is_err()
            {
                break;
            }
            if rng.random_bool(0.3) && !limited {
                let end = journal.end();
                assert_eq!(journal.wait_durable(end, PATIENCE), Ok(true));
            }
            if rng.random_bool(0.1) {
                released = Position(rng.random_range(released.0..=journal.durable().0));
                journal.release(released);
            }
        }
        // First the promise, then the loss: what is durable by now must be there.
        durable = journal.durable();
        let loss =
            [Loss::Everything, Loss::Nothing, Loss::Suffix, Loss::Random][rng.random_range(0..4)];
        let left = disk.crash(loss, &mut rng);
        // The old process must not wait for space when it is dropped.
        disk.set_space(None);
        drop(journal);
        disk = left;
    }
}
