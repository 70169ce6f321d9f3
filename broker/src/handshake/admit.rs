//! From a CONNECT to a client: who it is, what it asked for, what it is told.
//!
//! Owns: the order of the checks, what is granted of what was asked for, and the CONNACK. Never:
//! touches the stream.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use journal::Position;

use super::Refusal;
use crate::client::{Client, Terms};
use crate::end::End;
use crate::gate::Gate;
use crate::limits::{RefusalKind, Who};
use crate::presence::{self, Visit};
use crate::registry::Attached;
use crate::session::{Arrival, Will};
use crate::upkeep;
use access::Peer;
use access::error_chain;
use access::rules::is_bridge_state;
use access::{Action, Decision, Principal};
use mqtt::{Connect, ReasonCode, Version, encode};

/// Judges the CONNECT; the new client and the CONNACK for it.
pub(super) async fn admit(
    gate: &Arc<Gate>,
    peer: &Peer,
    body: &[u8],
) -> Result<(Client, Vec<u8>), Refusal> {
    // Before anything that takes time: how long a password takes to check does not decide who came
    // last.
    let order = gate.connect_order();
    let mut connect = Connect::decode(body).map_err(|error| Refusal {
        answer: error.answer(),
        text: None,
        why: error_chain(&error),
        is_fault: true,
    })?;
    let version = connect.version;
    let size_max = connect.properties.maximum_packet_size;
    let refuse = |reason: ReasonCode| Refusal {
        answer: takes_refusal(size_max).then_some((version, reason)),
        text: None,
        why: reason.name().to_owned(),
        is_fault: false,
    };
    let supersede = || Refusal {
        // CONNACK has no code for it: 0x8E is one of DISCONNECT [MQTT-3.2.2-8].
        text: size_max.is_none().then_some(SUPERSEDED),
        why: SUPERSEDED.to_owned(),
        ..refuse(ReasonCode::UnspecifiedError)
    };
    // Nobody vouches for the user yet, and people type passwords there.
    let refuse_to = |user: &str, client_id: &str, what: &str, reason: ReasonCode| {
        let who = Who {
            user,
            client_id,
            address: Some(peer.address),
        };
        gate.refusals.note(RefusalKind::Connect, &who, || {
            format!("{what}{} (0x{:02X})", reason.name(), reason.code())
        });
        refuse(reason)
    };
    let asks = connect.client_id;
    if connect.properties.authentication_method.is_some() {
        return Err(refuse_to("", asks, "", ReasonCode::BadAuthenticationMethod));
    }
    // [MQTT-3.1.3-8] of 3.1.1: without an id there is nothing a kept session could be found by. In
    // 3.1 an id has 1 to 23 characters; a longer one does no harm.
    let is_old = version == Version::V311;
    let needs_id = is_old && (connect.is_v31 || !connect.clean_start);
    if needs_id && connect.client_id.is_empty() {
        return Err(refuse_to(
            "",
            asks,
            "",
            ReasonCode::ClientIdentifierNotValid,
        ));
    }
    let identity = gate
        .authenticator
        .authenticate(peer, &connect)
        .await
        .map_err(|refusal| {
            let reason = refusal.reason_code();
            let who = Who {
                user: connect
                    .user
                    .filter(|_| refusal.user_is_known)
                    .unwrap_or_default(),
                client_id: connect.client_id,
                address: Some(peer.address),
            };
            gate.refusals.note(RefusalKind::Login, &who, || {
                format!("{} (0x{:02X})", refusal.words(), reason.code())
            });
            refuse(reason)
        })?;
    let assigned = connect.client_id.is_empty().then(|| gate.assigned_id());
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
            if !is_bridge_state(will.topic) {
                let what = format!("will to `{}`: ", will.topic);
                let reason = ReasonCode::NotAuthorized;
                return Err(refuse_to(&identity.user, client_id, &what, reason));
            }
            // Which every bridge brings, whoever may see it: it is let in without.
            connect.will = None;
        }
    }
    let granted = Granted::to(gate, &connect);
    let mut connack = encode::ConnAck {
        assigned_client_id: assigned.as_deref(),
        ..granted.connack(gate, &connect)
    };
    // Before anything changes for the session's sake.
    check_size(version, &connack, size_max)?;
    let arrival = Arrival {
        order,
        clean_start: connect.clean_start,
        expiry_seconds: granted.session_expiry,
        silence_seconds_max: silence_seconds_max(granted.keep_alive),
        visit: Visit {
            address: peer.address,
            protocol: protocol_name(&connect),
            keep_alive: granted.keep_alive,
            clean_start: connect.clean_start,
            since: gate.clock.now_micros(),
        },
        will: connect
            .will
            .as_ref()
            .map(|will| Box::new(Will::of(will, &identity))),
        identity: Arc::clone(&identity),
    };
    let user = Arc::clone(&identity);
    let attached = gate
        .registry
        .attach(gate, client_id, arrival)
        .await
        .map_err(|reason| match reason {
            ReasonCode::SessionTakenOver => supersede(),
            reason => refuse_to(&user.user, client_id, "", reason),
        })?;
    let terms = Terms {
        version,
        is_v31: connect.is_v31,
        is_bridge: connect.is_bridge,
        identity,
        max_packet_bytes: size_max,
        inflight_max: connect
            .properties
            .receive_maximum
            .min(gate.settings.max_inflight),
        kept: granted.session_expiry_asked != 0,
    };
    let Attached {
        session,
        present,
        kept,
        saved,
    } = attached;
    // Whoever ends what is good no more looks through the sessions that are attached: this one is
    // by now.
    if !gate.authenticator.is_still_good(&terms.identity) {
        session.close(ReasonCode::NotAuthorized);
    }
    let mut client = Client::new(Arc::clone(gate), session, terms);
    if !kept && granted.session_expiry > 0 {
        connack.session_expiry = Some(0);
        check_size(version, &connack, size_max).inspect_err(|_| client.withdraw())?;
    }
    // Before its CONNACK: whoever asks afterwards who is here finds it, and is not told again.
    presence::connected(gate, &client.session);
    if present {
        // The rules, or the client's groups, may be others than when it subscribed.
        upkeep::revoke(gate, &client.session);
    }
    // Nothing is promised before it is on disk; but a disk that is slow keeps nobody out, nor the
    // one who takes over.
    tokio::select! {
        biased;
        () = until_saved(gate, saved) => {}
        reason = client.session.closing() => {
            client.finish(&End::Refused(reason), &mut Vec::new());
            client.withdraw();
            return Err(match reason {
                ReasonCode::SessionTakenOver => supersede(),
                ReasonCode::NotAuthorized => refuse(reason),
                _ => refuse(ReasonCode::ServerUnavailable),
            });
        }
        () = tokio::time::sleep(gate.settings.connect_timeout) => {}
    }
    // The byte that says so is reserved in MQTT 3.1.
    connack.session_present = present && !connect.is_v31;
    let mut answer = Vec::new();
    encode::connack(&mut answer, version, &connack, size_max);
    Ok((client, answer))
}

