//! What a client wants to be published when it is lost.
//!
//! Owns: the will between CONNECT and the moment it is published. Never: decides whether that
//! moment has come; its session does. Invariant: it is authorised as the one who brought it, as
//! they are when it is published, even if the session belongs to another connection by then.

use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use journal::{Record, RecordBatch};

use crate::gate::Gate;
use crate::limits::{RefusalKind, Who};
use crate::message::Message;
use crate::session_log::Event;
use access::Identity;
use access::{Action, Decision, Principal};

#[derive(Debug, Clone)]
pub(crate) struct Will {
    /// Its `received_at` is set when it is published, since its expiry counts from then.
    pub(crate) message: Message,
    /// Seconds from the loss of the connection to the publish.
    pub(crate) delay_seconds: u32,
    /// For the journal; empty when there is none.
    pub(crate) content_type: Box<str>,
    /// Who brought it.
    pub(crate) identity: Arc<Identity>,
}

impl Will {
    /// The will of a CONNECT; its session's number is filled in when it gets one.
    pub(crate) fn of(will: &mqtt::Will<'_>, identity: &Arc<Identity>) -> Will {
        Will {
            message: Message {
                topic: will.topic.into(),
                payload: Bytes::copy_from_slice(will.payload),
                qos: will.qos,
                retain: will.retain,
                properties: will.properties.raw_forwardable().to_bytes(),
                expiry_seconds: will.properties.message_expiry,
                publisher: 0,
                received_at: 0,
                origin: Default::default(),
                holders: Default::default(),
            },
            delay_seconds: will.delay,
            content_type: will.properties.content_type.unwrap_or_default().into(),
            identity: Arc::clone(identity),
        }
    }

    /// The event that brings it.
    pub(super) fn armed(&self) -> Event<'_> {
        Event::WillArmed {
            message: &self.message,
            delay_seconds: self.delay_seconds,
            content_type: &self.content_type,
        }
    }

    /// Goes the way of a publish; nobody waits for an acknowledgement of it.
    pub(crate) fn publish(self, gate: &Arc<Gate>, client_id: &str) {
        let Will {
            mut message,
            content_type,
            identity,
            ..
        } = self;
        // Who is let in no more publishes nothing, nor who came with a certificate that was taken
        // back: it may be a thief's.
        let standing = gate.authenticator.standing(&identity);
        let standing = standing.filter(|identity| !identity.is_revoked());
        let allowed = standing.is_some_and(|identity| {
            let principal = Principal {
                identity: &identity,
                client_id,
            };
            let decide = || {
                gate.access
                    .authorize(&principal, Action::Publish, &message.topic)
            };
            // Of one that is forgotten no more is known than that it was allowed when it came.
            !identity.is_known() || decide() == Decision::Allow
        });
        if !allowed {
            gate.stats.denied.add(1);
            let who = Who {
                user: &identity.user,
                client_id,
                address: None,
            };
            gate.refusals.note(RefusalKind::Publish, &who, || {
                format!("will to `{}`, by who it is now", message.topic)
            });
            return;
        }
        message.received_at = gate.clock.now_micros();
        if (gate.is_telemetry)(&message.topic) {
            let mut batch = RecordBatch::new();
            batch.push(&Record {
                received_at: message.received_at,
                qos: message.qos as u8,
                packet_id: None,
                content_type: &content_type,
                client_id,
                user: &identity.user,
                topic: &message.topic,
                payload: &message.payload,
            });
            match gate.journal.append(&mut batch, Waker::noop()) {
                Ok(_) => gate.stats.journalled.add(1),
                Err(_) => gate.stats.dropped_journal_full.add(1),
            }
        }
        gate.distribute(message);
    }
}
