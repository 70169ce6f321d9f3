//! What events are made of, as bytes.
//!
//! Owns: the numbers, messages, deliveries and identities in a payload; `event.rs` draws them.
//! Never: knows the events. Invariant: what is read is bounded by the bytes that are there.

use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use journal::Record;

use super::event::DecodeError;
use crate::delivery::Delivery;
use crate::exchange::Origin;
use crate::message::Message;
use crate::subscriptions::Group;
use access::{Identity, Voucher};
use mqtt::Qos;

const QOS_MASK: u8 = 0b11;
const RETAIN: u8 = 1 << 2;
const SNAPSHOT: u8 = 1 << 3;
const EXPIRES: u8 = 1 << 3;

/// Who vouches, by the number in a log.
const VOUCHERS: [Voucher; 5] = [
    Voucher::Nobody,
    Voucher::Users,
    Voucher::Devices,
    Voucher::Certificate,
    Voucher::Token,
];
const VOUCHER_MASK: u8 = 0b111;
const CERTIFICATE: u8 = 1 << 3;

pub(super) fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

pub(super) fn qos(flags: u8) -> Result<Qos, DecodeError> {
    Qos::from_u8(flags & QOS_MASK).ok_or(DecodeError::Malformed)
}

pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Topic and time are the record's.
pub(super) fn put_delivery(out: &mut Vec<u8>, delivery: &Delivery) {
    put_message(out, &delivery.message);
    out.push(
        delivery.qos as u8 | flag(delivery.retain, RETAIN) | flag(delivery.snapshot, SNAPSHOT),
    );
    put_identifier(out, delivery.identifier);
}

/// `shared_delivery` reads both.
pub(super) fn put_shared_delivery(out: &mut Vec<u8>, delivery: &Delivery, group: &Group) {
    put_delivery(out, delivery);
    put_text(out, group.subscription());
}

pub(super) fn put_identifier(out: &mut Vec<u8>, identifier: Option<NonZeroU32>) {
    put_u32(out, identifier.map_or(0, NonZeroU32::get));
}

/// Topic and time are the record's.
pub(super) fn put_message(out: &mut Vec<u8>, message: &Message) {
    out.reserve(32 + message.properties.len() + message.payload.len());
    out.push(
        message.qos as u8
            | flag(message.retain, RETAIN)
            | flag(message.expiry_seconds.is_some(), EXPIRES),
    );
    put_u32(out, message.expiry_seconds.unwrap_or(0));
    put_u64(out, message.publisher);
    for bytes in [&message.properties, &message.payload] {
        // Both come from one packet, which has at most 268,435,455 bytes.
        put_u32(out, bytes.len() as u32);
        out.extend_from_slice(bytes);
    }
}

/// The user is the record's; nothing of one that is forgotten.
pub(super) fn put_identity(out: &mut Vec<u8>, identity: &Identity) {
    let Identity {
        user: _,
        vouched_by,
        groups,
        certificate,
        variables,
        // They hold for a connection.
        expires_at: _,
        device_secret: _,
        revocable: _,
        token_key: _,
    } = identity;
    let Some(number) = VOUCHERS.iter().position(|known| known == vouched_by) else {
        return;
    };
    // There are five.
    out.push(number as u8 | flag(certificate.is_some(), CERTIFICATE));
    if let Some(name) = certificate {
        put_text(out, name);
    }
    put_number(out, groups.len());
    groups.iter().for_each(|group| put_text(out, group));
    put_number(out, variables.len());
    for (name, value) in variables {
        put_text(out, name);
        put_text(out, value);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Seven bits a byte, the lowest first.
fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number > 0x7F {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What of a payload is not read yet.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl Input<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn delivery(&mut self, record: &Record<'_>) -> Result<Delivery, DecodeError> {
        self.delivery_of(record, Origin::default(), false)
    }

    /// One whose message came by this exchange.
    pub(super) fn delivery_of(
        &mut self,
        record: &Record<'_>,
        origin: Origin,
        is_shared: bool,
    ) -> Result<Delivery, DecodeError> {
        let message = Message {
            origin,
            ..self.message(record)?
        };
        let flags = self.u8()?;
        let delivery = Delivery {
            message: message.into(),
            qos: qos(flags)?,
            retain: flags & RETAIN != 0,
            identifier: NonZeroU32::new(self.u32()?),
            snapshot: flags & SNAPSHOT != 0,
            share: None,
        };
        if !is_shared {
            return Ok(delivery);
        }
        Ok(Delivery {
            share: Some(Arc::new(Group::remembered(self.text()?))),
            ..delivery
        })
    }

    /// One that the session was chosen for among those of a group.
    pub(super) fn shared_delivery(&mut self, record: &Record<'_>) -> Result<Delivery, DecodeError> {
        self.delivery_of(record, Origin::default(), true)
    }

    pub(super) fn message(&mut self, record: &Record<'_>) -> Result<Message, DecodeError> {
        let flags = self.u8()?;
        let expiry_seconds = self.u32()?;
        Ok(Message {
            topic: record.topic.into(),
            qos: qos(flags)?,
            retain: flags & RETAIN != 0,
            expiry_seconds: (flags & EXPIRES != 0).then_some(expiry_seconds),
            publisher: self.u64()?,
            properties: self.buffer()?,
            payload: self.buffer()?,
            received_at: record.received_at,
            origin: Default::default(),
            holders: Default::default(),
        })
    }

    /// The record's user, with what else was written down of it.
    pub(super) fn identity(
        &mut self,
        record: &Record<'_>,
        is_known: bool,
    ) -> Result<Arc<Identity>, DecodeError> {
        let mut identity = Identity {
            user: record.user.into(),
            vouched_by: Voucher::Forgotten,
            ..Identity::default()
        };
        if is_known {
            let flags = self.u8()?;
            if flags & !(VOUCHER_MASK | CERTIFICATE) != 0 {
                return Err(DecodeError::Malformed);
            }
            let voucher = VOUCHERS.get(usize::from(flags & VOUCHER_MASK));
            identity.vouched_by = *voucher.ok_or(DecodeError::Malformed)?;
            if flags & CERTIFICATE != 0 {
                identity.certificate = Some(self.text()?);
            }
            identity.groups = self.list(Input::text)?.into();
            let variables = self.list(|input| Ok((input.text()?, input.text()?)))?;
            // They are searched by name.
            if !variables.is_sorted_by(|(one, _), (next, _)| one < next) {
                return Err(DecodeError::Malformed);
            }
            identity.variables = variables.into();
        }
        Ok(Arc::new(identity))
    }

    /// Each entry takes a byte or more, so a number that promises too many ends with the bytes.
    fn list<T>(
        &mut self,
        entry: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        (0..self.number()?).map(|_| entry(self)).collect()
    }

    fn buffer(&mut self) -> Result<Bytes, DecodeError> {
        let length = self.u32()? as usize;
        self.bytes(length).map(Bytes::copy_from_slice)
    }

    fn text(&mut self) -> Result<Box<str>, DecodeError> {
        let length = self.number()? as usize;
        let text = std::str::from_utf8(self.bytes(length)?);
        text.map(Box::from).map_err(|_| DecodeError::Malformed)
    }

    fn bytes(&mut self, length: usize) -> Result<&[u8], DecodeError> {
        let (bytes, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(DecodeError::Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32, DecodeError> {
        let mut number = 0_u64;
        // More would not fit 32 bits.
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.u8()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return number.try_into().map_err(|_| DecodeError::Malformed);
            }
        }
        Err(DecodeError::Malformed)
    }
}
