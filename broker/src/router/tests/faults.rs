//! What rumqttd's router does when it is not guarded, and that nobody is the worse for it.

use std::num::NonZeroU64;
use std::sync::mpsc;

use super::super::poison::Fault;
use super::*;

#[tokio::test]
async fn a_panic_of_the_router_loses_and_doubles_nothing() {
    let (router, recorder) = start();
    for (id, filter) in (0..).zip(["#", "a/+", "+/b", "a/#"]) {
        router.subscribe(FilterId(id), filter);
    }
    for n in 0..20_000 {
        if n % 1_000 == 500 {
            router.inject(Fault::Panic);
        }
        publish(&router, &message("a/b", n));
    }
    for id in 0..4 {
        recorder.wait_for(FilterId(id), 20_000);
    }
    assert_serves_newcomer(&router, &recorder, 9);
    router.shutdown().await;
    let expected: Vec<u64> = (0..20_000).collect();
    for id in 1..4 {
        assert_eq!(recorder.got(FilterId(id)), expected, "filter {id}");
    }
    assert_eq!(recorder.got(FilterId(0))[..20_000], expected);
    let stats = router.stats();
    assert!((1..=20).contains(&stats.failures), "{stats:?}");
}

#[tokio::test]
async fn a_router_that_dies_in_silence_is_replaced() {
    let (router, recorder) = start();
    router.subscribe(FilterId(1), "a/+");
    for n in 0..5 {
        router.inject(Fault::Panic);
        publish(&router, &message("a/b", n));
        recorder.wait_for(FilterId(1), n as usize + 1);
    }
    assert_serves_newcomer(&router, &recorder, 2);
    router.shutdown().await;
    assert_eq!(recorder.got(FilterId(1)), [0, 1, 2, 3, 4]);
    // The third in a row without a confirmed message has the router bypassed for a while.
    assert!(router.stats().failures >= 3, "{:?}", router.stats());
}

#[tokio::test]
async fn a_router_that_hangs_is_replaced() {
    let settings = Settings {
        hang_after: Duration::from_millis(200),
        ..Settings::default()
    };
    let (router, recorder) = start_with(settings);
    router.subscribe(FilterId(1), "a/+");
    let (release, until) = mpsc::channel();
    for n in 0..50 {
        publish(&router, &message("a/b", n));
    }
    router.inject(Fault::Hang(until));
    for n in 50..100 {
        publish(&router, &message("a/b", n));
    }
    recorder.wait_for(FilterId(1), 100);
    assert_serves_newcomer(&router, &recorder, 2);
    assert!(router.stats().failures >= 1);
    // The one that hung finds that it was told to end.
    drop(release);
    router.shutdown().await;
    assert_eq!(recorder.got(FilterId(1)), (0..100).collect::<Vec<_>>());
}

/// As if each message were fatal: there is no progress with any router, so they are matched without
/// one.
#[tokio::test]
async fn a_router_that_always_dies_is_bypassed() {
    let settings = Settings {
        panic_every: NonZeroU64::new(1),
        ..Settings::default()
    };
    let (router, recorder) = start_with(settings);
    let filters = ["#", "a/+", "+/b", "$x/#", "é/#"];
    let topics = ["a/b", "a", "$x/b", "é", "é/b", "c/b", "/b"];
    for (id, filter) in (0..).zip(filters) {
        router.subscribe(FilterId(id), filter);
    }
    for n in 0..70 {
        publish(&router, &message(topics[n as usize % topics.len()], n));
    }
    // Before the shutdown, which does not try a router again.
    recorder.wait_for(FilterId(1), 10);
    router.shutdown().await;
    for (id, filter) in (0..).zip(filters) {
        let expected: Vec<u64> = (0..70)
            .filter(|n| reference(filter, topics[*n as usize % topics.len()]))
            .collect();
        assert_eq!(recorder.got(FilterId(id)), expected, "{filter}");
    }
    let stats = router.stats();
    assert!(stats.bypassed > 0, "{stats:?}");
    assert_eq!(stats.queued_messages, 0, "{stats:?}");
}

/// Filters that come and go while there is no router to speak of.
#[tokio::test]
async fn subscribing_works_without_a_router() {
    let settings = Settings {
        panic_every: NonZeroU64::new(1),
        ..Settings::default()
    };
    let (router, recorder) = start_with(settings);
    for n in 0..40 {
        let id = FilterId(n);
        router.subscribe(id, "a/+");
        publish(&router, &message("a/b", n));
        router.unsubscribe(id);
        publish(&router, &message("a/b", 1_000 + n));
    }
    router.shutdown().await;
    for n in 0..40 {
        assert_eq!(recorder.got(FilterId(n)), [n]);
    }
}

#[tokio::test]
async fn a_delivery_that_panics_costs_one_message_of_one_filter() {
    struct Choosy(Recorder);
    impl Deliver for Choosy {
        fn deliver(&self, filter: FilterId, message: &Arc<Message>) {
            assert!(
                (filter, number(message)) != (FilterId(1), 3),
                "for the test"
            );
            self.0.deliver(filter, message);
        }
    }
    let choosy = Arc::new(Choosy(Recorder::default()));
    let router = Router::start(Settings::default(), Arc::clone(&choosy) as Arc<dyn Deliver>)
        .expect("the router starts");
    router.subscribe(FilterId(1), "a/+");
    router.subscribe(FilterId(2), "+/b");
    (0..6).for_each(|n| publish(&router, &message("a/b", n)));
    router.shutdown().await;
    assert_eq!(choosy.0.got(FilterId(1)), [0, 1, 2, 4, 5]);
    assert_eq!(choosy.0.got(FilterId(2)), [0, 1, 2, 3, 4, 5]);
    let stats = router.stats();
    assert_eq!((stats.delivery_panics, stats.failures), (1, 0));
}
