//! The router as its users see it, with rumqttd behind it.

mod bench;
mod bounds;
mod faults;
mod matching;
mod storm;

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Deliver, FilterId, Router, Settings};
use crate::lock::lock;
use crate::message::Message;
use mqtt::Qos;

/// Far beyond what anything here takes; its end is a test that fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message that carries its number.
pub(super) fn message(topic: &str, number: u64) -> Arc<Message> {
    with_payload(topic, &number.to_le_bytes())
}

fn with_payload(topic: &str, payload: &[u8]) -> Arc<Message> {
    Arc::new(Message {
        topic: topic.into(),
        payload: Bytes::copy_from_slice(payload),
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: Bytes::new(),
        expiry_seconds: None,
        publisher: 1,
        received_at: 0,
        origin: Default::default(),
        holders: Default::default(),
    })
}

fn number(message: &Message) -> u64 {
    let first = message.payload.first_chunk().copied().unwrap_or_default();
    u64::from_le_bytes(first)
}

/// Numbers by filter, in the order of delivery.
type Deliveries = HashMap<FilterId, Vec<u64>>;

/// Notes what is delivered; can be made to stand still.
#[derive(Default)]
struct Recorder {
    deliveries: Mutex<Deliveries>,
    changed: Condvar,
    stopped: Mutex<bool>,
    resumed: Condvar,
}

impl Deliver for Recorder {
    fn deliver(&self, filter: FilterId, message: &Arc<Message>) {
        let stopped = lock(&self.stopped);
        drop(self.resumed.wait_while(stopped, |stopped| *stopped));
        lock(&self.deliveries)
            .entry(filter)
            .or_default()
            .push(number(message));
        self.changed.notify_all();
    }
}

impl Recorder {
    fn wait_for(&self, filter: FilterId, count: usize) {
        let missing = |all: &mut Deliveries| all.get(&filter).map_or(0, Vec::len) < count;
        let guard = lock(&self.deliveries);
        let (guard, timeout) = self
            .changed
            .wait_timeout_while(guard, PATIENCE, missing)
            .unwrap_or_else(PoisonError::into_inner);
        let got = guard.get(&filter).map_or(0, Vec::len);
        assert!(
            !timeout.timed_out(),
            "{filter:?} got {got} of {count} messages"
        );
    }

    fn got(&self, filter: FilterId) -> Vec<u64> {
        lock(&self.deliveries)
            .get(&filter)
            .cloned()
            .unwrap_or_default()
    }

    fn stop(&self) {
        *lock(&self.stopped) = true;
    }

    fn resume(&self) {
        *lock(&self.stopped) = false;
        self.resumed.notify_all();
    }
}

fn start() -> (Router, Arc<Recorder>) {
    start_with(Settings::default())
}

fn start_with(settings: Settings) -> (Router, Arc<Recorder>) {
    let recorder = Arc::<Recorder>::default();
    let deliver: Arc<dyn Deliver> = Arc::clone(&recorder) as Arc<dyn Deliver>;
    let router = Router::start(settings, deliver).expect("the router starts");
    (router, recorder)
}

/// Publishes, and waits for a place when there is none.
fn publish(router: &Router, message: &Arc<Message>) {
    while router.publish(message).is_err() {
        let waker = std::task::Waker::from(Arc::new(Unpark(std::thread::current())));
        router.wake_when_ready(&waker);
        std::thread::park_timeout(PATIENCE);
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Topic and number of what the newcomer gets.
const NEWCOMER: (&str, u64) = ("newcomer/x", 4_711);

/// Everybody who subscribes now is served.
fn assert_serves_newcomer(router: &Router, recorder: &Recorder, id: u64) {
    let id = FilterId(id);
    router.subscribe(id, "newcomer/+");
    publish(router, &message(NEWCOMER.0, NEWCOMER.1));
    recorder.wait_for(id, 1);
    assert_eq!(recorder.got(id), [NEWCOMER.1]);
}

/// The same numbers for the same seed, everywhere (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const LEVELS: &[&str] = &["a", "b", "c", "", "é", "日本", "$x", "aa", "m", "s", " "];

fn random_topic(random: &mut Random) -> String {
    loop {
        let levels = 1 + random.below(4);
        let topic = (0..levels)
            .map(|_| *random.pick(LEVELS))
            .collect::<Vec<_>>()
            .join("/");
        if !topic.is_empty() {
            return topic;
        }
    }
}

fn random_filter(random: &mut Random) -> String {
    loop {
        let mut levels: Vec<&str> = (0..1 + random.below(4))
            .map(|_| {
                if random.below(3) == 0 {
                    "+"
                } else {
                    *random.pick(LEVELS)
                }
            })
            .collect();
        if random.below(3) == 0 {
            levels.push("#");
        }
        let filter = levels.join("/");
        if !filter.is_empty() {
            return filter;
        }
    }
}

/// Section 4.7 of the specification, word by word.
fn reference(filter: &str, topic: &str) -> bool {
    fn levels(filter: &[&str], topic: &[&str]) -> bool {
        match (filter.split_first(), topic.split_first()) {
            (Some((&"#", _)), _) => true,
            (Some((&"+", filter)), Some((_, topic))) => levels(filter, topic),
            (Some((name, filter)), Some((level, topic))) => name == level && levels(filter, topic),
            (None, None) => true,
            _ => false,
        }
    }
    let wildcard_first = filter.starts_with(['+', '#']);
    let split = |name: &str| name.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (filter, names) = (split(filter), split(topic));
    let filter: Vec<&str> = filter.iter().map(String::as_str).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    !(wildcard_first && topic.starts_with('$')) && levels(&filter, &names)
}
