//! CONNACK to bytes (section 3.2).
//!
//! Owns: which of its properties are sent. Invariant: it fits the client's maximum packet size
//! wherever the specification lets it.

use super::put;
use crate::property::id;
use crate::reason::ReasonCode;
use crate::types::{Qos, Version, first_byte};

/// The answer to CONNECT. All but the first two fields are for MQTT 5 only; `None` sends nothing,
/// which means the default.
#[derive(Debug, Clone, Copy)]
pub struct ConnAck<'a> {
    /// Must be false unless the reason is `Success`. [MQTT-3.2.2-6]
    pub session_present: bool,
    pub reason: ReasonCode,
    /// Seconds; when it differs from what the client asked for.
    pub session_expiry: Option<u32>,
    /// Unacknowledged QoS 1 and 2 publishes taken at a time.
    pub receive_maximum: Option<u16>,
    /// Sent when it is less than `ExactlyOnce`. [MQTT-3.2.2-9]
    pub maximum_qos: Qos,
    pub retain_available: bool,
    /// Bytes of the largest packet taken.
    pub maximum_packet_size: Option<u32>,
    pub assigned_client_id: Option<&'a str>,
    /// The highest topic alias taken.
    pub topic_alias_maximum: Option<u16>,
    /// For people; left out when the packet would be too large for the client.
    pub reason_string: Option<&'a str>,
    /// Left out likewise.
    pub user_properties: &'a [(&'a str, &'a str)],
    pub wildcard_subscriptions: bool,
    pub subscription_ids: bool,
    pub shared_subscriptions: bool,
    /// Seconds; replaces what the client asked for.
    pub server_keep_alive: Option<u16>,
}

impl ConnAck<'_> {
    /// Without properties, and everything available.
    pub fn new(reason: ReasonCode) -> Self {
        ConnAck {
            session_present: false,
            reason,
            session_expiry: None,
            receive_maximum: None,
            maximum_qos: Qos::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: None,
            assigned_client_id: None,
            topic_alias_maximum: None,
            reason_string: None,
            user_properties: &[],
            wildcard_subscriptions: true,
            subscription_ids: true,
            shared_subscriptions: true,
            server_keep_alive: None,
        }
    }
}

/// Appends CONNACK for a client that takes packets of at most `packet_size_max` bytes. Properties
/// go to MQTT 5 clients only.
pub fn connack(
    out: &mut Vec<u8>,
    version: Version,
    connack: &ConnAck<'_>,
    packet_size_max: Option<u32>,
) {
    let session_present = u8::from(connack.session_present);
    if version == Version::V311 {
        put::packet(out, first_byte::CONNACK, 2);
        out.extend_from_slice(&[session_present, connack.reason.connect_return_code()]);
        return;
    }
    let mut block = required(connack);
    // [MQTT-3.2.2-19] and [MQTT-3.2.2-20].
    add_optional(
        &mut block,
        packet_size_max,
        connack.reason_string,
        connack.user_properties,
        2,
    );
    put::packet(
        out,
        first_byte::CONNACK,
        2 + put::varint_len(block.len()) + block.len(),
    );
    out.extend_from_slice(&[session_present, connack.reason.code()]);
    put::properties(out, &block);
}

/// Adds reason string and user properties as far as a packet with `before` bytes in front of its
/// properties stays within `packet_size_max`: the string first, then all user properties or none.
pub(super) fn add_optional(
    block: &mut Vec<u8>,
    packet_size_max: Option<u32>,
    reason_string: Option<&str>,
    user_properties: &[(&str, &str)],
    before: usize,
) {
    let fits = |block: &Vec<u8>| {
        let remaining = before + put::varint_len(block.len()) + block.len();
        let size = 1 + put::varint_len(remaining) + remaining;
        packet_size_max.is_none_or(|max| size <= max as usize)
    };
    let without = block.len();
    put::property_string(block, id::REASON_STRING, reason_string);
    if !fits(block) {
        block.truncate(without);
    }
    let without = block.len();
    for (name, value) in user_properties {
        put::property_pair(block, name, value);
    }
    if !fits(block) {
        block.truncate(without);
    }
}

fn required(connack: &ConnAck<'_>) -> Vec<u8> {
    let mut block = Vec::with_capacity(64);
    let out = &mut block;
    let maximum_qos = connack.maximum_qos as u8;
    let absent = |available: bool| (!available).then_some(0);
    put::property_u32(out, id::SESSION_EXPIRY, connack.session_expiry);
    put::property_u16(out, id::RECEIVE_MAXIMUM, connack.receive_maximum);
    put::property_u8(
        out,
        id::MAXIMUM_QOS,
        (maximum_qos < 2).then_some(maximum_qos),
    );
    put::property_u8(out, id::RETAIN_AVAILABLE, absent(connack.retain_available));
    put::property_u32(out, id::MAXIMUM_PACKET_SIZE, connack.maximum_packet_size);
    put::property_string(out, id::ASSIGNED_CLIENT_ID, connack.assigned_client_id);
    put::property_u16(out, id::TOPIC_ALIAS_MAXIMUM, connack.topic_alias_maximum);
    put::property_u8(
        out,
        id::WILDCARD_SUBSCRIPTIONS,
        absent(connack.wildcard_subscriptions),
    );
    put::property_u8(out, id::SUBSCRIPTION_IDS, absent(connack.subscription_ids));
    put::property_u8(
        out,
        id::SHARED_SUBSCRIPTIONS,
        absent(connack.shared_subscriptions),
    );
    put::property_u16(out, id::SERVER_KEEP_ALIVE, connack.server_keep_alive);
    block
}
