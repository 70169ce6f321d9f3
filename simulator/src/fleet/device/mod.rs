//! One simulated device.
//!
//! Owns: its random stream, the state of its signals and faults, its clock. Never: knows about
//! connections. Invariant: the same seed, number and offsets give the same samples, byte for byte;
//! times strictly increase unless its clock is at fault.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::fault::{Fault, FaultKind, FaultState};
use super::profile::Profile;
use super::signal::{Moment, SignalState, round};

const DAY_US: i64 = 86_400_000_000;
/// Devices' faults have the random streams from here on, devices those below.
const FAULT_STREAMS: u64 = 1 << 32;

/// What all devices of one profile in one fleet share.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) profile: Profile,
    pub(crate) faults: Vec<Fault>,
    /// The metric each fault befalls.
    targets: Vec<usize>,
    /// Microseconds between two times that the payload can tell apart.
    step_us: i64,
}

impl Model {
    /// Storms befall connections, not devices, and are left out.
    pub(crate) fn new(profile: Profile, faults: &[Fault], step_us: i64) -> Self {
        let faults: Vec<Fault> = faults
            .iter()
            .filter(|f| f.kind != FaultKind::ReconnectStorm)
            .cloned()
            .collect();
        let targets = faults
            .iter()
            .map(|fault| {
                let named = |name| {
                    profile
                        .metrics
                        .iter()
                        .position(|metric| metric.name == name)
                };
                fault.metric.as_deref().and_then(named).unwrap_or(0)
            })
            .collect();
        Self {
            profile,
            faults,
            targets,
            step_us,
        }
    }
}

/// What a device does with the sample it has just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fate {
    pub(crate) dropped: bool,
    pub(crate) duplicated: bool,
    pub(crate) held_back: bool,
    /// Bits of the faults that begin here, in the order of `FaultKind::ALL`.
    pub(crate) begun: u8,
}

#[derive(Debug)]
pub(crate) struct Device {
    model: Arc<Model>,
    rng: ChaCha8Rng,
    /// Faults draw from a stream of their own, so that a device measures the same with and without
    /// them.
    fault_rng: Box<ChaCha8Rng>,
    signals: Vec<SignalState>,
    faults: Vec<FaultState>,
    /// The value a stuck metric shows, for each fault.
    stuck: Vec<f64>,
    /// The latest sample: one value for each metric.
    pub(crate) values: Vec<f64>,
    /// Its time in microseconds since 1970, by the device's own clock.
    pub(crate) time_us: i64,
    last_true_us: i64,
}

impl Device {
    /// `number` tells the devices of a run apart.
    pub(crate) fn new(model: Arc<Model>, seed: u64, number: usize) -> Self {
        let stream = |stream| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream);
            rng
        };
        let mut rng = stream(number as u64);
        let mut fault_rng = Box::new(stream(FAULT_STREAMS + number as u64));
        let signals = model
            .profile
            .metrics
            .iter()
            .map(|metric| metric.signal.begin(&mut rng))
            .collect();
        let faults = model
            .faults
            .iter()
            .map(|fault| FaultState::new(fault, &mut *fault_rng))
            .collect();
        Self {
            signals,
            faults,
            stuck: vec![0.0; model.faults.len()],
            values: vec![0.0; model.profile.metrics.len()],
            time_us: i64::MIN,
            last_true_us: i64::MIN,
            rng,
            fault_rng,
            model,
        }
    }

    /// Makes the sample at `offset`; `start_us` is the wall clock at offset zero.
    pub(crate) fn sample(&mut self, offset: Duration, start_us: i64) -> Fate {
        let true_us = self.tick(offset, start_us);
        self.time_us = true_us;
        let second_of_day = true_us.rem_euclid(DAY_US) as f64 / 1e6;
        let moment = Moment {
            offset,
            second_of_day,
        };
        let metrics = self.model.profile.metrics.iter().zip(&mut self.signals);
        for ((metric, state), value) in metrics.zip(&mut self.values) {
            *value = metric.signal.value(state, moment, &mut self.rng);
        }
        let mut fate = Fate::default();
        for number in 0..self.faults.len() {
            self.suffer(number, offset, &mut fate);
        }
        fate
    }

    /// The next true time: rounded to what the payload can show, and later than the last one.
    fn tick(&mut self, offset: Duration, start_us: i64) -> i64 {
        let step = self.model.step_us;
        let offset_us = i64::try_from(offset.as_micros()).unwrap_or(i64::MAX);
        let time = start_us.saturating_add(offset_us).div_euclid(step) * step;
        self.last_true_us = time.max(self.last_true_us.saturating_add(step));
        self.last_true_us
    }

    fn suffer(&mut self, number: usize, offset: Duration, fate: &mut Fate) {
        let fault = &self.model.faults[number];
        let Some(active) = self.faults[number].step(fault, offset, &mut *self.fault_rng) else {
            return;
        };
        if active.begins {
            fate.begun |= 1 << fault.kind as u8;
        }
        let target = self.model.targets[number];
        let signal = &self.model.profile.metrics[target].signal;
        let value = &mut self.values[target];
        match fault.kind {
            // The bounds of the signal are those of a healthy sensor: a fault may leave them.
            FaultKind::Spike => {
                *value = round(*value + fault.by * signal.scale(), signal.decimals);
            }
            FaultKind::Drift => {
                let by = fault.by * signal.scale() * active.progress;
                *value = round(*value + by, signal.decimals);
            }
            FaultKind::Stuck if active.begins => self.stuck[number] = *value,
            FaultKind::Stuck => *value = self.stuck[number],
            FaultKind::Dropout => fate.dropped = true,
            FaultKind::Duplicate => fate.duplicated = true,
            FaultKind::LateBatch => fate.held_back = true,
            FaultKind::ClockSkew => self.time_us += (fault.by * 1e6) as i64,
            // Befalls connections; `Model::new` leaves it out.
            FaultKind::ReconnectStorm => {}
        }
    }
}

#[cfg(test)]
mod tests;
