//! SUBSCRIBE and UNSUBSCRIBE: what the client may have, what it gets at once, and the answer.
//!
//! Owns: the reason code of each filter, and what a new subscription is sent before anything live.
//! Never: keeps a subscription; that is the session's.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::Waker;

use journal::Position;

use super::{Client, End};
use crate::delivery::Options;
use crate::limits::RefusalKind;
use crate::session::Snapshot;
use access::{Grant, Guard};
use mqtt::topic::{self, Filter};
use mqtt::{Qos, ReasonCode, RetainHandling, Subscribe, Subscription, Unsubscribe, encode};

/// Looks for retained messages that the SUBSCRIBEs of one read may have at once. Each goes through
/// hundreds of topics, and nothing is sent meanwhile, to nobody whom this thread serves; further
/// ones take their turn when the client is sent something.
const SEARCHES_AT_ONCE: usize = 16;

/// What the SUBSCRIBEs and UNSUBSCRIBEs of one read have cost so far.
#[derive(Default)]
pub(super) struct Effort {
    /// Filters entered, refused or removed.
    pub(super) filters: usize,
    searches: usize,
    /// Filters of this packet that may still be entered: as many as a client may hold. More are
    /// not all new, and who repeats one thousands of times wants to keep us busy.
    left: usize,
}

/// Answers that wait for the log of kept sessions, in the order of their requests.
#[derive(Default)]
pub(super) struct Answers {
    /// Each leaves when the log is durable up to here.
    waiting: VecDeque<(Position, Vec<u8>)>,
    bytes: usize,
}

/// Bytes of answers that may wait before nothing more is read: a thousand small ones.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

impl Answers {
    pub(super) fn has_room(&self) -> bool {
        self.bytes < ANSWER_BYTES_MAX
    }

    fn push(&mut self, saved: Position, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.waiting.push_back((saved, bytes));
    }
}

impl Client {
    pub(super) fn subscribe(
        &mut self,
        subscribe: &Subscribe<'_>,
        effort: &mut Effort,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        self.can_be_told(subscribe.subscriptions.len())?;
        let identifier = subscribe.subscription_id.and_then(NonZeroU32::new);
        effort.left = self.gate.settings.subscriptions.count;
        let mut reasons = Vec::with_capacity(subscribe.subscriptions.len());
        for subscription in subscribe.subscriptions.iter() {
            let reason = self.subscribe_one(&subscription, identifier, effort);
            if reason.is_error() {
                let filter = subscription.filter;
                self.note_refusal(RefusalKind::Subscribe, "filter", filter, reason);
            }
            // MQTT 3.1 has no word for a refusal: such a client hears that all is well, and gets
            // nothing.
            let is_told = !(reason.is_error() && self.terms.is_v31);
            reasons.push(if is_told {
                reason
            } else {
                granted(subscription.qos)
            });
        }
        effort.filters += reasons.len();
        let version = self.terms.version;
        self.answer_request(out, |out| {
            encode::suback(out, version, subscribe.packet_id, &reasons);
        });
        Ok(())
    }

    /// Subscribes to one filter and queues its retained messages; the reason code for SUBACK.
    fn subscribe_one(
        &self,
        subscription: &Subscription<'_>,
        identifier: Option<NonZeroU32>,
        effort: &mut Effort,
    ) -> ReasonCode {
        let name = subscription.filter;
        // The depth too: the tree of filters is walked by recursion, and a stack that runs out
        // takes the process with it.
        let Ok(filter) = self.gate.settings.topics.check_filter(name) else {
            return ReasonCode::TopicFilterInvalid;
        };
        let rules = self.gate.access.generation();
        let guard = match self.grant(name, &filter) {
            Ok(guard) => guard,
            Err(reason) => return reason,
        };
        let Some(left) = effort.left.checked_sub(1) else {
            return ReasonCode::QuotaExceeded;
        };
        effort.left = left;
        let options = Options {
            qos: subscription.qos,
            // Not on a shared subscription, where MQTT 5 forbids it: [MQTT-3.8.3-4].
            no_local: subscription.no_local || (self.terms.is_bridge && filter.share.is_none()),
            retain_as_published: subscription.retain_as_published || self.terms.is_bridge,
            identifier,
        };
        let gate = Arc::clone(&self.gate);
        let new = self
            .session
            .subscribe(&gate, name, &filter, options, guard.clone());
        let mut guard = guard;
        // When the rules change now, all subscriptions are looked at, this one included; if they
        // changed before, this one may have come too late for that.
        if gate.access.generation() != rules {
            match self.granted(filter.filter) {
                Grant::Denied => {
                    self.session.unsubscribe(&gate, name);
                    gate.stats.denied_subscriptions.add(1);
                    return ReasonCode::NotAuthorized;
                }
                grant => {
                    guard = grant.guard();
                    self.session.set_guard(name, guard.clone());
                }
            }
        }
        let wants_retained = match subscription.retain_handling {
            // Section 4.8.2: a shared subscription gets no retained messages when it is made.
            _ if filter.share.is_some() => false,
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => new,
            RetainHandling::Never => false,
        };
        if wants_retained {
            let mut snapshot = Snapshot::new(&gate, name, &options, guard);
            if effort.searches < SEARCHES_AT_ONCE {
                effort.searches += usize::from(topic::is_wildcard(name));
                snapshot = snapshot.with_page(&gate);
            }
            if !snapshot.is_over() {
                self.session.enqueue_snapshot(snapshot);
            }
        }
        granted(subscription.qos)
    }

