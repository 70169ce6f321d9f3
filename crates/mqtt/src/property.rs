//! Properties of MQTT 5 (section 2.2.2): which there are, where each may stand, and the one pass
//! that checks them.
//!
//! Owns: identifiers, types, ranges, the rule that none but user properties is given twice. Never:
//! keeps a list; the caller's visitor takes what it needs and the raw bytes stay where they are.

use super::error::DecodeError;
use super::reader::Reader;
use super::reason::ReasonCode;

/// Property identifiers, table 2-4.
pub(super) mod id {
    pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION_DATA: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_ID: u8 = 0x0B;
    pub(crate) const SESSION_EXPIRY: u8 = 0x11;
    pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(crate) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(crate) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(crate) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub(crate) const WILL_DELAY: u8 = 0x18;
    pub(crate) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub(crate) const RESPONSE_INFORMATION: u8 = 0x1A;
    pub(crate) const SERVER_REFERENCE: u8 = 0x1C;
    pub(crate) const REASON_STRING: u8 = 0x1F;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(crate) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const MAXIMUM_QOS: u8 = 0x24;
    pub(crate) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(crate) const USER_PROPERTY: u8 = 0x26;
    pub(crate) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(crate) const WILDCARD_SUBSCRIPTIONS: u8 = 0x28;
    pub(crate) const SUBSCRIPTION_IDS: u8 = 0x29;
    pub(crate) const SHARED_SUBSCRIPTIONS: u8 = 0x2A;
}

/// Where properties stand; a set of one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u16);

impl Place {
    pub(super) const CONNECT: Place = Place(1);
    pub(super) const WILL: Place = Place(1 << 1);
    pub(super) const CONNACK: Place = Place(1 << 2);
    /// A PUBLISH on its way to the server, without a subscription identifier. [MQTT-3.3.4-6]
    pub(super) const PUBLISH: Place = Place(1 << 3);
    /// A PUBLISH on its way to a client.
    pub(super) const DELIVERY: Place = Place(1 << 4);
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    pub(super) const ACK: Place = Place(1 << 5);
    pub(super) const SUBSCRIBE: Place = Place(1 << 6);
    pub(super) const UNSUBSCRIBE: Place = Place(1 << 7);
    pub(super) const DISCONNECT: Place = Place(1 << 8);
    pub(super) const AUTH: Place = Place(1 << 9);

    const fn and(self, other: Place) -> Place {
        Place(self.0 | other.0)
    }

    fn contains(self, place: Place) -> bool {
        self.0 & place.0 != 0
    }
}

/// A property's value by its type on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A byte, a two-byte, a four-byte or a variable byte integer.
    Number(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair(&'a str, &'a str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A byte of 0 or 1.
    Flag,
    U16,
    U32,
    Varint,
    Text,
    /// A string that must be a topic name.
    Topic,
    Binary,
    Pair,
}

/// Reads a block of properties, its length first, and shows each to `visit`. Returns the block
/// without its length.
#[inline]
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    place: Place,
    mut visit: impl FnMut(u8, Value<'a>),
) -> Result<&'a [u8], DecodeError> {
    let length = reader.varint("property length")?;
    let block = reader.take("properties", length as usize)?;
    let mut properties = reader.within(block);
    // All identifiers are below 64, so one word remembers which were seen.
    let mut seen = 0u64;
    while !properties.is_empty() {
        let identifier = properties.u8("property")?;
        let Some((kind, name, places)) = describe(identifier) else {
            return Err(properties.malformed("property", "has an unknown identifier"));
        };
        // "Not valid for its packet type" is malformed: section 2.2.2.2.
        if !places.contains(place) {
            return Err(properties.malformed(name, "does not belong into this packet"));
        }
        let bit = 1u64 << identifier;
        if seen & bit != 0 && !repeats(identifier, place) {
            return Err(properties.protocol_error(name, "is given twice"));
        }
        seen |= bit;
        let value = read_value(&mut properties, kind, name)?;
        check_range(&properties, identifier, name, value)?;
        visit(identifier, value);
    }
    Ok(block)
}

