//! Everything of a session that the log of kept sessions has.
//!
//! Owns: `apply`, by which it changes, while the broker runs and when the log is read at a start:
//! what is written and what is done cannot differ. Never: does I/O, or decides what happens.
//! Invariant: an event that does not fit the state (an id that is not in flight, a subscription
//! that is not there) changes nothing and is reported; nothing panics, for the log may begin
//! anywhere in a session's life.
//!
//! Two things change without an event of their own: the identity of an absent client when its user
//! changes, which a start asks for again, and the expiry with a new connection, when the whole
//! state is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::HashMap;
use journal::Position;

use super::Will;
use super::queue::{Queue, Waiting};
use super::window::{InFlight, Stage, Window};
use crate::delivery::{Delivery, Options};
use crate::session_log::Event;
use access::Identity;
use mqtt::Qos;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) client_id: Arc<str>,
    /// The publisher of its messages; 0: it was written by a Millrace that did not number it.
    pub(crate) number: u64,
    /// The ordinal of its last QoS 2 exchange whose copies are all queued.
    pub(crate) completed_through: u64,
    /// Identity of the latest connection. What is secret or holds for a connection only is not in
    /// the log.
    pub(crate) identity: Arc<Identity>,
    /// Seconds it is kept after its connection; `u32::MAX`: for ever.
    pub(crate) expiry_seconds: u32,
    /// Microseconds since 1970, UTC; `None` while it is attached.
    pub(crate) disconnected_at: Option<i64>,
    pub(crate) subscriptions: HashMap<Box<str>, Options>,
    /// Those of the subscriptions whose retained messages have not all gone to the client.
    pub(crate) snapshots: BTreeSet<Box<str>>,
    /// QoS 2 publishes of the client by packet id, until they are released. A map and not a list to
    /// be searched: a client may leave all 65,535 ids unreleased.
    pub(crate) incoming: BTreeMap<u16, IncomingQos2>,
    /// The position behind the last telemetry record that `Held` was written for.
    pub(crate) held_through: Position,
    pub(crate) window: Window,
    /// What waits for the client. Messages at QoS 0 and snapshots lie among the others; no event
    /// is about them, and none counts them.
    pub(crate) queue: Queue,
    pub(crate) will: Option<Box<Will>>,
}

/// What has come of a QoS 2 publish that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IncomingQos2 {
    /// Subscribers have it, and the telemetry journal at this position; `None` when it is not
    /// telemetry, or surely durable there.
    Whole(Option<Position>),
    /// Subscribers have it, and the telemetry journal is to have it.
    Distributed,
    /// The telemetry journal has it, and subscribers are to have it.
    Journalled,
}

/// What an event has done to the messages that the session holds.
pub(crate) enum Effect {
    None,
    /// The message that the event names has come to the end of the queue.
    Queued,
    /// It has left the queue.
    Dropped(Delivery),
    /// It has gone from the queue into the window, as the last there.
    Sent,
    /// It has come into the window, as the last there.
    Taken,
    /// It has left the window.
    Finished(Delivery),
}

/// An event did not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Misfit;

/// The highest number that a session has, or had that these have messages of.
pub(crate) fn highest_number(sessions: &[State]) -> u64 {
    let own = sessions.iter().map(|session| session.number);
    let publishers = sessions.iter().flat_map(State::origins);
    let publishers = publishers.map(|(publisher, _)| publisher);
    own.chain(publishers).max().unwrap_or_default()
}

impl State {
    pub(crate) fn new(client_id: &str) -> State {
        State {
            client_id: client_id.into(),
            ..State::default()
        }
    }

