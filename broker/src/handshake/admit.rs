//! From a CONNECT to a client: who it is, what it asked for, what it is told.
//!
//! Owns: the order of the checks and the CONNACK. Never: touches the stream.

use std::sync::Arc;

use bytes::Bytes;

use super::{Refusal, error_chain};
use crate::access::{Action, Decision, Principal};
use crate::client::{Client, Terms};
use crate::gate::{Gate, now_micros};
use crate::message::Message;
use crate::packet::{Connect, Qos, ReasonCode, Version, Will, encode};
use crate::peer::Peer;
use crate::session::{QueueLimits, Session};

/// Ids given by the gate begin with it.
const ASSIGNED_PREFIX: &str = "millrace-";

/// Judges the CONNECT; the new client and the CONNACK for it.
pub(super) async fn admit(
    gate: &Arc<Gate>,
    peer: &Peer,
    body: &[u8],
) -> Result<(Client, Vec<u8>), Refusal> {
    let connect = Connect::decode(body).map_err(|error| Refusal {
        answer: error.answer(),
        why: error_chain(&error),
    })?;
    let version = connect.version;
    let refuse = |reason: ReasonCode| Refusal {
        answer: Some((version, reason)),
        why: reason.name().to_owned(),
    };
    if connect.properties.authentication_method.is_some() {
        return Err(refuse(ReasonCode::BadAuthenticationMethod));
    }
    if connect
        .will
        .is_some_and(|will| will.qos == Qos::ExactlyOnce)
    {
        return Err(refuse(ReasonCode::QosNotSupported));
    }
    // [MQTT-3.1.3-8] of 3.1.1: without an id there is nothing a kept session could be found by.
    if version == Version::V311 && connect.client_id.is_empty() && !connect.clean_start {
        return Err(refuse(ReasonCode::ClientIdentifierNotValid));
    }
    let identity = gate
        .authenticator
        .authenticate(peer, &connect)
        .await
        .map_err(refuse)?;
    let number = gate.next_session_number();
    let assigned = connect
        .client_id
        .is_empty()
        .then(|| format!("{ASSIGNED_PREFIX}{:x}-{number}", std::process::id()));
    let client_id = assigned.as_deref().unwrap_or(connect.client_id);
    if let Some(will) = &connect.will {
        let principal = Principal {
            identity: &identity,
            client_id,
        };
        // Here, because nobody could be told when it is published; it is asked again then.
        if gate
            .access
            .authorize(&principal, Action::Publish, will.topic)
            == Decision::Deny
        {
            gate.stats.denied.add(1);
            return Err(refuse(ReasonCode::NotAuthorized));
        }
    }
    let session = Arc::new(Session::new(
        number,
        client_id,
        identity,
        version,
        silence_seconds_max(connect.keep_alive),
        QueueLimits {
            messages: gate.settings.max_queued_messages,
            bytes: gate.settings.max_queued_bytes,
        },
    ));
    session.heard(gate.seconds());
    let size_max = connect.properties.maximum_packet_size;
    let terms = Terms {
        max_packet_bytes: size_max,
        inflight_max: connect
            .properties
            .receive_maximum
            .min(gate.settings.max_inflight),
        will: connect
            .will
            .as_ref()
            .map(|will| Box::new(will_message(will, number))),
    };
    let mut answer = Vec::new();
    encode::connack(
        &mut answer,
        version,
        &connack(gate, assigned.as_deref()),
        size_max,
    );
    Ok((Client::new(Arc::clone(gate), session, terms), answer))
}

/// What an MQTT 5 client is told about this server; 3.1.1 has room for none of it.
fn connack<'a>(gate: &Gate, assigned_client_id: Option<&'a str>) -> encode::ConnAck<'a> {
    encode::ConnAck {
        // Sessions end with their connection: said whatever the client asked for.
        session_expiry: Some(0),
        receive_maximum: Some(gate.settings.receive_maximum),
        maximum_qos: Qos::AtLeastOnce,
        maximum_packet_size: Some(gate.settings.max_packet_bytes as u32),
        assigned_client_id,
        topic_alias_maximum: Some(gate.settings.topic_alias_maximum),
        ..encode::ConnAck::new(ReasonCode::Success)
    }
}

/// One and a half times the keep-alive: [MQTT-3.1.2-22].
fn silence_seconds_max(keep_alive: u16) -> u32 {
    // Rounded up: a client may use all of it.
    (u32::from(keep_alive) * 3).div_ceil(2)
}

fn will_message(will: &Will<'_>, publisher: u64) -> Message {
    Message {
        topic: will.topic.into(),
        payload: Bytes::copy_from_slice(will.payload),
        qos: will.qos,
        retain: will.retain,
        properties: will.properties.raw_forwardable().to_bytes(),
        expiry_seconds: will.properties.message_expiry,
        publisher,
        received_at: now_micros(),
    }
}
