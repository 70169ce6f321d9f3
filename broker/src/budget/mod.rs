//! What all sessions together hold of messages, and its bound.
//!
//! Owns: the gauges of what is queued, and the rule by which a queue may grow. Never: drops
//! anything; whoever asks does, and counts it. Invariant: while no session is locked the gauges are
//! the sums over all sessions.
//!
//! A message that waits in many queues is in memory once and is counted once; each place that it
//! has in a queue or a window counts on its own.
//!
//! The rule is that of a packet switch with shared memory (Choudhury and Hahne, "Dynamic queue
//! length thresholds for shared-memory packet switches", 1998): a queue takes more only while it is
//! smaller than what is still free for all. A few queues may then be large, many share evenly, and
//! there is always something left for one that has just begun. What is free differs: QoS 0 sees
//! half of it, and a session whose client is away sees nothing of the last quarter of the budget.
//! Beyond the budget there is only what connected clients that keep up are given all the same, and
//! a session that is left gives that up.

use std::sync::{Arc, Mutex};

use crate::delivery::{Delivery, PLACE_BYTES};
use crate::limits::UNSENT_BYTES_MAX;
use crate::lock::lock;
use crate::message::Message;
use crate::stats::Stats;
use mqtt::Qos;

/// A connected client that has no more waiting keeps up, and is given more whatever the others
/// hold. As much again waits unsent for a connection that does not read.
const KEEPING_UP_BYTES: usize = UNSENT_BYTES_MAX;

pub(crate) struct Budget {
    bytes_max: usize,
    stats: Arc<Stats>,
    spell: Mutex<Spell>,
}

/// What a session has taken, and given back, since it was locked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    bytes: i64,
    messages: i64,
    copies: i64,
}

/// Who asks for room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    /// What it has, each message as if it had it alone.
    pub(crate) bytes: usize,
    pub(crate) connected: bool,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize, stats: Arc<Stats>) -> Budget {
        Budget {
            bytes_max,
            stats,
            spell: Mutex::default(),
        }
    }

    /// Whether the session may take the delivery; `unsettled` is what it took since it was locked.
    pub(crate) fn admits(&self, delivery: &Delivery, asker: Asker, unsettled: &Ledger) -> bool {
        let bytes_max = if asker.connected {
            self.bytes_max
        } else {
            self.bytes_max / 4 * 3
        };
        let free = bytes_max.saturating_sub(self.used(unsettled));
        let share = match delivery.qos {
            Qos::AtMostOnce => free / 2,
            Qos::AtLeastOnce | Qos::ExactlyOnce => free,
        };
        (cost(&delivery.message) <= free && asker.bytes < share)
            || (asker.connected && asker.bytes < KEEPING_UP_BYTES)
    }

    /// Whether more is held than may be; `unsettled` is what a session gave back since it was
    /// locked.
    pub(crate) fn is_exceeded(&self, unsettled: &Ledger) -> bool {
        self.used(unsettled) > self.bytes_max
    }

    fn used(&self, unsettled: &Ledger) -> usize {
        let settled = self.stats.queued_bytes.get();
        settled.saturating_add_signed(unsettled.bytes) as usize
    }

    /// Takes over what the session has noted; to be called before it is unlocked.
    pub(crate) fn settle(&self, ledger: &mut Ledger) {
        if *ledger == Ledger::default() {
            return;
        }
        let Ledger {
            bytes,
            messages,
            copies,
        } = std::mem::take(ledger);
        self.stats.queued_bytes.shift(bytes);
        if messages != 0 {
            self.stats.queued_messages.shift(messages);
        }
        if copies != 0 {
            self.stats.queued_copies.shift(copies);
        }
    }

    /// To be called about every second: whether a spell of refusals has begun or ended since.
    pub(crate) fn look(&self) -> Option<Turn> {
        let now = Level {
            used: self.stats.queued_bytes.get(),
            relief: self.bytes_max as u64 / 2,
            refused: self.stats.dropped_queues_full.get(),
        };
        lock(&self.spell).step(now)
    }
}

impl Ledger {
    pub(crate) fn take(&mut self, message: &Message) {
        self.copies += 1;
        self.bytes += PLACE_BYTES as i64;
        if message.holders.enter() {
            self.messages += 1;
            self.bytes += message.memory_bytes() as i64;
        }
    }

    pub(crate) fn give_back(&mut self, message: &Message) {
        self.copies -= 1;
        self.bytes -= PLACE_BYTES as i64;
        if message.holders.leave() {
            self.messages -= 1;
            self.bytes -= message.memory_bytes() as i64;
        }
    }
}

/// What one more place for the message would add.
fn cost(message: &Message) -> usize {
    if message.holders.is_empty() {
        PLACE_BYTES + message.memory_bytes()
    } else {
        PLACE_BYTES
    }
}

/// Whether refusals go on; told once when they begin, and once when there is room again.
#[derive(Debug, Default)]
struct Spell {
    /// Refusals when it was looked at last.
    refused: u64,
    /// Refusals before it began.
    before: Option<u64>,
}

/// How things stand.
#[derive(Debug, Clone, Copy)]
struct Level {
    used: u64,
    /// A spell is over when less than this is used: not as soon as one message fits again.
    relief: u64,
    refused: u64,
}

/// A change worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Begun { used_bytes: u64 },
    Ended { dropped: u64 },
}

impl Spell {
    fn step(&mut self, now: Level) -> Option<Turn> {
        let refused_before = std::mem::replace(&mut self.refused, now.refused);
        let refuses = now.refused > refused_before;
        match self.before {
            None if refuses => {
                self.before = Some(refused_before);
                Some(Turn::Begun {
                    used_bytes: now.used,
                })
            }
            Some(before) if !refuses && now.used < now.relief => {
                self.before = None;
                Some(Turn::Ended {
                    dropped: now.refused - before,
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
