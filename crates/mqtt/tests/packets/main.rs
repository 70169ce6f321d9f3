//! The codec against tables of bytes, against another implementation, and against noise.
//!
//! Statement numbers such as `[MQTT-3.3.2-2]` are those of MQTT 5.0; those of 3.1.1 are written
//! `[3.1.1: MQTT-3.8.3-4]`.

mod exercise;
mod frames;
mod ill_formed;
mod noise;
mod oracle;
mod outgoing;
mod well_formed;

use mqtt::{DecodeError, Frame, Packet, Version, frame};

/// Splits off the one packet that `bytes` are, and decodes it.
fn decode(version: Version, bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let (first_byte, body) = split(bytes)?;
    Packet::decode(version, first_byte, body)
}

fn split(bytes: &[u8]) -> Result<(u8, &[u8]), DecodeError> {
    match frame(bytes, usize::MAX)? {
        Frame::Complete {
            first_byte,
            body,
            length,
        } => {
            assert_eq!(length, bytes.len(), "a case is one packet: {bytes:02x?}");
            Ok((first_byte, &bytes[body]))
        }
        incomplete => panic!("a case is a whole packet: {incomplete:?} of {bytes:02x?}"),
    }
}
