//! Listening to alerts while load runs.
//!
//! Owns: the subscription, and the time from publish to alert. Never: judges an alert. Invariant:
//! an alert is matched to the message that caused it by device and event time; what cannot be
//! matched is counted as received and nothing else.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::task::JoinHandle;

use super::latency::{Latencies, LatencySummary};
use crate::Error;
use crate::wire::{Broker, ConnectError, News, Subscriber};

/// Messages of each device that an alert may still be matched to.
const RECENT_MAX: usize = 64;
/// How long the subscription may take.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);
/// At the end of a run: how long no alert must have come before listening ends, and how long it
/// lasts at most.
const QUIET: Duration = Duration::from_millis(300);
const QUIET_MAX: Duration = Duration::from_secs(5);
/// Wait before the subscription is made again after the server went away.
const RECONNECT: Duration = Duration::from_millis(200);

/// When the latest messages of each device were meant to be sent.
#[derive(Debug)]
pub(crate) struct Recent {
    numbers: HashMap<String, usize>,
    sent: Vec<Mutex<VecDeque<(i64, Instant)>>>,
}

impl Recent {
    /// The devices of the run, in the order of their numbers.
    pub(crate) fn new(devices: impl Iterator<Item = String>) -> Self {
        let numbers: HashMap<String, usize> = devices
            .enumerate()
            .map(|(number, name)| (name, number))
            .collect();
        let sent = (0..numbers.len()).map(|_| Mutex::default()).collect();
        Self { numbers, sent }
    }

    /// A message with its newest sample at `time_us` was meant to be sent at `intended`.
    pub(crate) fn note(&self, device: usize, time_us: i64, intended: Instant) {
        let Some(ring) = self.sent.get(device) else {
            return;
        };
        let mut ring = lock(ring);
        if ring.len() >= RECENT_MAX {
            ring.pop_front();
        }
        ring.push_back((time_us, intended));
    }

    /// Milliseconds are enough to find the message: an event may be written with no more.
    fn find(&self, device: &str, time_us: i64) -> Option<Instant> {
        let ring = lock(&self.sent[*self.numbers.get(device)?]);
        let found = ring
            .iter()
            .rev()
            .find(|(time, _)| *time == time_us)
            .or_else(|| {
                ring.iter()
                    .rev()
                    .find(|(time, _)| time.div_euclid(1_000) == time_us.div_euclid(1_000))
            });
        found.map(|(_, intended)| *intended)
    }
}

/// What was heard.
#[derive(Debug)]
struct Heard {
    received: u64,
    latencies: Latencies,
    last: Instant,
}

#[derive(Debug)]
pub(crate) struct Listener {
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

/// The parts of an alert that tell what caused it.
#[derive(Debug, Deserialize)]
struct AlertEvent {
    device: String,
    /// Event time of the sample that made the change; RFC 3339 or an epoch.
    updated_at: Option<serde_json::Value>,
    started_at: Option<serde_json::Value>,
}

impl Listener {
    /// Subscribes; returns when the server has granted it.
    pub(crate) async fn start(
        broker: &Broker,
        filter: &str,
        recent: Arc<Recent>,
    ) -> Result<Self, Error> {
        let client_id = format!("simulate-alerts-{}", std::process::id());
        let failed = |error: ConnectError| Error::Alerts {
            filter: filter.to_owned(),
            source: error,
        };
        let granted = async {
            let mut subscriber = Subscriber::open(broker, &client_id, filter).await?;
            while subscriber.next().await? != News::Granted {}
            Ok(subscriber)
        };
        let granted = tokio::time::timeout(SUBSCRIBE_TIMEOUT, Box::pin(granted)).await;
        let mut subscriber = granted
            .unwrap_or(Err(ConnectError::Timeout(SUBSCRIBE_TIMEOUT)))
            .map_err(failed)?;
        let heard = Arc::new(Mutex::new(Heard {
            received: 0,
            latencies: Latencies::new(),
            last: Instant::now(),
        }));
        let (shared, filter) = (Arc::clone(&heard), filter.to_owned());
        let broker = broker.clone();
        let task = tokio::spawn(async move {
            loop {
                while let Ok(news) = subscriber.next().await {
                    hear_news(&news, &shared, &recent);
                }
                // A new connection knows nothing of the subscription.
                subscriber = loop {
                    tokio::time::sleep(RECONNECT).await;
                    if let Ok(again) = Subscriber::open(&broker, &client_id, &filter).await {
                        break again;
                    }
                };
            }
        });
        Ok(Self { heard, task })
    }

