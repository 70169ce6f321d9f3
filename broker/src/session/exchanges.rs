//! QoS 2 publishes of the session's client, from the first PUBLISH to PUBREL.
//!
//! Owns: which packet ids are held, what has come of each publish, and what the log of kept
//! sessions is told of it. Never: knows what was published. Invariant: exchanges are told in the
//! order of their ordinals, and one is told when all copies of its publish are queued, so what is
//! told of one holds for those before it.

use std::sync::Arc;
use std::task::Waker;

use journal::Position;

use super::Session;
use super::load::Locked;
use super::state::IncomingQos2;
use crate::exchange::{Origin, Progress};
use crate::session_log::{Event, Exchange};

/// A QoS 2 publish that was received and is not released by its client yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) packet_id: u16,
    /// It came on this connection, and the log is still to be told what comes of it.
    pub(crate) is_begun: bool,
    /// Behind its record in the journal; `Position::ZERO` when it needs none, or has no place there
    /// yet.
    pub(crate) journalled: Position,
    /// Where the log must be durable before it is answered.
    pub(crate) saved: Position,
    /// It counts among the publishes that this connection has not finished.
    pub(crate) counted: bool,
    /// Its exchange's number; 0 when it began before a restart.
    pub(super) ordinal: u64,
}

/// What a QoS 2 publish is.
#[derive(Debug)]
pub(crate) enum Hold {
    New(Begun, Origin),
    /// The one that was received before under this packet id [MQTT-4.3.3-10].
    Again(Held),
    /// That one, of which a crash has left nothing but the record.
    Journalled(Begun, Origin),
    /// That one, and only its record is missing.
    Distributed(Begun),
}

/// A publish that is being handled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) packet_id: u16,
    /// Its record waits for a place in the journal.
    pub(crate) journals: bool,
    ordinal: u64,
    /// Its copies rely on the log being told of it.
    is_relied_on: bool,
}

/// The session's exchanges by their ordinals.
#[derive(Default)]
pub(super) struct Exchanges {
    /// The last one that was begun,
    begun: u64,
    /// and the last one that was told, or that nothing will be told of any more.
    told_through: u64,
    /// Once there was one that copies rely on.
    progress: Option<Arc<Progress>>,
}

/// The position of a publish that the log could not be told of although copies rely on it: its
/// acknowledgement waits for a snapshot.
pub(crate) const UNSAVED: Position = Position(u64::MAX - 1);

impl Exchanges {
    /// After a restart: all that were begun before it are over.
    pub(super) fn restored(completed_through: u64) -> Exchanges {
        Exchanges {
            begun: completed_through,
            told_through: completed_through,
            progress: None,
        }
    }

    fn begin(&mut self, is_relied_on: bool) -> (u64, Origin) {
        self.begun += 1;
        let origin = if is_relied_on {
            Origin::new(self.begun, self.progress.get_or_insert_default())
        } else {
            Origin::default()
        };
        (self.begun, origin)
    }
}

impl Session {
    /// A QoS 2 publish has come. `tell` is to be called with what is begun when its copies are
    /// queued.
    pub(crate) fn hold(&self, packet_id: u16) -> Hold {
        // Asked without the lock. A session of which the log lacks something takes back no copies:
        // they would be lost.
        let log = self.log.as_deref().filter(|_| self.is_logged());
        let is_relied_on = log.is_some_and(|log| log.takes(&self.client_id));
        let mut outbound = self.lock_outbound();
        let outbound = &mut *outbound;
        let incoming = outbound.state.incoming.get(&packet_id).copied();
        let held = outbound
            .held
            .entry(packet_id)
            .or_insert(Held::new(packet_id));
        let known = std::mem::replace(
            held,
            Held {
                counted: true,
                is_begun: true,
                ..*held
            },
        );
        if known.is_begun || matches!(incoming, Some(IncomingQos2::Whole(_))) {
            held.is_begun = known.is_begun;
            return Hold::Again(known);
        }
        if incoming == Some(IncomingQos2::Distributed) {
            return Hold::Distributed(Begun {
                packet_id,
                journals: false,
                ordinal: known.ordinal,
                is_relied_on: false,
            });
        }
        let (ordinal, origin) = outbound.exchanges.begin(is_relied_on);
        held.ordinal = ordinal;
        let begun = Begun {
            packet_id,
            journals: false,
            ordinal,
            is_relied_on,
        };
        if incoming.is_some() {
            Hold::Journalled(begun, origin)
        } else {
            Hold::New(begun, origin)
        }
    }

    /// Whether a QoS 2 publish under this packet id counts already among those that this connection
    /// has not finished.
    pub(crate) fn counts(&self, packet_id: u16) -> bool {
        let outbound = self.lock_outbound();
        let held = outbound.held.get(&packet_id);
        held.is_some_and(|held| held.counted)
    }

