//! From the first byte to CONNACK, under a deadline, so that a silent client costs a timer and nothing more.
//!
//! Owns: CONNECT and its answer. Never: handles another packet; bytes behind the CONNECT are handed on.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tracing::debug;

use crate::client::{Client, Terms};
use crate::gate::{Gate, now_micros};
use crate::message::Message;
use crate::packet::{Connect, Frame, Qos, ReasonCode, Version, Will, encode, frame};
use crate::session::{QueueLimits, Session};

/// First room for a CONNECT; most fit.
const CONNECT_BYTES: usize = 256;
/// The first byte of every CONNECT.
const CONNECT_FIRST_BYTE: u8 = 0x10;
/// Ids given by the gate begin with it.
const ASSIGNED_PREFIX: &str = "millrace-";

/// How a CONNECT is answered when there will be no session.
struct Refusal {
    /// `None`: closed without a word.
    answer: Option<(Version, ReasonCode)>,
    why: String,
}

/// A complete CONNECT as it was read.
struct Received {
    buffer: Vec<u8>,
    /// Where in the buffer the packet's body lies; what comes behind it is handed on.
    body: Range<usize>,
}

/// The client that connected, and bytes that came behind its CONNECT; `None` when there is none.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    gate: &Arc<Gate>,
    stream: &mut S,
    peer: SocketAddr,
) -> Option<(Client, Vec<u8>)> {
    let received = tokio::select! {
        received = tokio::time::timeout(gate.settings.connect_timeout, read_connect(gate, stream)) => received,
        () = gate.stop.cancelled() => return None,
    };
    let accepted = received
        .unwrap_or_else(|_elapsed| Err(silent("no complete connect in time")))
        .and_then(|received| {
            let (client, answer) = accept(gate, &received.buffer[received.body.clone()])?;
            Ok((client, answer, received))
        });
    match accepted {
        Ok((client, answer, received)) => {
            welcome(gate, stream, &client, &answer).await?;
            Some((client, received.buffer[received.body.end..].to_vec()))
        }
        Err(refusal) => {
            refuse(gate, stream, peer, refusal).await;
            None
        }
    }
}

/// Enters the client and sends CONNACK; `None` when it did not leave.
async fn welcome<S: AsyncWrite + Unpin>(
    gate: &Gate,
    stream: &mut S,
    client: &Client,
    answer: &[u8],
) -> Option<()> {
    // Before CONNACK: whoever held the client id is gone first. [MQTT-3.1.4-3]
    gate.registry.enter(&client.session);
    if gate.stop.is_cancelled() {
        // Entered behind the back of the shutdown, which would wait for it.
        client.session.close(ReasonCode::ServerShuttingDown);
    }
    // A client that does not take these few bytes at once is not there.
    let sent = tokio::time::timeout(gate.settings.connect_timeout, stream.write_all(answer));
    sent.await.ok()?.ok()?;
    gate.stats.connections_accepted.add(1);
    Some(())
}

async fn refuse<S: AsyncWrite + Unpin>(
    gate: &Gate,
    stream: &mut S,
    peer: SocketAddr,
    refusal: Refusal,
) {
    debug!(%peer, why = refusal.why, "connect refused");
    let Some((version, reason)) = refusal.answer else {
        return;
    };
    let mut answer = Vec::new();
    encode::connack(&mut answer, version, &encode::ConnAck::new(reason), None);
    // Best effort: the connection ends either way.
    let _ = tokio::time::timeout(gate.settings.connect_timeout, async {
        stream.write_all(&answer).await?;
        stream.shutdown().await
    })
    .await;
}

/// Reads until the first packet is complete.
async fn read_connect<S: AsyncRead + Unpin>(
    gate: &Gate,
    stream: &mut S,
) -> Result<Received, Refusal> {
    let mut buffer = Vec::with_capacity(CONNECT_BYTES);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) => return Err(silent("closed")),
            Ok(_) => {}
            Err(error) => return Err(silent(error.to_string())),
        }
        if buffer[0] != CONNECT_FIRST_BYTE {
            return Err(silent("the first packet is not a connect"));
        }
        match frame(&buffer, gate.settings.max_packet_bytes) {
            Ok(Frame::Complete { body, .. }) => return Ok(Received { buffer, body }),
            Ok(Frame::Incomplete { .. }) => {}
            Err(error) => return Err(silent(error.to_string())),
        }
    }
}

/// A refusal for which there is no answer.
fn silent(why: impl Into<String>) -> Refusal {
    Refusal {
        answer: None,
        why: why.into(),
    }
}

/// Judges the CONNECT; the new client and the CONNACK for it.
fn accept(gate: &Arc<Gate>, body: &[u8]) -> Result<(Client, Vec<u8>), Refusal> {
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
    let number = gate.next_session_number();
    let assigned = connect
        .client_id
        .is_empty()
        .then(|| format!("{ASSIGNED_PREFIX}{:x}-{number}", std::process::id()));
    let session = Arc::new(Session::new(
        number,
        assigned.as_deref().unwrap_or(connect.client_id),
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
        shared_subscriptions: false,
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

fn error_chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", error_chain(source)),
        None => error.to_string(),
    }
}
