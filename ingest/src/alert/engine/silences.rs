//! Instances of silence rules, and their timers.
//!
//! Owns: what is kept of one, and the queue of deadlines. Invariant: an instance has at most one
//! entry in the queue, and one that is not silent has it at its deadline or earlier. A report does
//! not touch the queue: an entry that comes up too early goes back with the deadline that is true
//! by then. So a report costs a comparison, and an instance comes up once per interval.
//!
//! A state is stored when an instance is armed, fires or resolves, not with each report: after a
//! restart everybody gets the whole interval anyway.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use journal::Position;
use store::AlertStateRow;
use telemetry::Micros;

use super::super::event::{Event, EventState};
use super::super::id::{Cause, Subject};
use super::super::labels::Labels;
use super::super::published::Entry;
use super::super::rules::Condition;
use super::super::silence::{Effect, Input, Silence, State};
use super::stored::Stored;
use super::{Change, Effects, Engine, InstanceRef, Origin, Stage};

#[derive(Default)]
pub(super) struct Silences {
    list: Vec<SilenceInstance>,
    timers: BinaryHeap<Reverse<(Micros, u32)>>,
}

pub(super) struct SilenceInstance {
    pub(super) rule: u32,
    /// How often it has fired.
    pub(super) fired: u32,
    pub(super) device: Box<str>,
    /// Empty when any message of the device is a sign of life.
    pub(super) metric: Box<str>,
    pub(super) labels: Labels,
    pub(super) state: State,
    /// Of the last report.
    pub(super) position: Position,
    /// Whether it has an entry in the queue.
    pub(super) has_timer: bool,
    /// The event that began the alert, while it is silent.
    pub(super) active: Option<Arc<Event>>,
}

impl Silences {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn active(&self) -> impl Iterator<Item = &Option<Arc<Event>>> {
        self.list.iter().map(|instance| &instance.active)
    }

    pub(super) fn next_deadline(&self) -> Option<Micros> {
        self.timers.peek().map(|Reverse((deadline, _))| *deadline)
    }

    /// The wall clock was set by so much: what is left of each interval stays.
    pub(super) fn clock_was_set(&mut self, by: Micros) {
        for instance in &mut self.list {
            instance.state.seen_at = instance.state.seen_at.saturating_add(by);
        }
        let timers = std::mem::take(&mut self.timers).into_vec().into_iter();
        self.timers = timers
            .map(|Reverse((deadline, index))| Reverse((deadline.saturating_add(by), index)))
            .collect();
    }
}

impl Engine {
    /// Nobody was heard after `now`.
    pub(super) fn leave_future_of_silences(&mut self, now: Micros) {
        let list = &mut self.silences.list;
        if list.iter().all(|instance| instance.state.seen_at <= now) {
            return;
        }
        for instance in list {
            instance.state.seen_at = instance.state.seen_at.min(now);
            instance.has_timer = false;
        }
        self.silences.timers.clear();
        for index in 0..self.silences.list.len() as u32 {
            self.start_timer(index);
        }
    }

    /// The restored instance, or a new one, armed by this record; `None` when there are too many.
    pub(super) fn silence_instance(
        &mut self,
        rule: u32,
        device: &str,
        metric: &str,
        labels: &Labels,
        origin: Origin,
        effects: &mut Effects,
    ) -> Option<u32> {
        if let Some(InstanceRef::Silence(index)) = self.claims.claim(rule, device, metric) {
            return Some(index);
        }
        if !self.has_room() {
            return None;
        }
        let index = self.push_silence(SilenceInstance {
            rule,
            fired: 0,
            device: device.into(),
            metric: metric.into(),
            labels: labels.clone(),
            state: State {
                seen_at: origin.received_at,
                silent: false,
            },
            position: origin.position,
            has_timer: false,
            active: None,
        });
        self.store_silence(index, effects);
        Some(index)
    }

    pub(super) fn push_silence(&mut self, instance: SilenceInstance) -> u32 {
        let index = self.silences.list.len() as u32;
        self.silences.list.push(instance);
        self.start_timer(index);
        index
    }

    /// A sign of life.
    pub(super) fn silence_report(&mut self, index: u32, origin: Origin, effects: &mut Effects) {
        if self.stage == Stage::WarmUp && self.silences.list[index as usize].state.silent {
            // It fell silent after this record.
            return;
        }
        if self.stage == Stage::Replay && !self.restored.is_empty() {
            self.repeat_silence(index, Some(origin.position), effects);
        }
        let Some(condition) = self.silence_of(index) else {
            return;
        };
        let instance = &mut self.silences.list[index as usize];
        let input = Input::Report {
            at: origin.received_at,
        };
        let (state, effect) = condition.step(instance.state, input);
        instance.state = state;
        instance.position = instance.position.max(origin.position);
        if effect == Effect::Resolved {
            let started_at = match instance.active.take() {
                Some(event) => event.started_at,
                None => origin.received_at,
            };
            let times = (started_at, origin.received_at);
            self.emit_silence(index, EventState::Resolved, origin.position, times, effects);
            self.start_timer(index);
        }
    }

