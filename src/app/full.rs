//! Whether the journal has reached `journal.max_size`, for the log.
//!
//! Owns: when that begins and when it is over. Never: does anything about it. Invariant: a time in
//! which it is reached again and again is told as one.

use std::time::{Duration, Instant};

use journal::{State, Status};

/// Without being full for so long, it is over: rows that are written a little too slowly make room
/// piece by piece.
const REST: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct FullWatch {
    /// How often the limit had been reached at the last look.
    reached: u64,
    full: Option<Full>,
}

#[derive(Debug)]
struct Full {
    since: Instant,
    last: Instant,
}

/// What is to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Begun,
    Ended { lasted: Duration },
}

impl FullWatch {
    pub(super) fn look(&mut self, status: &Status, now: Instant) -> Option<Turn> {
        let reached = std::mem::replace(&mut self.reached, status.limit_reached);
        let again = reached != status.limit_reached;
        match &mut self.full {
            None if again => {
                self.full = Some(Full {
                    since: now,
                    last: now,
                });
                Some(Turn::Begun)
            }
            None => None,
            Some(full) if again || status.state == State::Full => {
                full.last = now;
                None
            }
            Some(full) if now.saturating_duration_since(full.last) >= REST => {
                let lasted = full.last.saturating_duration_since(full.since);
                self.full = None;
                Some(Turn::Ended { lasted })
            }
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use journal::Position;

    use super::*;

    fn status(state: State, limit_reached: u64) -> Status {
        Status {
            state,
            start: Position::ZERO,
            durable: Position::ZERO,
            end: Position::ZERO,
            size_bytes: 0,
            size_bytes_max: 0,
            limit_reached,
        }
    }

    #[test]
    fn a_limit_reached_again_and_again_is_told_once_and_so_is_its_end() {
        let mut watch = FullWatch::default();
        let start = Instant::now();
        let mut look = |seconds, state, reached| {
            watch.look(
                &status(state, reached),
                start + Duration::from_secs(seconds),
            )
        };
        assert_eq!(look(0, State::Open, 0), None);
        assert_eq!(look(1, State::Full, 1), Some(Turn::Begun));
        assert_eq!(look(60, State::Full, 1), None);
        // Between two looks it had room and was full again.
        assert_eq!(look(61, State::Open, 2), None);
        assert_eq!(look(64, State::Open, 3), None);
        assert_eq!(look(68, State::Open, 3), None);
        let lasted = Duration::from_secs(63);
        assert_eq!(look(69, State::Open, 3), Some(Turn::Ended { lasted }));
        assert_eq!(look(90, State::Open, 3), None);
        assert_eq!(look(91, State::Open, 4), Some(Turn::Begun));
    }

    /// Which the journal's own thread tells.
    #[test]
    fn a_full_disk_is_not_the_limit() {
        let mut watch = FullWatch::default();
        assert_eq!(watch.look(&status(State::Full, 0), Instant::now()), None);
    }
}
