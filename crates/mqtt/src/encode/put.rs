//! The data representations of section 1.5, written.
//!
//! Owns: lengths and their bounds. Never: knows a packet.

use crate::property::id;

/// The largest variable byte integer, and so the largest remaining length. Section 1.5.5.
const VARINT_MAX: usize = 268_435_455;

/// Bytes a variable byte integer takes.
pub(crate) fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// `value` is at most 268,435,455; a packet's parts are bounded far below it.
pub(crate) fn varint(out: &mut Vec<u8>, value: usize) {
    debug_assert!(value <= VARINT_MAX);
    let mut rest = value;
    while rest > 0x7F {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The fixed header and room for what follows.
pub(crate) fn packet(out: &mut Vec<u8>, first_byte: u8, remaining: usize) {
    out.reserve(1 + varint_len(remaining) + remaining);
    out.push(first_byte);
    varint(out, remaining);
}

/// A string with its length; what is beyond 65,535 bytes is cut off at a character.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(usize::from(u16::MAX))];
    binary(out, text.as_bytes());
}

/// Bytes with their length; what is beyond 65,535 bytes is cut off.
pub(crate) fn binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A block of properties behind its length.
pub(crate) fn properties(out: &mut Vec<u8>, block: &[u8]) {
    varint(out, block.len());
    out.extend_from_slice(block);
}

pub(crate) fn property_u8(out: &mut Vec<u8>, id: u8, value: Option<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(&[id, value]);
    }
}

pub(crate) fn property_u16(out: &mut Vec<u8>, id: u8, value: Option<u16>) {
    if let Some(value) = value {
        out.push(id);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(crate) fn property_u32(out: &mut Vec<u8>, id: u8, value: Option<u32>) {
    if let Some(value) = value {
        out.push(id);
        out.extend_from_slice(&value.to_be_bytes());
    }
}

pub(crate) fn property_varint(out: &mut Vec<u8>, id: u8, value: u32) {
    out.push(id);
    varint(out, value as usize);
}

pub(crate) fn property_string(out: &mut Vec<u8>, id: u8, value: Option<&str>) {
    if let Some(value) = value {
        out.push(id);
        string(out, value);
    }
}

pub(crate) fn property_binary(out: &mut Vec<u8>, id: u8, value: Option<&[u8]>) {
    if let Some(value) = value {
        out.push(id);
        binary(out, value);
    }
}

pub(crate) fn property_pair(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(id::USER_PROPERTY);
    string(out, name);
    string(out, value);
}
