//! MQTT 3.1.1 and 5 as bytes: the one importer of rumqttc's packets for publishing connections.
//!
//! Owns: encoding what a publishing client sends, decoding what it receives. Never: owns a socket
//! or a state. Invariant: a packet is decoded by rumqttc's codec, except the four bytes of a
//! successful PUBACK.
//!
//! Why the codec and not rumqttc's event loop (0.25): it writes to the socket once for each
//! publish; it forgets what is unacknowledged when a server comes back without the session; it
//! never sets DUP; and it does not say which publish has which packet id. A load generator that
//! must account for every sample cannot live with these.

use bytes::{Buf, BytesMut};
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

use super::broker::{Broker, MqttVersion};
use super::error::ConnectError;

/// Largest packet that is accepted; a publishing client receives only small ones.
const INCOMING_MAX_BYTES: usize = 64 * 1024;
/// How long a server keeps the session of a client that asked for one (MQTT 5): longer than any
/// restart.
const SESSION_EXPIRY_S: u32 = 3_600;
const DUP: u8 = 0b1000;

/// What the server said in CONNACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) session_present: bool,
    pub(crate) receive_max: u16,
    pub(crate) max_qos: u8,
    pub(crate) max_packet: usize,
}

/// A packet a publishing client acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    Accepted(Accepted),
    /// The server takes no connections now.
    Unavailable,
    /// The server refuses this client; why, in words.
    Refused(String),
    PubAck(u16, Verdict),
    PubRec(u16, Verdict),
    PubComp(u16),
    PingResp,
    /// The server leaves; why, in words.
    Disconnect(String),
    Other,
}

/// What an acknowledgement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    /// Not now: over quota (0x97).
    Later,
    /// Not at all.
    Refused(&'static str),
}

/// A PUBLISH packet, ready to be sent again.
#[derive(Debug, Default)]
pub(crate) struct Packet {
    bytes: Vec<u8>,
    id_at: usize,
}

impl Packet {
    /// Encodes a publish; `id` is 0 for QoS 0.
    pub(crate) fn encode(
        &mut self,
        version: MqttVersion,
        qos: u8,
        retain: bool,
        topic: &[u8],
        payload: &[u8],
    ) {
        let properties = usize::from(version == MqttVersion::V5);
        let id = if qos == 0 { 0 } else { 2 };
        let out = &mut self.bytes;
        out.clear();
        out.push(0x30 | qos << 1 | u8::from(retain));
        write_length(out, 2 + topic.len() + id + properties + payload.len());
        // Settings and the replay keep topics below the length that fits two bytes.
        out.extend_from_slice(&(topic.len() as u16).to_be_bytes());
        out.extend_from_slice(topic);
        self.id_at = out.len();
        out.extend_from_slice(&[0, 0][..id]);
        out.extend_from_slice(&[0][..properties]);
        out.extend_from_slice(payload);
    }

    /// Gives it a packet id; QoS 1 and 2 only.
    pub(crate) fn set_id(&mut self, id: u16) {
        self.bytes[self.id_at..self.id_at + 2].copy_from_slice(&id.to_be_bytes());
    }

    /// Marks it as sent before.
    pub(crate) fn set_dup(&mut self) {
        self.bytes[0] |= DUP;
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

pub(crate) fn write_connect(out: &mut Vec<u8>, broker: &Broker, client_id: &str) {
    let keep_alive = u16::try_from(broker.keep_alive.as_secs()).unwrap_or(u16::MAX);
    let password = || broker.password.clone().unwrap_or_default();
    let mut buffer = BytesMut::new();
    // Writing fails only for lengths that cannot be encoded; the server would refuse those names
    // anyway.
    match broker.version {
        MqttVersion::V3 => {
            let mut connect = v4::Connect::new(client_id);
            connect.keep_alive = keep_alive;
            connect.clean_session = broker.clean;
            if let Some(username) = &broker.username {
                connect.set_login(username.clone(), password());
            }
            let _ = connect.write(&mut buffer);
        }
        MqttVersion::V5 => {
            let properties = (!broker.clean).then(|| v5::ConnectProperties {
                session_expiry_interval: Some(SESSION_EXPIRY_S),
                ..v5::ConnectProperties::new()
            });
            let connect = v5::Connect {
                keep_alive,
                client_id: client_id.to_owned(),
                clean_start: broker.clean,
                properties,
            };
            let login = broker.username.clone().map(|username| v5::Login {
                username,
                password: password(),
            });
            let _ = connect.write(&None, &login, &mut buffer);
        }
    }
    out.extend_from_slice(&buffer);
}

pub(crate) fn write_pubrel(out: &mut Vec<u8>, id: u16) {
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[0x62, 2, high, low]);
}

pub(crate) fn write_ping(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xc0, 0]);
}

pub(crate) fn write_disconnect(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xe0, 0]);
}

