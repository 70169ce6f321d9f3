//! What the events make of a session.
//!
//! Owns: `apply`, which is pure. Never: does I/O. Invariant: an event that does not fit the state (of
//! a session that is not known, of an id that is not in flight) changes nothing and is told; it never
//! panics, for the log may begin anywhere in a session's life.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use foldhash::HashMap;
use journal::Position;

use super::event::Event;
use crate::auth::Identity;
use crate::message::Message;
use crate::packet::Qos;
use crate::session::Delivery;
use crate::subscriptions::Options;

/// A kept session as the log knows it, and as `Source` shows it for a snapshot.
#[derive(Clone, Default)]
pub(crate) struct SavedSession {
    pub(crate) client_id: Box<str>,
    /// Of its last connection, without what is secret or holds for a connection only.
    pub(crate) identity: Arc<Identity>,
    /// Seconds it is kept after its connection; `u32::MAX`: for ever.
    pub(crate) expiry_seconds: u32,
    /// Microseconds since 1970, UTC; `None` while it is attached.
    pub(crate) disconnected_at: Option<i64>,
    pub(crate) subscriptions: HashMap<Box<str>, Options>,
    /// Those of the subscriptions whose retained messages have not all gone to the client.
    pub(crate) snapshots: BTreeSet<Box<str>>,
    /// QoS 2 ids that came in and are not released yet.
    /// Each with the position of its telemetry record; `None` when it is not telemetry, or surely durable. Sorted, since a client
    /// may leave all 65,535 unreleased.
    pub(crate) held: BTreeMap<u16, Option<Position>>,
    /// The position behind the last telemetry record that `Held` was written for.
    pub(crate) held_through: Position,
    /// In the order in which they were sent.
    pub(crate) inflight: VecDeque<SavedInflight>,
    /// QoS 1 and 2; a snapshot leaves out others.
    pub(crate) queue: VecDeque<Delivery>,
    pub(crate) will: Option<SavedWill>,
    /// The packet id given last.
    pub(crate) last_packet_id: u16,
}

#[derive(Clone)]
pub(crate) struct SavedInflight {
    pub(crate) packet_id: u16,
    /// What was sent; `None` after PUBREC, when only the id is still in use.
    pub(crate) delivery: Option<Delivery>,
}

#[derive(Debug, Clone)]
pub(crate) struct SavedWill {
    pub(crate) message: Message,
    /// Seconds after the connection's end.
    pub(crate) delay_seconds: u32,
    /// Empty when there is none.
    pub(crate) content_type: Box<str>,
}

/// An event did not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misfit;

impl SavedSession {
    /// The session that `Created` or `Restored` begins.
    pub(super) fn begin(client_id: &str, event: &Event<'_>) -> SavedSession {
        let mut session = SavedSession {
            client_id: client_id.into(),
            ..SavedSession::default()
        };
        match *event {
            Event::Created {
                identity,
                expiry_seconds,
                held_through,
            } => {
                session.identity = Arc::clone(identity);
                session.expiry_seconds = expiry_seconds;
                session.held_through = held_through;
            }
            Event::Restored {
                identity,
                expiry_seconds,
                held_through,
                disconnected_at,
                last_packet_id,
            } => {
                session.identity = Arc::clone(identity);
                session.expiry_seconds = expiry_seconds;
                session.held_through = held_through;
                session.disconnected_at = disconnected_at;
                session.last_packet_id = last_packet_id;
            }
            _ => {}
        }
        session
    }

