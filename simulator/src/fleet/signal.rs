//! Waveforms of physical quantities.
//!
//! Owns: how one metric moves over time. Never: knows the wall clock or the wire. Invariant: a
//! value depends on the signal, its state, the moment and the random stream alone, so the same
//! stream gives the same values on every platform.

use std::f64::consts::TAU;
use std::time::Duration;

use rand::{Rng, RngExt};
use serde::Deserialize;

use crate::units;

/// Seconds in a day, for curves that follow the clock on the wall.
const DAY_S: f64 = 86_400.0;
/// Hour of the day at which a day curve peaks: mid-afternoon, as outdoor temperature and load do.
const DAY_PEAK_S: f64 = 15.0 * 3_600.0;
/// One step of a random walk, as a part of the amplitude.
const WALK_STEP: f64 = 0.08;
/// How strongly a random walk is pulled back to its base each step, so that it never wanders off
/// for good.
const WALK_PULL: f64 = 0.02;

/// The shape of a signal around its base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waveform {
    Constant,
    Sine,
    Square,
    /// Rises from `base - amplitude` to `base + amplitude`, then jumps back; falls when the
    /// amplitude is negative.
    Sawtooth,
    /// Wanders within the amplitude, pulled back to the base.
    RandomWalk,
    /// One wave a day, highest at 15:00 UTC.
    Day,
    /// Only grows, by `amplitude` an hour: an energy meter.
    Counter,
}

/// How one metric moves.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Signal {
    pub waveform: Waveform,
    /// Middle of the wave, in the metric's unit.
    pub base: f64,
    /// Half the height of the wave, in the metric's unit; growth an hour for a counter.
    pub amplitude: f64,
    #[serde(deserialize_with = "units::deserialize_seconds")]
    pub period: Duration,
    /// Standard deviation of the noise, in the metric's unit.
    pub noise: f64,
    /// Decimals of the value, at most 9.
    pub decimals: u8,
    pub min: Option<f64>,
    pub max: Option<f64>,
}

impl Default for Signal {
    fn default() -> Self {
        Self {
            waveform: Waveform::Constant,
            base: 0.0,
            amplitude: 1.0,
            period: Duration::from_secs(60),
            noise: 0.0,
            decimals: 2,
            min: None,
            max: None,
        }
    }
}

/// What a signal remembers between two samples of one device.
#[derive(Debug, Clone, Default)]
pub(crate) struct SignalState {
    /// Where in its period the wave of this device begins, 0 to 1: devices do not move in step.
    phase: f64,
    /// Place of a random walk, or what a counter has grown to.
    walk: f64,
    last_s: f64,
}

/// The moment a value is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Since the device began.
    pub(crate) offset: Duration,
    /// Seconds since midnight UTC.
    pub(crate) second_of_day: f64,
}

impl Signal {
    pub(crate) fn begin(&self, rng: &mut impl Rng) -> SignalState {
        SignalState {
            phase: rng.random::<f64>(),
            walk: 0.0,
            last_s: 0.0,
        }
    }

    /// The next value. Draws from the random stream the same number of times whatever happens, so
    /// that a fault never shifts what comes after it.
    pub(crate) fn value(&self, state: &mut SignalState, moment: Moment, rng: &mut impl Rng) -> f64 {
        let elapsed_s = moment.offset.as_secs_f64();
        let turn = elapsed_s / self.period.as_secs_f64().max(1e-6) + state.phase;
        let wave = match self.waveform {
            Waveform::Constant => 0.0,
            Waveform::Sine => (turn * TAU).sin(),
            Waveform::Square => {
                if turn.fract() < 0.5 {
                    1.0
                } else {
                    -1.0
                }
            }
            Waveform::Sawtooth => 2.0 * turn.fract() - 1.0,
            Waveform::RandomWalk => {
                let step = WALK_STEP * gauss(rng) - WALK_PULL * state.walk;
                state.walk = (state.walk + step).clamp(-1.0, 1.0);
                state.walk
            }
            Waveform::Day => ((moment.second_of_day - DAY_PEAK_S) / DAY_S * TAU).cos(),
            Waveform::Counter => {
                state.walk += (elapsed_s - state.last_s).max(0.0) / 3_600.0;
                state.last_s = elapsed_s;
                state.walk
            }
        };
        let noise = if self.noise == 0.0 {
            0.0
        } else {
            self.noise * gauss(rng)
        };
        self.finish(self.base + self.amplitude * wave + noise)
    }

