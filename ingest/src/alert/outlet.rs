//! The way out of the alerts lane: where alert messages are handed over for publishing.
//!
//! Owns: the shape of that door. Never: knows MQTT sessions; the composition root puts the gate
//! behind it.

/// A message on an alert topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutletMessage<'a> {
    pub topic: &'a str,
    /// JSON; empty clears a retained message.
    pub payload: &'a [u8],
    pub retain: bool,
    pub qos: u8,
}

/// Publishes alert messages and knows what is retained on their topics.
pub trait Outlet: Send {
    /// Publishes at once, in order. Must not block for long: the alerts lane waits for it.
    fn publish(&mut self, message: OutletMessage<'_>);

    /// The retained messages (topic, payload) whose topic begins with `filter_prefix`, such as
    /// `alerts/active/`.
    fn retained(&self, filter_prefix: &str) -> Vec<(String, Vec<u8>)>;
}