    /// The copies of these publishes are queued, and their records lie before `journalled`; `None`:
    /// those that have one wait for a place. Only now may the log know of them, since after a crash
    /// in between they must be taken again. Where it must be durable before they are answered.
    pub(crate) fn tell(
        &self,
        all: &[Begun],
        journalled: Option<Position>,
        waker: &Waker,
    ) -> Position {
        let mut locked = self.lock_outbound();
        let outbound = &mut *locked;
        let log = outbound.log.clone();
        let mut batch = log.as_ref().map(|log| log.batch(&self.client_id));
        let mut told = Vec::with_capacity(all.len());
        let mut through = 0;
        for begun in all {
            let &Begun {
                packet_id, ordinal, ..
            } = begun;
            let is_distributed = journalled.is_none() && begun.journals;
            let held = outbound.held.get_mut(&packet_id);
            let held = held.filter(|held| held.ordinal == ordinal);
            let is_released = held.is_none();
            if let Some(held) = held {
                held.is_begun = false;
                let known = outbound.state.incoming.get(&packet_id);
                if is_distributed && known == Some(&IncomingQos2::Distributed) {
                    // It still waits for the journal.
                    continue;
                }
                held.journalled = begun.behind_record(journalled).unwrap_or_default();
                told.push(packet_id);
            }
            through = through.max(ordinal);
            outbound.change_in(&mut batch, &begun.event(journalled));
            if is_released {
                outbound.change_in(&mut batch, &Event::Released { packet_id });
            }
        }
        let is_relied_on = all.iter().any(|begun| begun.is_relied_on);
        let written = match log.as_ref().zip(batch) {
            None => Position::ZERO,
            Some((log, batch)) => match log.write(batch, waker) {
                // When copies rely on one, something was to be written, unless it was before.
                Position::ZERO if is_relied_on && through > 0 => UNSAVED,
                position => position,
            },
        };
        for packet_id in told {
            if let Some(held) = outbound.held.get_mut(&packet_id) {
                held.saved = written;
            }
        }
        // Behind the events: who is woken writes behind them.
        locked.told(through);
        written
    }

    /// The connection is gone. What it had begun and not told was not received: a panic has ended
    /// it.
    pub(crate) fn forget_begun(&self) {
        let mut locked = self.lock_outbound();
        let outbound = &mut *locked;
        outbound.held.retain(|packet_id, held| {
            held.is_begun = false;
            outbound.state.incoming.contains_key(packet_id)
        });
        let begun = outbound.exchanges.begun;
        locked.told(begun);
    }

    /// To be held from journalling QoS 2 publishes until they are told; `None` when the log does
    /// not care.
    pub(crate) fn exchange(&self) -> Option<Exchange<'_>> {
        let log = self.log.as_deref().filter(|_| self.is_logged())?;
        Some(log.exchange())
    }

    /// The client hears that the journal had no room for its publish: its packet id may be used for
    /// another one.
    pub(crate) fn refused(&self, packet_id: u16) {
        let mut outbound = self.lock_outbound();
        if outbound.state.incoming.get(&packet_id) == Some(&IncomingQos2::Distributed) {
            outbound.held.remove(&packet_id);
            outbound.change(&Event::Released { packet_id });
        }
    }

    /// PUBREL: the packet id may be used for another publish; where the log must be durable before
    /// PUBCOMP. `None`: it was not held.
    pub(crate) fn release(&self, packet_id: u16, waker: &Waker) -> Option<Position> {
        let mut outbound = self.lock_outbound();
        let was_held = outbound.held.remove(&packet_id).is_some();
        let released = outbound.change_and_wake(&Event::Released { packet_id }, waker);
        // `tell` finds one gone that the log has not been told of.
        released.or(was_held.then_some(Position::ZERO))
    }
}

impl Locked<'_> {
    /// The exchanges up to this one are told; who waits for that is woken without the lock.
    fn told(mut self, ordinal: u64) {
        let exchanges = &mut self.exchanges;
        exchanges.told_through = exchanges.told_through.max(ordinal);
        let (progress, through) = (exchanges.progress.clone(), exchanges.told_through);
        drop(self);
        if let Some(progress) = progress {
            progress.tell(through);
        }
    }
}

impl Held {
    fn new(packet_id: u16) -> Held {
        Held {
            packet_id,
            is_begun: false,
            journalled: Position::ZERO,
            saved: Position::ZERO,
            counted: false,
            ordinal: 0,
        }
    }
}

impl Begun {
    fn behind_record(&self, journalled: Option<Position>) -> Option<Position> {
        journalled.filter(|_| self.journals)
    }

    fn event(&self, journalled: Option<Position>) -> Event<'static> {
        let &Begun {
            packet_id, ordinal, ..
        } = self;
        if self.journals && journalled.is_none() {
            return Event::Distributed { packet_id, ordinal };
        }
        // They became durable together, so for all of them the last record's position will do.
        let behind = self.behind_record(journalled);
        Event::Held {
            packet_id,
            telemetry: behind
                .and_then(|behind| behind.0.checked_sub(1))
                .map(Position),
            ordinal,
        }
    }
}
