//! The other side of the wire, for load generators and tests: what a client sends, and what it
//! receives.
//!
//! Owns: the packets that only one of the two sides sends. Never: keeps a session. PUBLISH and its
//! acknowledgements are the same in both directions: `encode` writes them.

use super::ack::{Ack, Disconnect};
use super::encode::{self, string};
use super::error::DecodeError;
use super::frame::check_first_byte;
use super::property::{self, Place, UserProperties, Value, id};
use super::publish::Publish;
use super::reader::Reader;
use super::reason::ReasonCode;
use super::subscribe::{RetainHandling, Subscription};
use super::types::{Qos, Version, first_byte as first, packet_name};

/// What CONNECT says. Properties are sent in MQTT 5 only.
#[derive(Debug, Clone, Copy)]
pub struct Connect<'a> {
    pub version: Version,
    pub clean_start: bool,
    /// Seconds.
    pub keep_alive: u16,
    pub client_id: &'a str,
    pub will: Option<Will<'a>>,
    pub user: Option<&'a str>,
    pub password: Option<&'a [u8]>,
    /// Seconds.
    pub session_expiry: Option<u32>,
    pub receive_maximum: Option<u16>,
    /// Bytes.
    pub maximum_packet_size: Option<u32>,
    pub topic_alias_maximum: Option<u16>,
    pub request_problem_information: Option<bool>,
    pub authentication_method: Option<&'a str>,
    pub authentication_data: Option<&'a [u8]>,
    pub user_properties: &'a [(&'a str, &'a str)],
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Will<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: Qos,
    pub retain: bool,
    /// Seconds.
    pub delay: Option<u32>,
    /// Further properties as they lie on the wire.
    pub properties: &'a [u8],
}

