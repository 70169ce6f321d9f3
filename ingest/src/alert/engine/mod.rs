//! The engine: rules applied to samples and to the passing of time.
//!
//! Owns: the instances (a rule on one device and metric), their states and their timers. Never:
//! reads the journal, publishes, looks at a clock; what time it is comes in, what follows goes out
//! as `Effects`. Invariant: the same inputs on the same states give the same events, so a replay
//! after a crash repeats them with their ids.

mod devices;
mod instances;
mod restored;
mod series;
mod silences;
mod stored;
#[cfg(test)]
mod tests;
mod thresholds;

use std::sync::Arc;

use journal::Position;
use telemetry::{Micros, Value};
use tracing::warn;

pub use restored::Restored;

use super::Config;
use super::event::{self, About, Event, EventState};
use super::id::{Cause, EventId, Subject};
use super::labels::Labels;
use super::rules::{Rule, Rules};
use devices::Devices;
use instances::{Claims, InstanceRef};
use series::SeriesTable;
use silences::Silences;
use store::AlertStateRow;
use thresholds::ThresholdInstance;

/// A record as far as the engine is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub position: Position,
    pub received_at: Micros,
}

/// One value of one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// Dense number of (device, metric) within this process.
    pub series: u32,
    pub device: &'a str,
    pub metric: &'a str,
    pub unit: &'a str,
    /// A JSON object of strings.
    pub labels: &'a str,
    /// The device's own time, else the time of receipt.
    pub time: Micros,
    pub has_device_time: bool,
    pub value: Value<'a>,
}

/// What follows from an input, to be published and stored by the caller, who empties it.
#[derive(Debug, Default)]
pub struct Effects {
    /// In their order.
    pub transitions: Vec<Transition>,
    /// Instances whose state has to be stored; a later row of an instance replaces an earlier one.
    pub states: Vec<AlertStateRow>,
}

/// An alert that begins or ends.
#[derive(Debug, Clone)]
pub struct Transition {
    pub event: Arc<Event>,
    pub id: EventId,
    /// The id of its cause without the position.
    pub cause: EventId,
    pub position: Position,
    pub publication: Publication,
}

/// Whether an earlier process has published the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publication {
    New,
    /// This very event.
    Repeated,
    /// The same event for a record that was lost with the crash; its device has sent the message
    /// again.
    Resent {
        earlier: EventId,
    },
}

/// Where the engine stands after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Records that were evaluated before the restart: they only tell which samples are the latest,
    /// and who reports.
    WarmUp,
    /// Records that may have been evaluated before the restart, without the database knowing.
    Replay,
    Live,
}

/// What the engine has seen since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Samples held against an instance: one sample under two rules counts twice.
    pub evaluated: u64,
    /// Of these, older than the latest one of the series and ignored.
    pub out_of_order: u64,
    /// Instances that were not created because `max_instances` was reached.
    pub instances_refused: u64,
}

pub struct Engine {
    rules: Arc<Rules>,
    max_instances: usize,
    /// Millrace receives messages since then; silence before it means nothing.
    listening_since: Micros,
    devices: Devices,
    series: SeriesTable,
    thresholds: Vec<ThresholdInstance>,
    silences: Silences,
    /// Instances from the database whose device or series has not been seen since the start.
    claims: Claims,
    restored: Restored,
    stage: Stage,
    /// How far the clock was set while the engine was not live.
    set_in_replay: Micros,
    counters: Counters,
    refusal_reported: bool,
}

impl Effects {
    pub fn is_empty(&self) -> bool {
        self.transitions.is_empty() && self.states.is_empty()
    }

    pub fn clear(&mut self) {
        self.transitions.clear();
        self.states.clear();
    }
}

impl Engine {
    /// An engine without instances. `listening_since`: when this process began to receive messages.
    pub fn new(rules: Arc<Rules>, config: &Config, listening_since: Micros) -> Engine {
        Engine {
            devices: Devices::new(config.max_devices),
            max_instances: config.max_instances,
            rules,
            listening_since,
            series: SeriesTable::default(),
            thresholds: Vec::new(),
            silences: Silences::default(),
            claims: Claims::default(),
            restored: Restored::default(),
            stage: Stage::Live,
            set_in_replay: 0,
            counters: Counters::default(),
            refusal_reported: false,
        }
    }

    /// Something of this device was received. Returns whether its samples are wanted, too. `labels`
    /// (a JSON object) is asked for only when the device is new.
    pub fn report(
        &mut self,
        origin: Origin,
        device: &str,
        labels: impl FnOnce() -> String,
        effects: &mut Effects,
    ) -> bool {
        let index = match self.devices.find(device) {
            Some(index) => index,
            None => match self.add_device(origin, device, labels, effects) {
                Some(index) => index,
                // Too many devices: nobody notices its silence, but thresholds are watched.
                None => return true,
            },
        };
        for number in 0..self.devices.silences(index).len() {
            let instance = self.devices.silences(index)[number];
            self.silence_report(instance, origin, effects);
        }
        self.devices.wants_samples(index)
    }

