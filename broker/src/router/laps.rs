//! Markers: what their return proves.
//!
//! Owns: the one marker that may be on its way. Never: sends it. Invariant: what `returned` reports
//! as read has been put into the link's buffer by the router, for every filter, before that marker.
//!
//! The router keeps a queue of filters with something to read. A filter enters at the tail when it
//! gets its first unread entry, is served from the head, and then reads all there is and leaves. So
//! when the marker's filter, having entered after everything published before the marker, is
//! served, all of that has been read.
//!
//! The exception: when a filter's read fills the link's buffer (200 notifications), the router
//! re-enters the filter at the tail, though it has nothing to read, and announces it with
//! `Unschedule` directly behind what was read. If that happens to the marker's own filter, it
//! stands in the queue before the next marker is published, perhaps ahead of others that get
//! entries meanwhile, and the next return proves only what the one before it would have proved:
//! everybody ahead of it then, and so with entries from before, has been served since.

/// A number on the link, told back by the marker.
pub(super) type Number = u64;

/// What lies before a marker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Before {
    /// The last message published.
    pub(super) sequence: u64,
    /// Filters subscribed since the marker before.
    pub(super) links: usize,
}

#[derive(Debug)]
pub(super) struct Laps {
    number: Number,
    outstanding: Option<Before>,
    /// What was published before the last marker that returned.
    previous: u64,
    /// The next notification tells whether the marker's filter was re-entered.
    watching: bool,
    reentered: bool,
}

impl Laps {
    /// For a new link, which nothing but replayed messages behind `confirmed` will travel.
    pub(super) fn new(confirmed: u64) -> Laps {
        // The marker's filter is subscribed first and may still be in the queue, ahead of all the
        // others.
        Laps {
            number: 0,
            outstanding: None,
            previous: confirmed,
            watching: false,
            reentered: true,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.outstanding.is_none()
    }

    /// A marker goes behind all this; its number.
    pub(super) fn start(&mut self, before: Before) -> Number {
        self.number += 1;
        self.outstanding = Some(before);
        self.number
    }

    /// To be called for every notification, before it is looked at.
    pub(super) fn observe(&mut self, is_unschedule: bool) {
        if self.watching {
            self.watching = false;
            self.reentered = is_unschedule;
        }
    }

    /// The marker is back. `sequence` of the result: everything up to it has been read; `links`:
    /// that many subscriptions have been made. `None` when this marker is not on its way.
    pub(super) fn returned(&mut self, number: Number) -> Option<Before> {
        if number != self.number {
            return None;
        }
        let before = self.outstanding.take()?;
        let sequence = if self.reentered {
            self.previous
        } else {
            before.sequence
        };
        self.previous = before.sequence;
        self.watching = true;
        Some(Before {
            sequence,
            links: before.links,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lap(laps: &mut Laps, sequence: u64, unschedule_follows: bool) -> u64 {
        let number = laps.start(Before { sequence, links: 0 });
        laps.observe(false);
        let read = laps
            .returned(number)
            .expect("the marker is on its way")
            .sequence;
        laps.observe(unschedule_follows);
        read
    }

    #[test]
    fn the_first_marker_of_a_link_proves_nothing_and_the_second_all() {
        let mut laps = Laps::new(7);
        assert_eq!(lap(&mut laps, 10, false), 7);
        assert_eq!(lap(&mut laps, 12, false), 12);
    }

    #[test]
    fn behind_a_full_buffer_a_marker_proves_what_the_one_before_it_did() {
        let mut laps = Laps::new(0);
        lap(&mut laps, 1, false);
        assert_eq!(lap(&mut laps, 5, true), 5);
        assert_eq!(lap(&mut laps, 9, true), 5);
        assert_eq!(lap(&mut laps, 11, false), 9);
        assert_eq!(lap(&mut laps, 13, false), 13);
    }

    #[test]
    fn a_marker_returns_once() {
        let mut laps = Laps::new(0);
        let number = laps.start(Before {
            sequence: 3,
            links: 2,
        });
        assert!(!laps.is_idle());
        assert_eq!(laps.returned(number + 1), None);
        assert_eq!(laps.returned(number).map(|before| before.links), Some(2));
        assert!(laps.is_idle());
        assert_eq!(laps.returned(number), None);
    }
}