    fn granted(&self, filter: &str) -> Grant {
        let identity = &self.terms.identity;
        let client_id = &self.session.client_id;
        self.gate.access.grant(identity, client_id, filter)
    }

    /// What guards the subscription, if rules deny a part of it, or why there is none. `name` is
    /// what the client wrote, `filter` what it means: the access rules know nothing of groups.
    fn grant(&self, name: &str, filter: &Filter<'_>) -> Result<Option<Arc<Guard>>, ReasonCode> {
        let grant = self.granted(filter.filter);
        if matches!(grant, Grant::Denied) {
            self.gate.stats.denied_subscriptions.add(1);
            return Err(ReasonCode::NotAuthorized);
        }
        let has_room = self
            .session
            .has_room_for_filter(name, self.gate.settings.subscriptions);
        if has_room {
            Ok(grant.guard())
        } else {
            Err(ReasonCode::QuotaExceeded)
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        unsubscribe: &Unsubscribe<'_>,
        effort: &mut Effort,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        self.can_be_told(unsubscribe.filters.len())?;
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in unsubscribe.filters.iter() {
            let reason = if self.session.unsubscribe(&self.gate, filter) {
                ReasonCode::Success
            } else {
                ReasonCode::NoSubscriptionExisted
            };
            reasons.push(reason);
        }
        effort.filters += reasons.len();
        let version = self.terms.version;
        self.answer_request(out, |out| {
            encode::unsuback(out, version, unsubscribe.packet_id, &reasons);
        });
        Ok(())
    }

    /// Writes the answer to `out`, or, if the session is kept, where it waits until what changed is
    /// on disk.
    fn answer_request(&mut self, out: &mut Vec<u8>, encode: impl FnOnce(&mut Vec<u8>)) {
        let log = self.gate.session_log.as_deref();
        match log.filter(|_| self.session.is_logged()) {
            None => encode(out),
            Some(log) => {
                let saved = log.end();
                let mut bytes = Vec::new();
                encode(&mut bytes);
                self.answers.get_or_insert_default().push(saved, bytes);
            }
        }
    }

    pub(super) fn send_answers(&mut self, out: &mut Vec<u8>, waker: &Waker) {
        let Some(answers) = &mut self.answers else {
            return;
        };
        while let Some((saved, bytes)) = answers.waiting.front() {
            if !self.gate.is_saved_or_wakes(*saved, waker) {
                return;
            }
            out.extend_from_slice(bytes);
            answers.bytes -= bytes.len();
            answers.waiting.pop_front();
        }
        self.answers = None;
    }

    /// Whether the client takes an answer with so many reasons: [MQTT-3.1.2-24]. Asked before
    /// anything changes, since one that cannot be told what became of its request is ended.
    fn can_be_told(&self, reasons: usize) -> Result<(), End> {
        // Only MQTT 5 clients have a maximum.
        match self.terms.max_packet_bytes {
            Some(bytes_max) if encode::list_len(reasons) > bytes_max as usize => {
                Err(End::Refused(ReasonCode::PacketTooLarge))
            }
            _ => Ok(()),
        }
    }
}

fn granted(qos: Qos) -> ReasonCode {
    match qos {
        Qos::AtMostOnce => ReasonCode::Success,
        Qos::AtLeastOnce => ReasonCode::GrantedQos1,
        Qos::ExactlyOnce => ReasonCode::GrantedQos2,
    }
}
