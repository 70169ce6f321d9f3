//! The deadband: a number that hardly differs from the last stored one is not stored.

use telemetry::Micros;

/// How much a number must change, and for how long nothing may be stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deadband {
    pub(super) threshold: Threshold,
    pub(super) max_silence: Option<Micros>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Threshold {
    Absolute(f64),
    /// Of the last stored value's magnitude.
    Percent(f64),
}

/// The last stored sample of a series, by its own time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LastStored {
    pub(super) time: Micros,
    pub(super) value: f64,
}

impl Deadband {
    /// Whether a sample is stored; it then becomes the last one, unless it is older than that: a
    /// late sample says nothing about what is stored now, so it is kept and changes nothing.
    pub(super) fn passes(&self, last: &mut Option<LastStored>, time: Micros, value: f64) -> bool {
        let Some(before) = *last else {
            *last = Some(LastStored { time, value });
            return true;
        };
        if time < before.time {
            return true;
        }
        let width = match self.threshold {
            Threshold::Absolute(width) => width,
            Threshold::Percent(percent) => before.value.abs() * percent / 100.0,
        };
        let silent = self
            .max_silence
            .is_some_and(|limit| time - before.time >= limit);
        let passes = silent || (value - before.value).abs() > width;
        if passes {
            *last = Some(LastStored { time, value });
        }
        passes
    }
}
