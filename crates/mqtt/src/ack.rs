//! The packets of an identifier and a reason: PUBACK, PUBREC, PUBREL, PUBCOMP (sections 3.4 to
//! 3.7), DISCONNECT (3.14), AUTH (3.15).
//!
//! Owns: their short forms and which reasons each may carry. Never: knows what was acknowledged.

use super::error::DecodeError;
use super::property::{self, Place, UserProperties, Value, id};
use super::reader::Reader;
use super::reason::ReasonCode;
use super::types::Version;

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack<'a> {
    pub packet_id: u16,
    /// Always `Success` in 3.1.1.
    pub reason: ReasonCode,
    pub reason_string: Option<&'a str>,
    pub user_properties: UserProperties<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// `Success` is the normal disconnection that drops the will; the only one in 3.1.1.
    pub reason: ReasonCode,
    /// Seconds; replaces what CONNECT said.
    pub session_expiry: Option<u32>,
    pub reason_string: Option<&'a str>,
    pub user_properties: UserProperties<'a>,
}

/// One step of an extended authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    pub reason: ReasonCode,
    /// `None` only in the form without reason and properties.
    pub method: Option<&'a str>,
    pub data: Option<&'a [u8]>,
    pub reason_string: Option<&'a str>,
    pub user_properties: UserProperties<'a>,
}

impl<'a> Ack<'a> {
    /// `fits`: the reasons this packet may carry.
    pub(super) fn decode(
        version: Version,
        packet: &'static str,
        body: &'a [u8],
        fits: fn(ReasonCode) -> bool,
    ) -> Result<Ack<'a>, DecodeError> {
        let mut reader = Reader::new(packet, body);
        let mut ack = Ack {
            packet_id: reader.packet_id()?,
            reason: ReasonCode::Success,
            reason_string: None,
            user_properties: UserProperties::default(),
        };
        // Two bytes mean success, three a reason without properties: section 3.4.2.1.
        if version == Version::V5 && !reader.is_empty() {
            ack.reason = read_reason(&mut reader, fits)?;
            if !reader.is_empty() {
                let block = property::read(&mut reader, Place::ACK, |identifier, value| {
                    if let (id::REASON_STRING, Value::Text(text)) = (identifier, value) {
                        ack.reason_string = Some(text);
                    }
                })?;
                ack.user_properties = UserProperties::of(block);
            }
        }
        reader.end()?;
        Ok(ack)
    }
}

impl<'a> Disconnect<'a> {
    pub(super) fn decode(
        version: Version,
        body: &'a [u8],
        fits: fn(ReasonCode) -> bool,
    ) -> Result<Disconnect<'a>, DecodeError> {
        let mut reader = Reader::new("DISCONNECT", body);
        let mut disconnect = Disconnect {
            reason: ReasonCode::Success,
            session_expiry: None,
            reason_string: None,
            user_properties: UserProperties::default(),
        };
        if version == Version::V5 && !reader.is_empty() {
            disconnect.reason = read_reason(&mut reader, fits)?;
            if !reader.is_empty() {
                let visit = |identifier, value| match (identifier, value) {
                    (id::SESSION_EXPIRY, Value::Number(seconds)) => {
                        disconnect.session_expiry = Some(seconds);
                    }
                    (id::REASON_STRING, Value::Text(text)) => disconnect.reason_string = Some(text),
                    _ => (),
                };
                let block = property::read(&mut reader, Place::DISCONNECT, visit)?;
                disconnect.user_properties = UserProperties::of(block);
            }
        }
        reader.end()?;
        Ok(disconnect)
    }
}

impl<'a> Auth<'a> {
    pub(super) fn decode(body: &'a [u8]) -> Result<Auth<'a>, DecodeError> {
        let mut reader = Reader::new("AUTH", body);
        let mut auth = Auth {
            reason: ReasonCode::Success,
            method: None,
            data: None,
            reason_string: None,
            user_properties: UserProperties::default(),
        };
        if reader.is_empty() {
            return Ok(auth);
        }
        auth.reason = read_reason(&mut reader, |reason| {
            matches!(
                reason,
                ReasonCode::Success
                    | ReasonCode::ContinueAuthentication
                    | ReasonCode::ReAuthenticate
            )
        })?;
        let visit = |identifier, value| match (identifier, value) {
            (id::AUTHENTICATION_METHOD, Value::Text(method)) => auth.method = Some(method),
            (id::AUTHENTICATION_DATA, Value::Binary(data)) => auth.data = Some(data),
            (id::REASON_STRING, Value::Text(text)) => auth.reason_string = Some(text),
            _ => (),
        };
        let block = property::read(&mut reader, Place::AUTH, visit)?;
        auth.user_properties = UserProperties::of(block);
        // Section 3.15.2.2.2.
        if auth.method.is_none() {
            return Err(reader.protocol_error("authentication method", "is missing"));
        }
        reader.end()?;
        Ok(auth)
    }
}

/// [MQTT-3.4.2-1] and its like for the other packets.
fn read_reason(
    reader: &mut Reader<'_>,
    fits: fn(ReasonCode) -> bool,
) -> Result<ReasonCode, DecodeError> {
    match ReasonCode::from_u8(reader.u8("reason code")?) {
        Some(reason) if fits(reason) => Ok(reason),
        Some(_) => Err(reader.protocol_error("reason code", "does not belong into this packet")),
        None => Err(reader.malformed("reason code", "is not defined")),
    }
}
