//! Instances as the database keeps them, and the way back.
//!
//! Owns: the JSON of a state, and what becomes of states whose rule has changed. Never: fails
//! because of a state that it cannot read; such an instance begins anew.

use std::sync::Arc;

use journal::Position;
use serde::{Deserialize, Serialize};
use store::AlertStateRow;
use telemetry::Micros;
use tracing::warn;

use super::super::event::{Event, EventState};
use super::super::id::{Cause, EventId, Subject};
use super::super::labels::Labels;
use super::super::rules::{Condition, Rule};
use super::super::silence;
use super::super::threshold::{Phase, State};
use super::silences::SilenceInstance;
use super::thresholds::{LatestIs, ThresholdInstance};
use super::{Effects, Engine, InstanceRef, Restored, Transition};

/// `AlertStateRow::state`. Times are microseconds; `fired` counts how often it has fired.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "lowercase")]
pub(super) enum Stored {
    Inactive {
        latest: Option<Micros>,
        fired: u32,
    },
    Pending {
        latest: Option<Micros>,
        fired: u32,
        since: Micros,
    },
    Firing {
        latest: Option<Micros>,
        fired: u32,
        since: Micros,
        #[serde(with = "shared")]
        event: Arc<Event>,
    },
    Armed {
        seen_at: Micros,
        position: Position,
        fired: u32,
        labels: Labels,
    },
    Silent {
        seen_at: Micros,
        position: Position,
        fired: u32,
        labels: Labels,
        #[serde(with = "shared")]
        event: Arc<Event>,
    },
}

impl Stored {
    pub(super) fn to_json(&self) -> String {
        // Strings, finite numbers and maps with string keys: nothing in it can be refused.
        serde_json::to_string(self).expect("a state consists of what JSON can hold")
    }

    /// Whether it bears a time that lies after `now`.
    fn is_after(&self, now: Micros) -> bool {
        match self {
            Stored::Inactive { latest, .. }
            | Stored::Pending { latest, .. }
            | Stored::Firing { latest, .. } => latest.is_some_and(|latest| latest > now),
            Stored::Armed { seen_at, .. } | Stored::Silent { seen_at, .. } => *seen_at > now,
        }
    }

    /// The event of an alert that is firing.
    fn active(&self) -> Option<&Arc<Event>> {
        match self {
            Stored::Firing { event, .. } | Stored::Silent { event, .. } => Some(event),
            _ => None,
        }
    }
}

impl Engine {
    /// Takes up what the database and `published.log` know, at `now`. An alert whose rule is gone,
    /// or no longer about it, ends. Times that lie in the future are told here, and not believed
    /// any more once the replay is over (`leave_future`): a rule would see nothing until they have
    /// come.
    pub fn restore(
        &mut self,
        rows: &[AlertStateRow],
        restored: Restored,
        now: Micros,
        effects: &mut Effects,
    ) {
        self.restored = restored;
        let mut in_future = 0_u64;
        for row in rows {
            let Some(json) = &row.state else { continue };
            match serde_json::from_str::<Stored>(json) {
                Ok(stored) => {
                    in_future += u64::from(stored.is_after(now));
                    self.restore_instance(row, stored, now, effects);
                }
                Err(error) => {
                    let (rule, device, metric) = (&row.rule, &row.device, &row.metric);
                    warn!(rule, device, metric, %error, "cannot read the state of an alert; it begins anew");
                    effects.states.push(deleted(row));
                }
            }
        }
        if in_future > 0 {
            warn!(
                alerts = in_future,
                "the states of alerts bear times in the future: this machine's clock was ahead, or \
                 that of devices is; the present is taken instead"
            );
        }
    }

    /// Devices have had their time to send again what a crash took along: returns the ids that
    /// nothing asked for.
    pub fn forget_restored(&mut self) -> Vec<EventId> {
        self.restored.drain()
    }

    fn restore_instance(
        &mut self,
        row: &AlertStateRow,
        stored: Stored,
        now: Micros,
        effects: &mut Effects,
    ) {
        let rules = Arc::clone(&self.rules);
        let reason = match rules.find(&row.rule) {
            None => "the rule was removed",
            Some((_, rule)) if !covers(rule, row, &stored) => {
                "the rule is about something else now"
            }
            Some((index, _)) => {
                let instance = self.push(index, row, stored);
                self.claims.add(index, &row.device, &row.metric, instance);
                return;
            }
        };
        if let Some(event) = stored.active() {
            self.end_orphan(event, reason, now, effects);
        }
        effects.states.push(deleted(row));
    }