    /// Takes the next entry that is due from the queue; false when there is none.
    pub(super) fn fire_next_silence(&mut self, now: Micros, effects: &mut Effects) -> bool {
        let Some(due) = self.silences.timers.peek_mut() else {
            return false;
        };
        let Reverse((deadline, index)) = *due;
        if deadline > now {
            return false;
        }
        std::collections::binary_heap::PeekMut::pop(due);
        let Some(condition) = self.silence_of(index) else {
            return true;
        };
        if self.stage == Stage::Replay {
            self.repeat_silence(index, None, effects);
        }
        let instance = &mut self.silences.list[index as usize];
        instance.has_timer = false;
        let input = Input::Tick {
            now,
            listening_since: self.listening_since,
        };
        let (state, effect) = condition.step(instance.state, input);
        instance.state = state;
        match effect {
            Effect::Fired { since, at } => {
                let position = instance.position;
                self.emit_silence(index, EventState::Firing, position, (since, at), effects);
            }
            _ => self.start_timer(index),
        }
        true
    }

    /// The replay is over: whoever an earlier process has reported as silent, and who
    /// has not been heard since, is silent.
    pub(super) fn repeat_silences(&mut self, effects: &mut Effects) {
        for index in 0..self.silences.list.len() as u32 {
            if self.restored.is_empty() {
                return;
            }
            self.repeat_silence(index, None, effects);
        }
    }

    /// An earlier process has published that this instance is silent, and died before it was
    /// stored. When it was silent is not in the journal, so it is taken from the log of what was
    /// published.
    fn repeat_silence(&mut self, index: u32, before: Option<Position>, effects: &mut Effects) {
        let instance = &self.silences.list[index as usize];
        let Some(rule) = self.rules.get(instance.rule) else {
            return;
        };
        if instance.state.silent {
            return;
        }
        let subject = Subject {
            rule: &rule.name,
            device: &instance.device,
            metric: &instance.metric,
            transition: EventState::Firing.as_str(),
        };
        let cause = subject.cause_id(Cause::Silence);
        let Some(entry) = self.restored.find(cause, instance.position, before) else {
            return;
        };
        let Entry {
            position,
            started_at,
            updated_at,
            ..
        } = entry;
        let instance = &mut self.silences.list[index as usize];
        instance.position = position;
        instance.state.silent = true;
        let times = (started_at, updated_at);
        self.emit_silence(index, EventState::Firing, position, times, effects);
    }

    fn emit_silence(
        &mut self,
        index: u32,
        state: EventState,
        position: Position,
        (started_at, updated_at): (Micros, Micros),
        effects: &mut Effects,
    ) {
        let instance = &mut self.silences.list[index as usize];
        let Some(rule) = self.rules.get(instance.rule) else {
            return;
        };
        if state == EventState::Firing {
            instance.fired = instance.fired.saturating_add(1);
        }
        let change = Change {
            device: &instance.device,
            metric: &instance.metric,
            unit: "",
            state,
            value: None,
            labels: &instance.labels,
            position,
            cause: Cause::Silence,
            started_at,
            updated_at,
            count: instance.fired,
            threshold: None,
        };
        let event = change.emit(rule, &mut self.restored, effects);
        instance.active = (state == EventState::Firing).then_some(event);
        self.store_silence(index, effects);
    }

    fn store_silence(&self, index: u32, effects: &mut Effects) {
        let instance = &self.silences.list[index as usize];
        let Some(rule) = self.rules.get(instance.rule) else {
            return;
        };
        let (seen_at, position) = (instance.state.seen_at, instance.position);
        let (fired, labels) = (instance.fired, instance.labels.clone());
        let stored = match &instance.active {
            None => Stored::Armed {
                seen_at,
                position,
                fired,
                labels,
            },
            Some(event) => Stored::Silent {
                seen_at,
                position,
                fired,
                labels,
                event: Arc::clone(event),
            },
        };
        effects.states.push(AlertStateRow {
            rule: rule.name.clone(),
            device: instance.device.to_string(),
            metric: instance.metric.to_string(),
            state: Some(stored.to_json()),
        });
    }

    fn start_timer(&mut self, index: u32) {
        let Some(condition) = self.silence_of(index) else {
            return;
        };
        let instance = &mut self.silences.list[index as usize];
        if instance.state.silent || instance.has_timer {
            return;
        }
        instance.has_timer = true;
        let deadline = condition.deadline(instance.state, self.listening_since);
        self.silences.timers.push(Reverse((deadline, index)));
    }

    fn silence_of(&self, index: u32) -> Option<Silence> {
        let rule = self.rules.get(self.silences.list[index as usize].rule)?;
        match rule.condition {
            Condition::Silence(silence) => Some(silence),
            Condition::Threshold(_) => None,
        }
    }
}

#[cfg(test)]
impl Silences {
    pub(super) fn timers_len(&self) -> usize {
        self.timers.len()
    }
}