/// Takes one packet off the buffer; `None` when it is incomplete.
pub(crate) fn read(
    buffer: &mut BytesMut,
    version: MqttVersion,
) -> Result<Option<Incoming>, ConnectError> {
    // Nearly all that a load generator receives.
    if let [0x40, 2, high, low, ..] = buffer[..] {
        buffer.advance(4);
        return Ok(Some(Incoming::PubAck(
            u16::from_be_bytes([high, low]),
            Verdict::Taken,
        )));
    }
    match version {
        MqttVersion::V3 => match v4::Packet::read(buffer, INCOMING_MAX_BYTES) {
            Ok(packet) => Ok(Some(of_v4(&packet))),
            Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(ConnectError::Protocol(error.to_string())),
        },
        MqttVersion::V5 => match v5::Packet::read(buffer, Some(INCOMING_MAX_BYTES as u32)) {
            Ok(packet) => Ok(Some(of_v5(packet))),
            Err(rumqttc::v5::mqttbytes::Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(ConnectError::Protocol(error.to_string())),
        },
    }
}

fn of_v4(packet: &v4::Packet) -> Incoming {
    match packet {
        v4::Packet::ConnAck(ack) if ack.code == v4::ConnectReturnCode::Success => {
            Incoming::Accepted(Accepted {
                session_present: ack.session_present,
                receive_max: u16::MAX,
                max_qos: 2,
                max_packet: usize::MAX,
            })
        }
        v4::Packet::ConnAck(ack) => match ack.code {
            v4::ConnectReturnCode::ServiceUnavailable => Incoming::Unavailable,
            code => Incoming::Refused(words(&code)),
        },
        v4::Packet::PubAck(ack) => Incoming::PubAck(ack.pkid, Verdict::Taken),
        v4::Packet::PubRec(ack) => Incoming::PubRec(ack.pkid, Verdict::Taken),
        v4::Packet::PubComp(ack) => Incoming::PubComp(ack.pkid),
        v4::Packet::PingResp => Incoming::PingResp,
        _ => Incoming::Other,
    }
}

fn of_v5(packet: v5::Packet) -> Incoming {
    match packet {
        v5::Packet::ConnAck(ack) if ack.code == v5::ConnectReturnCode::Success => {
            let properties = ack.properties.as_ref();
            Incoming::Accepted(Accepted {
                session_present: ack.session_present,
                receive_max: properties.and_then(|p| p.receive_max).unwrap_or(u16::MAX),
                max_qos: properties.and_then(|p| p.max_qos).unwrap_or(2),
                max_packet: properties
                    .and_then(|p| p.max_packet_size)
                    .map_or(usize::MAX, |size| size as usize),
            })
        }
        v5::Packet::ConnAck(ack) => match ack.code {
            v5::ConnectReturnCode::ServerUnavailable | v5::ConnectReturnCode::ServerBusy => {
                Incoming::Unavailable
            }
            code => Incoming::Refused(words(&code)),
        },
        v5::Packet::PubAck(ack) => Incoming::PubAck(
            ack.pkid,
            match ack.reason {
                v5::PubAckReason::Success | v5::PubAckReason::NoMatchingSubscribers => {
                    Verdict::Taken
                }
                v5::PubAckReason::QuotaExceeded => Verdict::Later,
                v5::PubAckReason::NotAuthorized => Verdict::Refused("not authorized"),
                v5::PubAckReason::TopicNameInvalid => Verdict::Refused("topic name invalid"),
                v5::PubAckReason::PayloadFormatInvalid => {
                    Verdict::Refused("payload format invalid")
                }
                _ => Verdict::Refused("unspecified"),
            },
        ),
        v5::Packet::PubRec(ack) => Incoming::PubRec(
            ack.pkid,
            match ack.reason {
                v5::PubRecReason::Success | v5::PubRecReason::NoMatchingSubscribers => {
                    Verdict::Taken
                }
                v5::PubRecReason::QuotaExceeded => Verdict::Later,
                v5::PubRecReason::NotAuthorized => Verdict::Refused("not authorized"),
                _ => Verdict::Refused("unspecified"),
            },
        ),
        v5::Packet::PubComp(ack) => Incoming::PubComp(ack.pkid),
        v5::Packet::PingResp(_) => Incoming::PingResp,
        v5::Packet::Disconnect(disconnect) => Incoming::Disconnect(words(&disconnect.reason_code)),
        _ => Incoming::Other,
    }
}

/// `BadUserNamePassword` as `bad user name password`.
fn words(code: &impl std::fmt::Debug) -> String {
    let mut words = String::new();
    for character in format!("{code:?}").chars() {
        if character.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(character.to_lowercase());
    }
    words
}

/// A length of MQTT: seven bits a byte, the lowest first (MQTT 5, section 1.5.5).
fn write_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