    /// One sample of a record whose device was reported before.
    pub fn sample(&mut self, origin: Origin, sample: &Sample<'_>, effects: &mut Effects) {
        self.resolve_series(origin, sample, effects);
        for number in 0..self.series.instances(sample.series).len() {
            match self.series.instances(sample.series)[number] {
                InstanceRef::Threshold(instance) => {
                    if let Value::Number(value) = sample.value {
                        self.threshold_sample(instance, origin, sample, value, effects);
                    }
                }
                InstanceRef::Silence(instance) => self.silence_report(instance, origin, effects),
            }
        }
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// A new engine is live. `WarmUp`, `Replay` and `Live` in this order bring one up to date after
    /// `restore`; the last step repeats what no record can: the silences that an earlier process
    /// has reported.
    pub fn enter(&mut self, stage: Stage, effects: &mut Effects) {
        if stage == Stage::Live {
            self.repeat_silences(effects);
        }
        self.stage = stage;
    }

    /// It is `now`: whoever has been silent for too long fires. Stops after about `events_max`
    /// events; true when more are due.
    pub fn tick(&mut self, now: Micros, events_max: usize, effects: &mut Effects) -> bool {
        let enough = effects.transitions.len().saturating_add(events_max);
        while effects.transitions.len() < enough {
            if !self.fire_next_silence(now, effects) {
                return false;
            }
        }
        self.next_deadline().is_some_and(|deadline| deadline <= now)
    }

    /// When `tick` may have something to do; it is never later than that.
    pub fn next_deadline(&self) -> Option<Micros> {
        self.silences.next_deadline()
    }

    /// Millrace could not receive anything before `since`: every device gets its whole interval
    /// again.
    pub fn listen_since(&mut self, since: Micros) {
        self.listening_since = self.listening_since.max(since);
    }

    /// The wall clock was set by so much and shows `now`: what is measured by times of receipt goes
    /// on as if it had always shown the new time. What was told already stays as it was told.
    pub fn clock_was_set(&mut self, by: Micros, now: Micros) {
        self.listening_since = self.listening_since.saturating_add(by);
        self.silences.clock_was_set(by);
        if self.stage != Stage::Live {
            // The records of a replay bear the time before the step; their samples move together
            // when it is over.
            self.set_in_replay = self.set_in_replay.saturating_add(by);
            return;
        }
        for instance in &mut self.thresholds {
            instance.clock_was_set(by, now);
        }
    }

    /// The replay is over, and the clock shows `now`. Records from before may bear times of receipt
    /// that lie behind it, `last` at the latest: the clock that stamped them was ahead, and what is
    /// measured by it goes on from the present.
    pub fn leave_future(&mut self, last: Micros, now: Micros) {
        let by = std::mem::take(&mut self.set_in_replay);
        for instance in &mut self.thresholds {
            if by != 0 {
                instance.clock_was_set(by, now);
            }
            instance.leave_future(last.saturating_add(by), now);
        }
        self.leave_future_of_silences(now);
    }

    /// The events of the alerts that are firing, in no particular order.
    pub fn active(&self) -> impl Iterator<Item = &Arc<Event>> {
        let thresholds = self.thresholds.iter().map(|instance| &instance.active);
        thresholds.chain(self.silences.active()).flatten()
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub fn instances_len(&self) -> usize {
        self.thresholds.len() + self.silences.len()
    }

    /// Whether another instance may be created; counts and, once, reports the refusal.
    fn has_room(&mut self) -> bool {
        if self.instances_len() < self.max_instances {
            return true;
        }
        self.counters.instances_refused += 1;
        if !self.refusal_reported {
            self.refusal_reported = true;
            warn!(
                max_instances = self.max_instances,
                "alert instances have reached their limit; further devices and metrics are not watched"
            );
        }
        false
    }
}

/// What makes an event besides the instance it is about.
struct Change<'a> {
    device: &'a str,
    metric: &'a str,
    unit: &'a str,
    state: EventState,
    value: Option<f64>,
    labels: &'a Labels,
    position: Position,
    cause: Cause,
    started_at: Micros,
    updated_at: Micros,
    count: u32,
    /// That of the firing event, for the one that ends it.
    threshold: Option<f64>,
}

impl Change<'_> {
    /// Builds the event, finds out whether it was published before, and adds it to the effects.
    fn emit(self, rule: &Rule, restored: &mut Restored, effects: &mut Effects) -> Arc<Event> {
        let threshold = self
            .threshold
            .unwrap_or_else(|| event::threshold_of(rule, self.value));
        let about = About {
            device: self.device,
            metric: self.metric,
            value: self.value,
            unit: self.unit,
            state: self.state,
            labels: self.labels,
        };
        let message = event::message(rule, &about, threshold);
        let subject = Subject {
            rule: &rule.name,
            device: self.device,
            metric: self.metric,
            transition: self.state.as_str(),
        };
        let id = subject.event_id(self.position, self.cause);
        let cause = subject.cause_id(self.cause);
        let event = Arc::new(Event {
            id: id.to_string(),
            rule: rule.name.clone(),
            device: self.device.to_owned(),
            metric: self.metric.to_owned(),
            severity: rule.severity,
            state: self.state,
            value: self.value,
            threshold,
            message,
            labels: self.labels.clone(),
            started_at: self.started_at,
            updated_at: self.updated_at,
            count: self.count,
        });
        effects.transitions.push(Transition {
            event: Arc::clone(&event),
            id,
            cause,
            position: self.position,
            publication: restored.publication(id, cause),
        });
        event
    }
}
