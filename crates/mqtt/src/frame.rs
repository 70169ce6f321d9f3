//! Where one packet ends in a stream of bytes.
//!
//! Owns: the fixed header (section 2.1). Never: looks into a packet's body. Invariant: a header
//! that can be refused is refused before anybody waits for the body.

use std::ops::Range;

use super::error::DecodeError;
use super::reason::ReasonCode;
use super::types::{Qos, first_byte as first, packet_name};

/// What lies at the beginning of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// More bytes must come. `needed`: the whole packet's length in bytes, header included, once
    /// the header says it.
    Incomplete { needed: Option<usize> },
    Complete {
        /// Packet type and flags.
        first_byte: u8,
        /// Where in the buffer the rest of the packet lies, variable header and payload.
        body: Range<usize>,
        /// Bytes of the whole packet: where in the buffer the next one begins.
        length: usize,
    },
}

/// Finds the first packet in `buffer`. `max_packet_size` counts the whole packet in bytes, header
/// included.
///
/// Packet type and flags are checked as soon as the first byte is there, the size as soon as the
/// header is. A remaining length in more bytes than it needs is accepted: 3.1.1 allows it, and the
/// version may not be known yet.
#[inline]
pub fn frame(buffer: &[u8], max_packet_size: usize) -> Result<Frame, DecodeError> {
    match buffer.first() {
        Some(&first_byte) => frame_of(first_byte, buffer, max_packet_size),
        None => Ok(Frame::Incomplete { needed: None }),
    }
}

/// The same of an MQTT 3.1 client, which says with DUP that a PUBREL, SUBSCRIBE or UNSUBSCRIBE is
/// sent again; the frame's first byte is without it.
pub fn frame_v31(buffer: &[u8], max_packet_size: usize) -> Result<Frame, DecodeError> {
    const DUP: u8 = 0x08;
    match buffer.first() {
        Some(&first_byte) => {
            let without = first_byte & !DUP;
            let has_dup = [first::PUBREL, first::SUBSCRIBE, first::UNSUBSCRIBE].contains(&without);
            let first_byte = if has_dup { without } else { first_byte };
            frame_of(first_byte, buffer, max_packet_size)
        }
        None => Ok(Frame::Incomplete { needed: None }),
    }
}

#[inline]
fn frame_of(first_byte: u8, buffer: &[u8], max_packet_size: usize) -> Result<Frame, DecodeError> {
    check_first_byte(first_byte)?;
    let mut remaining = 0usize;
    // Four bytes of seven bits each: at most 268,435,455. Section 1.5.5.
    for index in 0..4 {
        let Some(&byte) = buffer.get(1 + index) else {
            return Ok(Frame::Incomplete { needed: None });
        };
        remaining |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let start = 2 + index;
            let length = start + remaining;
            if length > max_packet_size {
                let packet = packet_name(first_byte);
                return Err(DecodeError::too_large(packet, length, max_packet_size));
            }
            if buffer.len() < length {
                return Ok(Frame::Incomplete {
                    needed: Some(length),
                });
            }
            return Ok(Frame::Complete {
                first_byte,
                body: start..length,
                length,
            });
        }
    }
    Err(DecodeError::new(
        ReasonCode::MalformedPacket,
        packet_name(first_byte),
        "remaining length",
        "takes more than four bytes",
    ))
}

/// Reserved types and flags: [MQTT-2.1.3-1], QoS 3: [MQTT-3.3.1-4], DUP without QoS:
/// [MQTT-3.3.1-2].
#[inline]
pub(super) fn check_first_byte(first_byte: u8) -> Result<(), DecodeError> {
    let problem = match first_byte {
        first::CONNECT
        | first::CONNACK
        | first::PUBACK
        | first::PUBREC
        | first::PUBREL
        | first::PUBCOMP
        | first::SUBSCRIBE
        | first::SUBACK
        | first::UNSUBSCRIBE
        | first::UNSUBACK
        | first::PINGREQ
        | first::PINGRESP
        | first::DISCONNECT
        | first::AUTH => return Ok(()),
        0x30..=0x3F if Qos::from_u8((first_byte >> 1) & 3).is_none() => {
            "ask for the reserved qos 3"
        }
        0x30..=0x3F if first_byte & 0x0E == 0x08 => "have dup set at qos 0",
        0x30..=0x3F => return Ok(()),
        0x00..=0x0F => "belong to the reserved packet type 0",
        _ => "are not those of this packet type",
    };
    Err(DecodeError::new(
        ReasonCode::MalformedPacket,
        packet_name(first_byte),
        "header flags",
        problem,
    ))
}