impl<'a> Connect<'a> {
    /// A clean start without keep-alive.
    pub fn new(version: Version, client_id: &'a str) -> Connect<'a> {
        Connect {
            version,
            clean_start: true,
            keep_alive: 0,
            client_id,
            will: None,
            user: None,
            password: None,
            session_expiry: None,
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: None,
            request_problem_information: None,
            authentication_method: None,
            authentication_data: None,
            user_properties: &[],
        }
    }
}

/// A packet from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerPacket<'a> {
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    SubAck(Reasons<'a>),
    UnsubAck(Reasons<'a>),
    PingResp,
    Disconnect(Disconnect<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnAck<'a> {
    pub session_present: bool,
    /// The return code of 3.1.1, the reason code of MQTT 5.
    pub code: u8,
    /// Seconds.
    pub session_expiry: Option<u32>,
    pub receive_maximum: Option<u16>,
    pub maximum_qos: Qos,
    pub retain_available: bool,
    /// Bytes.
    pub maximum_packet_size: Option<u32>,
    pub assigned_client_id: Option<&'a str>,
    pub topic_alias_maximum: u16,
    pub reason_string: Option<&'a str>,
    pub wildcard_subscriptions: bool,
    pub subscription_ids: bool,
    pub shared_subscriptions: bool,
    /// Seconds.
    pub server_keep_alive: Option<u16>,
    pub user_properties: UserProperties<'a>,
}

/// SUBACK or UNSUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reasons<'a> {
    pub packet_id: u16,
    /// One a filter; none in the UNSUBACK of 3.1.1.
    pub codes: &'a [u8],
}

/// Appends CONNECT (section 3.1).
pub fn connect(out: &mut Vec<u8>, connect: &Connect<'_>) {
    let level = match connect.version {
        Version::V311 => 4,
        Version::V5 => 5,
    };
    let mut body = Vec::new();
    string(&mut body, "MQTT");
    body.extend_from_slice(&[level, connect_flags(connect)]);
    body.extend_from_slice(&connect.keep_alive.to_be_bytes());
    if connect.version == Version::V5 {
        encode::properties(&mut body, &connect_properties(connect));
    }
    string(&mut body, connect.client_id);
    if let Some(will) = &connect.will {
        if connect.version == Version::V5 {
            let mut block = Vec::new();
            encode::property_u32(&mut block, id::WILL_DELAY, will.delay);
            block.extend_from_slice(will.properties);
            encode::properties(&mut body, &block);
        }
        string(&mut body, will.topic);
        encode::binary(&mut body, will.payload);
    }
    if let Some(user) = connect.user {
        string(&mut body, user);
    }
    if let Some(password) = connect.password {
        encode::binary(&mut body, password);
    }
    finish(out, first::CONNECT, &body);
}

/// Appends SUBSCRIBE (section 3.8).
pub fn subscribe(
    out: &mut Vec<u8>,
    version: Version,
    packet_id: u16,
    subscription_id: Option<u32>,
    subscriptions: &[Subscription<'_>],
) {
    let mut body = packet_id.to_be_bytes().to_vec();
    if version == Version::V5 {
        let mut block = Vec::new();
        if let Some(number) = subscription_id {
            encode::property_varint(&mut block, id::SUBSCRIPTION_ID, number);
        }
        encode::properties(&mut body, &block);
    }
    for subscription in subscriptions {
        string(&mut body, subscription.filter);
        body.push(match version {
            Version::V311 => subscription.qos as u8,
            Version::V5 => subscription_options(subscription),
        });
    }
    finish(out, first::SUBSCRIBE, &body);
}

/// Appends UNSUBSCRIBE (section 3.10).
pub fn unsubscribe(out: &mut Vec<u8>, version: Version, packet_id: u16, filters: &[&str]) {
    let mut body = packet_id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
    }
    for filter in filters {
        string(&mut body, filter);
    }
    finish(out, first::UNSUBSCRIBE, &body);
}

pub fn pingreq(out: &mut Vec<u8>) {
    finish(out, first::PINGREQ, &[]);
}

/// Appends DISCONNECT (section 3.14); 3.1.1 knows no reason and no expiry.
pub fn disconnect(
    out: &mut Vec<u8>,
    version: Version,
    reason: ReasonCode,
    session_expiry: Option<u32>,
) {
    let mut body = Vec::new();
    if version == Version::V5 && (reason != ReasonCode::Success || session_expiry.is_some()) {
        body.push(reason.code());
        let mut block = Vec::new();
        encode::property_u32(&mut block, id::SESSION_EXPIRY, session_expiry);
        encode::properties(&mut body, &block);
    }
    finish(out, first::DISCONNECT, &body);
}

/// Decodes what a server sent; `first_byte` and `body` as `frame` found them.
pub fn decode<'a>(
    version: Version,
    first_byte: u8,
    body: &'a [u8],
) -> Result<ServerPacket<'a>, DecodeError> {
    check_first_byte(first_byte)?;
    let name = packet_name(first_byte);
    let ack = |fits| Ack::decode(version, name, body, fits);
    match first_byte {
        0x30..=0x3F => {
            Publish::decode(version, first_byte, body, Place::DELIVERY).map(ServerPacket::Publish)
        }
        first::CONNACK => ConnAck::decode(version, body).map(ServerPacket::ConnAck),
        first::PUBACK => ack(ReasonCode::fits_puback).map(ServerPacket::PubAck),
        first::PUBREC => ack(ReasonCode::fits_puback).map(ServerPacket::PubRec),
        first::PUBREL => ack(ReasonCode::fits_pubrel).map(ServerPacket::PubRel),
        first::PUBCOMP => ack(ReasonCode::fits_pubrel).map(ServerPacket::PubComp),
        first::SUBACK => Reasons::decode(name, version, body).map(ServerPacket::SubAck),
        first::UNSUBACK => Reasons::decode(name, version, body).map(ServerPacket::UnsubAck),
        first::PINGRESP => {
            Reader::new(name, body).end()?;
            Ok(ServerPacket::PingResp)
        }
        // Any reason: some are a server's own.
        first::DISCONNECT => {
            Disconnect::decode(version, body, |_| true).map(ServerPacket::Disconnect)
        }
        _ => Err(DecodeError::new(
            ReasonCode::ProtocolError,
            name,
            "packet",
            "is not one a server sends",
        )),
    }
}

