//! The data representations of section 1.5, read off a slice.
//!
//! Owns: integers, strings, binary data and their rules. Never: copies. Invariant: an error names
//! the packet and the field.

use super::error::DecodeError;
use super::reason::ReasonCode;

/// What is left of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    packet: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(packet: &'static str, bytes: &'a [u8]) -> Reader<'a> {
        Reader {
            rest: bytes,
            packet,
        }
    }

    /// The same packet's reader over a part of it.
    pub(super) fn within(&self, bytes: &'a [u8]) -> Reader<'a> {
        Reader::new(self.packet, bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        let [byte] = self.array(field)?;
        Ok(byte)
    }

    #[inline]
    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    #[inline]
    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    /// A variable byte integer, at most 268,435,455, in no more bytes than it needs. [MQTT-1.5.5-1]
    #[inline]
    pub(super) fn varint(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        let mut value = 0;
        for index in 0..4 {
            let byte = self.u8(field)?;
            value |= u32::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                if index > 0 && byte == 0 {
                    return Err(self.malformed(field, "takes more bytes than it needs"));
                }
                return Ok(value);
            }
        }
        Err(self.malformed(field, "takes more than four bytes"))
    }

    #[inline]
    pub(super) fn take(
        &mut self,
        field: &'static str,
        length: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let Some((head, rest)) = self.rest.split_at_checked(length) else {
            return Err(DecodeError::truncated(self.packet, field));
        };
        self.rest = rest;
        Ok(head)
    }

    /// Bytes behind a two-byte length.
    #[inline]
    pub(super) fn binary(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let length = self.u16(field)?;
        self.take(field, usize::from(length))
    }

    /// Well-formed UTF-8 without surrogates [MQTT-1.5.4-1] and without U+0000 [MQTT-1.5.4-2].
    #[inline]
    pub(super) fn string(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let bytes = self.binary(field)?;
        if bytes.contains(&0) {
            return Err(self.malformed(field, "contains U+0000"));
        }
        self.utf8(field, bytes)
    }

    /// A topic name without wildcards [MQTT-3.3.2-2]; it may be empty, which only the caller can
    /// judge.
    #[inline]
    pub(super) fn topic(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let bytes = self.binary(field)?;
        // Without a way out in the middle the loop is done 16 bytes at a time.
        let (nul, wildcard) = bytes.iter().fold((false, false), |(nul, wildcard), &byte| {
            (
                nul | (byte == 0),
                wildcard | (byte == b'+') | (byte == b'#'),
            )
        });
        if nul {
            return Err(self.malformed(field, "contains U+0000"));
        }
        let topic = self.utf8(field, bytes)?;
        if wildcard {
            return Err(self.error(ReasonCode::TopicNameInvalid, field, "contains a wildcard"));
        }
        Ok(topic)
    }

    /// A packet identifier is never 0. [MQTT-2.2.1-3]
    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<u16, DecodeError> {
        match self.u16("packet id")? {
            0 => Err(self.protocol_error("packet id", "is `0`")),
            packet_id => Ok(packet_id),
        }
    }

    /// Nothing may follow the last field.
    #[inline]
    pub(super) fn end(&self) -> Result<(), DecodeError> {
        match self.rest {
            [] => Ok(()),
            _ => Err(self.malformed("packet", "has bytes behind its last field")),
        }
    }

    pub(super) fn malformed(&self, field: &'static str, problem: &'static str) -> DecodeError {
        self.error(ReasonCode::MalformedPacket, field, problem)
    }

    pub(super) fn protocol_error(&self, field: &'static str, problem: &'static str) -> DecodeError {
        self.error(ReasonCode::ProtocolError, field, problem)
    }

    #[cold]
    pub(super) fn error(
        &self,
        reason: ReasonCode,
        field: &'static str,
        problem: &'static str,
    ) -> DecodeError {
        DecodeError::new(reason, self.packet, field, problem)
    }

    #[inline]
    fn utf8(&self, field: &'static str, bytes: &'a [u8]) -> Result<&'a str, DecodeError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(_) => Err(self.malformed(field, "is not well-formed UTF-8")),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(DecodeError::truncated(self.packet, field));
        };
        self.rest = rest;
        Ok(*head)
    }
}
