//! Connected clients, published on `$clients/{client id}/status`: a new subscriber receives one
//! message for each client that is connected, and then one at each connect and disconnect.
//!
//! Owns: the topic and its JSON. The tree has a `$` in front so that `#` does not see it, and a
//! name of its own so that tools which read all of `$SYS/#` as numbers are not flooded by a fleet.
//! Never: keeps a message; what a new subscriber gets is made from the sessions. Invariant: the
//! departure from a session is published before the next arrival in it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use crate::end::End;
use crate::gate::Gate;
use crate::message::Message;
use crate::session::Session;
use mqtt::topic;
use mqtt::{Qos, ReasonCode};

const PREFIX: &str = "$clients/";
const SUFFIX: &str = "/status";

/// What is told of a connection; kept with its session while it lasts.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) address: SocketAddr,
    /// `3.1`, `3.1.1` or `5`.
    pub(crate) protocol: &'static str,
    /// Seconds; 0: off.
    pub(crate) keep_alive: u16,
    pub(crate) clean_start: bool,
    /// Microseconds since 1970, UTC.
    pub(crate) since: i64,
}

/// Why a connection ended, in a few words and, where MQTT 5 has one for it, a reason code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause {
    text: &'static str,
    code: Option<ReasonCode>,
}

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Status<'a> {
    Connected {
        client_id: &'a str,
        /// Empty: let in without a user.
        user: &'a str,
        address: SocketAddr,
        protocol: &'static str,
        keep_alive: u16,
        clean_start: bool,
        /// RFC 3339, UTC.
        at: String,
    },
    Disconnected {
        client_id: &'a str,
        user: &'a str,
        reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<u8>,
        /// RFC 3339, UTC.
        at: String,
    },
}

impl Cause {
    /// What remains to be said when the connection's task ended without a word of its own.
    const UNKNOWN: Cause = Cause {
        text: "failed in the server",
        code: None,
    };
}

impl Default for Cause {
    fn default() -> Cause {
        Cause::UNKNOWN
    }
}

impl From<&End> for Cause {
    fn from(end: &End) -> Cause {
        let of = |text, code| Cause { text, code };
        match end {
            End::Disconnected { .. } => of("disconnected by the client", None),
            End::Closed => of("closed by the client", None),
            End::Io(_) => of("connection lost", None),
            End::Malformed(error) => of("malformed packet", Some(error.reason)),
            End::Refused(reason) => of(reason.name(), Some(*reason)),
        }
    }
}

/// Publishes that the session's client is here.
pub(crate) fn connected(gate: &Arc<Gate>, session: &Session) {
    publish(gate, session, || connected_status(session));
}

/// Publishes that it is gone.
pub(crate) fn disconnected(gate: &Arc<Gate>, session: &Session, cause: Cause) {
    publish(gate, session, || {
        let identity = session.identity();
        Some(json(&Status::Disconnected {
            client_id: &session.client_id,
            user: &identity.user,
            reason: cause.text,
            code: cause.code.map(ReasonCode::code),
            at: timestamp(gate.clock.now_micros()),
        }))
    });
}

/// Sessions looked at for one page: a few kilobytes of JSON if all of them match.
const PAGE_SESSIONS: usize = 64;

/// Whether a topic of this module can match; of nearly all filters none can.
pub(crate) fn may_match(filter: &str) -> bool {
    // A wildcard in the first level does not match a topic that begins with `$`.
    filter.starts_with(PREFIX)
}

/// The state of the next clients that are connected and whose topic matches, in the order of their
/// ids behind `after`; and the id to go on behind, unless these are the last. Locks sessions, so no
/// session may be locked.
pub(crate) fn page(
    gate: &Gate,
    filter: &str,
    after: Option<&str>,
) -> (Vec<Arc<Message>>, Option<Box<str>>) {
    let sessions = gate.registry.page(after, PAGE_SESSIONS);
    let messages = sessions.iter().filter_map(|session| {
        let topic = topic_of(&session.client_id);
        let status = topic::matches(filter, &topic).then(|| connected_status(session))??;
        Some(Arc::new(message(gate, topic, status)))
    });
    let last = sessions.last().filter(|_| sessions.len() == PAGE_SESSIONS);
    let next = last.map(|session| (*session.client_id).into());
    (messages.collect(), next)
}

fn connected_status(session: &Session) -> Option<Bytes> {
    let (visit, identity) = session.visit()?;
    Some(json(&Status::Connected {
        client_id: &session.client_id,
        user: &identity.user,
        address: visit.address,
        protocol: visit.protocol,
        keep_alive: visit.keep_alive,
        clean_start: visit.clean_start,
        at: timestamp(visit.since),
    }))
}

fn publish(gate: &Arc<Gate>, session: &Session, status: impl FnOnce() -> Option<Bytes>) {
    let topic = topic_of(&session.client_id);
    // Most of the time nobody wants to know.
    if gate.subscriptions.targets(&topic).is_empty() {
        return;
    }
    if let Some(status) = status() {
        gate.announce(&Arc::new(message(gate, topic, status)));
    }
}

fn message(gate: &Gate, topic: String, status: Bytes) -> Message {
    let now = gate.clock.now_micros();
    Message::own(topic.into(), status, Qos::AtLeastOnce, false, now)
}

/// A client id may hold any character; in the topic it is one level.
fn topic_of(client_id: &str) -> String {
    let mut topic = String::with_capacity(PREFIX.len() + client_id.len() + SUFFIX.len());
    topic.push_str(PREFIX);
    topic::push_level(&mut topic, client_id);
    topic.push_str(SUFFIX);
    topic
}

fn json(status: &Status<'_>) -> Bytes {
    serde_json::to_vec(status)
        .expect("a struct of strings and numbers has no key that JSON lacks")
        .into()
}

fn timestamp(micros: i64) -> String {
    // The clock of a computer stays within the years that a timestamp can hold.
    Timestamp::from_microsecond(micros)
        .unwrap_or_default()
        .to_string()
}

#[cfg(test)]
impl Visit {
    /// Of a client without a socket.
    pub(crate) fn of_a_test() -> Visit {
        Visit {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            protocol: "5",
            keep_alive: 0,
            clean_start: true,
            since: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_is_one_level_whatever_it_holds() {
        assert_eq!(topic_of("press-1"), "$clients/press-1/status");
        assert_eq!(topic_of("a/b+#%ü"), "$clients/a%2Fb%2B%23%25ü/status");
        assert!(topic::valid_topic(&topic_of("$share/+/#")));
    }
}
