//! CONNECT (section 3.1 of both versions), the one packet that says which version is spoken.
//!
//! Owns: its flags and what must or must not follow them. Never: judges a client id or a password.
//! Invariant: an error says how it is to be answered, if at all.

use super::error::DecodeError;
use super::property::{self, Place, UserProperties, Value, id};
use super::publish::PublishProperties;
use super::reader::Reader;
use super::reason::ReasonCode;
use super::types::{Qos, Version};

/// A client's request to be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    pub version: Version,
    /// It speaks MQTT 3.1, whose packets are those of 3.1.1.
    pub is_v31: bool,
    /// It is another broker's bridge, which wants what it subscribes to as MQTT 5 has it with "no
    /// local" and "retain as published".
    pub is_bridge: bool,
    /// Clean session in 3.1.1.
    pub clean_start: bool,
    /// Seconds; 0 turns the mechanism off.
    pub keep_alive: u16,
    /// May be empty: what that means depends on `clean_start` and is the gate's to decide.
    /// [MQTT-3.1.3-6], 3.1.1: [MQTT-3.1.3-8]
    pub client_id: &'a str,
    pub will: Option<Will<'a>>,
    pub user: Option<&'a str>,
    pub password: Option<&'a [u8]>,
    /// The defaults of MQTT 5 in 3.1.1.
    pub properties: ConnectProperties<'a>,
}

/// What is published when the client is gone without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// Not empty, free of wildcards.
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: Qos,
    pub retain: bool,
    /// Seconds between the end of the connection and the publish.
    pub delay: u32,
    pub properties: PublishProperties<'a>,
}

/// What an MQTT 5 client asks for; absent properties have the specification's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Seconds; 0: the session ends with the connection, `u32::MAX`: never.
    pub session_expiry: u32,
    /// Unacknowledged QoS 1 and 2 publishes the client takes at a time; not 0.
    pub receive_maximum: u16,
    /// Bytes of the largest packet the client takes; not 0. `None`: no limit.
    pub maximum_packet_size: Option<u32>,
    /// The highest topic alias the client takes; 0: none.
    pub topic_alias_maximum: u16,
    pub request_response_information: bool,
    /// False: no reason strings and user properties but on PUBLISH, CONNACK and DISCONNECT.
    /// [MQTT-3.1.2-29]
    pub request_problem_information: bool,
    pub authentication_method: Option<&'a str>,
    pub authentication_data: Option<&'a [u8]>,
    pub user_properties: UserProperties<'a>,
}

/// Why there will be no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Something else than MQTT is spoken, or nothing that can be told.
    #[error("not an mqtt client")]
    NotMqtt { source: DecodeError },
    /// One that does not exist, or that belongs to the other protocol name.
    #[error("protocol level `{level}` is not supported")]
    UnsupportedVersion { level: u8 },
    #[error("bad connect packet")]
    Refused {
        version: Version,
        source: DecodeError,
    },
}

mod flag {
    pub(super) const RESERVED: u8 = 0x01;
    pub(super) const CLEAN_START: u8 = 0x02;
    pub(super) const WILL: u8 = 0x04;
    pub(super) const WILL_QOS: u8 = 0x18;
    pub(super) const WILL_RETAIN: u8 = 0x20;
    pub(super) const PASSWORD: u8 = 0x40;
    pub(super) const USER: u8 = 0x80;
}

impl ConnectError {
    /// The CONNACK that says it, and in which version: `None` means to close without a word.
    ///
    /// A level above 5 is a later client and gets the 0x84 of MQTT 5. Below 4 it is an older one,
    /// and above 0x80 a bridge; both understand the 0x01 of 3.1.1. 3.1.1 has no code for a
    /// malformed packet: [MQTT-3.1.4-1] there.
    pub fn answer(&self) -> Option<(Version, ReasonCode)> {
        match *self {
            ConnectError::NotMqtt { .. } => None,
            ConnectError::UnsupportedVersion { level: 6..=0x7F } => {
                Some((Version::V5, ReasonCode::UnsupportedProtocolVersion))
            }
            ConnectError::UnsupportedVersion { .. } => {
                Some((Version::V311, ReasonCode::UnsupportedProtocolVersion))
            }
            ConnectError::Refused {
                version: Version::V5,
                source,
            } => Some((Version::V5, source.reason)),
            ConnectError::Refused { .. } => None,
        }
    }
}

