//! One message as bytes, and batches of them.
//!
//! A record, little-endian:
//!
//! ```text
//! u32 length of what follows
//! i64 received_at (microseconds since 1970, UTC)
//! u8  QoS in bits 0 and 1; bit 7: a packet id follows the fixed part; other bits zero
//! u8  length of content type
//! u16 length of client id
//! u16 length of user
//! u16 length of topic
//! u16 packet id, only when bit 7 of the QoS says so
//!     content type, client id, user, topic (UTF-8), payload (the rest)
//! ```
//!
//! The position is not stored: it is the frame's first position plus the record's index.

use bytes::Bytes;

use crate::Position;

const FIXED_BYTES: usize = 8 + 1 + 1 + 2 + 2 + 2;
const PACKET_ID_BYTES: usize = 2;

const QOS_MASK: u8 = 0b11;
/// Records written before packet ids were kept never have this bit.
const HAS_PACKET_ID: u8 = 1 << 7;

/// Batches up to this size are copied into an exact allocation when they enter the journal, and
/// keep their buffer: cheaper than giving the buffer away and allocating another, and no unused
/// capacity is held in memory with them.
const COPY_BYTES_MAX: usize = 4 << 10;
/// A buffer given away is replaced by one of the same size up to here; larger ones are not worth
/// holding in advance.
const SPARE_BYTES_MAX: usize = 64 << 10;

/// A message as the gate received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Microseconds since 1970, UTC: when the gate received it.
    pub received_at: i64,
    /// 0, 1 or 2.
    pub qos: u8,
    /// The packet id it was published under, where a restart must be able to tell a repeated
    /// publish from a new one: QoS 2 of a session that outlives its connection.
    pub packet_id: Option<u16>,
    /// MQTT 5 content type, or empty. At most 255 bytes are kept.
    pub content_type: &'a str,
    pub client_id: &'a str,
    /// The authenticated user, or empty.
    pub user: &'a str,
    pub topic: &'a str,
    pub payload: &'a [u8],
}

/// Records on their way into the journal, encoded as they will lie on disk.
#[derive(Debug, Default)]
pub struct RecordBatch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) count: u32,
}

impl RecordBatch {
    pub const fn new() -> RecordBatch {
        RecordBatch {
            bytes: Vec::new(),
            count: 0,
        }
    }

    /// Encodes one record. The lengths are bounded by MQTT itself (strings of at most 65,535
    /// bytes).
    pub fn push(&mut self, record: &Record<'_>) {
        let content_type = match record.content_type.len() {
            0..=255 => record.content_type,
            _ => "",
        };
        let (flag, id_bytes) = match record.packet_id {
            Some(_) => (HAS_PACKET_ID, PACKET_ID_BYTES),
            None => (0, 0),
        };
        let length = FIXED_BYTES
            + id_bytes
            + content_type.len()
            + record.client_id.len()
            + record.user.len()
            + record.topic.len()
            + record.payload.len();
        let out = &mut self.bytes;
        out.reserve(4 + length);
        out.extend_from_slice(&(length as u32).to_le_bytes());
        out.extend_from_slice(&record.received_at.to_le_bytes());
        out.extend_from_slice(&[record.qos & QOS_MASK | flag, content_type.len() as u8]);
        out.extend_from_slice(&(record.client_id.len() as u16).to_le_bytes());
        out.extend_from_slice(&(record.user.len() as u16).to_le_bytes());
        out.extend_from_slice(&(record.topic.len() as u16).to_le_bytes());
        if let Some(packet_id) = record.packet_id {
            out.extend_from_slice(&packet_id.to_le_bytes());
        }
        out.extend_from_slice(content_type.as_bytes());
        out.extend_from_slice(record.client_id.as_bytes());
        out.extend_from_slice(record.user.as_bytes());
        out.extend_from_slice(record.topic.as_bytes());
        out.extend_from_slice(record.payload);
        self.count += 1;
    }

    pub fn len(&self) -> u32 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the records out as a journal that begins with them at `first` would hold them: for
    /// journals in memory. The batch becomes empty.
    pub fn take(&mut self, first: Position) -> Chunk {
        let RecordBatch { bytes, count } = std::mem::take(self);
        Chunk::new(first, count, bytes.into())
    }

    /// Takes the bytes out; follow it with `settle` or `restore`.
    pub(crate) fn detach(&mut self) -> Detached {
        let length = self.bytes.len();
        if length <= COPY_BYTES_MAX || length < self.bytes.capacity() / 2 {
            return Detached {
                bytes: Bytes::copy_from_slice(&self.bytes),
                memory: length,
                copied: true,
            };
        }
        let memory = self.bytes.capacity();
        Detached {
            bytes: Bytes::from(std::mem::take(&mut self.bytes)),
            memory,
            copied: false,
        }
    }

