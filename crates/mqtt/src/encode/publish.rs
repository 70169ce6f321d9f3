//! PUBLISH to bytes (section 3.3).
//!
//! Owns: the order of its fields. Invariant: `publish_len` is exactly what `publish` appends.

use super::put;
use crate::property::id;
use crate::types::{Qos, Version, first_byte};

/// A message to be sent. What only MQTT 5 knows is left out for a 3.1.1 receiver.
#[derive(Debug, Clone, Copy, Default)]
pub struct Publish<'a> {
    pub dup: bool,
    pub qos: Qos,
    pub retain: bool,
    /// At most 65,535 bytes, as every topic that was received.
    pub topic: &'a str,
    /// Sent at QoS 1 and 2; must not be 0 then.
    pub packet_id: u16,
    /// Seconds that are left.
    pub message_expiry: Option<u32>,
    pub topic_alias: Option<u16>,
    /// Those of the subscriptions that matched, each not 0.
    pub subscription_ids: &'a [u32],
    /// Further properties as they lie on the wire, such as `PublishProperties::raw_forwardable`
    /// gives.
    pub properties: &'a [u8],
    pub payload: &'a [u8],
}

/// Bytes of the whole packet; compare with the receiver's maximum packet size [MQTT-3.1.2-24].
pub fn publish_len(version: Version, publish: &Publish<'_>) -> usize {
    let remaining = remaining_len(version, publish);
    1 + put::varint_len(remaining) + remaining
}

/// Appends the packet. Returns where in `out` its packet id lies, for `set_packet_id`; `None` at
/// QoS 0.
pub fn publish(out: &mut Vec<u8>, version: Version, publish: &Publish<'_>) -> Option<usize> {
    let packet_id_at = publish_head(out, version, publish);
    out.extend_from_slice(publish.payload);
    packet_id_at
}

/// Appends all but the payload, which must follow: so that one payload in memory serves many
/// receivers.
pub fn publish_head(out: &mut Vec<u8>, version: Version, publish: &Publish<'_>) -> Option<usize> {
    let flags = u8::from(publish.dup) << 3 | (publish.qos as u8) << 1 | u8::from(publish.retain);
    let remaining = remaining_len(version, publish);
    put::packet(out, first_byte::PUBLISH | flags, remaining);
    put::string(out, publish.topic);
    let mut packet_id_at = None;
    if publish.qos != Qos::AtMostOnce {
        packet_id_at = Some(out.len());
        out.extend_from_slice(&publish.packet_id.to_be_bytes());
    }
    if version == Version::V5 {
        put::varint(out, properties_len(publish));
        put::property_u32(out, id::MESSAGE_EXPIRY, publish.message_expiry);
        put::property_u16(out, id::TOPIC_ALIAS, publish.topic_alias);
        for &subscription_id in publish.subscription_ids {
            put::property_varint(out, id::SUBSCRIPTION_ID, subscription_id);
        }
        out.extend_from_slice(publish.properties);
    }
    packet_id_at
}

/// Gives an encoded packet another packet id, so that one encoding serves many receivers. `at` is
/// what `publish` returned.
pub fn set_packet_id(encoded: &mut [u8], at: usize, packet_id: u16) {
    encoded[at..at + 2].copy_from_slice(&packet_id.to_be_bytes());
}

fn remaining_len(version: Version, publish: &Publish<'_>) -> usize {
    let packet_id = match publish.qos {
        Qos::AtMostOnce => 0,
        _ => 2,
    };
    let properties = match version {
        Version::V311 => 0,
        Version::V5 => {
            let length = properties_len(publish);
            put::varint_len(length) + length
        }
    };
    2 + publish.topic.len() + packet_id + properties + publish.payload.len()
}

fn properties_len(publish: &Publish<'_>) -> usize {
    let subscription_ids: usize = publish
        .subscription_ids
        .iter()
        .map(|&subscription_id| 1 + put::varint_len(subscription_id as usize))
        .sum();
    publish.message_expiry.map_or(0, |_| 5)
        + publish.topic_alias.map_or(0, |_| 3)
        + subscription_ids
        + publish.properties.len()
}