    /// Forgets the held ids whose telemetry records lie at `end` or beyond: they are lost, and the
    /// client will send them again. Tells each to `correct`.
    pub(super) fn forget_lost(
        &mut self,
        end: Position,
        correct: &mut impl FnMut(&str, &Event<'_>),
    ) {
        let client_id = &self.client_id;
        self.held.retain(|&packet_id, telemetry| {
            let lost = telemetry.is_some_and(|position| position >= end);
            if lost {
                correct(client_id, &Event::Released { packet_id });
            }
            !lost
        });
        self.held_through = self.held_through.min(end);
    }

    /// Applies an event of this session. `Created`, `Restored` and `Ended` are the caller's.
    pub(super) fn apply(&mut self, event: &Event<'_>) -> Result<(), Misfit> {
        match *event {
            Event::Created { .. }
            | Event::Restored { .. }
            | Event::Ended
            | Event::Checkpoint { .. } => {
                return Err(Misfit);
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
            Event::Queued(delivery) => self.queue.push_back(delivery.clone()),
            Event::Dropped { index } => {
                self.queue.remove(index).ok_or(Misfit)?;
            }
            Event::Sent { packet_id } => {
                self.take_into_flight(packet_id)?;
                self.last_packet_id = packet_id;
            }
            Event::InFlight { packet_id } => self.take_into_flight(packet_id)?,
            Event::Taken {
                packet_id,
                delivery,
            } => {
                self.inflight.push_back(SavedInflight {
                    packet_id,
                    delivery: Some(delivery.clone()),
                });
                self.last_packet_id = packet_id;
            }
            Event::Received { packet_id } => {
                let index = self.inflight_index(packet_id)?;
                self.inflight[index].delivery = None;
            }
            Event::Acknowledged { packet_id } => {
                let index = self.inflight_index(packet_id)?;
                self.inflight.remove(index);
            }
            Event::Held {
                packet_id,
                telemetry,
            } => self.hold(packet_id, telemetry),
            Event::Released { packet_id } => {
                self.held.remove(&packet_id).ok_or(Misfit)?;
            }
            Event::WillArmed {
                message,
                delay_seconds,
                content_type,
            } => {
                self.will = Some(SavedWill {
                    message: message.clone(),
                    delay_seconds,
                    content_type: content_type.into(),
                });
            }
            Event::WillCleared => self.will = None,
            Event::Releasing { packet_id } => self.inflight.push_back(SavedInflight {
                packet_id,
                delivery: None,
            }),
        }
        Ok(())
    }

    /// The events that lead to this state, in order.
    pub(super) fn for_each_event(&self, mut visit: impl FnMut(&Event<'_>)) {
        visit(&Event::Restored {
            identity: &self.identity,
            expiry_seconds: self.expiry_seconds,
            held_through: self.held_through,
            disconnected_at: self.disconnected_at,
            last_packet_id: self.last_packet_id,
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
        for inflight in &self.inflight {
            let packet_id = inflight.packet_id;
            match &inflight.delivery {
                Some(delivery) => {
                    visit(&Event::Queued(delivery));
                    visit(&Event::InFlight { packet_id });
                }
                None => visit(&Event::Releasing { packet_id }),
            }
        }
        let kept = |delivery: &&Delivery| delivery.qos != Qos::AtMostOnce;
        for delivery in self.queue.iter().filter(kept) {
            visit(&Event::Queued(delivery));
        }
        for (&packet_id, &telemetry) in &self.held {
            visit(&Event::Held {
                packet_id,
                telemetry,
            });
        }
        if let Some(will) = &self.will {
            visit(&Event::WillArmed {
                message: &will.message,
                delay_seconds: will.delay_seconds,
                content_type: &will.content_type,
            });
        }
    }

    fn take_into_flight(&mut self, packet_id: u16) -> Result<(), Misfit> {
        let delivery = self.queue.pop_front().ok_or(Misfit)?;
        self.inflight.push_back(SavedInflight {
            packet_id,
            delivery: Some(delivery),
        });
        Ok(())
    }

    fn hold(&mut self, packet_id: u16, telemetry: Option<Position>) {
        if let Some(position) = telemetry {
            self.held_through = self.held_through.max(position.plus(1));
        }
        // The same id again, without a release between, is the same message.
        self.held.entry(packet_id).or_insert(telemetry);
    }

    /// Clients acknowledge in order, so the front is the usual hit.
    fn inflight_index(&self, packet_id: u16) -> Result<usize, Misfit> {
        self.inflight
            .iter()
            .position(|inflight| inflight.packet_id == packet_id)
            .ok_or(Misfit)
    }
}