    /// Clamps to the signal's bounds and rounds to its decimals.
    pub(crate) fn finish(&self, value: f64) -> f64 {
        let value = value
            .max(self.min.unwrap_or(f64::MIN))
            .min(self.max.unwrap_or(f64::MAX));
        round(value, self.decimals)
    }

    /// What a fault's magnitude is measured in: half the height of the wave, or what stands for it
    /// in a flat signal.
    pub(crate) fn scale(&self) -> f64 {
        let scale = self.amplitude.abs().max(self.noise);
        if scale > 0.0 { scale } else { 1.0 }
    }
}

/// Rounds to `decimals`; adding zero turns -0.0 into 0.0, which JSON readers would otherwise keep.
pub(crate) fn round(value: f64, decimals: u8) -> f64 {
    const POWERS: [f64; 10] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
    let power = POWERS[usize::from(decimals.min(9))];
    (value * power).round() / power + 0.0
}

/// About normal with mean 0 and deviation 1: the sum of four uniform numbers (Irwin-Hall) out of
/// one draw. Its tails end at 3.5 deviations, which suits a sensor, and it costs no logarithm.
fn gauss(rng: &mut impl Rng) -> f64 {
    /// Deviation of the sum of four numbers that are uniform over 0 to 65,535: 65,536 × sqrt(4 /
    /// 12).
    const DEVIATION: f64 = 37_837.227;
    let bits = rng.next_u64();
    let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
    (sum as f64 - 131_070.0) / DEVIATION
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn at(seconds: f64) -> Moment {
        Moment {
            offset: Duration::from_secs_f64(seconds),
            second_of_day: seconds,
        }
    }

    fn value(signal: &Signal, seconds: f64) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        signal.value(&mut SignalState::default(), at(seconds), &mut rng)
    }

    #[test]
    fn each_waveform_has_its_shape() {
        let table = [
            (Waveform::Constant, 7.0, 10.0),
            (Waveform::Sine, 0.0, 10.0),
            (Waveform::Sine, 15.0, 12.0),
            (Waveform::Sine, 45.0, 8.0),
            (Waveform::Square, 10.0, 12.0),
            (Waveform::Square, 40.0, 8.0),
            (Waveform::Sawtooth, 0.0, 8.0),
            (Waveform::Sawtooth, 30.0, 10.0),
            (Waveform::Sawtooth, 59.4, 11.96),
            (Waveform::Day, 54_000.0, 12.0),
            (Waveform::Day, 10_800.0, 8.0),
            (Waveform::Counter, 1_800.0, 11.0),
        ];
        for (waveform, seconds, expected) in table {
            let signal = Signal {
                waveform,
                base: 10.0,
                amplitude: 2.0,
                ..Signal::default()
            };
            assert_eq!(
                value(&signal, seconds),
                expected,
                "{waveform:?} at {seconds} s"
            );
        }
    }

    #[test]
    fn noise_has_the_deviation_that_was_asked_for() {
        let signal = Signal {
            base: 5.0,
            noise: 2.0,
            decimals: 9,
            ..Signal::default()
        };
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut state = SignalState::default();
        let values: Vec<f64> = (0..20_000)
            .map(|n| signal.value(&mut state, at(f64::from(n)), &mut rng))
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / values.len() as f64;
        assert!((mean - 5.0).abs() < 0.05, "mean {mean}");
        assert!(
            (variance.sqrt() - 2.0).abs() < 0.05,
            "deviation {}",
            variance.sqrt()
        );
    }

    #[test]
    fn a_random_walk_stays_within_its_amplitude() {
        let signal = Signal {
            waveform: Waveform::RandomWalk,
            amplitude: 3.0,
            ..Signal::default()
        };
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut state = signal.begin(&mut rng);
        let values: Vec<f64> = (0..5_000)
            .map(|n| signal.value(&mut state, at(f64::from(n)), &mut rng))
            .collect();
        assert!(values.iter().all(|value| value.abs() <= 3.0));
        assert!(
            values.iter().any(|value| *value > 0.5) && values.iter().any(|value| *value < -0.5)
        );
    }

    #[test]
    fn bounds_and_decimals_are_kept() {
        let signal = Signal {
            min: Some(0.0),
            decimals: 1,
            ..Signal::default()
        };
        assert_eq!(signal.finish(-4.0), 0.0);
        assert_eq!(signal.finish(1.26), 1.3);
        assert!(round(-0.001, 2).is_sign_positive());
    }
}
