//! PUBLISH (section 3.3), and what a will and a publish have in common.
//!
//! Owns: a message as it lies in the read buffer. Never: copies topic, payload or properties.
//! Invariant: one pass over the bytes; an absent property costs nothing.

use bytes::Bytes;

use super::error::DecodeError;
use super::property::{self, Place, UserProperties, Value, id};
use super::reader::Reader;
use super::reason::ReasonCode;
use super::types::{Qos, Version};

/// A message, borrowed from the buffer it was read into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    pub dup: bool,
    pub qos: Qos,
    pub retain: bool,
    /// Free of wildcards and U+0000. Empty only when there is a topic alias.
    pub topic: &'a str,
    /// `Some` and not 0 exactly when the QoS is 1 or 2.
    pub packet_id: Option<u16>,
    pub properties: PublishProperties<'a>,
    pub payload: &'a [u8],
}

/// The properties of a message; all absent in 3.1.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublishProperties<'a> {
    /// Never 0. Whether it is within the bound the server gave is the gate's to check.
    pub topic_alias: Option<u16>,
    /// Seconds.
    pub message_expiry: Option<u32>,
    /// True: the payload is said to be UTF-8. `None`: nothing is said.
    pub payload_format: Option<bool>,
    pub content_type: Option<&'a str>,
    /// A topic name without wildcards.
    pub response_topic: Option<&'a str>,
    pub correlation_data: Option<&'a [u8]>,
    raw: &'a [u8],
    /// Something in `raw` is not passed on as it is.
    has_own: bool,
}

/// The bytes of those properties that are passed on to subscribers as they came, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forwardable<'a> {
    block: &'a [u8],
    /// Not all of `block` is passed on.
    filtered: bool,
}

impl<'a> Publish<'a> {
    /// `first_byte` has passed `check_first_byte`.
    #[inline]
    pub(super) fn decode(
        version: Version,
        first_byte: u8,
        body: &'a [u8],
        place: Place,
    ) -> Result<Publish<'a>, DecodeError> {
        let mut reader = Reader::new("PUBLISH", body);
        let qos = Qos::from_u8((first_byte >> 1) & 3)
            .ok_or_else(|| reader.malformed("qos", "is the reserved `3`"))?;
        let topic = reader.topic("topic")?;
        let packet_id = match qos {
            Qos::AtMostOnce => None,
            _ => Some(reader.packet_id()?),
        };
        let mut properties = PublishProperties::default();
        if version == Version::V5 {
            properties = PublishProperties::read(&mut reader, place, |_| ())?;
        }
        if topic.is_empty() && properties.topic_alias.is_none() {
            return Err(empty_topic(&reader, version));
        }
        Ok(Publish {
            dup: first_byte & 0x08 != 0,
            qos,
            retain: first_byte & 0x01 != 0,
            topic,
            packet_id,
            properties,
            payload: reader.rest(),
        })
    }
}

impl<'a> PublishProperties<'a> {
    /// Reads the block of a message; a will's delay in seconds goes to `will_delay`.
    #[inline]
    pub(super) fn read(
        reader: &mut Reader<'a>,
        place: Place,
        mut will_delay: impl FnMut(u32),
    ) -> Result<PublishProperties<'a>, DecodeError> {
        let mut found = PublishProperties::default();
        found.raw = property::read(reader, place, |identifier, value| {
            found.has_own |= !is_forwardable(identifier);
            match (identifier, value) {
                (id::PAYLOAD_FORMAT, Value::Number(flag)) => found.payload_format = Some(flag == 1),
                (id::MESSAGE_EXPIRY, Value::Number(seconds)) => {
                    found.message_expiry = Some(seconds);
                }
                (id::CONTENT_TYPE, Value::Text(text)) => found.content_type = Some(text),
                (id::RESPONSE_TOPIC, Value::Text(topic)) => found.response_topic = Some(topic),
                (id::CORRELATION_DATA, Value::Binary(data)) => found.correlation_data = Some(data),
                // It was read from two bytes.
                (id::TOPIC_ALIAS, Value::Number(alias)) => found.topic_alias = Some(alias as u16),
                (id::WILL_DELAY, Value::Number(seconds)) => will_delay(seconds),
                _ => (),
            }
        })?;
        Ok(found)
    }

    pub fn user_properties(&self) -> UserProperties<'a> {
        UserProperties::of(self.raw)
    }

    /// The subscription identifiers of a message delivered to a client; none in one that a server
    /// received.
    pub fn subscription_ids(&self) -> impl Iterator<Item = u32> + use<'a> {
        property::walk(self.raw).filter_map(|(identifier, value, _)| match value {
            Value::Number(number) if identifier == id::SUBSCRIPTION_ID => Some(number),
            _ => None,
        })
    }

    /// All that subscribers get unchanged: payload format, content type, response topic,
    /// correlation data, user properties.
    ///
    /// Left out are topic alias, will delay and subscription identifiers, which concern one
    /// connection only, and the message expiry interval, which counts down: give what is left of it
    /// to `encode::Publish::message_expiry`.
    pub fn raw_forwardable(&self) -> Forwardable<'a> {
        Forwardable {
            block: self.raw,
            filtered: self.has_own,
        }
    }
}

impl<'a> Forwardable<'a> {
    pub fn len(&self) -> usize {
        self.parts().map(<[u8]>::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in order; their concatenation is the block to send.
    pub fn parts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (whole, mixed): (&[u8], &[u8]) = if !self.filtered {
            (self.block, &[])
        } else {
            (&[], self.block)
        };
        let picked = property::walk(mixed)
            .filter(|(identifier, ..)| is_forwardable(*identifier))
            .map(|(_, _, bytes)| bytes);
        std::iter::once(whole).chain(picked)
    }

    pub fn append_to(&self, out: &mut Vec<u8>) {
        for part in self.parts() {
            out.extend_from_slice(part);
        }
    }

    /// An owned copy, without an allocation when there is nothing.
    pub fn to_bytes(&self) -> Bytes {
        if self.is_empty() {
            return Bytes::new();
        }
        let mut out = Vec::with_capacity(self.len());
        self.append_to(&mut out);
        Bytes::from(out)
    }
}

fn is_forwardable(identifier: u8) -> bool {
    !matches!(
        identifier,
        id::TOPIC_ALIAS | id::SUBSCRIPTION_ID | id::WILL_DELAY | id::MESSAGE_EXPIRY
    )
}

/// [MQTT-4.7.3-1]; in MQTT 5 it is a protocol error when there is no alias either: section 3.3.2.1.
#[cold]
fn empty_topic(reader: &Reader<'_>, version: Version) -> DecodeError {
    match version {
        Version::V311 => reader.error(ReasonCode::TopicNameInvalid, "topic", "is empty"),
        Version::V5 => reader.protocol_error("topic", "is empty and there is no topic alias"),
    }
}
