//! The duplicate filter's memory of one series: a ring of hashes of (time, value).
//!
//! Invariant: nothing is forgotten within a minute of its receipt while the window and the budget
//! allow it. A hash has 64 bits: with the 256 of a full ring, one sample in 10^17 is taken for a
//! duplicate that is none.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::quality::FixedState;
use telemetry::{Micros, Value};

/// Every series that sends its own times has so many entries.
pub(super) const SLOTS_MIN: usize = 4;

/// A client resends what was not acknowledged when it has connected again, which takes seconds.
/// Rings whose entries are overwritten sooner than this grow.
const REMEMBERED_SECONDS: u32 = 60;

/// Twelve bytes, and no padding: the hash in two halves, and when it came.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    hash: [u32; 2],
    received_seconds: u32,
}

pub(super) const SLOT_BYTES: usize = size_of::<Slot>();

#[derive(Debug, Default)]
pub(super) struct Ring {
    slots: Box<[Slot]>,
    /// Slots in use; they are the first ones.
    used: u16,
    /// Where the next one goes.
    next: u16,
    /// The latest time in the ring: what is later is new, and needs no search.
    newest: Micros,
}

impl Ring {
    /// Whether the sample is new; if so it is remembered. `budget` are the bytes that growing rings
    /// may still take.
    pub(super) fn insert(
        &mut self,
        time: Micros,
        value: Value<'_>,
        received_at: Micros,
        window: usize,
        budget: &mut usize,
    ) -> bool {
        let hash = hash(time, value);
        let used = usize::from(self.used);
        let later = used == 0 || time > self.newest;
        if !later && self.slots[..used].iter().any(|slot| slot.hash == hash) {
            return false;
        }
        self.newest = if used == 0 {
            time
        } else {
            self.newest.max(time)
        };
        // Seconds fit until 2106; the cast cannot meet a negative time of receipt.
        let received_seconds = (received_at / 1_000_000) as u32;
        if used == self.slots.len() {
            self.make_room(received_seconds, window, budget);
        }
        let next = usize::from(self.next);
        self.slots[next] = Slot {
            hash,
            received_seconds,
        };
        self.used = self.used.max(self.next + 1);
        self.next = ((next + 1) % self.slots.len()) as u16;
        true
    }

    /// The ring is full: grows it, if what would be overwritten is young and the bounds allow it.
    fn make_room(&mut self, now: u32, window: usize, budget: &mut usize) {
        let length = self.slots.len();
        let Some(oldest) = self.slots.get(usize::from(self.next)) else {
            self.slots = vec![Slot::default(); SLOTS_MIN.min(window)].into();
            return;
        };
        // Both are rounded down: only beyond it so much time has passed for certain.
        let young = now.saturating_sub(oldest.received_seconds) <= REMEMBERED_SECONDS;
        let grown = (length * 2).min(window);
        let cost = (grown - length) * SLOT_BYTES;
        if !young || grown == length || cost > *budget {
            return;
        }
        *budget -= cost;
        let mut slots = Vec::with_capacity(grown);
        // Oldest first, so that the free slots come behind the youngest.
        slots.extend_from_slice(&self.slots[usize::from(self.next)..]);
        slots.extend_from_slice(&self.slots[..usize::from(self.next)]);
        slots.resize(grown, Slot::default());
        self.next = length as u16;
        self.slots = slots.into();
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.slots.len()
    }
}

fn hash(time: Micros, value: Value<'_>) -> [u32; 2] {
    let mut hasher = FixedState::with_seed(0).build_hasher();
    time.hash(&mut hasher);
    match value {
        Value::Number(number) => number.to_bits().hash(&mut hasher),
        Value::Text(text) => text.hash(&mut hasher),
    }
    let hash = hasher.finish();
    [hash as u32, (hash >> 32) as u32]
}