/// Walks a block that `read` has accepted, with each property's bytes, identifier included.
pub(super) fn walk(block: &[u8]) -> impl Iterator<Item = (u8, Value<'_>, &[u8])> {
    let mut reader = Reader::new("properties", block);
    std::iter::from_fn(move || {
        let before = reader.rest();
        let identifier = reader.u8("property").ok()?;
        let (kind, name, _) = describe(identifier)?;
        let value = read_value(&mut reader, kind, name).ok()?;
        let bytes = &before[..before.len() - reader.rest().len()];
        Some((identifier, value, bytes))
    })
}

/// The user properties of a checked block, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserProperties<'a> {
    block: &'a [u8],
}

impl<'a> UserProperties<'a> {
    /// `block` has passed `read`.
    pub(super) fn of(block: &'a [u8]) -> UserProperties<'a> {
        UserProperties { block }
    }

    /// Names and values; a name may come more than once.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        walk(self.block).filter_map(|(_, value, _)| match value {
            Value::Pair(name, value) => Some((name, value)),
            _ => None,
        })
    }
}

#[inline]
fn read_value<'a>(
    reader: &mut Reader<'a>,
    kind: Kind,
    name: &'static str,
) -> Result<Value<'a>, DecodeError> {
    Ok(match kind {
        Kind::Flag => Value::Number(u32::from(reader.u8(name)?)),
        Kind::U16 => Value::Number(u32::from(reader.u16(name)?)),
        Kind::U32 => Value::Number(reader.u32(name)?),
        Kind::Varint => Value::Number(reader.varint(name)?),
        Kind::Text => Value::Text(reader.string(name)?),
        Kind::Topic => Value::Text(reader.topic(name)?),
        Kind::Binary => Value::Binary(reader.binary(name)?),
        Kind::Pair => Value::Pair(reader.string(name)?, reader.string(name)?),
    })
}

#[inline]
fn check_range(
    reader: &Reader<'_>,
    identifier: u8,
    name: &'static str,
    value: Value<'_>,
) -> Result<(), DecodeError> {
    match (identifier, value) {
        (
            id::PAYLOAD_FORMAT
            | id::REQUEST_PROBLEM_INFORMATION
            | id::REQUEST_RESPONSE_INFORMATION
            | id::MAXIMUM_QOS
            | id::RETAIN_AVAILABLE
            | id::WILDCARD_SUBSCRIPTIONS
            | id::SUBSCRIPTION_IDS
            | id::SHARED_SUBSCRIPTIONS,
            Value::Number(2..),
        ) => Err(reader.protocol_error(name, "is neither `0` nor `1`")),
        (id::RECEIVE_MAXIMUM | id::MAXIMUM_PACKET_SIZE | id::SUBSCRIPTION_ID, Value::Number(0)) => {
            Err(reader.protocol_error(name, "is `0`"))
        }
        // [MQTT-3.3.2-8]
        (id::TOPIC_ALIAS, Value::Number(0)) => {
            Err(reader.error(ReasonCode::TopicAliasInvalid, name, "is `0`"))
        }
        // [MQTT-4.7.3-1]
        (id::RESPONSE_TOPIC, Value::Text("")) => {
            Err(reader.error(ReasonCode::TopicNameInvalid, name, "is empty"))
        }
        _ => Ok(()),
    }
}

/// A subscription identifier comes once for each subscription a delivered message matched. Section
/// 3.3.2.3.8.
fn repeats(identifier: u8, place: Place) -> bool {
    identifier == id::USER_PROPERTY
        || (identifier == id::SUBSCRIPTION_ID && place == Place::DELIVERY)
}

