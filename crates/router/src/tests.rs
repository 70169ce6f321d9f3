//! The router as the broker sees it, with rumqttd behind it.

use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, mpsc};
use std::time::Duration;

use mqtt::topic;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::poison::Fault;
use super::queue::MESSAGES_MAX;
use super::*;

/// Far beyond what anything here takes; its end is a test that fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);
/// Much longer than a router needs for a batch, and soon over.
const HANG_AFTER: Duration = Duration::from_millis(500);

/// Notes what is delivered, as filter and message, and matches without rumqttd.
#[derive(Default)]
struct Recorder {
    filters: RwLock<Vec<&'static str>>,
    deliveries: Mutex<Vec<(&'static str, u64)>>,
    changed: Condvar,
}

impl Outlet<&'static str, u64> for Recorder {
    fn deliver(&self, filter: &&'static str, message: &u64) {
        assert_ne!(*filter, "panics/+", "the outlet panics");
        self.deliveries.lock().unwrap().push((filter, *message));
        self.changed.notify_all();
    }

    fn matching(&self, topic: &str) -> Vec<&'static str> {
        let filters = self.filters.read().unwrap();
        let matching = filters
            .iter()
            .filter(|filter| topic::matches(filter, topic));
        matching.copied().collect()
    }
}

struct Bench {
    router: Rumqttd<&'static str, u64>,
    recorder: Arc<Recorder>,
    published: u64,
}

impl Bench {
    fn start() -> Bench {
        let recorder = Arc::<Recorder>::default();
        let outlet = Arc::clone(&recorder) as Arc<dyn Outlet<&'static str, u64>>;
        Bench {
            router: Rumqttd::start_with(outlet, HANG_AFTER).expect("a thread"),
            recorder,
            published: 0,
        }
    }

