//! `$SYS/broker/…`: what the broker tells about itself, under the names that monitoring tools know
//! from other brokers.
//!
//! Owns: the topics' latest messages. They are not in the retained store: they would be written to
//! disk every few seconds, and mean nothing after a restart. Never: counts anything itself.
//! Invariant: a topic is published when its value has changed, and whoever subscribes gets its
//! latest value as a retained message.

mod load;
mod values;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::load::Loads;
use self::values::{Facts, Values};
use crate::gate::Gate;
use crate::lock::lock;
use crate::message::Message;
use mqtt::Qos;
use mqtt::topic;

/// What all topics of this module begin with.
const PREFIX: &str = "$SYS/broker/";

/// Shows topics below `$SYS/broker/` (without that) and their payloads, for a part that the broker
/// knows nothing of. Asked every `broker.sys_interval`; must not block, and what it shows must be
/// bounded.
pub type SystemValues = Arc<dyn Fn(&mut dyn FnMut(&str, String)) + Send + Sync>;

#[derive(Default)]
pub(crate) struct System {
    others: Option<SystemValues>,
    /// In the order of the first publication.
    latest: Mutex<Vec<Arc<Message>>>,
}

impl System {
    pub(crate) fn new(others: Option<SystemValues>) -> System {
        System {
            others,
            ..System::default()
        }
    }

    /// Shows `visit` the latest messages of the topics that match.
    pub(crate) fn matching(&self, filter: &str, visit: &mut dyn FnMut(&Arc<Message>)) {
        // A wildcard in the first level does not match `$SYS`, so nearly all filters end here.
        if !filter.starts_with('$') {
            return;
        }
        let found: Vec<_> = lock(&self.latest)
            .iter()
            .filter(|message| topic::matches(filter, &message.topic))
            .cloned()
            .collect();
        found.iter().for_each(visit);
    }

    /// Keeps the value; the message to publish when it is new.
    fn update(&self, name: &str, value: String, now: i64) -> Option<Arc<Message>> {
        let mut latest = lock(&self.latest);
        let known = latest
            .iter_mut()
            .find(|message| message.topic.strip_prefix(PREFIX) == Some(name));
        match known {
            Some(known) if known.payload == value.as_bytes() => None,
            Some(known) => {
                *known = Arc::new(message(Arc::clone(&known.topic), value, now));
                Some(Arc::clone(known))
            }
            None => {
                let topic = format!("{PREFIX}{name}").into();
                latest.push(Arc::new(message(topic, value, now)));
                latest.last().cloned()
            }
        }
    }
}

/// Publishes what has changed, every `interval`, until the gate stops.
pub(crate) async fn publish(gate: Arc<Gate>, interval: Duration) {
    let mut tick = tokio::time::interval(interval);
    let mut loads = Loads::new(interval);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = gate.stop.cancelled() => return,
        }
        publish_changes(&gate, &mut loads);
    }
}

fn publish_changes(gate: &Gate, loads: &mut Loads) {
    let values = Values::of(&gate.stats, &Facts::of(gate));
    let now = gate.clock.now_micros();
    let mut publish = |name: &str, value| {
        if let Some(message) = gate.system.update(name, value, now) {
            gate.announce(&message);
        }
    };
    values.each(&loads.update(values.totals()), &mut publish);
    if let Some(others) = &gate.system.others {
        others(&mut publish);
    }
}

/// As `publish` does when its interval has passed.
#[cfg(any(test, fuzzing))]
pub(crate) fn publish_once(gate: &Gate) {
    publish_changes(gate, &mut Loads::new(Duration::from_secs(1)));
}

fn message(topic: Arc<str>, value: String, now: i64) -> Message {
    Message::own(topic, value.into(), Qos::AtMostOnce, true, now)
}
