//! Bytes that many hold together, and that none of them has a claim to.
//!
//! Invariant: what the shares hold is never more than the room; a share that is dropped gives back
//! all of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct Room {
    held: AtomicUsize,
    bytes_max: usize,
}

/// What one of them holds.
pub(crate) struct Share {
    room: Arc<Room>,
    bytes: usize,
}

/// The others hold what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent;

impl Room {
    pub(crate) fn new(bytes_max: usize) -> Arc<Room> {
        Arc::new(Room {
            held: AtomicUsize::new(0),
            bytes_max,
        })
    }

    /// A share that holds nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share {
            room: Arc::clone(self),
            bytes: 0,
        }
    }
}

impl Share {
    /// Holds this many bytes from now on, or as many as before when there is no more room.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Spent> {
        let more = bytes.saturating_sub(self.bytes);
        let held = self.room.held.fetch_add(more, Ordering::Relaxed) + more;
        if held > self.room.bytes_max {
            self.room.held.fetch_sub(more, Ordering::Relaxed);
            return Err(Spent);
        }
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_hold_no_more_together_than_there_is_room_for_and_give_it_back() {
        let room = Room::new(100);
        let (mut one, mut other) = (room.share(), room.share());
        assert_eq!(one.grow_to(60), Ok(()));
        assert_eq!(other.grow_to(41), Err(Spent));
        assert_eq!(other.grow_to(40), Ok(()));
        // It has as much already.
        assert_eq!(one.grow_to(50), Ok(()));
        assert_eq!(one.grow_to(61), Err(Spent));
        drop(other);
        assert_eq!(one.grow_to(100), Ok(()));
        drop(one);
        assert_eq!(room.held.load(Ordering::Relaxed), 0);
    }
}