/// Table 2-4: type, name, and where it may stand.
#[inline]
fn describe(identifier: u8) -> Option<(Kind, &'static str, Place)> {
    const ANY_PUBLISH: Place = Place::PUBLISH.and(Place::DELIVERY);
    const MESSAGE: Place = ANY_PUBLISH.and(Place::WILL);
    const BOTH_CONNECT: Place = Place::CONNECT.and(Place::CONNACK);
    const ANSWERS: Place = Place::CONNACK
        .and(Place::ACK)
        .and(Place::DISCONNECT)
        .and(Place::AUTH);
    const ANYWHERE: Place = Place(u16::MAX);
    Some(match identifier {
        id::PAYLOAD_FORMAT => (Kind::Flag, "payload format indicator", MESSAGE),
        id::MESSAGE_EXPIRY => (Kind::U32, "message expiry interval", MESSAGE),
        id::CONTENT_TYPE => (Kind::Text, "content type", MESSAGE),
        id::RESPONSE_TOPIC => (Kind::Topic, "response topic", MESSAGE),
        id::CORRELATION_DATA => (Kind::Binary, "correlation data", MESSAGE),
        id::SUBSCRIPTION_ID => {
            let places = Place::SUBSCRIBE.and(Place::DELIVERY);
            (Kind::Varint, "subscription identifier", places)
        }
        id::SESSION_EXPIRY => {
            let places = BOTH_CONNECT.and(Place::DISCONNECT);
            (Kind::U32, "session expiry interval", places)
        }
        id::ASSIGNED_CLIENT_ID => (Kind::Text, "assigned client identifier", Place::CONNACK),
        id::SERVER_KEEP_ALIVE => (Kind::U16, "server keep alive", Place::CONNACK),
        id::AUTHENTICATION_METHOD => {
            let places = BOTH_CONNECT.and(Place::AUTH);
            (Kind::Text, "authentication method", places)
        }
        id::AUTHENTICATION_DATA => {
            let places = BOTH_CONNECT.and(Place::AUTH);
            (Kind::Binary, "authentication data", places)
        }
        id::REQUEST_PROBLEM_INFORMATION => {
            (Kind::Flag, "request problem information", Place::CONNECT)
        }
        id::WILL_DELAY => (Kind::U32, "will delay interval", Place::WILL),
        id::REQUEST_RESPONSE_INFORMATION => {
            (Kind::Flag, "request response information", Place::CONNECT)
        }
        id::RESPONSE_INFORMATION => (Kind::Text, "response information", Place::CONNACK),
        id::SERVER_REFERENCE => {
            let places = Place::CONNACK.and(Place::DISCONNECT);
            (Kind::Text, "server reference", places)
        }
        id::REASON_STRING => (Kind::Text, "reason string", ANSWERS),
        id::RECEIVE_MAXIMUM => (Kind::U16, "receive maximum", BOTH_CONNECT),
        id::TOPIC_ALIAS_MAXIMUM => (Kind::U16, "topic alias maximum", BOTH_CONNECT),
        id::TOPIC_ALIAS => (Kind::U16, "topic alias", ANY_PUBLISH),
        id::MAXIMUM_QOS => (Kind::Flag, "maximum qos", Place::CONNACK),
        id::RETAIN_AVAILABLE => (Kind::Flag, "retain available", Place::CONNACK),
        id::USER_PROPERTY => (Kind::Pair, "user property", ANYWHERE),
        id::MAXIMUM_PACKET_SIZE => (Kind::U32, "maximum packet size", BOTH_CONNECT),
        id::WILDCARD_SUBSCRIPTIONS => (
            Kind::Flag,
            "wildcard subscription available",
            Place::CONNACK,
        ),
        id::SUBSCRIPTION_IDS => (
            Kind::Flag,
            "subscription identifiers available",
            Place::CONNACK,
        ),
        id::SHARED_SUBSCRIPTIONS => (Kind::Flag, "shared subscription available", Place::CONNACK),
        _ => return None,
    })
}
