//! What goes wrong with devices, and when.
//!
//! Owns: the faults a fleet can have and the moments at which they begin and end. Never: touches a
//! value or a socket; the device and the connection act on what `step` says. Invariant: faults
//! depend on a device's offset and its random stream alone, so a seed repeats them.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Deserializer};

use crate::units;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The value jumps by `by` times the height of its wave.
    Spike,
    /// The value stays what it was.
    Stuck,
    /// The value moves away, by `by` times the height of its wave within the fault's length.
    Drift,
    /// Nothing is sent.
    Dropout,
    /// The message is sent twice.
    Duplicate,
    /// Samples are held back, then sent together as an array.
    LateBatch,
    /// The device's clock is wrong by `by` seconds.
    ClockSkew,
    /// All connections of the fleet break at once and come back.
    ReconnectStorm,
}

impl FaultKind {
    pub const ALL: [Self; 8] = [
        Self::Spike,
        Self::Stuck,
        Self::Drift,
        Self::Dropout,
        Self::Duplicate,
        Self::LateBatch,
        Self::ClockSkew,
        Self::ReconnectStorm,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::Stuck => "stuck",
            Self::Drift => "drift",
            Self::Dropout => "dropout",
            Self::Duplicate => "duplicate",
            Self::LateBatch => "late-batch",
            Self::ClockSkew => "clock-skew",
            Self::ReconnectStorm => "reconnect-storm",
        }
    }
}

/// When a fault begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trigger {
    /// With this probability at each sample (for a storm: each second).
    Probability(f64),
    /// Once, this long after the device began.
    At(Duration),
    /// Again and again; the first time at `first`, or at a random moment within the first interval.
    Every {
        every: Duration,
        first: Option<Duration>,
    },
}

/// One fault of a fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    pub trigger: Trigger,
    /// How long it lasts; zero is one sample.
    pub lasts: Duration,
    /// How much, in the unit its kind names.
    pub by: f64,
    /// The metric it befalls; the profile's first one when there is none of this name.
    pub metric: Option<String>,
    /// The part of the devices that can have it, 0 to 1.
    pub share: f64,
}

impl Fault {
    /// A fault as its kind is by default.
    pub fn new(kind: FaultKind) -> Self {
        let (probability, lasts_s, by) = match kind {
            FaultKind::Spike => (0.01, 0, 5.0),
            FaultKind::Stuck => (0.001, 30, 0.0),
            FaultKind::Drift => (0.001, 60, 5.0),
            FaultKind::Dropout => (0.001, 30, 0.0),
            FaultKind::Duplicate => (0.01, 0, 0.0),
            FaultKind::LateBatch => (0.001, 30, 0.0),
            FaultKind::ClockSkew => (0.001, 60, 300.0),
            FaultKind::ReconnectStorm => (1.0 / 30.0, 0, 0.0),
        };
        Self {
            kind,
            trigger: Trigger::Probability(probability),
            lasts: Duration::from_secs(lasts_s),
            by,
            metric: None,
            share: 1.0,
        }
    }
}

/// `KIND[:PROBABILITY][,at=10s][,every=1m][,for=5s][,by=4][,metric=NAME][,share=0.2]`, the parts in
/// any order.
impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let kind = FaultKind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind.trim())
            .ok_or_else(|| {
                let known = FaultKind::ALL.map(FaultKind::as_str).join("`, `");
                format!("`{kind}` is not a fault: the faults are `{known}`")
            })?;
        let mut fault = Self::new(kind);
        let (mut at, mut every) = (None, None);
        for part in rest
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            match part.split_once('=') {
                None | Some(("p", _)) => {
                    let number = part.strip_prefix("p=").unwrap_or(part);
                    fault.trigger = Trigger::Probability(units::probability(number)?);
                }
                Some(("at", value)) => at = Some(units::seconds(value)?),
                Some(("every", value)) => every = Some(units::seconds(value)?),
                Some(("for", value)) => fault.lasts = units::seconds(value)?,
                Some(("share", value)) => fault.share = units::probability(value)?,
                Some(("metric", value)) => fault.metric = Some(value.to_owned()),
                Some(("by", value)) => {
                    fault.by = value
                        .parse()
                        .ok()
                        .filter(|by: &f64| by.is_finite())
                        .ok_or_else(|| format!("`{value}` is not a number"))?;
                }
                Some((key, _)) => {
                    return Err(format!(
                        "`{key}` is not a part of a fault: write a probability, `at`, `every`, \
                         `for`, `by`, `metric` or `share`"
                    ));
                }
            }
        }
        match (at, every) {
            (_, Some(every)) if every.is_zero() => {
                return Err("`every` must be longer than 0".into());
            }
            (first, Some(every)) => fault.trigger = Trigger::Every { every, first },
            (Some(at), None) => fault.trigger = Trigger::At(at),
            (None, None) => {}
        }
        Ok(fault)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        units::scalar(deserializer, "a fault such as \"spike:0.01\"", |text| {
            text.parse()
        })
    }
}

