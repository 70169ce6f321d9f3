//! What time it is, and whether somebody has set the clock.
//!
//! Owns: the clock's door, so that tests can say what time it is; how far the wall clock was set
//! since the last look; which time of receipt is believed. Never: knows an alert. Invariant: what
//! is believed of a record that comes now never lies after the latest look at the clock.
//!
//! Records from before a start are evaluated by the times they bear, in the future or not: so a
//! replay gives the events that were published already. What is left of the future when it is over,
//! the engine brings back to the present.
//!
//! Records bear the wall clock's time, and a wall clock is set: a gateway without a clock chip
//! starts years off, a virtual machine wakes up, somebody corrects an hour. A second clock that
//! only counts on tells such a step from time that has passed.

use std::time::Instant;

use journal::Position;
use telemetry::Micros;
use tracing::warn;

/// A smaller difference between the two clocks is what time synchronisation does all the time: it
/// lets a clock run faster or slower, and sets it from an eighth of a second on.
const STEP_MIN: Micros = 1_000_000;

/// The two clocks are read one after the other. When that took longer, the thread was held up in
/// between, and they are read again.
const READING_MAX: Micros = 50_000;
const READINGS_MAX: usize = 3;

/// Records with a time of receipt in the future are told once in this time.
const TELL_EVERY: Micros = 60_000_000;

/// The clocks of a machine.
pub trait Clock: Send {
    /// The wall clock, as the gate stamps records with it: microseconds since 1970, UTC.
    fn now(&self) -> Micros;

    /// Microseconds since some moment; nobody sets it.
    fn monotonic(&self) -> Micros;
}

/// The clocks of this machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        telemetry::now_micros()
    }

    fn monotonic(&self) -> Micros {
        self.started.elapsed().as_micros() as Micros
    }
}

/// The wall clock as the lane sees it: with its steps.
pub(super) struct WallClock {
    clock: Box<dyn Clock>,
    /// The latest look at both.
    wall: Micros,
    monotonic: Micros,
    forward: Option<Forward>,
    future: Future,
    /// The latest time of receipt that a replayed record bears.
    replayed_max: Micros,
}

/// The latest step forward. Records from before it are still to come.
struct Forward {
    by: Micros,
    /// What the clock would show by now without it.
    before: Micros,
    /// Where the journal ended when the step was noticed.
    until: Position,
}

/// Records with times of receipt in the future.
#[derive(Default)]
struct Future {
    untold: u64,
    /// How far the latest of them lies ahead.
    ahead_max: Micros,
    told_at: Option<Micros>,
}

impl WallClock {
    pub(super) fn new(clock: Box<dyn Clock>) -> WallClock {
        let (wall, monotonic) = read(clock.as_ref());
        WallClock {
            clock,
            wall,
            monotonic,
            forward: None,
            future: Future::default(),
            replayed_max: Micros::MIN,
        }
    }

    /// What the clock showed at the latest look.
    pub(super) fn now(&self) -> Micros {
        self.wall
    }

    /// Looks at the clock. Returns how far it was set since the last look: negative when it was put
    /// back, 0 when it only went on. `end`: the journal's end.
    pub(super) fn look(&mut self, end: impl FnOnce() -> Position) -> Micros {
        let (wall, monotonic) = read(self.clock.as_ref());
        let expected = self.wall.saturating_add(monotonic - self.monotonic);
        (self.wall, self.monotonic) = (wall, monotonic);
        self.future.tell(monotonic);
        let by = wall.saturating_sub(expected);
        if by.saturating_abs() < STEP_MIN {
            return 0;
        }
        let before = expected;
        self.forward = (by > 0).then(|| Forward {
            by,
            before,
            until: end(),
        });
        by
    }

    /// When a record from before the start was received, by the clock of that time.
    pub(super) fn replayed(&mut self, received_at: Micros) -> Micros {
        if received_at > self.wall {
            self.future.add(received_at - self.wall);
        }
        self.replayed_max = self.replayed_max.max(received_at);
        received_at
    }

