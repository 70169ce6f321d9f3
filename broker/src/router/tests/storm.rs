//! Filters that come and go while messages are published, against a model.

use super::super::owner::DEAD_MAX;
use super::super::poison::Fault;
use super::*;

struct Held {
    id: FilterId,
    filter: String,
    expected: Vec<u64>,
    live: bool,
}

/// Random subscribing, unsubscribing and publishing; each filter must get exactly what was
/// published in its time.
async fn storm(seed: u64, operations: u64, fault_every: Option<usize>) {
    let mut random = Random(seed);
    let (router, recorder) = start();
    let filters: Vec<String> = (0..40).map(|_| random_filter(&mut random)).collect();
    let topics: Vec<String> = (0..60).map(|_| random_topic(&mut random)).collect();
    let mut held: Vec<Held> = Vec::new();
    for n in 0..operations {
        if fault_every.is_some_and(|every| random.below(every) == 0) {
            router.inject(Fault::Panic);
        }
        match random.below(10) {
            0 => {
                let id = FilterId(held.len() as u64);
                let filter = random.pick(&filters).clone();
                router.subscribe(id, &filter);
                held.push(Held {
                    id,
                    filter,
                    expected: Vec::new(),
                    live: true,
                });
            }
            1 if !held.is_empty() => {
                let index = random.below(held.len());
                // Twice is once.
                router.unsubscribe(held[index].id);
                held[index].live = false;
            }
            _ => {
                let topic = random.pick(&topics);
                publish(&router, &message(topic, n));
                for held in held.iter_mut().filter(|held| held.live) {
                    if reference(&held.filter, topic) {
                        held.expected.push(n);
                    }
                }
            }
        }
    }
    assert_serves_newcomer(&router, &recorder, u64::MAX);
    router.shutdown().await;
    for held in held.iter_mut().filter(|held| held.live) {
        if reference(&held.filter, NEWCOMER.0) {
            held.expected.push(NEWCOMER.1);
        }
    }
    for held in &held {
        let got = recorder.got(held.id);
        assert_eq!(
            got, held.expected,
            "seed {seed}, {:?} `{}`",
            held.id, held.filter
        );
    }
    let stats = router.stats();
    let delivered: usize = held.iter().map(|held| held.expected.len()).sum();
    // The newcomer's message may match others as well; the model does not count it.
    assert!(
        stats.delivered as usize > delivered,
        "{stats:?} and {delivered}"
    );
    assert_eq!((stats.queued_messages, stats.queued_bytes), (0, 0));
    match fault_every {
        None => assert_eq!(stats.failures, 0, "seed {seed}: {stats:?}"),
        Some(_) => assert!(stats.failures > 0, "seed {seed}: {stats:?}"),
    }
}

#[tokio::test]
async fn filters_come_and_go_and_get_what_was_published_in_their_time() {
    for seed in 0..12 {
        storm(seed, 3_000, None).await;
    }
}

#[tokio::test]
async fn the_router_is_killed_again_and_again_and_nobody_notices() {
    for seed in 100..106 {
        storm(seed, 3_000, Some(150)).await;
    }
}

#[tokio::test]
async fn ten_thousand_filters_join_and_leave() {
    const FILTERS: u64 = 10_000;
    let (router, recorder) = start();
    router.subscribe(FilterId(0), "f/#");
    for wave in 0..2 {
        let id = |n: u64| FilterId(1 + wave * FILTERS + n);
        for n in 0..FILTERS {
            router.subscribe(id(n), &format!("f/{wave}/{n}/+"));
        }
        for n in (0..FILTERS).step_by(100) {
            publish(&router, &message(&format!("f/{wave}/{n}/x"), n));
        }
        for n in 0..FILTERS {
            router.unsubscribe(id(n));
        }
        publish(&router, &message(&format!("f/{wave}/0/x"), u64::MAX));
        recorder.wait_for(FilterId(0), (wave as usize + 1) * 101);
        for n in (0..FILTERS).step_by(100) {
            recorder.wait_for(id(n), 1);
            assert_eq!(recorder.got(id(n)), [n]);
        }
    }
    assert_serves_newcomer(&router, &recorder, u64::MAX);
    let stats = router.stats();
    assert!(stats.renewals > 0, "{stats:?}");
    assert_eq!(stats.failures, 0, "{stats:?}");
    router.shutdown().await;
    assert!(
        router.stats().filters_dead <= 2 + DEAD_MAX as u64,
        "{stats:?}"
    );
}