impl<'a> Connect<'a> {
    /// Decodes the body of a packet whose first byte was 0x10.
    pub fn decode(body: &'a [u8]) -> Result<Connect<'a>, ConnectError> {
        let mut reader = Reader::new("CONNECT", body);
        let protocol = read_protocol(&mut reader)?;
        let version = protocol.version;
        Connect::read(protocol, &mut reader)
            .map_err(|source| ConnectError::Refused { version, source })
    }

    fn read(protocol: Protocol, reader: &mut Reader<'a>) -> Result<Connect<'a>, DecodeError> {
        let Protocol {
            version,
            is_v31,
            is_bridge,
        } = protocol;
        let flags = reader.u8("connect flags")?;
        if !is_v31 {
            check_flags(version, flags, reader)?;
        }
        let keep_alive = reader.u16("keep alive")?;
        let mut properties = ConnectProperties::default();
        if version == Version::V5 {
            properties = ConnectProperties::read(reader)?;
        }
        let client_id = reader.string("client id")?;
        let will = match flags & flag::WILL {
            0 => None,
            _ => Some(Will::read(version, flags, reader)?),
        };
        // Section 3.1 of MQTT 3.1: a server must allow for flags whose strings are missing.
        let is_missing = |reader: &Reader<'_>| is_v31 && reader.is_empty();
        let user = match flags & flag::USER {
            0 => None,
            _ if is_missing(reader) => None,
            _ => Some(reader.string("user name")?),
        };
        let password = match flags & flag::PASSWORD {
            0 => None,
            _ if is_missing(reader) => None,
            _ => Some(reader.binary("password")?),
        };
        reader.end()?;
        Ok(Connect {
            version,
            is_v31,
            is_bridge,
            clean_start: flags & flag::CLEAN_START != 0,
            keep_alive,
            client_id,
            will,
            user,
            password,
            properties,
        })
    }
}

impl<'a> Will<'a> {
    fn read(version: Version, flags: u8, reader: &mut Reader<'a>) -> Result<Will<'a>, DecodeError> {
        let qos = Qos::from_u8((flags & flag::WILL_QOS) >> 3)
            .ok_or_else(|| reader.malformed("will qos", "is the reserved `3`"))?;
        let mut delay = 0;
        let mut properties = PublishProperties::default();
        if version == Version::V5 {
            properties = PublishProperties::read(reader, Place::WILL, |seconds| delay = seconds)?;
        }
        let topic = reader.topic("will topic")?;
        if topic.is_empty() {
            return Err(reader.error(ReasonCode::TopicNameInvalid, "will topic", "is empty"));
        }
        Ok(Will {
            topic,
            payload: reader.binary("will payload")?,
            qos,
            retain: flags & flag::WILL_RETAIN != 0,
            delay,
            properties,
        })
    }
}

impl Default for ConnectProperties<'_> {
    fn default() -> Self {
        ConnectProperties {
            session_expiry: 0,
            receive_maximum: u16::MAX,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            authentication_method: None,
            authentication_data: None,
            user_properties: UserProperties::default(),
        }
    }
}

impl<'a> ConnectProperties<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<ConnectProperties<'a>, DecodeError> {
        let mut found = ConnectProperties::default();
        let block = property::read(reader, Place::CONNECT, |identifier, value| {
            match (identifier, value) {
                (id::SESSION_EXPIRY, Value::Number(seconds)) => found.session_expiry = seconds,
                // These two were read from two bytes.
                (id::RECEIVE_MAXIMUM, Value::Number(count)) => found.receive_maximum = count as u16,
                (id::TOPIC_ALIAS_MAXIMUM, Value::Number(alias)) => {
                    found.topic_alias_maximum = alias as u16;
                }
                (id::MAXIMUM_PACKET_SIZE, Value::Number(bytes)) => {
                    found.maximum_packet_size = Some(bytes);
                }
                (id::REQUEST_RESPONSE_INFORMATION, Value::Number(flag)) => {
                    found.request_response_information = flag == 1;
                }
                (id::REQUEST_PROBLEM_INFORMATION, Value::Number(flag)) => {
                    found.request_problem_information = flag == 1;
                }
                (id::AUTHENTICATION_METHOD, Value::Text(method)) => {
                    found.authentication_method = Some(method);
                }
                (id::AUTHENTICATION_DATA, Value::Binary(data)) => {
                    found.authentication_data = Some(data);
                }
                _ => (),
            }
        })?;
        found.user_properties = UserProperties::of(block);
        // Section 3.1.2.11.10.
        if found.authentication_data.is_some() && found.authentication_method.is_none() {
            return Err(reader.protocol_error("authentication data", "comes without a method"));
        }
        Ok(found)
    }
}

/// What protocol name and level say.
#[derive(Debug, Clone, Copy)]
struct Protocol {
    version: Version,
    is_v31: bool,
    is_bridge: bool,
}

/// Mosquitto sets it in the level of MQTT 3.1 and 3.1.1 to say that it is a bridge.
const BRIDGE: u8 = 0x80;

/// The protocol name and level, [MQTT-3.1.2-1] and [MQTT-3.1.2-2].
fn read_protocol(reader: &mut Reader<'_>) -> Result<Protocol, ConnectError> {
    let not_mqtt = |source| ConnectError::NotMqtt { source };
    let name = reader.binary("protocol name").map_err(not_mqtt)?;
    if name != b"MQTT" && name != b"MQIsdp" {
        let source = reader.error(
            ReasonCode::UnsupportedProtocolVersion,
            "protocol name",
            "is not `MQTT`",
        );
        return Err(not_mqtt(source));
    }
    let level = reader.u8("protocol level").map_err(not_mqtt)?;
    let is_bridge = level & BRIDGE != 0;
    let (version, is_v31) = match (name, level & !BRIDGE) {
        (b"MQIsdp", 3) => (Version::V311, true),
        (b"MQTT", 4) => (Version::V311, false),
        (b"MQTT", 5) if !is_bridge => (Version::V5, false),
        _ => return Err(ConnectError::UnsupportedVersion { level }),
    };
    Ok(Protocol {
        version,
        is_v31,
        is_bridge,
    })
}

/// [MQTT-3.1.2-3], [MQTT-3.1.2-11], [MQTT-3.1.2-12], [MQTT-3.1.2-13]; 3.1.1: [MQTT-3.1.2-22]. MQTT
/// 3.1 asks for none of it.
fn check_flags(version: Version, flags: u8, reader: &Reader<'_>) -> Result<(), DecodeError> {
    if flags & flag::RESERVED != 0 {
        return Err(reader.malformed("connect flags", "have the reserved bit set"));
    }
    if flags & flag::WILL == 0 && flags & (flag::WILL_QOS | flag::WILL_RETAIN) != 0 {
        return Err(reader.malformed("connect flags", "describe a will that is not there"));
    }
    if flags & flag::WILL_QOS == flag::WILL_QOS {
        return Err(reader.malformed("will qos", "is the reserved `3`"));
    }
    if version == Version::V311 && flags & flag::PASSWORD != 0 && flags & flag::USER == 0 {
        return Err(reader.malformed("connect flags", "announce a password without a user name"));
    }
    Ok(())
}
