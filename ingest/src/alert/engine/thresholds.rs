//! Instances of threshold rules.
//!
//! Owns: what is kept of one, and when its state has to be stored: with each change of phase. The
//! time of the latest sample moves with every sample and is not stored for that alone; after a
//! restart it is found again by looking at the journal's latest records.

use std::sync::Arc;

use store::AlertStateRow;
use telemetry::Micros;

use super::super::event::{Event, EventState};
use super::super::id::Cause;
use super::super::labels::Labels;
use super::super::rules::Condition;
use super::super::threshold::{Effect, Phase, Reading, State};
use super::stored::Stored;
use super::{Change, Effects, Engine, InstanceRef, Origin, Sample, Stage};

pub(super) struct ThresholdInstance {
    pub(super) rule: u32,
    /// How often it has fired.
    pub(super) fired: u32,
    pub(super) state: State,
    pub(super) latest_is: LatestIs,
    /// The event that began the alert, while it fires.
    pub(super) active: Option<Arc<Event>>,
}

/// Which clock the time of the latest sample is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LatestIs {
    /// Restored, and no sample has come since.
    Unknown,
    /// The device's own.
    DeviceTime,
    /// The time of receipt, which is this machine's.
    ReceiptTime,
}

impl ThresholdInstance {
    /// Takes note of which clock a sample's time is of. Samples without a time of their own come in
    /// the order of the journal, so when the time of receipt goes back between two of them, this
    /// machine's clock was put back: they are not late.
    fn judge_clock(&mut self, sample: &Sample<'_>) {
        let is_latest = self.state.latest.is_none_or(|latest| latest <= sample.time);
        match (self.state.latest, self.latest_is) {
            _ if is_latest && sample.has_device_time => self.latest_is = LatestIs::DeviceTime,
            _ if is_latest => self.latest_is = LatestIs::ReceiptTime,
            (Some(latest), LatestIs::ReceiptTime) if !sample.has_device_time => {
                self.state.shift(sample.time - latest);
            }
            _ => {}
        }
    }

    /// A sample from before the restart: only its time counts.
    fn warm_up(&mut self, sample: &Sample<'_>) {
        if self.state.latest.is_none_or(|latest| latest <= sample.time) {
            self.state.latest = Some(sample.time);
            self.judge_clock(sample);
        }
    }

    /// What was measured by a clock that was ahead, and showed `last` in the end, goes on at `now`.
    pub(super) fn leave_future(&mut self, last: Micros, now: Micros) {
        let Some(latest) = self.state.latest.filter(|latest| *latest > now) else {
            return;
        };
        match self.latest_is {
            LatestIs::ReceiptTime => self.state.shift(now - last.max(latest)),
            LatestIs::Unknown => self.state.shift(now - latest),
            LatestIs::DeviceTime => {}
        }
    }

    /// This machine's clock was set by so much and shows `now`.
    pub(super) fn clock_was_set(&mut self, by: Micros, now: Micros) {
        match self.latest_is {
            LatestIs::ReceiptTime => self.state.shift(by),
            LatestIs::Unknown => self.state.not_after(now),
            LatestIs::DeviceTime => {}
        }
    }
}

impl Engine {
    /// The restored instance or a new one; `None` when there are too many.
    pub(super) fn threshold_instance(
        &mut self,
        rule: u32,
        device: &str,
        metric: &str,
    ) -> Option<u32> {
        if let Some(InstanceRef::Threshold(instance)) = self.claims.claim(rule, device, metric) {
            return Some(instance);
        }
        self.has_room().then(|| {
            self.push_threshold(ThresholdInstance {
                rule,
                fired: 0,
                state: State::INITIAL,
                latest_is: LatestIs::Unknown,
                active: None,
            })
        })
    }

    pub(super) fn push_threshold(&mut self, instance: ThresholdInstance) -> u32 {
        self.thresholds.push(instance);
        self.thresholds.len() as u32 - 1
    }

    pub(super) fn threshold_sample(
        &mut self,
        instance: u32,
        origin: Origin,
        sample: &Sample<'_>,
        value: f64,
        effects: &mut Effects,
    ) {
        let instance = &mut self.thresholds[instance as usize];
        let Some(rule) = self.rules.get(instance.rule) else {
            return;
        };
        let Condition::Threshold(threshold) = rule.condition else {
            return;
        };
        let reading = Reading {
            time: sample.time,
            value,
        };
        if self.stage == Stage::WarmUp {
            instance.warm_up(sample);
            return;
        }
        instance.judge_clock(sample);
        let before = instance.state.phase;
        let (state, effect) = threshold.step(instance.state, reading);
        instance.state = state;
        self.counters.evaluated += 1;

        let (event_state, since) = match effect {
            Effect::None => {
                if state.phase != before {
                    effects.states.push(row(instance, &rule.name, sample));
                }
                return;
            }
            Effect::OutOfOrder => {
                self.counters.out_of_order += 1;
                return;
            }
            Effect::Fired { since } => {
                instance.fired = instance.fired.saturating_add(1);
                (EventState::Firing, since)
            }
            Effect::Resolved { since } => (EventState::Resolved, since),
        };
        let change = Change {
            device: sample.device,
            metric: sample.metric,
            unit: sample.unit,
            state: event_state,
            value: Some(value),
            labels: &Labels::from_json(sample.labels),
            position: origin.position,
            cause: Cause::Sample {
                time: sample.has_device_time.then_some(sample.time),
                value,
            },
            started_at: since,
            updated_at: sample.time,
            count: instance.fired,
            threshold: instance.active.as_ref().map(|firing| firing.threshold),
        };
        let event = change.emit(rule, &mut self.restored, effects);
        instance.active = (event_state == EventState::Firing).then_some(event);
        effects.states.push(row(instance, &rule.name, sample));
    }
}

fn row(instance: &ThresholdInstance, rule: &str, sample: &Sample<'_>) -> AlertStateRow {
    AlertStateRow {
        rule: rule.to_owned(),
        device: sample.device.to_owned(),
        metric: sample.metric.to_owned(),
        state: stored(instance).map(|stored| stored.to_json()),
    }
}

/// `None` when there is nothing to remember.
fn stored(instance: &ThresholdInstance) -> Option<Stored> {
    let (latest, fired) = (instance.state.latest, instance.fired);
    match (instance.state.phase, &instance.active) {
        (Phase::Inactive, _) if fired == 0 => None,
        (Phase::Pending { since }, _) => Some(Stored::Pending {
            latest,
            fired,
            since,
        }),
        (Phase::Firing { since }, Some(event)) => Some(Stored::Firing {
            latest,
            fired,
            since,
            event: Arc::clone(event),
        }),
        _ => Some(Stored::Inactive { latest, fired }),
    }
}
