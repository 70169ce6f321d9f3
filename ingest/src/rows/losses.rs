//! What the log is told about messages and values that left no row: a summary now and then.
//!
//! Owns: how often, and at which level. Never: counts for anybody else (the table `ingest_reasons`
//! has every one). Invariant: however many there are, a line of each kind comes at most once in its
//! interval, and none is left out of its numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use journal::Position;
use store::Reason;
use store::{Batch, Outcome};
use tracing::{debug, info, warn};

/// Between two lines about what somebody should look into.
const INTERVAL: Duration = Duration::from_secs(10);
/// Between two lines about what the configuration asks for.
const QUIET_INTERVAL: Duration = Duration::from_secs(60);

/// Characters of a topic, a client id or a detail in a line: each may have thousands.
const SHOWN_CHARS_MAX: usize = 200;

/// What a user thinks of values that are filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A clock is wrong: the device's, or that of this machine.
    Clock,
    /// A limit of the configuration did its work; the device may have a fault.
    Unusual,
    /// Asked for, or normal.
    Expected,
}

#[derive(Debug, Default)]
pub(super) struct Losses {
    dead_letters: Summary,
    clock: Summary,
    unusual: Summary,
    expected: Summary,
}

/// What has not been told yet.
#[derive(Debug, Default)]
struct Summary {
    counts: BTreeMap<&'static str, u64>,
    latest: Latest,
    told: Option<Instant>,
}

/// The last message that was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Latest {
    topic: String,
    client_id: String,
    /// Empty where the reason says everything.
    detail: String,
}

impl Losses {
    /// A batch is committed.
    pub(super) fn note(&mut self, batch: &Batch) {
        for letter in &batch.dead_letters {
            self.dead_letters.count(letter.reason, 1);
        }
        if let Some(letter) = batch.dead_letters.last() {
            self.dead_letters.latest = Latest {
                topic: shown(&letter.topic),
                client_id: shown(&letter.client_id),
                detail: shown(&letter.detail),
            };
        }
        let mut latest: [Option<u32>; 2] = [None; 2];
        let without_values = (0_u32..)
            .zip(&batch.outcomes)
            .filter(|(_, outcome)| **outcome == Outcome::Filtered(Reason::NoValues))
            .map(|(record, _)| (record, Reason::NoValues, 1));
        let filtered = batch
            .filtered
            .iter()
            .map(|filtered| (filtered.record, filtered.reason, filtered.values));
        for (record, reason, values) in without_values.chain(filtered) {
            let kind = Kind::of(reason);
            self.summary(kind).count(reason.as_str(), u64::from(values));
            // What is expected is only told as numbers.
            if let Some(latest) = latest.get_mut(kind as usize) {
                *latest = (*latest).max(Some(record));
            }
        }
        for (kind, record) in [Kind::Clock, Kind::Unusual].into_iter().zip(latest) {
            let position = record.map(|record| batch.start.plus(u64::from(record)));
            if let Some(latest) = position.and_then(|position| find(batch, position)) {
                self.summary(kind).latest = latest;
            }
        }
    }

    /// Writes the lines whose time has come.
    pub(super) fn tell(&mut self, now: Instant) {
        self.write(now, INTERVAL, QUIET_INTERVAL);
    }

    /// Writes all there is, since nothing follows.
    pub(super) fn tell_all(&mut self, now: Instant) {
        self.write(now, Duration::ZERO, Duration::ZERO);
    }

    fn write(&mut self, now: Instant, interval: Duration, quiet_interval: Duration) {
        if let Some((counts, latest)) = self.dead_letters.take(now, interval) {
            warn!(
                topic = latest.topic,
                client = latest.client_id,
                detail = latest.detail,
                "not understood, kept in the table `dead_letters`: {counts}; the latest"
            );
        }
        if let Some((counts, latest)) = self.clock.take(now, interval) {
            warn!(
                topic = latest.topic,
                client = latest.client_id,
                "values are not stored, since the clock of a device or of this machine is wrong: {counts}; the latest"
            );
        }
        if let Some((counts, latest)) = self.unusual.take(now, quiet_interval) {
            info!(
                topic = latest.topic,
                client = latest.client_id,
                "values are not stored: {counts}; the latest"
            );
        }
        if let Some((counts, _)) = self.expected.take(now, quiet_interval) {
            debug!("values are filtered: {counts}");
        }
    }

    fn summary(&mut self, kind: Kind) -> &mut Summary {
        match kind {
            Kind::Clock => &mut self.clock,
            Kind::Unusual => &mut self.unusual,
            Kind::Expected => &mut self.expected,
        }
    }
}

