//! The small words every packet uses: protocol version, quality of service, packet types.
//!
//! Owns: their codes on the wire. Never: holds bytes.

/// The protocol a connection speaks, as its CONNECT said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4; also 3.1, which differs from it in a few rules but not in its
    /// packets.
    V311,
    /// MQTT 5.0, protocol level 5.
    V5,
}

/// How often a message arrives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Qos {
    #[default]
    AtMostOnce = 0,
    AtLeastOnce = 1,
    ExactlyOnce = 2,
}

impl Qos {
    /// `None` for 3, which is reserved, and above.
    pub fn from_u8(code: u8) -> Option<Qos> {
        match code {
            0 => Some(Qos::AtMostOnce),
            1 => Some(Qos::AtLeastOnce),
            2 => Some(Qos::ExactlyOnce),
            _ => None,
        }
    }
}

/// First bytes of the packets whose flags are fixed, and the type of those whose flags vary.
/// Section 2.1.
pub(super) mod first_byte {
    pub(crate) const CONNECT: u8 = 0x10;
    pub(crate) const CONNACK: u8 = 0x20;
    /// With DUP, QoS and RETAIN in the lower half.
    pub(crate) const PUBLISH: u8 = 0x30;
    pub(crate) const PUBACK: u8 = 0x40;
    pub(crate) const PUBREC: u8 = 0x50;
    pub(crate) const PUBREL: u8 = 0x62;
    pub(crate) const PUBCOMP: u8 = 0x70;
    pub(crate) const SUBSCRIBE: u8 = 0x82;
    pub(crate) const SUBACK: u8 = 0x90;
    pub(crate) const UNSUBSCRIBE: u8 = 0xA2;
    pub(crate) const UNSUBACK: u8 = 0xB0;
    pub(crate) const PINGREQ: u8 = 0xC0;
    pub(crate) const PINGRESP: u8 = 0xD0;
    pub(crate) const DISCONNECT: u8 = 0xE0;
    pub(crate) const AUTH: u8 = 0xF0;
}

/// The packet's name as the specification writes it.
pub(super) fn packet_name(first_byte: u8) -> &'static str {
    match first_byte >> 4 {
        1 => "CONNECT",
        2 => "CONNACK",
        3 => "PUBLISH",
        4 => "PUBACK",
        5 => "PUBREC",
        6 => "PUBREL",
        7 => "PUBCOMP",
        8 => "SUBSCRIBE",
        9 => "SUBACK",
        10 => "UNSUBSCRIBE",
        11 => "UNSUBACK",
        12 => "PINGREQ",
        13 => "PINGRESP",
        14 => "DISCONNECT",
        15 => "AUTH",
        _ => "reserved packet",
    }
}
