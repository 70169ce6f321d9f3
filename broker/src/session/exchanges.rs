//! QoS 2 publishes of the session's client, from the first PUBLISH to PUBREL.
//!
//! Owns: which packet ids are held, what has come of each publish, and what the log of kept
//! sessions is told of it. Never: knows what was published. Invariant: exchanges are told in the
//! order of their ordinals, and one is told when all copies of its publish are queued, so what is
//! told of one holds for those before it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use journal::Position;

use super::Session;
use super::load::Locked;
use crate::exchange::{Origin, Progress};
use crate::session_log::{Event, Exchange, SavedHold};

/// A QoS 2 publish that was received and is not released by its client yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) packet_id: u16,
    /// As the log was told.
    part: Part,
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

/// What has come of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Nothing yet.
    Nothing,
    /// All that is to be.
    Whole,
    /// Subscribers have it, and the journal is to have it.
    Distributed,
    /// The journal has it, and subscribers are to have it.
    Journalled,
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
    /// and the last one that was told.
    pub(super) told_through: u64,
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
        if known.is_begun || known.part == Part::Whole {
            held.is_begun = known.is_begun;
            return Hold::Again(known);
        }
        if known.part == Part::Distributed {
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
        match known.part {
            Part::Journalled => Hold::Journalled(begun, origin),
            _ => Hold::New(begun, origin),
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
        let scribe = self.scribe(waker);
        let mut batch = scribe.log.map(|log| (log, log.batch(scribe.client_id)));
        let mut told = Vec::with_capacity(all.len());
        let mut through = 0;
        for begun in all {
            let held = outbound.held.get_mut(&begun.packet_id);
            let mut held = held.filter(|held| held.ordinal == begun.ordinal);
            let part = begun.part(journalled);
            if let Some(held) = &mut held {
                held.is_begun = false;
                if held.part == part {
                    // It still waits for the journal.
                    continue;
                }
            }
            through = through.max(begun.ordinal);
            let is_released = held.is_none();
            if let Some(held) = held {
                held.part = part;
                held.journalled = begun.behind_record(journalled).unwrap_or_default();
                told.push(begun.packet_id);
            }
            if let Some((_, batch)) = &mut batch {
                batch.push(&begun.event(journalled));
                if is_released {
                    let packet_id = begun.packet_id;
                    batch.push(&Event::Released { packet_id });
                }
            }
        }
        let is_relied_on = all.iter().any(|begun| begun.is_relied_on);
        let written = batch.map_or(Position::ZERO, |(log, batch)| {
            match log.write(batch, waker) {
                // Of what is relied on something was to be written, unless it was before.
                Position::ZERO if is_relied_on && through > 0 => UNSAVED,
                position => position,
            }
        });
        for packet_id in told {
            if let Some(held) = outbound.held.get_mut(&packet_id) {
                held.saved = written;
            }
        }
        if let Some(before) = journalled.filter(|_| all.iter().any(|begun| begun.journals)) {
            outbound.held_through = before;
        }
        // Behind the events: who is woken writes behind them.
        locked.told(through);
        written
    }

    /// The connection is gone. What it had begun and not told was not received: a panic has ended
    /// it.
    pub(crate) fn forget_begun(&self) {
        let mut outbound = self.lock_outbound();
        outbound.held.retain(|_, held| {
            held.is_begun = false;
            held.part != Part::Nothing
        });
        let begun = outbound.exchanges.begun;
        outbound.told(begun);
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
        let held = outbound.held.get(&packet_id);
        if held.is_some_and(|held| held.part == Part::Distributed) {
            outbound.held.remove(&packet_id);
            self.scribe(Waker::noop())
                .tell(&Event::Released { packet_id });
        }
    }

    /// PUBREL: the packet id may be used for another publish; where the log must be durable before
    /// PUBCOMP. `None`: it was not held.
    pub(crate) fn release(&self, packet_id: u16, waker: &Waker) -> Option<Position> {
        let mut outbound = self.lock_outbound();
        let held = outbound.held.remove(&packet_id)?;
        Some(match held.part {
            // `tell` finds it gone.
            Part::Nothing => Position::ZERO,
            _ => self.scribe(waker).tell(&Event::Released { packet_id }),
        })
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
            part: Part::Nothing,
            is_begun: false,
            journalled: Position::ZERO,
            saved: Position::ZERO,
            counted: false,
            ordinal: 0,
        }
    }
}

impl Begun {
    fn part(&self, journalled: Option<Position>) -> Part {
        match journalled {
            None if self.journals => Part::Distributed,
            _ => Part::Whole,
        }
    }

    fn behind_record(&self, journalled: Option<Position>) -> Option<Position> {
        journalled.filter(|_| self.journals)
    }

    fn event(&self, journalled: Option<Position>) -> Event<'static> {
        let &Begun {
            packet_id, ordinal, ..
        } = self;
        match self.part(journalled) {
            Part::Distributed => Event::Distributed { packet_id, ordinal },
            _ => Event::Held {
                packet_id,
                // They became durable together, so for all of them the last record's position will
                // do.
                telemetry: self
                    .behind_record(journalled)
                    .and_then(|before| before.0.checked_sub(1))
                    .map(Position),
                ordinal,
            },
        }
    }
}

/// As the log keeps them. One that was not told was not received.
pub(super) fn saved(held: &BTreeMap<u16, Held>) -> BTreeMap<u16, SavedHold> {
    let saved = held.iter().filter_map(|(&packet_id, held)| {
        let hold = match held.part {
            Part::Nothing => return None,
            Part::Whole => SavedHold::Whole(held.journalled.0.checked_sub(1).map(Position)),
            Part::Distributed => SavedHold::Distributed,
            Part::Journalled => SavedHold::Journalled,
        };
        Some((packet_id, hold))
    });
    saved.collect()
}

pub(super) fn restored((packet_id, hold): (u16, SavedHold)) -> (u16, Held) {
    let held = Held {
        packet_id,
        part: match hold {
            SavedHold::Whole(_) => Part::Whole,
            SavedHold::Distributed => Part::Distributed,
            SavedHold::Journalled => Part::Journalled,
        },
        ..Held::new(packet_id)
    };
    (packet_id, held)
}