    /// The journal has accepted the bytes: the batch becomes empty, ready for the next records.
    pub(crate) fn settle(&mut self, copied: bool, length: usize) {
        self.count = 0;
        if copied {
            self.bytes.clear();
        } else if length <= SPARE_BYTES_MAX {
            self.bytes = Vec::with_capacity(length);
        }
    }

    /// The journal has refused: the batch is what it was.
    pub(crate) fn restore(&mut self, detached: Detached) {
        if !detached.copied {
            self.bytes = detached.bytes.into();
        }
    }
}

/// The bytes of a batch on their way into the journal.
pub(crate) struct Detached {
    pub(crate) bytes: Bytes,
    /// Bytes of memory they hold.
    pub(crate) memory: usize,
    /// The batch still has its own buffer.
    pub(crate) copied: bool,
}

/// Consecutive records as the journal holds them; cheap to clone.
#[derive(Debug, Clone)]
pub struct Chunk {
    first: Position,
    count: u32,
    bytes: Bytes,
}

impl Chunk {
    /// `bytes` must hold exactly `count` records as `RecordBatch` encodes them.
    pub fn new(first: Position, count: u32, bytes: Bytes) -> Chunk {
        Chunk {
            first,
            count,
            bytes,
        }
    }

    pub fn first(&self) -> Position {
        self.first
    }

    pub fn end(&self) -> Position {
        self.first.plus(u64::from(self.count))
    }

    pub fn len(&self) -> u32 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn records(&self) -> Records<'_> {
        Records {
            position: self.first,
            rest: &self.bytes,
        }
    }

    /// The records from `position` on, without copying them; the whole chunk when it begins there
    /// or later.
    pub(crate) fn starting_at(self, position: Position) -> Chunk {
        let skip = position.since(self.first).min(u64::from(self.count)) as u32;
        let mut offset = 0;
        for _ in 0..skip {
            let Some(length) = self.bytes[offset..].first_chunk::<4>() else {
                break;
            };
            offset = (offset + 4 + u32::from_le_bytes(*length) as usize).min(self.bytes.len());
        }
        Chunk {
            first: self.first.plus(u64::from(skip)),
            count: self.count - skip,
            bytes: self.bytes.slice(offset..),
        }
    }
}

/// The records of a chunk with their positions.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    position: Position,
    rest: &'a [u8],
}

impl Records<'_> {
    /// Whether every byte has been read as part of a record.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (Position, Record<'a>);

    /// Ends early at bytes that are not a record: a checksum has vouched for them before, so that
    /// is a defect of the writer.
    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let record = parse(rest.get(..length)?)?;
        self.rest = &rest[length..];
        let position = self.position;
        self.position = position.plus(1);
        Some((position, record))
    }
}

fn parse(bytes: &[u8]) -> Option<Record<'_>> {
    let (fixed, rest) = bytes.split_first_chunk::<FIXED_BYTES>()?;
    let received_at = i64::from_le_bytes(fixed[0..8].try_into().ok()?);
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([fixed[at], fixed[at + 1]]));
    let (packet_id, rest) = split_packet_id(fixed[8], rest)?;
    let (content_type, rest) = split_str(rest, usize::from(fixed[9]))?;
    let (client_id, rest) = split_str(rest, u16_at(10))?;
    let (user, rest) = split_str(rest, u16_at(12))?;
    let (topic, payload) = split_str(rest, u16_at(14))?;
    Some(Record {
        received_at,
        qos: fixed[8] & QOS_MASK,
        packet_id,
        content_type,
        client_id,
        user,
        topic,
        payload,
    })
}

/// `None` when the record says that there is a packet id and ends before it.
fn split_packet_id(flags: u8, rest: &[u8]) -> Option<(Option<u16>, &[u8])> {
    if flags & HAS_PACKET_ID == 0 {
        return Some((None, rest));
    }
    let (packet_id, rest) = rest.split_first_chunk::<PACKET_ID_BYTES>()?;
    Some((Some(u16::from_le_bytes(*packet_id)), rest))
}

fn split_str(bytes: &[u8], length: usize) -> Option<(&str, &[u8])> {
    let (head, rest) = bytes.split_at_checked(length)?;
    Some((std::str::from_utf8(head).ok()?, rest))
}

#[cfg(test)]
mod tests;
