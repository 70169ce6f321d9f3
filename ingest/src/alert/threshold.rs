//! The state machine of a threshold: inactive, pending, firing, and back.
//!
//! Owns: what one sample does to one instance. Never: keeps anything, knows names, reads a clock.
//! Invariant: a sample older than the latest one changes nothing.
//!
//! All times are event times. A value beyond the limit begins the alert (`>` and `<`, the limit
//! itself is well); once it fires, only a value at the clear threshold or on its good side ends it.
//! With `for`, every sample in between must be beyond the limit, and the first one that comes at
//! least that much later than the first fires. So a gap in the data fires nothing by itself: it
//! takes a later sample that is still beyond the limit, and then the gap counts, since nothing has
//! contradicted. A rule with `silent_for` is what watches gaps.

use telemetry::Micros;

/// A validated condition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    pub limit: Limit,
    /// `for`: how long the condition must hold, microseconds of event time; 0 fires with the first
    /// sample.
    pub hold: Micros,
}

/// Where an alert begins and where it ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// Begins above `at`; ends at `clear` or below, `clear <= at`.
    Above { at: f64, clear: f64 },
    /// Begins below `at`; ends at `clear` or above, `clear >= at`.
    Below { at: f64, clear: f64 },
    /// Begins below `low` or above `high`; ends within `clear_low ..= clear_high`, which lies
    /// within.
    Outside {
        low: f64,
        high: f64,
        clear_low: f64,
        clear_high: f64,
    },
}

/// One instance: a rule on one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Time of the latest sample; `None` before the first.
    pub latest: Option<Micros>,
    pub phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Inactive,
    /// Beyond the limit since then, and not long enough.
    Pending {
        since: Micros,
    },
    /// `since` is when the condition began to hold, so before it fired when there is a `for`.
    Firing {
        since: Micros,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    pub time: Micros,
    /// Finite.
    pub value: f64,
}

/// What a sample led to, for the world outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    None,
    /// Older than the latest sample, and ignored.
    OutOfOrder,
    /// Fires; the condition holds since then.
    Fired {
        since: Micros,
    },
    /// Ends; it held since then.
    Resolved {
        since: Micros,
    },
}

impl State {
    pub const INITIAL: State = State {
        latest: None,
        phase: Phase::Inactive,
    };

    /// The clock that its times are of was set by so much. When a firing alert began was told, and
    /// stays.
    pub fn shift(&mut self, by: Micros) {
        self.latest = self.latest.map(|latest| latest.saturating_add(by));
        if let Phase::Pending { since } = &mut self.phase {
            *since = since.saturating_add(by);
        }
    }

    /// No time of it lies after `now`: what claims to is of a clock that was ahead.
    pub fn not_after(&mut self, now: Micros) {
        self.latest = self.latest.map(|latest| latest.min(now));
        if let Phase::Pending { since } = &mut self.phase {
            *since = (*since).min(now);
        }
    }
}

impl Threshold {
    /// What the sample makes of the state. Samples of the same time count in the order they come.
    pub fn step(&self, state: State, reading: Reading) -> (State, Effect) {
        if state.latest.is_some_and(|latest| reading.time < latest) {
            return (state, Effect::OutOfOrder);
        }
        let (phase, effect) = self.advance(state.phase, reading);
        let latest = Some(reading.time);
        (State { latest, phase }, effect)
    }

    fn advance(&self, phase: Phase, reading: Reading) -> (Phase, Effect) {
        let since = match phase {
            Phase::Firing { since } if self.limit.ends(reading.value) => {
                return (Phase::Inactive, Effect::Resolved { since });
            }
            Phase::Firing { .. } => return (phase, Effect::None),
            _ if !self.limit.begins(reading.value) => return (Phase::Inactive, Effect::None),
            Phase::Pending { since } => since,
            Phase::Inactive => reading.time,
        };
        // Times lie within a few centuries, so the difference cannot overflow; saturating costs
        // nothing.
        if reading.time.saturating_sub(since) >= self.hold {
            (Phase::Firing { since }, Effect::Fired { since })
        } else {
            (Phase::Pending { since }, Effect::None)
        }
    }
}

impl Limit {
    /// Whether a value begins an alert.
    pub fn begins(&self, value: f64) -> bool {
        match *self {
            Limit::Above { at, .. } => value > at,
            Limit::Below { at, .. } => value < at,
            Limit::Outside { low, high, .. } => value < low || value > high,
        }
    }

    /// Whether a value ends one.
    pub fn ends(&self, value: f64) -> bool {
        match *self {
            Limit::Above { clear, .. } => value <= clear,
            Limit::Below { clear, .. } => value >= clear,
            Limit::Outside {
                clear_low,
                clear_high,
                ..
            } => (clear_low..=clear_high).contains(&value),
        }
    }