    /// Waits until no more alerts come, and says what was heard.
    pub(crate) async fn finish(self) -> (u64, Option<LatencySummary>) {
        let deadline = Instant::now() + QUIET_MAX;
        loop {
            let quiet_at = (lock(&self.heard).last + QUIET).min(deadline);
            if Instant::now() >= quiet_at {
                break;
            }
            tokio::time::sleep_until(quiet_at.into()).await;
        }
        let heard = lock(&self.heard);
        (heard.received, heard.latencies.summary())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether a topic carries the state of alerts or commands to them, and not a change:
/// `alerts/active/…`.
fn is_state(topic: &str) -> bool {
    matches!(topic.split('/').nth(1), Some("active" | "command"))
}

fn hear_news(news: &News, heard: &Mutex<Heard>, recent: &Recent) {
    if let News::Message {
        topic,
        payload,
        retained: false,
    } = news
        && !is_state(topic)
    {
        hear(&mut lock(heard), payload, recent);
    }
}

fn hear(heard: &mut Heard, payload: &[u8], recent: &Recent) {
    let now = Instant::now();
    heard.received += 1;
    heard.last = now;
    let intended = serde_json::from_slice::<AlertEvent>(payload)
        .ok()
        .and_then(|event| {
            let time = event.updated_at.or(event.started_at)?;
            let text = time
                .as_str()
                .map_or_else(|| time.to_string(), str::to_owned);
            recent.find(&event.device, telemetry::time::parse_text(&text).ok()?)
        });
    if let Some(intended) = intended {
        heard
            .latencies
            .record(now.saturating_duration_since(intended));
    }
}

/// A poisoned lock guards whole values here: nothing panics between two changes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_matched_by_device_and_event_time() {
        let recent = Recent::new(["a", "b"].into_iter().map(str::to_owned));
        let sent = Instant::now();
        recent.note(1, 1_735_689_600_123_456, sent);
        let mut heard = Heard {
            received: 0,
            latencies: Latencies::new(),
            last: sent,
        };
        let events = [
            (
                r#"{"device":"b","started_at":"2025-01-01T00:00:00Z",
                    "updated_at":"2025-01-01T00:00:00.123456Z"}"#,
                1,
            ),
            (
                r#"{"device":"b","updated_at":"2025-01-01T00:00:00.123Z"}"#,
                2,
            ),
            (r#"{"device":"b","updated_at":1735689600123456}"#, 3),
            (
                r#"{"device":"b","started_at":"2025-01-01T00:00:00.123456Z"}"#,
                4,
            ),
            (
                r#"{"device":"a","updated_at":"2025-01-01T00:00:00.123456Z"}"#,
                4,
            ),
            (r#"{"device":"b","updated_at":"2025-01-01T00:00:01Z"}"#, 4),
            (
                r#"{"device":"c","updated_at":"2025-01-01T00:00:00.123456Z"}"#,
                4,
            ),
            ("not json", 4),
        ];
        for (index, (payload, matched)) in events.into_iter().enumerate() {
            hear(&mut heard, payload.as_bytes(), &recent);
            assert_eq!(heard.received, index as u64 + 1);
            let count = heard.latencies.summary().map_or(0, |summary| summary.count);
            assert_eq!(count, matched, "{payload}");
        }
    }

    #[test]
    fn only_the_latest_messages_are_remembered() {
        let recent = Recent::new(["a"].into_iter().map(str::to_owned));
        for time in 0..1_000 {
            recent.note(0, time * 1_000, Instant::now());
        }
        assert!(recent.find("a", 999_000).is_some());
        assert!(recent.find("a", 900_000).is_none());
    }
}