    fn push(&mut self, rule: u32, row: &AlertStateRow, stored: Stored) -> InstanceRef {
        let threshold = |fired, latest, phase, active| ThresholdInstance {
            rule,
            fired,
            state: State { latest, phase },
            latest_is: LatestIs::Unknown,
            active,
        };
        let silence =
            |fired, seen_at, position, labels, active: Option<Arc<Event>>| SilenceInstance {
                rule,
                fired,
                device: row.device.as_str().into(),
                metric: row.metric.as_str().into(),
                labels,
                state: silence::State {
                    seen_at,
                    silent: active.is_some(),
                },
                position,
                has_timer: false,
                active,
            };
        let threshold = match stored {
            Stored::Inactive { latest, fired } => threshold(fired, latest, Phase::Inactive, None),
            Stored::Pending {
                latest,
                fired,
                since,
            } => threshold(fired, latest, Phase::Pending { since }, None),
            Stored::Firing {
                latest,
                fired,
                since,
                event,
            } => threshold(fired, latest, Phase::Firing { since }, Some(event)),
            Stored::Armed {
                seen_at,
                position,
                fired,
                labels,
            } => {
                let instance = silence(fired, seen_at, position, labels, None);
                return InstanceRef::Silence(self.push_silence(instance));
            }
            Stored::Silent {
                seen_at,
                position,
                fired,
                labels,
                event,
            } => {
                let instance = silence(fired, seen_at, position, labels, Some(event));
                return InstanceRef::Silence(self.push_silence(instance));
            }
        };
        InstanceRef::Threshold(self.push_threshold(threshold))
    }

    /// The resolved event of an alert that no rule watches any more.
    fn end_orphan(
        &mut self,
        firing: &Arc<Event>,
        reason: &str,
        now: Micros,
        effects: &mut Effects,
    ) {
        let subject = Subject {
            rule: &firing.rule,
            device: &firing.device,
            metric: &firing.metric,
            transition: EventState::Resolved.as_str(),
        };
        // No record causes it. The id of the event that began it gives a second attempt after
        // another crash the same id, and a later alert another one.
        let unwatched = Cause::Unwatched {
            firing: EventId::parse(&firing.id).unwrap_or(EventId([0; 16])),
        };
        let id = subject.event_id(Position::ZERO, unwatched);
        let cause = subject.cause_id(unwatched);
        let event = Event {
            id: id.to_string(),
            state: EventState::Resolved,
            value: None,
            message: format!("{reason}: {}", firing.message),
            updated_at: now,
            ..Event::clone(firing)
        };
        effects.transitions.push(Transition {
            event: Arc::new(event),
            id,
            cause,
            position: Position::ZERO,
            publication: self.restored.publication(id, cause),
        });
    }
}

/// Whether the rule, as it is now, is about the instance of an earlier process.
fn covers(rule: &Rule, row: &AlertStateRow, stored: &Stored) -> bool {
    let same_kind = match stored {
        Stored::Inactive { .. } | Stored::Pending { .. } | Stored::Firing { .. } => {
            matches!(rule.condition, Condition::Threshold(_))
        }
        Stored::Armed { .. } | Stored::Silent { .. } => {
            matches!(rule.condition, Condition::Silence(_))
        }
    };
    // The labels of other threshold instances are not stored; a sample brings them.
    let labels = match stored {
        Stored::Armed { labels, .. } | Stored::Silent { labels, .. } => Some(labels),
        Stored::Firing { event, .. } => Some(&event.labels),
        Stored::Inactive { .. } | Stored::Pending { .. } => None,
    };
    same_kind
        && rule.is_about_device() == row.metric.is_empty()
        && rule.scope.covers_device(&row.device)
        && rule.scope.covers_metric(&row.metric)
        && labels.is_none_or(|labels| rule.scope.covers_labels(labels))
}

fn deleted(row: &AlertStateRow) -> AlertStateRow {
    AlertStateRow {
        state: None,
        ..row.clone()
    }
}

/// An event behind a reference count, as if it stood there itself.
mod shared {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Event;

    pub(super) fn serialize<S: Serializer>(event: &Arc<Event>, out: S) -> Result<S::Ok, S::Error> {
        Event::serialize(event, out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Arc<Event>, D::Error> {
        Event::deserialize(input).map(Arc::new)
    }
}
