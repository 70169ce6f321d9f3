//! From transitions to messages on the alert topics.
//!
//! Owns: what is retained below `alerts/active/`. Never: decides whether something is an alert.
//! Invariant: once live, a topic below `alerts/active/` is retained exactly while an alert of its
//! device and rule fires.
//!
//! A rule about several metrics has several alerts on one device, and they share the retained
//! topic: it shows the one that fired last, and is cleared when the last of them ends. During a
//! replay after a restart the retained messages are left alone, so that consoles see no flicker;
//! then they are compared with what is true, and only what differs is published.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::engine::{Publication, Transition};
use super::event::{Event, EventState};
use super::outlet::{Outlet, OutletMessage};
use super::stats::Stats;
use super::topic::{ACTIVE_PREFIX, active_topic, event_topic};

const QOS: u8 = 1;

pub(super) struct Publisher {
    outlet: Box<dyn Outlet>,
    /// The firing alerts of each retained topic, the one that fired last at the end.
    active: HashMap<String, Vec<Arc<Event>>>,
    live: bool,
    stats: Arc<Stats>,
}

impl Publisher {
    /// Not live yet: the retained messages are left alone until `go_live`.
    pub(super) fn new(outlet: Box<dyn Outlet>, stats: Arc<Stats>) -> Publisher {
        Publisher {
            outlet,
            active: HashMap::new(),
            live: false,
            stats,
        }
    }

    /// Takes up the alerts that fire already.
    pub(super) fn adopt<'a>(&mut self, active: impl Iterator<Item = &'a Arc<Event>>) {
        let mut events: Vec<&Arc<Event>> = active.collect();
        events.sort_by_key(|event| (event.updated_at, &event.metric));
        for event in events {
            self.begin(event);
        }
    }

    /// Publishes one transition, unless an earlier process has, and brings the retained message up
    /// to date. `payload` is the event's JSON.
    pub(super) fn publish(&mut self, transition: &Transition, payload: &str) {
        let event = &transition.event;
        if transition.publication == Publication::New {
            let topic = event_topic(event.severity, &event.device, &event.rule);
            self.send(&topic, payload.as_bytes(), false);
            self.stats.count_event(event.severity, event.state);
        }
        let topic = match event.state {
            EventState::Firing => self.begin(event),
            EventState::Resolved => self.end(event),
        };
        if self.live {
            self.retain(&topic);
        }
    }

    /// The replay is over: clears what is retained and not true, sets what is true and not
    /// retained.
    pub(super) fn go_live(&mut self) {
        self.live = true;
        let mut right = HashSet::new();
        for (topic, payload) in self.outlet.retained(ACTIVE_PREFIX) {
            match self.active.get(&topic).and_then(|events| events.last()) {
                Some(event) if shows(&payload, event) => {
                    right.insert(topic);
                }
                Some(_) => {}
                None => self.send(&topic, &[], true),
            }
        }
        let mut topics: Vec<String> = self.active.keys().cloned().collect();
        topics.retain(|topic| !right.contains(topic));
        topics.sort();
        for topic in topics {
            self.retain(&topic);
        }
    }

    fn begin(&mut self, event: &Arc<Event>) -> String {
        let topic = active_topic(&event.device, &event.rule);
        let events = self.active.entry(topic.clone()).or_default();
        if let Some(known) = events.iter().position(|known| known.metric == event.metric) {
            self.stats.alert_ended(events.remove(known).severity);
        }
        events.push(Arc::clone(event));
        self.stats.alert_began(event.severity);
        topic
    }

    fn end(&mut self, event: &Arc<Event>) -> String {
        let topic = active_topic(&event.device, &event.rule);
        if let Some(events) = self.active.get_mut(&topic) {
            if let Some(known) = events.iter().position(|known| known.metric == event.metric) {
                self.stats.alert_ended(events.remove(known).severity);
            }
            if events.is_empty() {
                self.active.remove(&topic);
            }
        }
        topic
    }

    fn retain(&mut self, topic: &str) {
        let events = self.active.get(topic);
        let payload = events
            .and_then(|events| events.last())
            .map(|event| event.to_json());
        self.send(topic, payload.unwrap_or_default().as_bytes(), true);
    }

    fn send(&mut self, topic: &str, payload: &[u8], retain: bool) {
        self.outlet.publish(OutletMessage {
            topic,
            payload,
            retain,
            qos: QOS,
        });
    }
}

fn shows(payload: &[u8], event: &Event) -> bool {
    serde_json::from_slice::<Event>(payload).is_ok_and(|shown| shown.id == event.id)
}