    /// What the clock showed last before the start, as far as records tell.
    pub(super) fn replayed_max(&self) -> Micros {
        self.replayed_max
    }

    /// When a record was received, as far as that can be believed: a time that lies in the future
    /// was stamped by a clock that was ahead, and what was stamped before a step forward is moved
    /// along.
    pub(super) fn believed(&mut self, position: Position, received_at: Micros) -> Micros {
        if received_at > self.wall {
            self.future.add(received_at - self.wall);
            return self.wall;
        }
        match &self.forward {
            Some(step) if position < step.until && received_at <= step.before => {
                received_at.saturating_add(step.by).min(self.wall)
            }
            _ => received_at,
        }
    }
}

impl Future {
    fn add(&mut self, ahead: Micros) {
        // Below, it is the order in which two threads looked at the clock.
        if ahead >= STEP_MIN {
            self.untold += 1;
            self.ahead_max = self.ahead_max.max(ahead);
        }
    }

    fn tell(&mut self, monotonic: Micros) {
        let is_due = self
            .told_at
            .is_none_or(|told_at| monotonic - told_at >= TELL_EVERY);
        if self.untold == 0 || !is_due {
            return;
        }
        warn!(
            messages = self.untold,
            ahead_seconds = self.ahead_max / 1_000_000,
            "messages were received in the future: the clock was ahead when they came. Alerts take \
             the present instead; rows without a time of their own bear the wrong one"
        );
        *self = Future {
            told_at: Some(monotonic),
            ..Future::default()
        };
    }
}

/// Both clocks, read in the same moment.
fn read(clock: &dyn Clock) -> (Micros, Micros) {
    let mut monotonic = clock.monotonic();
    let mut wall = clock.now();
    for _ in 1..READINGS_MAX {
        let after = clock.monotonic();
        if after - monotonic <= READING_MAX {
            break;
        }
        monotonic = after;
        wall = clock.now();
    }
    (wall, monotonic)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{FakeClock, SECOND};
    use super::*;

    const END: Position = Position(10);

    fn clock() -> (FakeClock, WallClock) {
        let clock = FakeClock::at(100);
        (clock.clone(), WallClock::new(Box::new(clock)))
    }

    #[test]
    fn time_that_passes_is_no_step() {
        let (clock, mut wall) = clock();
        clock.set(5_000);
        assert_eq!(wall.look(|| END), 0);
        assert_eq!(wall.now(), 5_000 * SECOND);
    }

    #[test]
    fn a_step_is_told_from_what_has_passed() {
        let (clock, mut wall) = clock();
        clock.set(110);
        clock.step(3_600);
        assert_eq!(wall.look(|| END), 3_600 * SECOND);
        assert_eq!(wall.look(|| END), 0, "told once");
        clock.step(-7_200);
        assert_eq!(wall.look(|| END), -7_200 * SECOND);
    }

    #[test]
    fn a_record_from_before_a_step_forward_moves_along() {
        let (clock, mut wall) = clock();
        clock.step(3_600);
        wall.look(|| END);
        let believed = |wall: &mut WallClock, position, second: i64| {
            wall.believed(Position(position), second * SECOND) / SECOND
        };
        assert_eq!(believed(&mut wall, 9, 99), 3_699);
        // Stamped behind the step.
        assert_eq!(believed(&mut wall, 9, 3_700), 3_700);
        // Behind what was there: a device's late record cannot be meant.
        assert_eq!(believed(&mut wall, 10, 99), 99);
    }

    #[test]
    fn the_future_is_not_believed() {
        let (clock, mut wall) = clock();
        clock.step(-50);
        wall.look(|| END);
        assert_eq!(wall.believed(Position(0), 100 * SECOND), 50 * SECOND);
        assert_eq!(
            (wall.future.untold, wall.future.ahead_max),
            (1, 50 * SECOND)
        );
        wall.look(|| END);
        assert_eq!(wall.future.untold, 0, "it was told");
    }
}
