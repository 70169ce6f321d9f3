//! The log's format.
//!
//! ```text
//! header   8 bytes "MRETAIN\n", u32 format
//! record   u16 mark, u8 kind (1 set, 2 clear), u8 QoS
//!          u16 length of topic, u8 whether it expires, u8 zero
//!          u32 expiry (seconds after received_at)
//!          u32 length of properties, u32 length of payload
//!          i64 received_at (microseconds since 1970, UTC)
//!          u32 CRC-32 of the 28 bytes before and of all that follows
//!          topic (UTF-8), properties, payload
//! ```
//!
//! Little-endian. Owns: bytes of one record. Never: touches a file. The mark is there so that a
//! search for the next record need not try every byte.

use std::sync::Arc;

use bytes::Bytes;

use crate::message::Message;
use crate::message::OWN_PUBLISHER;
use mqtt::Qos;

pub(super) const FILE_HEADER_BYTES: usize = 12;
pub(super) const FORMAT: u32 = 1;
const FILE_MARK: &[u8; 8] = b"MRETAIN\n";

pub(super) const HEADER_BYTES: usize = 32;
const CRC_AT: usize = HEADER_BYTES - 4;
const MARK: [u8; 2] = [0xD5, 0x4D];
const SET: u8 = 1;
const CLEAR: u8 = 2;
/// Topic, properties and payload come from one packet, which has at most 268,435,455 bytes.
const BODY_BYTES_MAX: usize = 1 << 28;

pub(super) fn file_header() -> [u8; FILE_HEADER_BYTES] {
    let mut header = [0; FILE_HEADER_BYTES];
    header[..8].copy_from_slice(FILE_MARK);
    header[8..].copy_from_slice(&FORMAT.to_le_bytes());
    header
}

/// The format of the file that begins so; `None` when it is not a log at all.
pub(super) fn file_format(header: &[u8; FILE_HEADER_BYTES]) -> Option<u32> {
    let (mark, format) = header.split_first_chunk::<8>()?;
    (mark == FILE_MARK).then(|| u32::from_le_bytes([format[0], format[1], format[2], format[3]]))
}

/// What a record says.
#[derive(Debug)]
pub(super) enum Change {
    Set(Message),
    Clear(Arc<str>),
}

/// A record's fixed part, its own checks passed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    bytes: [u8; HEADER_BYTES],
    kind: u8,
    qos: Qos,
    expiry_seconds: Option<u32>,
    received_at: i64,
    /// Lengths.
    topic: usize,
    properties: usize,
    payload: usize,
}

/// Bytes the message takes in the log.
pub(super) fn set_len(message: &Message) -> u64 {
    (HEADER_BYTES + message.topic.len() + message.properties.len() + message.payload.len()) as u64
}

pub(super) fn encode_set(out: &mut Vec<u8>, message: &Message) {
    let qos = message.qos as u8;
    let lengths = [message.properties.len(), message.payload.len()];
    encode(
        out,
        [SET, qos],
        message.expiry_seconds,
        lengths,
        message.received_at,
        [
            message.topic.as_bytes(),
            &message.properties,
            &message.payload,
        ],
    );
}

pub(super) fn encode_clear(out: &mut Vec<u8>, topic: &str) {
    encode(
        out,
        [CLEAR, 0],
        None,
        [0, 0],
        0,
        [topic.as_bytes(), &[], &[]],
    );
}

impl Header {
    /// `None` when these bytes begin no record.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Header> {
        let kind = bytes[2];
        let expires = match bytes[6..8] {
            [0, 0] => false,
            [1, 0] => true,
            _ => return None,
        };
        if bytes[..2] != MARK || !matches!(kind, SET | CLEAR) {
            return None;
        }
        let header = Header {
            bytes: *bytes,
            kind,
            qos: Qos::from_u8(bytes[3])?,
            expiry_seconds: expires.then_some(u32::from_le_bytes(array(bytes, 8))),
            received_at: i64::from_le_bytes(array(bytes, 20)),
            topic: usize::from(u16::from_le_bytes(array(bytes, 4))),
            properties: u32::from_le_bytes(array(bytes, 12)) as usize,
            payload: u32::from_le_bytes(array(bytes, 16)) as usize,
        };
        (header.body_len() <= BODY_BYTES_MAX).then_some(header)
    }

    /// Bytes that follow the header.
    pub(super) fn body_len(&self) -> usize {
        self.topic + self.properties + self.payload
    }

    /// The record, when `body` is what its checksum says.
    pub(super) fn decode(&self, body: &[u8]) -> Option<Change> {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.bytes[..CRC_AT]);
        crc.update(body);
        if crc.finalize().to_le_bytes() != self.bytes[CRC_AT..] {
            return None;
        }
        let (topic, rest) = body.split_at_checked(self.topic)?;
        let (properties, payload) = rest.split_at_checked(self.properties)?;
        let topic = Arc::from(std::str::from_utf8(topic).ok()?);
        if self.kind == CLEAR {
            return Some(Change::Clear(topic));
        }
        Some(Change::Set(Message {
            topic,
            payload: Bytes::copy_from_slice(payload),
            qos: self.qos,
            retain: true,
            properties: Bytes::copy_from_slice(properties),
            expiry_seconds: self.expiry_seconds,
            // Whoever published it is no session of this run.
            publisher: OWN_PUBLISHER,
            received_at: self.received_at,
            origin: Default::default(),
            holders: Default::default(),
        }))
    }
}

fn array<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

fn encode(
    out: &mut Vec<u8>,
    [kind, qos]: [u8; 2],
    expiry_seconds: Option<u32>,
    [properties, payload]: [usize; 2],
    received_at: i64,
    body: [&[u8]; 3],
) {
    let start = out.len();
    // The lengths are bounded by MQTT itself: a topic of 65,535 bytes, a packet of 268,435,455.
    let topic = body[0].len() as u16;
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&[kind, qos]);
    out.extend_from_slice(&topic.to_le_bytes());
    out.extend_from_slice(&[u8::from(expiry_seconds.is_some()), 0]);
    out.extend_from_slice(&expiry_seconds.unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&(properties as u32).to_le_bytes());
    out.extend_from_slice(&(payload as u32).to_le_bytes());
    out.extend_from_slice(&received_at.to_le_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&out[start..]);
    for part in body {
        crc.update(part);
    }
    out.extend_from_slice(&crc.finalize().to_le_bytes());
    for part in body {
        out.extend_from_slice(part);
    }
}