impl Kind {
    fn of(reason: Reason) -> Kind {
        match reason {
            Reason::TooFarInFuture => Kind::Clock,
            Reason::NoValues | Reason::TooOld | Reason::NotFinite | Reason::OutOfRange => {
                Kind::Unusual
            }
            Reason::Denied | Reason::Duplicate | Reason::Deadband => Kind::Expected,
        }
    }
}

impl Summary {
    fn count(&mut self, reason: &'static str, count: u64) {
        *self.counts.entry(reason).or_default() += count;
    }

    /// `3 not_json, 1 bad_time` with the latest, when there is something and the last line is long
    /// enough ago.
    fn take(&mut self, now: Instant, interval: Duration) -> Option<(String, Latest)> {
        let is_early = self
            .told
            .is_some_and(|told| now.saturating_duration_since(told) < interval);
        if is_early || self.counts.is_empty() {
            return None;
        }
        let mut text = String::new();
        for (reason, count) in std::mem::take(&mut self.counts) {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma}{count} {reason}");
        }
        self.told = Some(now);
        Some((text, std::mem::take(&mut self.latest)))
    }
}

/// Where a record came from; it lies in the batch's chunks.
fn find(batch: &Batch, position: Position) -> Option<Latest> {
    let chunk = batch.chunks.iter().find(|chunk| chunk.end() > position)?;
    let (_, record) = chunk.records().find(|(at, _)| *at == position)?;
    Some(Latest {
        topic: shown(record.topic),
        client_id: shown(record.client_id),
        detail: String::new(),
    })
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{DeadLetter, FilteredValues};

    fn letters(reasons: &[&'static str]) -> Batch {
        let letter = |reason| DeadLetter {
            record: 0,
            received_at: 0,
            client_id: "press-1".into(),
            topic: "devices/press-1/telemetry".into(),
            payload: Vec::new(),
            reason,
            detail: format!("why {reason}"),
        };
        Batch {
            outcomes: vec![Outcome::DeadLettered; reasons.len()],
            dead_letters: reasons.iter().copied().map(letter).collect(),
            ..Batch::default()
        }
    }

    #[test]
    fn a_summary_comes_seldom_and_leaves_nothing_out() {
        let mut losses = Losses::default();
        let start = Instant::now();
        assert_eq!(losses.dead_letters.take(start, INTERVAL), None);
        losses.note(&letters(&["not_json"]));
        let (counts, latest) = losses
            .dead_letters
            .take(start, INTERVAL)
            .expect("the first at once");
        assert_eq!(counts, "1 not_json");
        assert_eq!(latest.topic, "devices/press-1/telemetry");
        assert_eq!(latest.detail, "why not_json");
        losses.note(&letters(&["not_json", "bad_time", "not_json"]));
        losses.note(&letters(&["empty"]));
        assert_eq!(
            losses.dead_letters.take(start + INTERVAL / 2, INTERVAL),
            None
        );
        let (counts, latest) = losses
            .dead_letters
            .take(start + INTERVAL, INTERVAL)
            .expect("its time has come");
        assert_eq!(counts, "1 bad_time, 1 empty, 2 not_json");
        assert_eq!(latest.detail, "why empty");
        assert_eq!(
            losses.dead_letters.take(start + 3 * INTERVAL, INTERVAL),
            None
        );
    }

    #[test]
    fn the_end_is_not_waited_for() {
        let mut losses = Losses::default();
        let start = Instant::now();
        losses.note(&letters(&["not_json"]));
        losses.tell(start);
        losses.note(&letters(&["not_json"]));
        losses.tell(start);
        assert!(!losses.dead_letters.counts.is_empty());
        losses.tell_all(start);
        assert!(losses.dead_letters.counts.is_empty());
    }

    #[test]
    fn filtered_values_are_told_by_what_they_mean() {
        let filtered = |reason, values| FilteredValues {
            record: 0,
            reason,
            values,
        };
        let mut losses = Losses::default();
        losses.note(&Batch {
            outcomes: vec![Outcome::Stored, Outcome::Filtered(Reason::NoValues)],
            filtered: vec![
                filtered(Reason::Duplicate, 2),
                filtered(Reason::TooFarInFuture, 3),
                filtered(Reason::OutOfRange, 4),
            ],
            ..Batch::default()
        });
        let now = Instant::now();
        let mut counts = |kind| Some(losses.summary(kind).take(now, QUIET_INTERVAL)?.0);
        assert_eq!(counts(Kind::Clock).as_deref(), Some("3 too_far_in_future"));
        assert_eq!(
            counts(Kind::Unusual).as_deref(),
            Some("1 no_values, 4 out_of_range")
        );
        assert_eq!(counts(Kind::Expected).as_deref(), Some("2 duplicate"));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shown("ä"), "ä");
        let cut = shown(&"ä".repeat(10_000));
        assert_eq!(cut.chars().count(), SHOWN_CHARS_MAX + 1);
    }
}
