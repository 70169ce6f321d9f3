//! The bytes of `published.log`.
//!
//! Owns: the layout, and what of a file can be believed. Never: touches a file. Invariant: an entry
//! that is not as it was written is left out and counted, never taken for another.
//!
//! The file is a row of entries of 64 bytes, little-endian:
//!
//! ```text
//! [u8; 4]  `MRPE`
//! u32      CRC-32 of the 56 bytes that follow
//! [u8; 16] id of the event
//! [u8; 16] id of its cause (the same without the position)
//! u64      position of the record that caused it; the highest bit: it was lost with a crash
//! i64      started_at, microseconds
//! i64      updated_at, microseconds
//! ```
//!
//! Before there were checksums, a file was a row of the last five fields. Such a file is still
//! read.

use journal::Position;

use super::Entry;
use crate::alert::id::EventId;

pub(super) const ENTRY_BYTES: usize = 64;
const OLD_ENTRY_BYTES: usize = 56;
const MAGIC: [u8; 4] = *b"MRPE";

/// Positions do not come near it.
const LOST_BIT: u64 = 1 << 63;

/// A million records a second for 2,000 years.
const POSITION_MAX: u64 = 1 << 56;
/// Microseconds, in the year 2540.
const TIME_MAX: i64 = 18_000_000_000_000_000;

/// What a file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contents {
    pub(super) entries: Vec<Entry>,
    /// Entries that are not as they were written.
    pub(super) damaged: u64,
    /// What is left of an entry at the end.
    pub(super) cut_bytes: u64,
    /// Written before there were checksums.
    pub(super) old: bool,
}

impl Contents {
    /// Whether entries can be written behind it.
    pub(super) fn can_be_continued(&self) -> bool {
        !self.old && self.damaged == 0
    }
}

pub(super) fn read(bytes: &[u8]) -> Contents {
    let (chunks, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    // The old layout begins with the id of an event, which is as good as random.
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(start) && !chunks.iter().any(|chunk| decode(chunk).is_some()) {
        return read_old(bytes);
    }
    let entries: Vec<_> = chunks.iter().filter_map(decode).collect();
    Contents {
        damaged: (chunks.len() - entries.len()) as u64,
        entries,
        cut_bytes: rest.len() as u64,
        old: false,
    }
}

fn read_old(bytes: &[u8]) -> Contents {
    let (chunks, rest) = bytes.as_chunks::<OLD_ENTRY_BYTES>();
    let mut entries: Vec<_> = chunks.iter().map(decode_fields).collect();
    entries.retain(is_plausible);
    Contents {
        damaged: (chunks.len() - entries.len()) as u64,
        entries,
        cut_bytes: rest.len() as u64,
        old: true,
    }
}

/// Without a checksum, only what no journal and no clock can have said is known to be wrong.
fn is_plausible(entry: &Entry) -> bool {
    let times = -TIME_MAX..TIME_MAX;
    entry.position.0 < POSITION_MAX
        && times.contains(&entry.started_at)
        && times.contains(&entry.updated_at)
}

pub(super) fn encode<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let fields = encode_fields(entry);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&crc32fast::hash(&fields).to_le_bytes());
        bytes.extend_from_slice(&fields);
    }
    bytes
}

/// `None`: not what `encode` has written.
fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Entry> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, fields) = rest.split_first_chunk::<4>()?;
    let fields = fields.first_chunk::<OLD_ENTRY_BYTES>()?;
    let is_whole = *magic == MAGIC && crc32fast::hash(fields) == u32::from_le_bytes(*sum);
    is_whole.then(|| decode_fields(fields))
}

fn encode_fields(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(OLD_ENTRY_BYTES);
    bytes.extend_from_slice(&entry.id.0);
    bytes.extend_from_slice(&entry.cause.0);
    let lost = if entry.lost { LOST_BIT } else { 0 };
    bytes.extend_from_slice(&(entry.position.0 | lost).to_le_bytes());
    bytes.extend_from_slice(&entry.started_at.to_le_bytes());
    bytes.extend_from_slice(&entry.updated_at.to_le_bytes());
    bytes
}

fn decode_fields(bytes: &[u8; OLD_ENTRY_BYTES]) -> Entry {
    let half = |at: usize| std::array::from_fn(|i| bytes[at + i]);
    let word = |at: usize| std::array::from_fn(|i| bytes[at + i]);
    let position = u64::from_le_bytes(word(32));
    Entry {
        id: EventId(half(0)),
        cause: EventId(half(16)),
        position: Position(position & !LOST_BIT),
        lost: position & LOST_BIT != 0,
        started_at: i64::from_le_bytes(word(40)),
        updated_at: i64::from_le_bytes(word(48)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::entry;
    use super::*;

    #[test]
    fn a_file_without_checksums_is_read() {
        let entries = [entry(1), entry(2)];
        let mut bytes: Vec<u8> = entries.iter().flat_map(encode_fields).collect();
        bytes.extend_from_slice(&[7; 5]);
        let contents = read(&bytes);
        assert_eq!(contents.entries, entries);
        assert!(contents.old && contents.cut_bytes == 5 && contents.damaged == 0);
        assert_eq!(read(&encode_fields(&entries[0])).entries, entries[..1]);
        assert_eq!(
            read(&[0xa5; 2 * OLD_ENTRY_BYTES]).damaged,
            2,
            "no entries at all"
        );
        assert_eq!(read(&[]), Contents::default());
    }

    #[test]
    fn a_file_that_was_cut_within_its_first_entry_is_cut() {
        let bytes = encode([entry(1)].iter());
        for length in 1..bytes.len() {
            let contents = read(&bytes[..length]);
            assert_eq!(contents.cut_bytes, length as u64);
            assert!(contents.entries.is_empty() && contents.can_be_continued());
        }
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let entries = [entry(1), entry(2), entry(3)];
        let good = encode(entries.iter());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            let contents = read(&bad);
            assert_eq!(contents.damaged, 1, "byte {at}");
            assert!(contents.entries.iter().all(|found| entries.contains(found)));
            assert_eq!(contents.entries.len(), 2, "byte {at}");
        }
    }
}
