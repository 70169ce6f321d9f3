//! What earlier versions have left, and what they find.

use super::*;

const NOTE_START: &[u8] = b"MRETAIN\n\x02\0\0\0";

/// A file's header and then a record for each message, as version 0.1.0 wrote them.
fn file_of(messages: &[(&str, &[u8])]) -> Vec<Vec<u8>> {
    let mut parts = vec![b"MRETAIN\n\x01\0\0\0".to_vec()];
    for (topic, payload) in messages {
        // 1 sets, 2 clears.
        let kind = if payload.is_empty() { 2 } else { 1 };
        let mut bytes = vec![0xD5, 0x4D, kind, 1, topic.len() as u8, 0, 0, 0];
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&NOW.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes);
        crc.update(topic.as_bytes());
        crc.update(payload);
        bytes.extend_from_slice(&crc.finalize().to_le_bytes());
        bytes.extend_from_slice(topic.as_bytes());
        bytes.extend_from_slice(payload);
        parts.push(bytes);
    }
    parts
}

fn path(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("retained.log")
}

#[test]
fn an_earlier_file_is_read_once_and_replaced_by_a_note() {
    let folder = folder();
    let file = file_of(&[
        ("a", b"1"),
        ("b", b"2"),
        ("a", b"3"),
        ("b", b""),
        ("c", b"4"),
    ]);
    fs::write(path(&folder), file.concat()).unwrap();
    let retained = open(&folder);
    assert_eq!(
        contents(&retained),
        contents_of(&[("a", b"3"), ("c", b"4")])
    );
    assert!(fs::read(path(&folder)).unwrap().starts_with(NOTE_START));
    retained.put(&message("c", b"")).unwrap();
    drop(retained);
    assert_eq!(topics(&open(&folder), "#"), ["a"]);
    assert!(!folder.path().join("retained.log.damaged").exists());
}

/// Until the journal has everything the earlier file stays; then what was changed meanwhile counts.
#[test]
fn an_earlier_file_stays_until_a_full_disk_has_taken_its_messages() {
    let folder = folder();
    let file = file_of(&[("a", b"1"), ("b", b"2")]).concat();
    fs::write(path(&folder), &file).unwrap();
    let disk = SimDisk::default();
    disk.set_space(Some(0));
    let retained = open_on(&disk, &folder).unwrap();
    retained.put(&message("a", b"")).unwrap();
    assert!(!retained.flush());
    assert_eq!(fs::read(path(&folder)).unwrap(), file);
    disk.set_space(None);
    assert!(retained.flush());
    assert!(fs::read(path(&folder)).unwrap().starts_with(NOTE_START));
    drop(retained);
    assert_eq!(topics(&open_on(&disk, &folder).unwrap(), "#"), ["b"]);
}

#[test]
fn an_earlier_file_cut_or_damaged_anywhere_keeps_what_is_before() {
    let parts = file_of(&[("a", b"1"), ("b", b"22"), ("c/d", b"333")]);
    let whole = parts.concat();
    let second = parts[0].len() + parts[1].len();
    let third = second + parts[2].len();
    for at in second..third {
        let folder = folder();
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        fs::write(path(&folder), &damaged).unwrap();
        assert_eq!(topics(&open(&folder), "#"), ["a"], "byte `{at}`");
        let aside = fs::read(folder.path().join("retained.log.damaged")).unwrap();
        assert_eq!(aside, damaged, "byte `{at}`");
        assert_eq!(topics(&open(&folder), "#"), ["a"], "byte `{at}`");
    }
    for cut in [third + 1, whole.len() - 1] {
        let folder = folder();
        fs::write(path(&folder), &whole[..cut]).unwrap();
        let retained = open(&folder);
        assert_eq!(topics(&retained, "#"), ["a", "b"], "cut at `{cut}`");
    }
}

#[test]
fn a_file_that_is_none_is_kept_aside_and_a_newer_format_refused() {
    for content in [
        &b"x"[..],
        b"MRETAIN",
        b"not a log, but long enough to be one",
    ] {
        let folder = folder();
        fs::write(path(&folder), content).unwrap();
        assert_eq!(topics(&open(&folder), "#"), [""; 0]);
        let aside = fs::read(folder.path().join("retained.log.damaged")).unwrap();
        assert_eq!(aside, content);
    }
    let folder = folder();
    fs::write(path(&folder), b"MRETAIN\n\x03\0\0\0").unwrap();
    let error = open_with(&folder, ROOMY).err().unwrap();
    assert!(
        matches!(error, OpenError::Format { found: 3, .. }),
        "{error}"
    );
    let untouched = fs::read(path(&folder)).unwrap();
    assert_eq!(untouched, b"MRETAIN\n\x03\0\0\0");
}

/// A start that has set damage aside and not come to its end leaves no note.
#[test]
fn a_start_that_ended_after_setting_damage_aside_is_made_up_for() {
    let folder = folder();
    let retained = open(&folder);
    retained.put(&message("a", b"1")).unwrap();
    drop(retained);
    fs::remove_file(path(&folder)).unwrap();
    let aside = folder.path().join("retained.damaged");
    fs::rename(folder.path().join("retained"), &aside).unwrap();
    assert_eq!(topics(&open(&folder), "#"), ["a"]);
    fs::remove_dir_all(&aside).unwrap();
    assert_eq!(
        topics(&open(&folder), "#"),
        ["a"],
        "it is in the journal now"
    );
}
