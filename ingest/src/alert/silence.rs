//! The state machine of silence: a device, or one metric of it, that stops reporting.
//!
//! Owns: what a report and the passing of time do to one instance. Never: keeps anything, reads a
//! clock. Invariant: silence is measured by the time of receipt alone; what times a device claims
//! does not matter.
//!
//! An instance is armed by the first report. A restart arms all of them anew with the whole
//! interval, and so does a journal that could not take messages for a while: what Millrace itself
//! has missed fires nothing. Who is silent already stays so until the next report.

use telemetry::Micros;

/// A validated condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// `silent_for`, microseconds.
    pub interval: Micros,
}

/// One instance: a rule on one device, or on one metric of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// When the latest report was received.
    pub seen_at: Micros,
    pub silent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Something was received at this time.
    Report { at: Micros },
    /// It is `now`, and Millrace has been listening since `listening_since`.
    Tick {
        now: Micros,
        listening_since: Micros,
    },
}

/// What an input led to, for the world outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    None,
    /// Silent since the last report; that it is an alert is true from `at` on.
    Fired {
        since: Micros,
        at: Micros,
    },
    /// Heard again.
    Resolved,
}

impl Silence {
    pub fn step(&self, state: State, input: Input) -> (State, Effect) {
        match input {
            Input::Report { at } => {
                let heard = State {
                    seen_at: state.seen_at.max(at),
                    silent: false,
                };
                let effect = if state.silent {
                    Effect::Resolved
                } else {
                    Effect::None
                };
                (heard, effect)
            }
            Input::Tick {
                now,
                listening_since,
            } => {
                let at = self.deadline(state, listening_since);
                if state.silent || now < at {
                    return (state, Effect::None);
                }
                let silent = State {
                    silent: true,
                    ..state
                };
                let since = at - self.interval;
                (silent, Effect::Fired { since, at })
            }
        }
    }

    /// When the instance becomes silent unless it reports.
    pub fn deadline(&self, state: State, listening_since: Micros) -> Micros {
        state
            .seen_at
            .max(listening_since)
            .saturating_add(self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Silence = Silence { interval: 60 };

    enum Step {
        Report(i64),
        Tick(i64),
        /// Millrace listens (again) from here on.
        Listen(i64),
    }
    use Step::{Listen, Report, Tick};

    #[track_caller]
    fn check(steps: &[Step], expected: &[&str]) {
        let (mut state, mut listening_since) = (
            State {
                seen_at: 0,
                silent: false,
            },
            0,
        );
        let mut seen = Vec::new();
        for step in steps {
            let input = match *step {
                Report(at) => Input::Report { at },
                Tick(now) => Input::Tick {
                    now,
                    listening_since,
                },
                Listen(at) => {
                    listening_since = at;
                    continue;
                }
            };
            let (next, effect) = RULE.step(state, input);
            state = next;
            match effect {
                Effect::None => {}
                Effect::Fired { since, at } => seen.push(format!("fired at {at} since {since}")),
                Effect::Resolved => seen.push(format!("resolved at {}", state.seen_at)),
            }
        }
        assert_eq!(seen, expected);
    }

    #[test]
    fn fires_once_and_ends_with_the_next_report() {
        check(
            &[
                Report(10),
                Tick(69),
                Tick(75),
                Tick(500),
                Report(600),
                Tick(659),
            ],
            &["fired at 70 since 10", "resolved at 600"],
        );
    }

    #[test]
    fn listening_anew_gives_the_whole_interval() {
        check(
            &[Report(10), Listen(1000), Tick(1059), Tick(1060)],
            &["fired at 1060 since 1000"],
        );
        check(&[Report(10), Listen(1000), Report(1050), Tick(1109)], &[]);
    }

    #[test]
    fn who_is_silent_stays_silent_over_a_restart() {
        check(
            &[Tick(60), Listen(1000), Tick(2000), Report(2001)],
            &["fired at 60 since 0", "resolved at 2001"],
        );
    }

    #[test]
    fn a_report_with_an_older_time_of_receipt_does_not_shorten_the_wait() {
        check(&[Report(100), Report(40), Tick(159)], &[]);
    }
}