    /// Changes the state as the event says. `Ended` and `Checkpoint` are not about its contents.
    pub(crate) fn apply(&mut self, event: &Event<'_>) -> Result<Effect, Misfit> {
        match *event {
            Event::Ended | Event::Checkpoint { .. } => return Err(Misfit),
            Event::Created {
                identity,
                expiry_seconds,
                held_through,
            } => {
                *self = State::new(&self.client_id);
                self.identity = Arc::clone(identity);
                self.expiry_seconds = expiry_seconds;
                self.held_through = held_through;
            }
            Event::Restored {
                identity,
                expiry_seconds,
                held_through,
                disconnected_at,
                last_packet_id,
            } => {
                *self = State::new(&self.client_id);
                self.identity = Arc::clone(identity);
                self.expiry_seconds = expiry_seconds;
                self.held_through = held_through;
                self.disconnected_at = disconnected_at;
                self.window.set_last_packet_id(last_packet_id);
            }
            Event::Attached { identity } => {
                self.identity = Arc::clone(identity);
                self.disconnected_at = None;
            }
            Event::Detached { at, expiry_seconds } => {
                self.disconnected_at = Some(at);
                self.expiry_seconds = expiry_seconds;
            }
            Event::Subscribed { filter, options } => {
                self.subscriptions.insert(filter.into(), options);
            }
            Event::Unsubscribed { filter } => {
                self.subscriptions.remove(filter).ok_or(Misfit)?;
                self.snapshots.remove(filter);
            }
            Event::SnapshotBegun { filter } => {
                let (name, _) = self.subscriptions.get_key_value(filter).ok_or(Misfit)?;
                self.snapshots.insert(name.clone());
            }
            Event::SnapshotSent { filter } => {
                if !self.snapshots.remove(filter) {
                    return Err(Misfit);
                }
            }
            Event::Queued(delivery) => {
                if !is_logged(delivery) {
                    return Err(Misfit);
                }
                self.queue.push(Waiting::Message(delivery.clone()));
                return Ok(Effect::Queued);
            }
            Event::Dropped { index } => {
                let dropped = self.queue.remove_logged(index).ok_or(Misfit)?;
                return Ok(Effect::Dropped(dropped));
            }
            Event::Sent { packet_id } => {
                let delivery = self.queue.remove_logged(0).ok_or(Misfit)?;
                self.window.push(packet_id, delivery, Position::ZERO);
                self.window.set_last_packet_id(packet_id);
                return Ok(Effect::Sent);
            }
            Event::InFlight { packet_id } => {
                let delivery = self.queue.remove_logged(0).ok_or(Misfit)?;
                self.window.push(packet_id, delivery, Position::ZERO);
                return Ok(Effect::Sent);
            }
            Event::Taken {
                packet_id,
                delivery,
            } => {
                if !is_logged(delivery) {
                    return Err(Misfit);
                }
                let delivery = delivery.clone();
                self.window.push(packet_id, delivery, Position::ZERO);
                self.window.set_last_packet_id(packet_id);
                return Ok(Effect::Taken);
            }
            Event::Received { packet_id } => {
                let entry = self.window.get_mut(packet_id).ok_or(Misfit)?;
                let stage = std::mem::replace(&mut entry.stage, Stage::Released);
                return Ok(finished(stage));
            }
            Event::Acknowledged { packet_id } => {
                let entry = self.window.acknowledged(packet_id).ok_or(Misfit)?;
                return Ok(finished(entry.stage));
            }
            Event::Releasing { packet_id } => self.window.take_back(InFlight {
                packet_id,
                sent_before: true,
                saved: Position::ZERO,
                stage: Stage::Released,
            }),
            Event::Held {
                packet_id,
                telemetry,
                ordinal,
            } => {
                self.complete(ordinal);
                self.hold(packet_id, telemetry);
            }
            Event::Distributed { packet_id, ordinal } => {
                self.complete(ordinal);
                self.incoming.insert(packet_id, IncomingQos2::Distributed);
            }
            Event::Journalled { packet_id } => {
                self.incoming.insert(packet_id, IncomingQos2::Journalled);
            }
            Event::Released { packet_id } => {
                self.incoming.remove(&packet_id).ok_or(Misfit)?;
            }
            Event::Numbered {
                number,
                completed_through,
            } => {
                self.number = number;
                self.completed_through = completed_through;
            }
            Event::WillArmed {
                message,
                delay_seconds,
                content_type,
            } => {
                self.will = Some(Box::new(Will {
                    message: message.clone(),
                    delay_seconds,
                    content_type: content_type.into(),
                    // A session takes its will and its identity from the same CONNECT.
                    identity: Arc::clone(&self.identity),
                }));
            }
            Event::WillCleared => self.will = None,
        }
        Ok(Effect::None)
    }

