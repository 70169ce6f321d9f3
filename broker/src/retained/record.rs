//! A retained message as a record of the journal.
//!
//! Owns: which parts of a message lie where. Never: touches a file. Invariant: what was written is
//! read as the same message, without what only a running process knows of it.
//!
//! Topic, QoS and the time of receipt are those of the record. Its payload, little-endian:
//!
//! ```text
//! u8   format (1)
//! u8   whether the message expires (0 or 1)
//! u32  expiry, seconds after the receipt
//! u32  length of the properties
//!      properties, payload
//! ```
//!
//! A record with an empty payload clears the topic, as the publish of an empty retained message
//! does.

use std::sync::Arc;

use bytes::Bytes;
use journal::{Record, RecordBatch};
use mqtt::Qos;

use crate::message::{Message, OWN_PUBLISHER};

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 10;
/// What the journal puts around the payload of a record, the topic not counted; and a part of what
/// it puts around a frame.
const RECORD_OVERHEAD_BYTES: usize = 24;

/// Why a record is no retained message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("it has format `{0}`, this version reads `{FORMAT}`")]
    Format(u8),
    #[error("it is malformed")]
    Malformed,
}

/// About the bytes that the message takes in the journal.
pub(super) fn byte_len(message: &Message) -> u64 {
    let content = message.topic.len() + message.properties.len() + message.payload.len();
    (RECORD_OVERHEAD_BYTES + HEADER_BYTES + content) as u64
}

/// Appends a record that keeps the message, or one that clears `topic`.
pub(super) fn encode(
    batch: &mut RecordBatch,
    topic: &str,
    message: Option<&Message>,
    scratch: &mut Vec<u8>,
) {
    scratch.clear();
    if let Some(message) = message {
        scratch.extend_from_slice(&[FORMAT, u8::from(message.expiry_seconds.is_some())]);
        scratch.extend_from_slice(&message.expiry_seconds.unwrap_or(0).to_le_bytes());
        // All of it comes from one packet, which has at most 268,435,455 bytes.
        scratch.extend_from_slice(&(message.properties.len() as u32).to_le_bytes());
        scratch.extend_from_slice(&message.properties);
        scratch.extend_from_slice(&message.payload);
    }
    batch.push(&Record {
        received_at: message.map_or(0, |message| message.received_at),
        qos: message.map_or(0, |message| message.qos as u8),
        packet_id: None,
        content_type: "",
        client_id: "",
        user: "",
        topic,
        payload: scratch,
    });
}

/// The message; an empty payload says that its topic is cleared.
pub(super) fn decode(record: &Record<'_>) -> Result<Message, RecordError> {
    let content = match record.payload.first() {
        None => Content::default(),
        Some(&FORMAT) => Content::read(record.payload).ok_or(RecordError::Malformed)?,
        Some(format) => return Err(RecordError::Format(*format)),
    };
    Ok(Message {
        topic: Arc::from(record.topic),
        payload: Bytes::copy_from_slice(content.payload),
        qos: Qos::from_u8(record.qos).ok_or(RecordError::Malformed)?,
        retain: true,
        properties: Bytes::copy_from_slice(content.properties),
        expiry_seconds: content.expiry_seconds,
        // Whoever published it is no session of this run.
        publisher: OWN_PUBLISHER,
        received_at: record.received_at,
        origin: Default::default(),
        holders: Default::default(),
    })
}

#[derive(Default)]
struct Content<'a> {
    expiry_seconds: Option<u32>,
    properties: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Content<'a> {
    fn read(bytes: &'a [u8]) -> Option<Content<'a>> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| header[at + i]));
        let expires = match header[1] {
            0 => false,
            1 => true,
            _ => return None,
        };
        let (properties, payload) = rest.split_at_checked(word(6) as usize)?;
        let content = Content {
            expiry_seconds: expires.then_some(word(2)),
            properties,
            payload,
        };
        // An empty message is never kept.
        (!payload.is_empty()).then_some(content)
    }
}