impl<'a> ConnAck<'a> {
    fn decode(version: Version, body: &'a [u8]) -> Result<ConnAck<'a>, DecodeError> {
        let mut reader = Reader::new("CONNACK", body);
        let flags = reader.u8("acknowledge flags")?;
        if flags > 1 {
            return Err(reader.malformed("acknowledge flags", "have a reserved bit set"));
        }
        let mut found = ConnAck {
            session_present: flags == 1,
            code: reader.u8("reason code")?,
            session_expiry: None,
            receive_maximum: None,
            maximum_qos: Qos::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: None,
            assigned_client_id: None,
            topic_alias_maximum: 0,
            reason_string: None,
            wildcard_subscriptions: true,
            subscription_ids: true,
            shared_subscriptions: true,
            server_keep_alive: None,
            user_properties: UserProperties::default(),
        };
        if version == Version::V5 {
            let block = property::read(&mut reader, Place::CONNACK, |id, value| {
                found.take(id, value);
            })?;
            found.user_properties = UserProperties::of(block);
        }
        reader.end()?;
        Ok(found)
    }

    fn take(&mut self, identifier: u8, value: Value<'a>) {
        match (identifier, value) {
            (id::SESSION_EXPIRY, Value::Number(seconds)) => self.session_expiry = Some(seconds),
            (id::RECEIVE_MAXIMUM, Value::Number(n)) => self.receive_maximum = Some(n as u16),
            (id::MAXIMUM_QOS, Value::Number(0)) => self.maximum_qos = Qos::AtMostOnce,
            (id::MAXIMUM_QOS, Value::Number(_)) => self.maximum_qos = Qos::AtLeastOnce,
            (id::RETAIN_AVAILABLE, Value::Number(n)) => self.retain_available = n == 1,
            (id::MAXIMUM_PACKET_SIZE, Value::Number(n)) => self.maximum_packet_size = Some(n),
            (id::ASSIGNED_CLIENT_ID, Value::Text(text)) => self.assigned_client_id = Some(text),
            (id::TOPIC_ALIAS_MAXIMUM, Value::Number(n)) => self.topic_alias_maximum = n as u16,
            (id::REASON_STRING, Value::Text(text)) => self.reason_string = Some(text),
            (id::WILDCARD_SUBSCRIPTIONS, Value::Number(n)) => self.wildcard_subscriptions = n == 1,
            (id::SUBSCRIPTION_IDS, Value::Number(n)) => self.subscription_ids = n == 1,
            (id::SHARED_SUBSCRIPTIONS, Value::Number(n)) => self.shared_subscriptions = n == 1,
            (id::SERVER_KEEP_ALIVE, Value::Number(n)) => self.server_keep_alive = Some(n as u16),
            _ => (),
        }
    }
}

impl<'a> Reasons<'a> {
    fn decode(
        name: &'static str,
        version: Version,
        body: &'a [u8],
    ) -> Result<Reasons<'a>, DecodeError> {
        let mut reader = Reader::new(name, body);
        let packet_id = reader.packet_id()?;
        if version == Version::V5 {
            property::read(&mut reader, Place::ACK, |_, _| ())?;
        }
        Ok(Reasons {
            packet_id,
            codes: reader.rest(),
        })
    }
}

fn finish(out: &mut Vec<u8>, first_byte: u8, body: &[u8]) {
    encode::packet(out, first_byte, body.len());
    out.extend_from_slice(body);
}

fn connect_flags(connect: &Connect<'_>) -> u8 {
    let will = connect.will.map_or(0, |will| {
        0x04 | (will.qos as u8) << 3 | u8::from(will.retain) << 5
    });
    u8::from(connect.clean_start) << 1
        | will
        | u8::from(connect.password.is_some()) << 6
        | u8::from(connect.user.is_some()) << 7
}

fn connect_properties(connect: &Connect<'_>) -> Vec<u8> {
    let mut block = Vec::new();
    let out = &mut block;
    let problem_information = connect.request_problem_information.map(u8::from);
    encode::property_u32(out, id::SESSION_EXPIRY, connect.session_expiry);
    encode::property_u16(out, id::RECEIVE_MAXIMUM, connect.receive_maximum);
    encode::property_u32(out, id::MAXIMUM_PACKET_SIZE, connect.maximum_packet_size);
    encode::property_u16(out, id::TOPIC_ALIAS_MAXIMUM, connect.topic_alias_maximum);
    encode::property_u8(out, id::REQUEST_PROBLEM_INFORMATION, problem_information);
    encode::property_string(
        out,
        id::AUTHENTICATION_METHOD,
        connect.authentication_method,
    );
    encode::property_binary(out, id::AUTHENTICATION_DATA, connect.authentication_data);
    for (name, value) in connect.user_properties {
        encode::property_pair(out, name, value);
    }
    block
}

fn subscription_options(subscription: &Subscription<'_>) -> u8 {
    let retain_handling = match subscription.retain_handling {
        RetainHandling::Send => 0,
        RetainHandling::SendIfNew => 1,
        RetainHandling::Never => 2,
    };
    subscription.qos as u8
        | u8::from(subscription.no_local) << 2
        | u8::from(subscription.retain_as_published) << 3
        | retain_handling << 4
}
