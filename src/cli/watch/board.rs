//! Which alerts are shown, and in which order.
//!
//! Owns: telling changes from states, the filter, and what has been shown already. Never: prints.
//! Invariant: one change of an alert is shown once, however often the connection comes back.

use std::collections::{HashSet, VecDeque};

use globset::GlobMatcher;
use serde::Deserialize;

/// Events that are remembered as shown; enough for every alert that can be active on a screen.
const REMEMBERED_MAX: usize = 10_000;
/// Active alerts that are held back to be put in order.
const HELD_BACK_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    fn parse(text: &str) -> Option<Severity> {
        match text {
            "info" => Some(Severity::Info),
            "warning" => Some(Severity::Warning),
            "critical" => Some(Severity::Critical),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) severity: Option<Severity>,
    pub(super) device: Option<GlobMatcher>,
}

/// An event as it is published; what a later server adds is ignored, what it leaves out is empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct AlertEvent {
    pub(super) id: String,
    pub(super) rule: String,
    pub(super) device: String,
    pub(super) metric: String,
    pub(super) severity: String,
    pub(super) state: String,
    pub(super) value: Option<f64>,
    pub(super) threshold: Option<f64>,
    pub(super) message: String,
    pub(super) started_at: String,
    pub(super) updated_at: String,
}

impl AlertEvent {
    /// Severities that are not known are taken for the worst: better shown than missed.
    pub(super) fn severity(&self) -> Severity {
        Severity::parse(&self.severity).unwrap_or(Severity::Critical)
    }
}

/// An event to be printed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    pub(super) event: AlertEvent,
    /// It was there before we looked.
    pub(super) was_active: bool,
    payload: String,
}

impl Shown {
    /// The event as it was published, on one line.
    pub(super) fn json(&self) -> String {
        if self.payload.contains('\n') {
            let value: Option<serde_json::Value> = serde_json::from_str(&self.payload).ok();
            value.map_or_else(
                || self.payload.replace('\n', " "),
                |value| value.to_string(),
            )
        } else {
            self.payload.clone()
        }
    }
}

/// What has been seen of the alerts.
#[derive(Debug, Default)]
pub(super) struct Board {
    filter: Filter,
    /// Active alerts that have not been shown yet.
    held_back: Vec<Shown>,
    seen: HashSet<String>,
    seen_order: VecDeque<String>,
}

impl Board {
    pub(super) fn new(filter: Filter) -> Board {
        Board {
            filter,
            ..Board::default()
        }
    }

    /// Whether active alerts wait to be put in order.
    pub(super) fn is_settling(&self) -> bool {
        !self.held_back.is_empty()
    }

    /// Takes a message on `alerts/#`; returns what is to be shown now.
    pub(super) fn take(&mut self, topic: &str, payload: &[u8], retained: bool) -> Vec<Shown> {
        let is_state = match topic.split('/').nth(1) {
            Some("active") => true,
            // Commands are what people say to alerts, not what alerts say.
            Some("command") | None => return Vec::new(),
            Some(_) => false,
        };
        // The live copies of states repeat what the changes say.
        if is_state != retained {
            return Vec::new();
        }
        let Some(shown) = self.read(payload, is_state) else {
            return Vec::new();
        };
        if is_state && self.held_back.len() < HELD_BACK_MAX {
            self.held_back.push(shown);
            return Vec::new();
        }
        let mut list = self.settle();
        list.push(shown);
        list
    }

    /// The active alerts that were held back: the worst first, then the oldest.
    pub(super) fn settle(&mut self) -> Vec<Shown> {
        let mut list = std::mem::take(&mut self.held_back);
        list.sort_by(|one, other| {
            let (one, other) = (&one.event, &other.event);
            let by_severity = other.severity().cmp(&one.severity());
            by_severity.then_with(|| one.started_at.cmp(&other.started_at))
        });
        list
    }

    fn read(&mut self, payload: &[u8], was_active: bool) -> Option<Shown> {
        // An empty payload clears a state.
        let text = std::str::from_utf8(payload)
            .ok()
            .filter(|text| !text.is_empty())?;
        let event: AlertEvent = serde_json::from_str(text).ok()?;
        let wanted = self
            .filter
            .severity
            .is_none_or(|least| event.severity() >= least)
            && self
                .filter
                .device
                .as_ref()
                .is_none_or(|glob| glob.is_match(&event.device));
        if !wanted || !self.is_new(&event.id) {
            return None;
        }
        Some(Shown {
            event,
            was_active,
            payload: text.to_owned(),
        })
    }

    fn is_new(&mut self, id: &str) -> bool {
        if id.is_empty() {
            return true;
        }
        if !self.seen.insert(id.to_owned()) {
            return false;
        }
        self.seen_order.push_back(id.to_owned());
        if self.seen_order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}