    fn subscribe(&self, filters: &[&'static str]) {
        for filter in filters {
            self.recorder.filters.write().unwrap().push(filter);
            self.router.subscribe(filter, filter);
        }
    }

    fn unsubscribe(&self, filter: &'static str) {
        self.router.unsubscribe(filter);
        let mut filters = self.recorder.filters.write().unwrap();
        filters.retain(|known| *known != filter);
    }

    /// Publishes the next number.
    fn publish(&mut self, topic: &str) {
        self.published += 1;
        let accepted = self.router.publish(&topic.into(), self.published);
        accepted.expect("there is room");
    }

    /// Publishes the next number, and waits until all that was published is delivered.
    fn publish_and_wait(&mut self, topic: &str) {
        self.publish(topic);
        let start = std::time::Instant::now();
        while self.router.stats().delivered < self.published {
            assert!(start.elapsed() < PATIENCE, "{:?}", self.router.stats());
            std::thread::yield_now();
        }
    }

    fn wait_for(&self, count: usize) {
        let deliveries = self.recorder.deliveries.lock().unwrap();
        let missing = |all: &mut Vec<_>| all.len() < count;
        let waited = self
            .recorder
            .changed
            .wait_timeout_while(deliveries, PATIENCE, missing);
        let (deliveries, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "{} of {count}", deliveries.len());
    }

    fn got(&self, filter: &str) -> Vec<u64> {
        let deliveries = self.recorder.deliveries.lock().unwrap();
        let to_it = deliveries.iter().filter(|(to, _)| *to == filter);
        to_it.map(|(_, message)| *message).collect()
    }
}

#[test]
fn every_filter_gets_what_it_matches_in_the_order_of_publishing() {
    let mut bench = Bench::start();
    let filters = ["#", "a/+", "a/#", "+/b", "b/+"];
    bench.subscribe(&filters);
    let topics = ["a/b", "a/c", "b/b", "a", "c/d/e"];
    for topic in topics.iter().cycle().take(5_000) {
        bench.publish(topic);
    }
    bench.router.close();
    for filter in filters {
        let topics = (1..=5_000).zip(topics.iter().cycle());
        let matching = topics.filter(|(_, topic)| topic::matches(filter, topic));
        let expected: Vec<u64> = matching.map(|(number, _)| number).collect();
        assert_eq!(bench.got(filter), expected, "{filter}");
    }
    let stats = bench.router.stats();
    assert_eq!((stats.accepted, stats.delivered), (5_000, 5_000));
    assert_eq!((stats.failures, stats.bypassed), (0, 0));
}

/// Whatever the names are, rumqttd finds what the specification says.
#[test]
fn matching_is_that_of_the_specification() {
    const LEVELS: [&str; 11] = [
        "a", "b", "c", "", "é", "日本", "$x", "aa", "m", "s", "marker",
    ];
    let mut random: ChaCha8Rng = rand::SeedableRng::seed_from_u64(1);
    let mut name = |is_filter: bool| {
        let mut levels = Vec::new();
        for _ in 0..random.random_range(1..5) {
            let is_wildcard = is_filter && random.random_range(0..3) == 0;
            let level = LEVELS[random.random_range(0..LEVELS.len())];
            levels.push(if is_wildcard { "+" } else { level });
        }
        if is_filter && random.random_range(0..3) == 0 {
            levels.push("#");
        }
        levels.join("/")
    };
    let mut filters: Vec<String> = (0..200).map(|_| name(true)).collect();
    filters.sort();
    filters.dedup();
    let filters: Vec<&'static str> = filters.into_iter().map(|name| &*name.leak()).collect();
    let topics: Vec<String> = (0..1_500).map(|_| name(false)).collect();
    let mut bench = Bench::start();
    let valid = |name: &&&'static str| !name.is_empty();
    bench.subscribe(&filters.iter().filter(valid).copied().collect::<Vec<_>>());
    let topics: Vec<&str> = topics
        .iter()
        .map(String::as_str)
        .filter(|t| !t.is_empty())
        .collect();
    topics.iter().for_each(|topic| bench.publish(topic));
    bench.router.close();
    let mut matches = 0;
    for filter in filters.iter().filter(valid) {
        let matching = (1..)
            .zip(&topics)
            .filter(|(_, topic)| topic::matches(filter, topic));
        let expected: Vec<u64> = matching.map(|(number, _)| number).collect();
        assert_eq!(bench.got(filter), expected, "filter `{filter}`");
        matches += expected.len();
    }
    assert!(matches > 5_000, "the names are too far apart: {matches}");
    let stats = bench.router.stats();
    assert_eq!((stats.failures, stats.bypassed), (0, 0));
}

#[test]
fn the_longest_topics_arrive() {
    let mut bench = Bench::start();
    bench.subscribe(&["+/x/#", "#"]);
    for number in 0..20 {
        bench.publish(&format!("é{number}/x/{}", "/ü".repeat(21_000)));
        bench.publish("short");
    }
    bench.router.close();
    assert_eq!(bench.got("+/x/#"), (1..=40).step_by(2).collect::<Vec<_>>());
    assert_eq!(bench.got("#").len(), 40);
    assert_eq!(bench.router.stats().failures, 0);
}

/// The link's buffer holds 200 notifications, which one batch fills many times over.
#[test]
fn a_thousand_filters_get_every_message() {
    let mut bench = Bench::start();
    let filters: Vec<&'static str> = (0..1_000)
        .map(|number| &*format!("+/{number}/#").leak())
        .chain(["#", "a/#"])
        .collect();
    bench.subscribe(&filters);
    for number in 0..3_000 {
        bench.publish(&format!("a/{}/x", number % 1_000));
    }
    bench.router.close();
    assert_eq!(bench.got("#"), (1..=3_000).collect::<Vec<_>>());
    assert_eq!(bench.got("a/#"), (1..=3_000).collect::<Vec<_>>());
    assert_eq!(bench.got("+/7/#"), [8, 1_008, 2_008]);
    assert_eq!(bench.router.stats().failures, 0);
}

#[test]
fn a_filter_gets_what_was_published_in_its_time() {
    let mut bench = Bench::start();
    bench.publish_and_wait("a/b");
    bench.subscribe(&["a/+"]);
    bench.publish_and_wait("a/b");
    bench.unsubscribe("a/+");
    bench.publish_and_wait("a/b");
    bench.subscribe(&["a/+", "+/b"]);
    bench.publish_and_wait("a/b");
    assert_eq!(bench.got("a/+"), [2, 4]);
    assert_eq!(bench.got("+/b"), [4]);
}

#[test]
fn filters_that_come_and_go_are_forgotten() {
    let mut bench = Bench::start();
    bench.subscribe(&["stays/#"]);
    for number in 0..500 {
        let filter: &'static str = format!("+/{number}").leak();
        bench.subscribe(&[filter]);
        bench.publish_and_wait("stays/a");
        bench.unsubscribe(filter);
    }
    assert_eq!(bench.got("stays/#"), (1..=500).collect::<Vec<_>>());
    let stats = bench.router.stats();
    assert_eq!((stats.filters, stats.failures), (1, 0));
    assert!((5..=20).contains(&stats.renewals), "{stats:?}");
}

#[test]
fn a_router_that_knows_many_topics_is_replaced_without_a_loss() {
    let mut bench = Bench::start();
    bench.subscribe(&["a/+"]);
    for number in 0..25_000 {
        bench.publish(&format!("a/{number}"));
        if number % 1_000 == 999 {
            bench.wait_for(number + 1);
        }
    }
    bench.router.close();
    assert_eq!(bench.got("a/+"), (1..=25_000).collect::<Vec<_>>());
    let stats = bench.router.stats();
    assert_eq!((stats.renewals, stats.failures, stats.bypassed), (2, 0, 0));
}

#[test]
fn a_router_that_panics_loses_and_doubles_nothing() {
    let mut bench = Bench::start();
    let filters = ["#", "a/+", "+/b", "a/#"];
    bench.subscribe(&filters);
    for number in 0..20_000 {
        if number % 5_000 == 2_500 {
            bench.router.inject(Fault::Panic);
        }
        bench.publish("a/b");
        if number % 1_000 == 999 {
            bench.wait_for(4 * (number + 1));
        }
    }
    bench.router.close();
    for filter in filters {
        assert_eq!(
            bench.got(filter),
            (1..=20_000).collect::<Vec<_>>(),
            "{filter}"
        );
    }
    let stats = bench.router.stats();
    assert!((1..=4).contains(&stats.failures), "{stats:?}");
    assert!(stats.bypassed > 0, "{stats:?}");
}

#[test]
fn a_router_that_hangs_is_given_up_and_replaced() {
    let mut bench = Bench::start();
    bench.subscribe(&["a/+"]);
    let (release, until) = mpsc::channel();
    bench.router.inject(Fault::Hang(until));
    for _ in 0..50 {
        bench.publish_and_wait("a/b");
    }
    drop(release);
    let stats = bench.router.stats();
    assert_eq!((stats.failures, stats.bypassed), (1, 50));
    assert_eq!(bench.got("a/+"), (1..=50).collect::<Vec<_>>());
    // The next one serves again.
    let start = std::time::Instant::now();
    while bench.router.stats().bypassed == bench.published {
        assert!(start.elapsed() < PATIENCE);
        bench.publish_and_wait("a/b");
    }
    let expected: Vec<u64> = (1..=bench.published).collect();
    assert_eq!(bench.got("a/+"), expected);
}

#[test]
fn a_router_that_is_behind_is_not_waited_for() {
    let mut bench = Bench::start();
    bench.subscribe(&["a/+"]);
    let (release, until) = mpsc::channel();
    bench.router.inject(Fault::Hang(until));
    bench.publish("a/b");
    let mut refused = 0;
    for _ in 0..MESSAGES_MAX {
        match bench.router.publish(&"a/b".into(), bench.published + 1) {
            Ok(()) => bench.published += 1,
            Err(Full) => refused += 1,
        }
    }
    bench.router.close();
    drop(release);
    assert!(refused < MESSAGES_MAX / 2, "{refused}");
    assert_eq!(bench.got("a/+"), (1..=bench.published).collect::<Vec<_>>());
    assert_eq!(bench.router.stats().failures, 1);
    assert!(
        bench.router.publish(&"a/b".into(), 0).is_err(),
        "it is closed"
    );
}

#[test]
fn a_panic_in_one_delivery_costs_nobody_else_anything() {
    let mut bench = Bench::start();
    bench.subscribe(&["panics/+", "#"]);
    bench.publish("panics/a");
    bench.publish("a");
    bench.router.close();
    assert_eq!(bench.got("#"), [1, 2]);
    assert_eq!(bench.router.stats().failures, 0);
}