/// How often each fault has begun.
#[derive(Debug, Default)]
pub(crate) struct FaultCounters([AtomicU64; FaultKind::ALL.len()]);

impl FaultCounters {
    /// Counts faults given as bits in the order of `FaultKind::ALL`.
    pub(crate) fn count(&self, bits: u8) {
        if bits != 0 {
            for (index, counter) in self.0.iter().enumerate() {
                counter.fetch_add(u64::from(bits >> index & 1), Relaxed);
            }
        }
    }

    /// The faults that have begun at least once.
    pub(crate) fn begun(&self) -> impl Iterator<Item = (FaultKind, u64)> {
        let counts = self.0.iter().map(|counter| counter.load(Relaxed));
        FaultKind::ALL
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
    }
}

/// Where one device stands with one fault.
#[derive(Debug, Clone)]
pub(crate) struct FaultState {
    affected: bool,
    /// The running occurrence, as offsets: since, until.
    active: Option<(Duration, Duration)>,
    /// The next scheduled occurrence.
    next: Option<Duration>,
}

/// What a fault does to the sample at hand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Active {
    /// How much of the fault's length has passed, 0 to 1.
    pub(crate) progress: f64,
    /// This sample is the first of the occurrence.
    pub(crate) begins: bool,
}

impl FaultState {
    pub(crate) fn new(fault: &Fault, rng: &mut impl Rng) -> Self {
        let affected = rng.random::<f64>() < fault.share;
        let spread = rng.random::<f64>();
        let next = match fault.trigger {
            Trigger::Probability(_) => None,
            Trigger::At(at) => Some(at),
            Trigger::Every { every, first } => Some(first.unwrap_or(every.mul_f64(spread))),
        };
        Self {
            affected,
            active: None,
            next,
        }
    }

    /// Moves to `offset` and says whether the fault is active there.
    pub(crate) fn step(
        &mut self,
        fault: &Fault,
        offset: Duration,
        rng: &mut impl Rng,
    ) -> Option<Active> {
        let begins = self.begins(fault, offset, rng);
        if !self.affected {
            return None;
        }
        if begins && self.active.is_none_or(|(_, until)| offset > until) {
            self.active = Some((offset, offset + fault.lasts));
            return Some(Active {
                progress: 0.0,
                begins: true,
            });
        }
        let (since, until) = self.active?;
        if offset > until || fault.lasts.is_zero() {
            self.active = None;
            return None;
        }
        let progress = (offset - since).as_secs_f64() / fault.lasts.as_secs_f64();
        Some(Active {
            progress,
            begins: false,
        })
    }

    /// Whether an occurrence is due. Draws at every sample for a probability, so that the stream
    /// does not depend on what happened before.
    fn begins(&mut self, fault: &Fault, offset: Duration, rng: &mut impl Rng) -> bool {
        if let Trigger::Probability(probability) = fault.trigger {
            return rng.random::<f64>() < probability;
        }
        let Some(next) = self.next.filter(|next| *next <= offset) else {
            return false;
        };
        self.next = match fault.trigger {
            Trigger::Every { every, .. } => {
                let missed = (offset - next).as_nanos() / every.as_nanos();
                Some(next + every * u32::try_from(missed + 1).unwrap_or(u32::MAX))
            }
            _ => None,
        };
        true
    }
}

/// The moments at which the connections of a fleet break together; every connection computes the
/// same ones.
#[derive(Debug)]
pub(crate) struct Storms {
    trigger: Trigger,
    rng: ChaCha8Rng,
    next: Option<Duration>,
}

impl Storms {
    /// `stream` tells fleets apart; the moments are offsets from the start of the run.
    pub(crate) fn new(fault: &Fault, seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        let next = match fault.trigger {
            Trigger::Probability(0.0) => None,
            Trigger::Probability(_) => Some(Duration::ZERO),
            Trigger::At(at) => Some(at),
            Trigger::Every { every, first } => Some(first.unwrap_or(every)),
        };
        let mut storms = Self {
            trigger: fault.trigger,
            rng,
            next,
        };
        if matches!(storms.trigger, Trigger::Probability(_)) {
            storms.advance();
        }
        storms
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.next
    }

    /// Passes the moment `next` and finds the one after it.
    pub(crate) fn advance(&mut self) {
        let Some(last) = self.next else { return };
        self.next = match self.trigger {
            Trigger::At(_) => None,
            Trigger::Every { every, .. } => Some(last + every),
            Trigger::Probability(probability) => {
                let mut next = last + Duration::from_secs(1);
                while self.rng.random::<f64>() >= probability {
                    next += Duration::from_secs(1);
                }
                Some(next)
            }
        };
    }
}

#[cfg(test)]
mod tests;