    /// The limit that a value has crossed: the nearer one of `Outside`.
    pub fn crossed_by(&self, value: f64) -> f64 {
        match *self {
            Limit::Above { at, .. } | Limit::Below { at, .. } => at,
            Limit::Outside { low, high, .. } if value - low < high - value => low,
            Limit::Outside { high, .. } => high,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    const ABOVE: Threshold = Threshold {
        limit: Limit::Above {
            at: 90.0,
            clear: 85.0,
        },
        hold: 0,
    };
    const BELOW: Threshold = Threshold {
        limit: Limit::Below {
            at: 10.0,
            clear: 12.0,
        },
        hold: 0,
    };
    const OUTSIDE: Threshold = Threshold {
        limit: Limit::Outside {
            low: 10.0,
            high: 20.0,
            clear_low: 12.0,
            clear_high: 18.0,
        },
        hold: 0,
    };

    fn held(threshold: Threshold) -> Threshold {
        Threshold {
            hold: 30 * SECOND,
            ..threshold
        }
    }

    /// Steps through (second, value) pairs. Expected are lines such as `60 fired since 30`.
    #[track_caller]
    fn check(threshold: Threshold, samples: &[(i64, f64)], expected: &[&str]) {
        let mut state = State::INITIAL;
        let mut seen = Vec::new();
        for &(second, value) in samples {
            let time = second * SECOND;
            let (next, effect) = threshold.step(state, Reading { time, value });
            state = next;
            match effect {
                Effect::None => {}
                Effect::OutOfOrder => seen.push(format!("{second} late")),
                Effect::Fired { since } => {
                    seen.push(format!("{second} fired since {}", since / SECOND));
                }
                Effect::Resolved { since } => {
                    seen.push(format!("{second} resolved since {}", since / SECOND));
                }
            }
        }
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_limit_itself_is_well_and_clear_itself_ends() {
        check(
            ABOVE,
            &[(0, 90.0), (1, 90.1), (2, 85.1), (3, 85.0)],
            &["1 fired since 1", "3 resolved since 1"],
        );
        check(
            BELOW,
            &[(0, 10.0), (1, 9.9), (2, 11.9), (3, 12.0)],
            &["1 fired since 1", "3 resolved since 1"],
        );
        check(
            OUTSIDE,
            &[(0, 10.0), (1, 20.0), (2, 20.1), (3, 18.1), (4, 18.0)],
            &["2 fired since 2", "4 resolved since 2"],
        );
    }

    #[test]
    fn between_clear_and_limit_nothing_changes() {
        check(ABOVE, &[(0, 87.0), (1, 89.0), (2, 86.0)], &[]);
        check(
            ABOVE,
            &[(0, 95.0), (1, 87.0), (2, 95.0), (3, 86.0), (4, 80.0)],
            &["0 fired since 0", "4 resolved since 0"],
        );
    }

    #[test]
    fn outside_stays_firing_from_one_side_to_the_other() {
        check(
            OUTSIDE,
            &[(0, 25.0), (1, 5.0), (2, 11.0), (3, 12.0), (4, 9.0)],
            &["0 fired since 0", "3 resolved since 0", "4 fired since 4"],
        );
    }

    #[test]
    fn for_needs_every_sample_beyond_the_limit() {
        check(
            held(ABOVE),
            &[(0, 95.0), (10, 95.0), (29, 95.0), (30, 95.0), (31, 95.0)],
            &["30 fired since 0"],
        );
        // 89 does not begin an alert, so the time starts again, although it would not end one.
        check(
            held(ABOVE),
            &[(0, 95.0), (20, 89.0), (25, 95.0), (50, 95.0), (55, 95.0)],
            &["55 fired since 25"],
        );
    }

    #[test]
    fn a_gap_counts_only_when_a_later_sample_is_still_beyond() {
        check(
            held(ABOVE),
            &[(0, 95.0), (3600, 95.0)],
            &["3600 fired since 0"],
        );
        check(held(ABOVE), &[(0, 95.0), (3600, 80.0)], &[]);
    }

    #[test]
    fn resolving_takes_no_time() {
        check(
            held(BELOW),
            &[(0, 5.0), (30, 5.0), (31, 50.0), (32, 5.0), (61, 5.0)],
            &["30 fired since 0", "31 resolved since 0"],
        );
    }

    #[test]
    fn late_samples_change_nothing() {
        check(
            ABOVE,
            &[(10, 50.0), (5, 95.0), (11, 95.0), (10, 50.0), (12, 50.0)],
            &[
                "5 late",
                "11 fired since 11",
                "10 late",
                "12 resolved since 11",
            ],
        );
        check(
            held(ABOVE),
            &[(10, 95.0), (5, 50.0), (40, 95.0)],
            &["5 late", "40 fired since 10"],
        );
    }

    #[test]
    fn samples_of_one_time_count_in_their_order() {
        check(
            ABOVE,
            &[(1, 95.0), (1, 50.0), (1, 96.0), (1, 95.0)],
            &["1 fired since 1", "1 resolved since 1", "1 fired since 1"],
        );
    }

    #[test]
    fn extreme_times_and_values_do_not_overflow() {
        let mut state = State::INITIAL;
        for (time, value) in [
            (i64::MIN, f64::MAX),
            (i64::MAX, f64::MAX),
            (i64::MAX, f64::MIN),
        ] {
            state = held(ABOVE).step(state, Reading { time, value }).0;
        }
        assert_eq!(state.phase, Phase::Inactive);
    }

    #[test]
    fn the_crossed_limit_is_the_nearer_one() {
        for (value, limit) in [(25.0, 20.0), (5.0, 10.0), (-1e300, 10.0), (1e300, 20.0)] {
            assert_eq!(OUTSIDE.limit.crossed_by(value), limit, "{value}");
        }
    }
}