    /// Takes the messages at QoS 1 and 2 out of the queue that go, from the front on, and shows
    /// `tell` the `Dropped` of each: as if these were applied, in one pass. The messages at QoS 0
    /// that go are taken out with them.
    pub(crate) fn take_out(
        &mut self,
        goes: impl FnMut(&Delivery) -> bool,
        tell: impl FnMut(&Event<'_>),
    ) -> Vec<Delivery> {
        self.queue.take_out(goes, tell)
    }

    /// The events that lead to this state, in order.
    pub(crate) fn for_each_event(&self, mut visit: impl FnMut(&Event<'_>)) {
        visit(&Event::Restored {
            identity: &self.identity,
            expiry_seconds: self.expiry_seconds,
            held_through: self.held_through,
            disconnected_at: self.disconnected_at,
            last_packet_id: self.window.last_packet_id(),
        });
        visit(&Event::Numbered {
            number: self.number,
            completed_through: self.completed_through,
        });
        for (filter, options) in &self.subscriptions {
            visit(&Event::Subscribed {
                filter,
                options: *options,
            });
        }
        for filter in &self.snapshots {
            visit(&Event::SnapshotBegun { filter });
        }
        for entry in self.window.entries() {
            let packet_id = entry.packet_id;
            match &entry.stage {
                Stage::Published(delivery) => {
                    visit(&Event::Queued(delivery));
                    visit(&Event::InFlight { packet_id });
                }
                Stage::Released => visit(&Event::Releasing { packet_id }),
            }
        }
        for delivery in self
            .queue
            .deliveries()
            .filter(|delivery| is_logged(delivery))
        {
            visit(&Event::Queued(delivery));
        }
        for (&packet_id, incoming) in &self.incoming {
            let ordinal = 0;
            visit(&match *incoming {
                IncomingQos2::Whole(telemetry) => Event::Held {
                    packet_id,
                    telemetry,
                    ordinal,
                },
                IncomingQos2::Distributed => Event::Distributed { packet_id, ordinal },
                IncomingQos2::Journalled => Event::Journalled { packet_id },
            });
        }
        if let Some(will) = &self.will {
            visit(&will.armed());
        }
    }

    /// Publisher and ordinal of the messages that it holds and that came by an exchange.
    pub(crate) fn origins(&self) -> impl Iterator<Item = (u64, u64)> {
        let all = self.window.deliveries().chain(self.queue.deliveries());
        let origins = all.map(|delivery| {
            let message = &delivery.message;
            (message.publisher, message.origin.ordinal)
        });
        origins.filter(|(_, ordinal)| *ordinal != 0)
    }

    fn hold(&mut self, packet_id: u16, telemetry: Option<Position>) {
        if let Some(position) = telemetry {
            self.held_through = self.held_through.max(position.plus(1));
        }
        let whole = IncomingQos2::Whole(telemetry);
        let incoming = self.incoming.entry(packet_id).or_insert(whole);
        // The same id again, without a release between, is the same message.
        if !matches!(incoming, IncomingQos2::Whole(_)) {
            *incoming = whole;
        }
    }

    fn complete(&mut self, ordinal: u64) {
        self.completed_through = self.completed_through.max(ordinal);
    }
}

/// Whether events are written of the delivery: nobody keeps what is sent at QoS 0.
pub(crate) fn is_logged(delivery: &Delivery) -> bool {
    delivery.qos != Qos::AtMostOnce
}

fn finished(stage: Stage) -> Effect {
    match stage {
        Stage::Published(delivery) => Effect::Finished(delivery),
        Stage::Released => Effect::None,
    }
}
