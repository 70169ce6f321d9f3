//! What was published, by topic and payload.
//!
//! Owns: how often each message was sent, who was owed it, and who got it. Never: knows a
//! connection. Invariant: a message counts as sent again whenever it is not certain that it was the
//! same exchange.

use std::collections::{HashMap, HashSet};

use mqtt::Qos;

/// A session, by its client id and the number of times that one was begun under it.
pub(super) type SessionName = (String, u32);

/// Topic and payload.
pub(super) type Key = (String, Vec<u8>);

/// How many first deliveries each session has had of each message.
pub(super) type Copies = HashMap<Key, HashMap<SessionName, usize>>;

#[derive(Default)]
pub(super) struct Messages(HashMap<Key, Message>);

#[derive(Default)]
pub(super) struct Message {
    /// How often it can have been published.
    pub(super) sent: usize,
    /// As often, but each exchange at QoS 2 once.
    pub(super) exchanges: usize,
    /// The step of the first time.
    pub(super) first_step: u32,
    pub(super) qos_max: Qos,
    /// Some publisher may have been allowed to.
    pub(super) is_permitted: bool,
    pub(super) asked_to_retain: bool,
    publishers: HashSet<String>,
    owed: HashSet<SessionName>,
    /// First deliveries of it as a live message.
    copies: HashMap<SessionName, usize>,
    /// The first deliveries at QoS 2 among them.
    copies_once: HashMap<SessionName, usize>,
    delivered: HashSet<SessionName>,
}

/// One publish of it.
pub(super) struct Sent<'a> {
    pub(super) publisher: &'a str,
    pub(super) step: u32,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) is_permitted: bool,
    /// Not certainly part of an exchange that had begun before.
    pub(super) is_new: bool,
    /// Not certainly sent again as MQTT asks of a client that has no PUBREC.
    pub(super) is_exchange: bool,
}

impl Messages {
    pub(super) fn sent(&mut self, key: Key, sent: &Sent<'_>) {
        let message = self.0.entry(key).or_insert_with(|| Message {
            first_step: sent.step,
            ..Message::default()
        });
        message.sent += usize::from(sent.is_new);
        message.exchanges += usize::from(sent.is_exchange);
        message.qos_max = message.qos_max.max(sent.qos);
        message.asked_to_retain |= sent.retain;
        message.is_permitted |= sent.is_permitted;
        message.publishers.insert(sent.publisher.to_owned());
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Message> {
        self.0.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Message> {
        self.0.get_mut(key)
    }

    pub(super) fn copies(&self) -> Copies {
        let copies = |(key, message): (&Key, &Message)| (key.clone(), message.copies.clone());
        self.0.iter().map(copies).collect()
    }

    /// Counts again from there; but not at QoS 2, where a message comes once whatever crashes.
    pub(super) fn take_back_copies(&mut self, before: &Copies) {
        for (key, message) in &mut self.0 {
            message.copies = before.get(key).cloned().unwrap_or_default();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key, &Message)> {
        self.0.iter()
    }
}

impl Message {
    pub(super) fn owe(&mut self, session: SessionName) {
        self.owed.insert(session);
    }

    pub(super) fn deliver(&mut self, session: &SessionName) {
        self.delivered.insert(session.clone());
    }

    /// One more copy for the session; how many it has had.
    pub(super) fn copy(&mut self, session: &SessionName) -> usize {
        let copies = self.copies.entry(session.clone()).or_default();
        *copies += 1;
        *copies
    }

    /// One more copy at QoS 2; how many there were.
    pub(super) fn copy_once(&mut self, session: &SessionName) -> usize {
        let copies = self.copies_once.entry(session.clone()).or_default();
        *copies += 1;
        *copies
    }

    pub(super) fn copies(&self, session: &SessionName) -> usize {
        self.copies.get(session).copied().unwrap_or_default()
    }

    /// Whom it is still owed to.
    pub(super) fn missing(&self) -> impl Iterator<Item = &SessionName> {
        self.owed.difference(&self.delivered)
    }

    pub(super) fn is_only_from(&self, client_id: &str) -> bool {
        self.publishers.len() == 1 && self.publishers.contains(client_id)
    }
}
