//! What follows from a record leaves the lane: to the log of what was published, to the alert
//! topics, to the store's writer.
//!
//! Owns: the order of these steps, which the promise to publish nothing twice hangs on.

use journal::Position;
use store::AlertEventRow;

use super::super::super::engine::{Publication, Transition};
use super::super::super::published::Entry;
use super::{Flow, Lane, Stopped};

impl Lane {
    /// Publishes the effects and hands them to the store's writer: everything before `position` is
    /// evaluated.
    pub(super) fn settle(&mut self, position: Position) -> Flow {
        if self.effects.is_empty() {
            return Flow::Continue(());
        }
        let transitions = &self.effects.transitions;
        if !transitions.is_empty() {
            if !self.pending.wait_for_room(&self.control.stop) {
                // Nothing of it has happened yet: a replay repeats it.
                return Flow::Break(Stopped);
            }
            let unlogged = transitions
                .iter()
                .filter(|one| one.publication != Publication::Repeated);
            let entries: Vec<Entry> = unlogged.map(entry).collect();
            self.pending.announce(&entries);
        }
        let mut rows = Vec::with_capacity(transitions.len());
        for transition in transitions {
            let payload = transition.event.to_json();
            self.publisher.publish(transition, &payload);
            rows.push(row(transition, payload));
        }
        let resent = transitions.iter().filter_map(|one| match one.publication {
            Publication::Resent { earlier } => Some(earlier),
            _ => None,
        });
        let resent: Vec<_> = resent.collect();
        if !resent.is_empty() {
            self.pending.forget(resent);
        }
        self.recorded = position;
        self.pending
            .record(position, rows, self.effects.states.drain(..));
        self.effects.clear();
        Flow::Continue(())
    }
}

fn entry(transition: &Transition) -> Entry {
    Entry {
        id: transition.id,
        cause: transition.cause,
        position: transition.position,
        lost: false,
        started_at: transition.event.started_at,
        updated_at: transition.event.updated_at,
    }
}

fn row(transition: &Transition, payload: String) -> AlertEventRow {
    let event = &transition.event;
    AlertEventRow {
        id: event.id.clone(),
        time: event.updated_at,
        rule: event.rule.clone(),
        device: event.device.clone(),
        metric: event.metric.clone(),
        severity: event.severity.as_str().to_owned(),
        state: event.state.as_str().to_owned(),
        value: event.value,
        payload,
    }
}
