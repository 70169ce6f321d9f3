//! Why bytes are not a packet.
//!
//! Owns: the reason code and the words. Never: holds the offending bytes, so that it can be logged
//! as it is.

use std::fmt;

use super::reason::ReasonCode;

/// A packet that is refused: what was wrong with which of its fields, and what MQTT 5 calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{packet}: {field} {problem}")]
pub struct DecodeError {
    /// What to tell an MQTT 5 client: 0x81, 0x82, 0x90, 0x94 or 0x95.
    pub reason: ReasonCode,
    /// The packet's name as the specification writes it.
    pub packet: &'static str,
    pub field: &'static str,
    pub problem: Problem,
}

/// What was wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The packet ends before the field does.
    Truncated,
    Is(&'static str),
    TooLarge {
        bytes: usize,
        bytes_max: usize,
    },
}

impl DecodeError {
    #[cold]
    pub(super) fn new(
        reason: ReasonCode,
        packet: &'static str,
        field: &'static str,
        problem: &'static str,
    ) -> DecodeError {
        DecodeError {
            reason,
            packet,
            field,
            problem: Problem::Is(problem),
        }
    }

    #[cold]
    pub(super) fn truncated(packet: &'static str, field: &'static str) -> DecodeError {
        DecodeError {
            reason: ReasonCode::MalformedPacket,
            packet,
            field,
            problem: Problem::Truncated,
        }
    }

    #[cold]
    pub(super) fn too_large(packet: &'static str, bytes: usize, bytes_max: usize) -> DecodeError {
        DecodeError {
            reason: ReasonCode::PacketTooLarge,
            packet,
            field: "packet",
            problem: Problem::TooLarge { bytes, bytes_max },
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Truncated => f.write_str("is cut off by the packet's end"),
            Problem::Is(text) => f.write_str(text),
            Problem::TooLarge { bytes, bytes_max } => {
                write!(
                    f,
                    "has `{bytes}` bytes, more than the `{bytes_max}` allowed"
                )
            }
        }
    }
}
