//! The short packets to bytes: acknowledgements, PINGRESP, DISCONNECT.
//!
//! Owns: their short forms. Never: sends a reason string that makes a packet too large for its
//! receiver.

use super::connack::add_optional;
use super::put;
use crate::reason::ReasonCode;
use crate::types::{Version, first_byte};

/// Appends PUBACK: four bytes when it says success or the receiver speaks 3.1.1, which knows no
/// other.
pub fn puback(out: &mut Vec<u8>, version: Version, packet_id: u16, reason: ReasonCode) {
    ack(out, first_byte::PUBACK, version, packet_id, reason);
}

/// Appends PUBREC, as `puback` does.
pub fn pubrec(out: &mut Vec<u8>, version: Version, packet_id: u16, reason: ReasonCode) {
    ack(out, first_byte::PUBREC, version, packet_id, reason);
}

/// Appends PUBREL, as `puback` does.
pub fn pubrel(out: &mut Vec<u8>, version: Version, packet_id: u16, reason: ReasonCode) {
    ack(out, first_byte::PUBREL, version, packet_id, reason);
}

/// Appends PUBCOMP, as `puback` does.
pub fn pubcomp(out: &mut Vec<u8>, version: Version, packet_id: u16, reason: ReasonCode) {
    ack(out, first_byte::PUBCOMP, version, packet_id, reason);
}

/// Appends PUBACK with a text for people, which is left out in 3.1.1 and when the packet would be
/// too large for the client. Not for a client that did not ask for problem information
/// [MQTT-3.1.2-29].
pub fn puback_with(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    reason: ReasonCode,
    reason_string: &str,
    packet_size_max: Option<u32>,
) {
    let first_byte = first_byte::PUBACK;
    ack_with(
        out,
        first_byte,
        version,
        packet_id,
        reason,
        reason_string,
        packet_size_max,
    );
}

/// Appends PUBREC with a text, as `puback_with` does.
pub fn pubrec_with(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    reason: ReasonCode,
    reason_string: &str,
    packet_size_max: Option<u32>,
) {
    let first_byte = first_byte::PUBREC;
    ack_with(
        out,
        first_byte,
        version,
        packet_id,
        reason,
        reason_string,
        packet_size_max,
    );
}

/// Appends SUBACK: one reason a filter, in the order of SUBSCRIBE [MQTT-3.8.4-6]; in 3.1.1 all
/// failures are 0x80.
pub fn suback(out: &mut Vec<u8>, version: Version, packet_id: u16, reasons: &[ReasonCode]) {
    match version {
        Version::V311 => {
            put::packet(out, first_byte::SUBACK, 2 + reasons.len());
            out.extend_from_slice(&packet_id.to_be_bytes());
            out.extend(reasons.iter().map(|reason| reason.subscribe_return_code()));
        }
        Version::V5 => list(out, first_byte::SUBACK, packet_id, reasons),
    }
}

/// Appends UNSUBACK: one reason a filter in MQTT 5 [MQTT-3.11.3-1], none in 3.1.1.
pub fn unsuback(out: &mut Vec<u8>, version: Version, packet_id: u16, reasons: &[ReasonCode]) {
    match version {
        Version::V311 => {
            put::packet(out, first_byte::UNSUBACK, 2);
            out.extend_from_slice(&packet_id.to_be_bytes());
        }
        Version::V5 => list(out, first_byte::UNSUBACK, packet_id, reasons),
    }
}

pub fn pingresp(out: &mut Vec<u8>) {
    put::packet(out, first_byte::PINGRESP, 0);
}

/// Appends DISCONNECT, to MQTT 5 clients only: a 3.1.1 server closes without a word, and nothing is
/// written. The text is left out when the packet would be too large for the client.
pub fn disconnect(
    out: &mut Vec<u8>,
    version: Version,
    reason: ReasonCode,
    reason_string: Option<&str>,
    packet_size_max: Option<u32>,
) {
    if version == Version::V311 {
        return;
    }
    let mut block = Vec::new();
    add_optional(&mut block, packet_size_max, reason_string, &[], 1);
    if block.is_empty() {
        // Without properties their length may be left out: section 3.14.2.2.1.
        put::packet(out, first_byte::DISCONNECT, 1);
        out.push(reason.code());
        return;
    }
    put::packet(
        out,
        first_byte::DISCONNECT,
        1 + put::varint_len(block.len()) + block.len(),
    );
    out.push(reason.code());
    put::properties(out, &block);
}

#[inline]
fn ack(out: &mut Vec<u8>, first_byte: u8, version: Version, packet_id: u16, reason: ReasonCode) {
    let [high, low] = packet_id.to_be_bytes();
    match (version, reason) {
        (Version::V311, _) | (_, ReasonCode::Success) => {
            out.extend_from_slice(&[first_byte, 2, high, low]);
        }
        _ => out.extend_from_slice(&[first_byte, 3, high, low, reason.code()]),
    }
}

fn ack_with(
    out: &mut Vec<u8>,
    first_byte: u8,
    version: Version,
    packet_id: u16,
    reason: ReasonCode,
    reason_string: &str,
    packet_size_max: Option<u32>,
) {
    let mut block = Vec::new();
    if version == Version::V5 {
        add_optional(&mut block, packet_size_max, Some(reason_string), &[], 3);
    }
    if block.is_empty() {
        return ack(out, first_byte, version, packet_id, reason);
    }
    put::packet(
        out,
        first_byte,
        3 + put::varint_len(block.len()) + block.len(),
    );
    out.extend_from_slice(&packet_id.to_be_bytes());
    out.push(reason.code());
    put::properties(out, &block);
}

/// Bytes of a SUBACK or UNSUBACK with so many reasons for an MQTT 5 client; compare with its
/// maximum packet size [MQTT-3.1.2-24].
pub fn list_len(reasons: usize) -> usize {
    let remaining = 3 + reasons;
    1 + put::varint_len(remaining) + remaining
}

fn list(out: &mut Vec<u8>, first_byte: u8, packet_id: u16, reasons: &[ReasonCode]) {
    put::packet(out, first_byte, 3 + reasons.len());
    out.extend_from_slice(&packet_id.to_be_bytes());
    // No properties.
    out.push(0);
    out.extend(reasons.iter().map(|reason| reason.code()));
}
