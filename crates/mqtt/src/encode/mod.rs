//! Packets to bytes, appended to a `Vec` that is kept.
//!
//! Owns: what a server sends. Never: checks what a decoder has checked before (topics, properties).
//! Invariant: the remaining length is computed before anything is written, so nothing is moved
//! afterwards.

mod answer;
mod connack;
mod publish;
mod put;

pub use answer::{
    disconnect, list_len, pingresp, puback, puback_with, pubcomp, pubrec, pubrec_with, pubrel,
    suback, unsuback,
};
pub use connack::{ConnAck, connack};
pub use publish::{Publish, publish, publish_head, publish_len, set_packet_id};
pub(super) use put::{
    binary, packet, properties, property_binary, property_pair, property_string, property_u8,
    property_u16, property_u32, property_varint, string,
};
