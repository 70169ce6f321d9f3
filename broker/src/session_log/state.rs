//! What the events make of a session.
//!
//! Owns: `apply`, which is pure. Never: does I/O. Invariant: an event that does not fit the state
//! (of a session that is not known, of an id that is not in flight) changes nothing and is told; it
//! never panics, for the log may begin anywhere in a session's life.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use foldhash::HashMap;
use journal::Position;

use super::event::Event;
use crate::auth::Identity;
use crate::delivery::{Delivery, Options};
use crate::message::Message;
use mqtt::Qos;

/// A kept session as the log knows it, and as `Source` shows it for a snapshot.
#[derive(Clone, Default)]
pub(crate) struct SavedSession {
    pub(crate) client_id: Box<str>,
    /// The publisher of its messages; 0: it was written by a Millrace that did not number it.
    pub(crate) number: u64,
    /// The ordinal of its last QoS 2 exchange whose copies are all queued.
    pub(crate) completed_through: u64,
    /// Of its last connection, without what is secret or holds for a connection only.
    pub(crate) identity: Arc<Identity>,
    /// Seconds it is kept after its connection; `u32::MAX`: for ever.
    pub(crate) expiry_seconds: u32,
    /// Microseconds since 1970, UTC; `None` while it is attached.
    pub(crate) disconnected_at: Option<i64>,
    pub(crate) subscriptions: HashMap<Box<str>, Options>,
    /// Those of the subscriptions whose retained messages have not all gone to the client.
    pub(crate) snapshots: BTreeSet<Box<str>>,
    /// QoS 2 ids that came in and are not released yet. Sorted, since a client may leave all 65,535
    /// unreleased.
    pub(crate) held: BTreeMap<u16, SavedHold>,
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

/// What has come of a QoS 2 publish that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SavedHold {
    /// Subscribers have it, and the telemetry journal at this position; `None` when it is not
    /// telemetry, or surely durable there.
    Whole(Option<Position>),
    /// Subscribers have it, and the telemetry journal is to have it.
    Distributed,
    /// The telemetry journal has it, and subscribers are to have it.
    Journalled,
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

/// The highest number that a session has, or had that these have messages of.
pub(crate) fn highest_number(sessions: &[SavedSession]) -> u64 {
    let own = sessions.iter().map(|session| session.number);
    let publishers = sessions.iter().flat_map(SavedSession::origins);
    let publishers = publishers.map(|(publisher, _)| publisher);
    own.chain(publishers).max().unwrap_or_default()
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

    /// The telemetry records at `end` and beyond are lost: of the held ids that had them the client
    /// will publish again what the journal is to have. Tells each to `correct`.
    pub(super) fn forget_lost(
        &mut self,
        end: Position,
        correct: &mut impl FnMut(&str, &Event<'_>),
    ) {
        for (&packet_id, hold) in &mut self.held {
            if matches!(hold, SavedHold::Whole(Some(position)) if *position >= end) {
                *hold = SavedHold::Distributed;
                let distributed = Event::Distributed {
                    packet_id,
                    ordinal: 0,
                };
                correct(&self.client_id, &distributed);
            }
        }
        self.held_through = self.held_through.min(end);
    }

    /// The telemetry journal has a record of a QoS 2 publish that the log was not told of. Tells it
    /// to `correct`.
    pub(super) fn find_record(
        &mut self,
        packet_id: u16,
        position: Position,
        correct: &mut impl FnMut(&str, &Event<'_>),
    ) {
        let event = match self.held.get(&packet_id) {
            // It was the record alone that was missing.
            Some(SavedHold::Distributed) => Event::Held {
                packet_id,
                telemetry: Some(position),
                ordinal: 0,
            },
            // What is held under the id was released, and the log could not be told.
            Some(SavedHold::Whole(_) | SavedHold::Journalled) | None => {
                Event::Journalled { packet_id }
            }
        };
        // Both fit any state.
        let _ = self.apply(&event);
        correct(&self.client_id, &event);
    }

    /// Takes the copies out of the queue whose exchanges are not complete, as `is_complete` tells
    /// by publisher and ordinal: their publishers publish again. Tells each to `correct`; how many
    /// there were.
    ///
    /// What is in flight stays. At QoS 2 it is complete, and at QoS 1 it may come twice.
    pub(super) fn take_back(
        &mut self,
        is_complete: impl Fn(u64, u64) -> bool,
        correct: &mut impl FnMut(&str, &Event<'_>),
    ) -> u64 {
        let (mut index, mut taken) = (0, 0);
        let client_id = &self.client_id;
        self.queue.retain(|delivery| {
            let message = &delivery.message;
            let stays = is_complete(message.publisher, message.origin.ordinal);
            if stays {
                index += 1;
            } else {
                taken += 1;
                correct(client_id, &Event::Dropped { index });
            }
            stays
        });
        taken
    }

    /// Publisher and ordinal of the messages that it holds and that came by an exchange.
    pub(crate) fn origins(&self) -> impl Iterator<Item = (u64, u64)> {
        let in_flight = self.inflight.iter();
        let in_flight = in_flight.filter_map(|inflight| inflight.delivery.as_ref());
        let origin = |delivery: &Delivery| {
            let message = &delivery.message;
            (message.publisher, message.origin.ordinal)
        };
        let all = in_flight.chain(&self.queue).map(origin);
        all.filter(|(_, ordinal)| *ordinal != 0)
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
                ordinal,
            } => {
                self.complete(ordinal);
                self.hold(packet_id, telemetry);
            }
            Event::Distributed { packet_id, ordinal } => {
                self.complete(ordinal);
                self.held.insert(packet_id, SavedHold::Distributed);
            }
            Event::Journalled { packet_id } => {
                self.held.insert(packet_id, SavedHold::Journalled);
            }
            Event::Numbered {
                number,
                completed_through,
            } => {
                self.number = number;
                self.completed_through = completed_through;
            }
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
        for (&packet_id, hold) in &self.held {
            let ordinal = 0;
            visit(&match *hold {
                SavedHold::Whole(telemetry) => Event::Held {
                    packet_id,
                    telemetry,
                    ordinal,
                },
                SavedHold::Distributed => Event::Distributed { packet_id, ordinal },
                SavedHold::Journalled => Event::Journalled { packet_id },
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
        let whole = SavedHold::Whole(telemetry);
        let held = self.held.entry(packet_id).or_insert(whole);
        // The same id again, without a release between, is the same message.
        if !matches!(held, SavedHold::Whole(_)) {
            *held = whole;
        }
    }

    fn complete(&mut self, ordinal: u64) {
        self.completed_through = self.completed_through.max(ordinal);
    }

    /// Clients acknowledge in order, so the front is the usual hit.
    fn inflight_index(&self, packet_id: u16) -> Result<usize, Misfit> {
        self.inflight
            .iter()
            .position(|inflight| inflight.packet_id == packet_id)
            .ok_or(Misfit)
    }
}
