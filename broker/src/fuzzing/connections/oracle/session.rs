//! What a client's session must be, as far as it can be told from outside.
//!
//! Owns: its subscriptions with the time of each, what it has in flight, which publishes it has
//! begun. Never: knows a queue. Invariant: what cannot be told is allowed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::messages::Key;
use mqtt::Qos;
use mqtt::topic;

pub(super) struct Session {
    /// Sessions begun under this client id, this one included.
    pub(super) number: u32,
    pub(super) user: String,
    /// The connection that is attached.
    pub(super) line: Option<usize>,
    /// When the last connection ended: by the script's clock, and by the real one.
    pub(super) left: Option<(u32, Instant)>,
    /// Seconds; two, where it is not certain that a change was taken.
    pub(super) expiry_min: u32,
    pub(super) expiry_max: u32,
    pub(super) subscriptions: Vec<Subscription>,
    /// Of deliveries, by packet id.
    pub(super) in_flight: BTreeMap<u16, InFlight>,
    /// QoS 2 publishes that are not released, by packet id.
    pub(super) begun: BTreeMap<u16, Begun>,
    /// Packet ids that were released, and of which PUBCOMP has not come.
    pub(super) releasing: BTreeSet<u16>,
    /// The client acknowledged what it never got, or it is not even certain which session it has:
    /// packet ids and what is owed say nothing any more.
    pub(super) is_sloppy: bool,
    /// Not even whether there is one.
    pub(super) is_uncertain: bool,
}

/// A QoS 2 publish of the session's client.
#[derive(Debug, Clone)]
pub(in super::super) struct Begun {
    pub(in super::super) key: Key,
    pub(in super::super) retain: bool,
    /// When it came first.
    pub(super) step: u32,
    /// PUBREC has come.
    pub(super) is_received: bool,
    /// It is this message that is held under the packet id, if any is.
    pub(super) is_certain: bool,
}

/// A filter that the session holds or held.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    /// As the client wrote it.
    pub(super) name: String,
    pub(super) qos: Qos,
    pub(super) no_local: bool,
    pub(super) identifier: Option<u32>,
    /// Steps.
    pub(super) from: u32,
    pub(super) until: Option<u32>,
    /// It was answered.
    pub(super) is_certain: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InFlight {
    pub(super) qos: Qos,
    pub(super) key: Key,
    pub(super) stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Published,
    /// PUBREC was sent.
    Received,
    /// And answered, so it was taken.
    Released,
}

impl Session {
    pub(super) fn begin(number: u32, user: &str) -> Session {
        Session {
            number,
            user: user.to_owned(),
            line: None,
            left: None,
            expiry_min: 0,
            expiry_max: 0,
            subscriptions: Vec::new(),
            in_flight: BTreeMap::new(),
            begun: BTreeMap::new(),
            releasing: BTreeSet::new(),
            is_sloppy: false,
            is_uncertain: false,
        }
    }

    /// It may be another one by now.
    pub(super) fn doubt(&mut self) {
        self.is_uncertain = true;
        self.is_sloppy = true;
        self.begun.clear();
        self.releasing.clear();
        self.in_flight.clear();
        for subscription in &mut self.subscriptions {
            subscription.is_certain = false;
        }
    }

    /// Whether it is over by the clock, whose seconds begin some time after a whole one has passed.
    pub(super) fn has_expired(&self, now: u32) -> bool {
        self.line.is_none()
            && self
                .left
                .is_some_and(|(at, _)| now.saturating_sub(at) > self.expiry_max)
    }

    /// Whether it cannot be over by the clock, however slow this process was.
    pub(super) fn must_be_kept(&self, now: u32) -> bool {
        match self.left {
            _ if self.expiry_min == 0 => false,
            Some((at, since)) => {
                let slack = since.elapsed().as_secs() as u32 + 2;
                now - at + slack < self.expiry_min
            }
            None => true,
        }
    }

    /// What it has not acknowledged of a group's messages may go to another member [MQTT-4.8.2-5].
    pub(super) fn hand_on(&mut self) {
        let shared = || self.subscriptions.iter().filter(|held| held.is_shared());
        self.in_flight.retain(|_, entry| {
            let (topic, _) = &entry.key;
            let is_shared = shared().any(|held| topic::matches(held.filter(), topic));
            entry.qos != Qos::AtLeastOnce || !is_shared
        });
    }

    /// What is too large for the new connection counts as sent, and is over [MQTT-3.1.2-25].
    pub(super) fn expect_too_large(&mut self) {
        self.in_flight
            .retain(|_, entry| entry.stage != Stage::Published);
    }

    pub(super) fn subscribe(&mut self, subscription: Subscription) {
        self.end_subscription(&subscription.name, subscription.from);
        self.subscriptions.push(subscription);
    }

    /// Ends what is held under the name; whether anything certainly was.
    pub(super) fn end_subscription(&mut self, name: &str, step: u32) -> bool {
        let mut found = false;
        for held in &mut self.subscriptions {
            if held.name == name && held.until.is_none() {
                held.until = Some(step);
                found |= held.is_certain;
            }
        }
        found
    }

    /// What it held at some time since that step and matches the topic.
    pub(super) fn matching(&self, topic: &str, since: u32) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.iter().filter(move |held| {
            held.until.is_none_or(|until| until >= since) && topic::matches(held.filter(), topic)
        })
    }
}

impl Subscription {
    pub(super) fn is_shared(&self) -> bool {
        self.name.starts_with("$share/")
    }

    pub(super) fn filter(&self) -> &str {
        let unshared = || self.name.strip_prefix("$share/")?.split_once('/');
        unshared().map_or(&self.name, |(_group, filter)| filter)
    }
}
