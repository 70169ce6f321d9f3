//! From the first byte to CONNACK, under a deadline, so that a silent client costs a timer and
//! nothing more.
//!
//! Owns: CONNECT and its answer. Never: handles another packet; bytes behind the CONNECT are handed
//! on.

mod admit;

use std::ops::Range;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::client::Client;
use crate::end::End;
use crate::gate::Gate;
use crate::limits::{RefusalKind, Room, Share, Who};
use access::Peer;
use mqtt::{Frame, ReasonCode, Version, encode, frame};

/// First room for a CONNECT; most fit.
const CONNECT_BYTES: usize = 256;
/// Room that each connection may take before it is known who comes. A name, a password, a token and
/// a short will fit.
const CONNECT_BYTES_FREE: usize = 4 * 1024;
/// What larger CONNECTs may take together, from their first bytes until they are judged: without
/// credentials a client costs no more than this share, however many of them come. A thousand of 64
/// KB at one time.
const CONNECTS_BYTES_MAX: usize = 64 << 20;
/// The first byte of every CONNECT.
const CONNECT_FIRST_BYTE: u8 = 0x10;

/// How a CONNECT is answered when there will be no session.
struct Refusal {
    /// `None`: closed without a word.
    answer: Option<(Version, ReasonCode)>,
    /// For the client's people, in MQTT 5.
    text: Option<&'static str>,
    why: String,
    /// What came is no CONNECT, or not a good one: the log is told.
    is_fault: bool,
}

/// A complete CONNECT as it was read.
struct Received {
    buffer: Vec<u8>,
    /// Where in the buffer the packet's body lies; what comes behind it is handed on.
    body: Range<usize>,
    /// Of the room for large ones; kept as long as the buffer.
    _share: Share,
}

/// The room for CONNECTs that are large; one of the largest size that is allowed always fits.
pub(crate) fn room_for_connects(max_packet_bytes: usize) -> Arc<Room> {
    Room::new(CONNECTS_BYTES_MAX.max(max_packet_bytes))
}

/// The client that connected, and bytes that came behind its CONNECT; `None` when there is none.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    gate: &Arc<Gate>,
    stream: &mut S,
    peer: &Peer,
    deadline: Instant,
) -> Option<(Client, Vec<u8>)> {
    let received = tokio::select! {
        received = timeout_at(deadline, read_connect(gate, stream)) => received,
        () = gate.stop.cancelled() => return None,
    };
    let admitted =
        match received.unwrap_or_else(|_elapsed| Err(silent("no complete connect in time"))) {
            Ok(received) => admit::admit(gate, peer, &received.buffer[received.body.clone()])
                .await
                .map(|admitted| (admitted, received)),
            Err(refusal) => Err(refusal),
        };
    match admitted {
        Ok(((mut client, answer), received)) => {
            welcome(gate, stream, &mut client, &answer).await?;
            Some((client, received.buffer[received.body.end..].to_vec()))
        }
        Err(refusal) => {
            refuse(gate, stream, peer, refusal).await;
            None
        }
    }
}

/// Sends CONNACK; `None` when it did not leave.
async fn welcome<S: AsyncWrite + Unpin>(
    gate: &Gate,
    stream: &mut S,
    client: &mut Client,
    answer: &[u8],
) -> Option<()> {
    if gate.stop.is_cancelled() {
        // Attached behind the back of the shutdown, which would wait for it.
        client.session.close(ReasonCode::ServerShuttingDown);
    }
    // A client that does not take these few bytes at once is not there.
    let sent = tokio::time::timeout(gate.settings.connect_timeout, async {
        stream.write_all(answer).await?;
        stream.flush().await
    });
    tokio::select! {
        biased;
        sent = sent => sent.ok()?.ok()?,
        // Nor does it keep the one out who takes over.
        reason = client.session.closing() => {
            client.finish(&End::Refused(reason), &mut Vec::new());
            return None;
        }
    }
    gate.stats.connections_accepted.add(1);
    Some(())
}

async fn refuse<S: AsyncWrite + Unpin>(gate: &Gate, stream: &mut S, peer: &Peer, refusal: Refusal) {
    debug!(%peer, why = refusal.why, "connect refused");
    if refusal.is_fault {
        let who = Who::at(peer.address);
        let what = || refusal.why.clone();
        gate.refusals.note(RefusalKind::Connect, &who, what);
    }
    let Some((version, reason)) = refusal.answer else {
        return;
    };
    let mut answer = Vec::new();
    let connack = encode::ConnAck {
        reason_string: refusal.text,
        ..encode::ConnAck::new(reason)
    };
    encode::connack(&mut answer, version, &connack, None);
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
    let mut share = gate.room_for_connects.share();
    loop {
        if buffer.len() == buffer.capacity() {
            // By what has come, never by what the header announces.
            let room = 2 * buffer.len();
            if room > CONNECT_BYTES_FREE && share.grow_to(room).is_err() {
                return Err(silent(
                    "large connects have all the room that they may have",
                ));
            }
            buffer.reserve_exact(room - buffer.len());
        }
        match stream.read_buf(&mut buffer).await {
            Ok(0) => return Err(silent("closed")),
            Ok(_) => {}
            Err(error) => return Err(silent(error.to_string())),
        }
        if buffer[0] != CONNECT_FIRST_BYTE {
            return Err(unfit("the first packet is not a connect".into()));
        }
        match frame(&buffer, gate.settings.max_packet_bytes) {
            Ok(Frame::Complete { body, .. }) => {
                return Ok(Received {
                    buffer,
                    body,
                    _share: share,
                });
            }
            Ok(Frame::Incomplete { .. }) => {}
            Err(error) => return Err(unfit(error.to_string())),
        }
    }
}

/// A refusal for which there is no answer.
fn silent(why: impl Into<String>) -> Refusal {
    Refusal {
        answer: None,
        text: None,
        why: why.into(),
        is_fault: false,
    }
}

/// The same for what is no CONNECT.
fn unfit(why: String) -> Refusal {
    Refusal {
        is_fault: true,
        ..silent(why)
    }
}