fn protocol_name(connect: &Connect<'_>) -> &'static str {
    match connect.version {
        Version::V311 if connect.is_v31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5",
    }
}

/// Waits until the log of kept sessions is durable up to the position, which this task wrote.
async fn until_saved(gate: &Gate, saved: Position) {
    poll_fn(|_| {
        if gate.is_saved(saved) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// What a client is told when a later CONNECT has come before its own was answered.
const SUPERSEDED: &str = "session taken over by a connect that came later";

/// Bytes of a CONNACK that refuses.
const REFUSAL_BYTES: u32 = 5;

/// Whether the client can be told that it is refused: [MQTT-3.1.2-24].
fn takes_refusal(size_max: Option<u32>) -> bool {
    size_max.is_none_or(|size_max| size_max >= REFUSAL_BYTES)
}

/// A client that cannot take what it must be told cannot be served: [MQTT-3.1.2-24].
fn check_size(
    version: Version,
    connack: &encode::ConnAck<'_>,
    size_max: Option<u32>,
) -> Result<(), Refusal> {
    let Some(size_max) = size_max else {
        return Ok(());
    };
    let mut packet = Vec::new();
    encode::connack(&mut packet, version, connack, Some(size_max));
    if packet.len() <= size_max as usize {
        return Ok(());
    }
    let reason = ReasonCode::PacketTooLarge;
    Err(Refusal {
        answer: takes_refusal(Some(size_max)).then_some((version, reason)),
        text: None,
        is_fault: false,
        why: format!("takes packets of `{size_max}` bytes at most, and connack is larger"),
    })
}

/// What a client gets of what its CONNECT asked for.
struct Granted {
    /// Seconds, as asked for. A 3.1.1 client without a clean session asks for ever.
    session_expiry_asked: u32,
    /// Seconds.
    session_expiry: u32,
    /// Seconds; 0: off.
    keep_alive: u16,
}

impl Granted {
    fn to(gate: &Gate, connect: &Connect<'_>) -> Granted {
        let settings = &gate.settings;
        let session_expiry_asked = match connect.version {
            Version::V5 => connect.properties.session_expiry,
            Version::V311 if connect.clean_start => 0,
            Version::V311 => u32::MAX,
        };
        let asked = connect.keep_alive;
        let keep_alive = match settings.max_keep_alive {
            // Only MQTT 5 clients can be told: [MQTT-3.1.2-21].
            Some(longest) if connect.version == Version::V5 => match asked {
                0 => longest,
                _ => asked.min(longest),
            },
            _ => asked,
        };
        Granted {
            session_expiry_asked,
            session_expiry: session_expiry_asked.min(settings.max_session_expiry_seconds),
            keep_alive,
        }
    }

    /// What an MQTT 5 client is told about this server; 3.1.1 has room for none of it. Response
    /// information, which a client may ask for, is never given: topics for responses are the
    /// clients' own to choose.
    fn connack<'a>(&self, gate: &Gate, connect: &Connect<'_>) -> encode::ConnAck<'a> {
        let settings = &gate.settings;
        let expiry_differs = self.session_expiry != self.session_expiry_asked;
        encode::ConnAck {
            session_expiry: expiry_differs.then_some(self.session_expiry),
            receive_maximum: Some(settings.receive_maximum),
            maximum_packet_size: Some(settings.max_packet_bytes as u32),
            topic_alias_maximum: Some(settings.topic_alias_maximum),
            server_keep_alive: (self.keep_alive != connect.keep_alive).then_some(self.keep_alive),
            ..encode::ConnAck::new(ReasonCode::Success)
        }
    }
}

/// One and a half times the keep-alive: [MQTT-3.1.2-22].
fn silence_seconds_max(keep_alive: u16) -> u32 {
    // Rounded up: a client may use all of it.
    (u32::from(keep_alive) * 3).div_ceil(2)
}
