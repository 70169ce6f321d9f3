//! What is said about series whose messages come with different labels.
//!
//! Owns: how often the log is told. Never: decides which labels a series has; the first message
//! does. Invariant: a series is told of once, and a line comes at most once in a minute.

use std::time::{Duration, Instant};

use tracing::warn;

use crate::series::Series;

/// Between two lines.
const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Relabelling {
    /// Series that were not told of yet.
    new: u64,
    latest: Option<Example>,
    told: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Example {
    device: String,
    metric: String,
    labels: String,
    topic: String,
}

impl Relabelling {
    /// A message under this topic would give the series other labels; for `new` series that is
    /// news.
    pub(super) fn note(&mut self, series: &Series<'_>, topic: &str, new: u32) {
        if new == 0 {
            return;
        }
        self.new += u64::from(new);
        self.latest = Some(Example {
            device: series.device.to_owned(),
            metric: series.metric.to_owned(),
            labels: series.labels.to_owned(),
            topic: topic.to_owned(),
        });
    }

    /// Tells what has not been told yet, when its time has come; to be called now and then.
    pub(super) fn tell(&mut self) {
        if self.new == 0 {
            return;
        }
        let Some((series, latest)) = self.due(Instant::now()) else {
            return;
        };
        let Example {
            device,
            metric,
            labels,
            topic,
        } = latest;
        warn!(
            series,
            device,
            metric,
            labels,
            topic,
            "messages of one series name different labels; the series keeps those of its first \
             message. If they are different machines, let `device` of the topic's template hold \
             the parts that tell them apart"
        );
    }

    fn due(&mut self, now: Instant) -> Option<(u64, Example)> {
        let is_early = self
            .told
            .is_some_and(|told| now.saturating_duration_since(told) < INTERVAL);
        if is_early {
            return None;
        }
        let latest = self.latest.take()?;
        self.told = Some(now);
        Some((std::mem::take(&mut self.new), latest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::RuleSet;
    use store::SeriesKey;

    #[test]
    fn a_series_is_told_of_once_and_many_of_them_in_one_line() {
        let rules = RuleSet::default();
        let series = |device| Series {
            key: SeriesKey(0),
            device,
            metric: "t",
            unit: "",
            labels: r#"{"site":"north"}"#,
            scale: 1.0,
            offset: 0.0,
            rules: &rules,
        };
        let mut found = Relabelling::default();
        let start = Instant::now();
        found.note(&series("a"), "south/a", 0);
        assert_eq!(found.due(start), None);
        found.note(&series("a"), "south/a", 1);
        let (count, latest) = found.due(start).expect("the first at once");
        assert_eq!((count, latest.topic.as_str()), (1, "south/a"));
        found.note(&series("b"), "south/b", 2);
        found.note(&series("c"), "south/c", 1);
        assert_eq!(found.due(start + INTERVAL / 2), None);
        let (count, latest) = found.due(start + INTERVAL).expect("its time has come");
        assert_eq!((count, latest.device.as_str()), (3, "c"));
        assert_eq!(latest.labels, r#"{"site":"north"}"#);
        assert_eq!(found.due(start + 3 * INTERVAL), None);
    }
}
