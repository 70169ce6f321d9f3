//! Counters of everything that enters, leaves or is dropped, with a bounded set of reasons.

use std::sync::Arc;

pub use access::Counter;
use access::login::Logins;

/// The gate's account since it started. Messages, unless the name says otherwise.
#[derive(Debug, Default)]
pub struct Stats {
    /// Clients connected now.
    pub connections: Counter,
    /// The most clients that were connected at one time.
    pub connections_max: Counter,
    /// CONNECTs accepted since start.
    pub connections_accepted: Counter,
    /// Connections ended before CONNACK, or refused by it.
    pub connections_refused: Counter,
    /// Connections the gate ended because of what the client sent.
    pub protocol_errors: Counter,
    /// PUBLISH packets received.
    pub received: Counter,
    /// Bytes read from sockets.
    pub received_bytes: Counter,
    /// Bytes written to sockets.
    pub sent_bytes: Counter,
    /// Received publishes that went into the journal.
    pub journalled: Counter,
    /// QoS 0 telemetry dropped because the journal was full.
    pub dropped_journal_full: Counter,
    /// MQTT 5 QoS 1 telemetry refused with 0x97 because the journal was full; the client knows.
    pub refused_journal_full: Counter,
    /// Publishes and wills denied by the access rules.
    pub denied: Counter,
    /// Times that a client was not read for a while because it was beyond its rate.
    pub throttled: Counter,
    /// Publishes refused because their topic or payload is larger than the limits allow.
    pub refused_by_limit: Counter,
    /// Subscriptions that the access rules denied when they were asked for.
    pub denied_subscriptions: Counter,
    /// Live subscriptions ended because changed access rules deny them.
    pub revoked_subscriptions: Counter,
    /// Changes of the access rules that took effect.
    pub access_reloads: Counter,
    /// Changes of the access rules that were wrong, so that the rules from before stayed.
    pub access_reloads_failed: Counter,
    /// Publishes that are gone, since they are no telemetry, are not retained and nobody
    /// subscribed.
    pub unmatched: Counter,
    /// PUBLISH packets sent to clients.
    pub delivered: Counter,
    /// Copies dropped because the subscriber's queue was full.
    pub dropped_slow_consumer: Counter,
    /// Copies for a shared subscription dropped because no member was there to take them.
    pub dropped_no_member: Counter,
    /// Copies for a shared subscription that went to another member because the first one left.
    pub handed_on: Counter,
    /// Copies dropped because they exceed the subscriber's maximum packet size.
    pub dropped_too_large: Counter,
    /// Copies dropped because their message expired in the queue.
    pub dropped_expired: Counter,
    /// Copies taken out of a queue because a rule has ended the subscription that brought them.
    pub dropped_revoked: Counter,
    /// Publishes that access rules denied to clients of MQTT 3.1.1, acknowledged and dropped.
    pub dropped_denied: Counter,
    /// Copies not made because rules deny the subscriber a part of what its filter brings.
    pub withheld: Counter,
    /// Messages not retained because the retained store is at its limit.
    pub dropped_retained_full: Counter,
    /// Changes of kept sessions that their log could not take; the sessions go on in memory.
    pub sessions_unsaved_changes: Counter,
    /// States of kept sessions written as a whole, for compaction or after changes were not taken.
    pub session_snapshots: Counter,
    /// Times the log of kept sessions was compacted.
    pub session_log_compactions: Counter,
    /// QoS 0 copies dropped because their subscriber was not connected.
    pub dropped_offline: Counter,
    /// Copies dropped because the queue of a subscriber that was not connected was full.
    pub dropped_offline_full: Counter,
    /// Copies dropped because the queues of all sessions together are full; see
    /// `max_queued_bytes_total`.
    pub dropped_queues_full: Counter,
    /// Messages now that wait in queues or for an acknowledgement, each counted once.
    pub queued_messages: Counter,
    /// Their copies now, one for each subscription that has it.
    pub queued_copies: Counter,
    /// What they count against `max_queued_bytes_total`: bytes, with a fixed cost for each message
    /// and each copy.
    pub queued_bytes: Counter,
    /// PUBLISH and PUBREL packets sent again to clients that came back.
    pub redelivered: Counter,
    /// How logins ended.
    pub logins: Arc<Logins>,
    /// Live subscriptions.
    pub subscriptions: Counter,
    /// Sessions now, those of connected clients among them.
    pub sessions: Counter,
    /// Sessions now that are kept for a client that is not connected.
    pub sessions_kept: Counter,
    /// Sessions that lose messages now because their queue is full; see `Broker::slow_sessions`.
    pub sessions_slow: Counter,
    /// Sessions now whose changes are saved, so that they outlive a restart.
    pub sessions_saved: Counter,
    /// Kept sessions that ended because their client did not come back in time.
    pub sessions_expired: Counter,
    /// Connections whose session ends with them, though it was to be kept, because of
    /// `max_sessions` and its kin.
    pub sessions_refused: Counter,
}