/// The router is never without a filter that it has yet to learn.
#[tokio::test]
async fn filters_that_come_and_go_without_a_pause_do_not_pile_up() {
    const FILTERS: u64 = 20_000;
    const TOGETHER: u64 = 100;
    let (router, recorder) = start();
    for first in (0..FILTERS).step_by(TOGETHER as usize) {
        let ids = first..first + TOGETHER;
        ids.clone()
            .for_each(|id| router.subscribe(FilterId(id), &format!("f/{id}/+")));
        ids.for_each(|id| router.unsubscribe(FilterId(id)));
    }
    assert_serves_newcomer(&router, &recorder, FILTERS);
    router.shutdown().await;
    let stats = router.stats();
    // Each forgets what came before it; the first would be the last if it waited for a pause.
    assert!(stats.renewals >= 10, "{stats:?}");
    assert_eq!(stats.failures, 0, "{stats:?}");
}

#[tokio::test]
async fn a_router_that_has_seen_too_many_topics_is_rebuilt() {
    let (router, recorder) = start_with(Settings {
        topics_max: 100,
        ..Settings::default()
    });
    router.subscribe(FilterId(1), "t/+");
    for n in 0..2_000 {
        publish(&router, &message(&format!("t/{n}"), n));
        // One after the other, so that few are on their way when it is rebuilt.
        recorder.wait_for(FilterId(1), n as usize + 1);
    }
    assert_eq!(recorder.got(FilterId(1)), (0..2_000).collect::<Vec<_>>());
    let stats = router.stats();
    assert!((5..=20).contains(&stats.renewals), "{stats:?}");
    assert!(stats.topics <= 200, "{stats:?}");
    router.shutdown().await;
}

/// More topics than it may see are on their way at once, and are published again by every rebuild.
#[tokio::test]
async fn a_flood_of_topics_is_delivered_through_the_rebuilds() {
    let settings = Settings {
        topics_max: 100,
        ..Settings::default()
    };
    let (router, recorder) = start_with(settings);
    router.subscribe(FilterId(1), "t/+");
    for n in 0..20_000 {
        publish(&router, &message(&format!("t/{n}"), n));
    }
    router.shutdown().await;
    assert_eq!(recorder.got(FilterId(1)), (0..20_000).collect::<Vec<_>>());
    let stats = router.stats();
    assert!(stats.renewals > 0 && stats.failures == 0, "{stats:?}");
}

/// Every message matches so many filters that the link's buffer is full again and again.
#[tokio::test]
async fn a_wide_fan_out_is_complete() {
    let (router, recorder) = start();
    for id in 0..300 {
        router.subscribe(FilterId(id), &format!("{}#", "+/".repeat(id as usize % 3)));
        router.subscribe(FilterId(1_000 + id), &format!("a/b/{id}/#"));
    }
    for n in 0..600 {
        publish(&router, &message("a/b/c", n));
    }
    router.shutdown().await;
    let expected: Vec<u64> = (0..600).collect();
    for id in 0..300 {
        assert_eq!(recorder.got(FilterId(id)), expected, "filter {id}");
        assert!(recorder.got(FilterId(1_000 + id)).is_empty());
    }
    assert_eq!(router.stats().failures, 0);
}

/// The same with filters that differ, so that each has its own log in the router.
#[tokio::test]
async fn many_distinct_filters_that_all_match_are_complete() {
    let topic: String = ["x"; 9].join("/");
    let (router, recorder) = start();
    // All patterns of literal and `+` over nine levels.
    for id in 0..512_u64 {
        let level = |bit: u32| if id >> bit & 1 == 0 { "x" } else { "+" };
        let filter = (0..9).map(level).collect::<Vec<_>>().join("/");
        router.subscribe(FilterId(id), &filter);
    }
    for n in 0..400 {
        publish(&router, &message(&topic, n));
    }
    router.shutdown().await;
    let expected: Vec<u64> = (0..400).collect();
    for id in 0..512 {
        assert_eq!(recorder.got(FilterId(id)), expected, "filter {id}");
    }
    let stats = router.stats();
    assert_eq!(
        (stats.failures, stats.delivered),
        (0, 512 * 400),
        "{stats:?}"
    );
}

#[tokio::test]
async fn publishers_and_subscribers_of_many_threads_do_not_disturb_each_other() {
    const EACH: u64 = 3_000;
    let (router, recorder) = start();
    for publisher in 0..4 {
        router.subscribe(FilterId(publisher), &format!("p/{publisher}/#"));
    }
    std::thread::scope(|scope| {
        for publisher in 0..4 {
            let router = &router;
            scope.spawn(move || {
                for n in 0..EACH {
                    publish(router, &message(&format!("p/{publisher}/{}", n % 7), n));
                }
            });
        }
        let router = &router;
        scope.spawn(move || {
            for n in 0..1_000 {
                router.subscribe(FilterId(100 + n), &format!("p/+/{}", n % 7));
                router.unsubscribe(FilterId(100 + n));
            }
        });
    });
    router.shutdown().await;
    for publisher in 0..4 {
        assert_eq!(
            recorder.got(FilterId(publisher)),
            (0..EACH).collect::<Vec<_>>()
        );
    }
    assert_eq!(router.stats().failures, 0);
}
