//! What a server receives once a client is connected.
//!
//! Owns: the choice by packet type. Never: accepts a packet that only a server sends.

use super::ack::{Ack, Auth, Disconnect};
use super::error::DecodeError;
use super::frame::check_first_byte;
use super::property::Place;
use super::publish::Publish;
use super::reader::Reader;
use super::reason::ReasonCode;
use super::subscribe::{Subscribe, Unsubscribe};
use super::types::{Version, first_byte as first, packet_name};

/// A packet from a client, other than its CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Unsubscribe(Unsubscribe<'a>),
    PingReq,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// `first_byte` and `body` as `frame` found them. A second CONNECT is a protocol error here:
    /// [MQTT-3.1.0-2].
    #[inline]
    pub fn decode(
        version: Version,
        first_byte: u8,
        body: &'a [u8],
    ) -> Result<Packet<'a>, DecodeError> {
        check_first_byte(first_byte)?;
        if first_byte & 0xF0 == first::PUBLISH {
            return Publish::decode(version, first_byte, body, Place::PUBLISH).map(Packet::Publish);
        }
        Packet::decode_other(version, first_byte, body)
    }

    fn decode_other(
        version: Version,
        first_byte: u8,
        body: &'a [u8],
    ) -> Result<Packet<'a>, DecodeError> {
        let name = packet_name(first_byte);
        let ack = |fits| Ack::decode(version, name, body, fits);
        match first_byte {
            first::PUBACK => ack(ReasonCode::fits_puback).map(Packet::PubAck),
            first::PUBREC => ack(ReasonCode::fits_puback).map(Packet::PubRec),
            first::PUBREL => ack(ReasonCode::fits_pubrel).map(Packet::PubRel),
            first::PUBCOMP => ack(ReasonCode::fits_pubrel).map(Packet::PubComp),
            first::SUBSCRIBE => Subscribe::decode(version, body).map(Packet::Subscribe),
            first::UNSUBSCRIBE => Unsubscribe::decode(version, body).map(Packet::Unsubscribe),
            first::PINGREQ => {
                Reader::new(name, body).end()?;
                Ok(Packet::PingReq)
            }
            first::DISCONNECT => {
                Disconnect::decode(version, body, ReasonCode::fits_client_disconnect)
                    .map(Packet::Disconnect)
            }
            first::AUTH if version == Version::V5 => Auth::decode(body).map(Packet::Auth),
            first::AUTH => Err(DecodeError::new(
                ReasonCode::MalformedPacket,
                name,
                "packet type",
                "is reserved in mqtt 3.1.1",
            )),
            first::CONNECT => Err(DecodeError::new(
                ReasonCode::ProtocolError,
                name,
                "packet",
                "is not the first of its connection",
            )),
            _ => Err(DecodeError::new(
                ReasonCode::ProtocolError,
                name,
                "packet",
                "is only sent by a server",
            )),
        }
    }
}
