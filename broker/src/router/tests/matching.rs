//! What matches what, and in which order it comes.

use super::*;

#[tokio::test]
async fn every_filter_gets_what_it_matches_in_the_order_of_publishing() {
    let (router, recorder) = start();
    let filters = ["#", "a/+", "a/#", "+/b", "b/+"];
    for (id, filter) in filters.iter().enumerate() {
        router.subscribe(FilterId(id as u64), filter);
    }
    let topics = ["a/b", "a/c", "b/b", "a", "c/d/e"];
    for n in 0..5_000 {
        publish(&router, &message(topics[n % topics.len()], n as u64));
    }
    router.shutdown().await;
    for (id, filter) in filters.iter().enumerate() {
        let expected: Vec<u64> = (0..5_000)
            .filter(|n| reference(filter, topics[n % topics.len()]))
            .map(|n| n as u64)
            .collect();
        assert_eq!(recorder.got(FilterId(id as u64)), expected, "{filter}");
    }
    let stats = router.stats();
    assert_eq!(
        (stats.accepted, stats.queued_messages, stats.queued_bytes),
        (5_000, 0, 0)
    );
    assert_eq!((stats.failures, stats.bypassed), (0, 0));
}

#[tokio::test]
async fn matching_is_that_of_the_specification() {
    for seed in 0..3 {
        let mut random = Random(seed);
        let (router, recorder) = start();
        let filters: Vec<String> = (0..200).map(|_| random_filter(&mut random)).collect();
        let topics: Vec<String> = (0..1_500).map(|_| random_topic(&mut random)).collect();
        for (id, filter) in filters.iter().enumerate() {
            router.subscribe(FilterId(id as u64), filter);
        }
        for (n, topic) in topics.iter().enumerate() {
            publish(&router, &message(topic, n as u64));
        }
        router.shutdown().await;
        let mut matches = 0;
        for (id, filter) in filters.iter().enumerate() {
            let got = recorder.got(FilterId(id as u64));
            let expected: Vec<u64> = (0..)
                .zip(&topics)
                .filter(|(_, topic)| reference(filter, topic))
                .map(|(n, _)| n)
                .collect();
            assert_eq!(got, expected, "seed {seed}, filter `{filter}`");
            matches += expected.len();
        }
        assert!(
            matches > 10_000,
            "the names are too far apart to tell anything: {matches}"
        );
    }
}

/// Forms that a router may mistake; each pair with what the specification says.
#[tokio::test]
async fn peculiar_names_match_as_specified() {
    const CASES: &[(&str, &str, bool)] = &[
        ("a/#", "a", true),
        ("a/#", "a/", true),
        ("a/#", "ab", false),
        ("a/+", "a", false),
        ("a/+", "a/", true),
        ("a/+", "a/b/", false),
        ("+", "a", true),
        ("+", "/", false),
        ("+/+", "/", true),
        ("/+", "/", true),
        ("+/", "/", true),
        ("//#", "/", true),
        ("//#", "//", true),
        ("#", "/", true),
        ("#", "//", true),
        ("+//+", "a//b", true),
        ("+/+/+", "a//b", true),
        ("#", "$SYS/broker", false),
        ("+/broker", "$SYS/broker", false),
        ("$SYS/#", "$SYS/broker", true),
        ("$SYS/#", "$SYS", true),
        ("$SYS/+", "$SYS/broker", true),
        ("$+/#", "$+/x", false),
        ("a/$SYS/#", "a/$SYS/x", true),
        ("+/$SYS", "a/$SYS", true),
        ("é/+", "é/x", true),
        ("+/é", "日本語/é", true),
        ("#", "🦀", true),
        ("🦀/#", "🦀", true),
        ("+/x", "s/x", true),
        ("m/+", "m/x", true),
        ("+", "marker", true),
        ("+", "unheard", true),
    ];
    let (router, recorder) = start();
    for (id, (filter, _, _)) in (0..).zip(CASES) {
        router.subscribe(FilterId(id), filter);
    }
    for (n, (_, topic, _)) in (0..).zip(CASES) {
        publish(&router, &message(topic, n));
    }
    router.shutdown().await;
    for (n, (filter, topic, matches)) in (0..).zip(CASES) {
        // A topic name holds no wildcard; the gate sees to that.
        if topic.contains(['+', '#']) {
            continue;
        }
        assert_eq!(
            reference(filter, topic),
            *matches,
            "the reference: `{filter}`, `{topic}`"
        );
        let got = recorder.got(FilterId(n)).contains(&n);
        assert_eq!(got, *matches, "`{filter}` and `{topic}`");
    }
    assert_eq!(router.stats().failures, 0);
}

#[tokio::test]
async fn the_longest_topics_arrive() {
    let (router, recorder) = start();
    router.subscribe(FilterId(1), "+/x/#");
    router.subscribe(FilterId(2), "#");
    for n in 0..20 {
        let topic = format!("é{n}/x/{}", "/ü".repeat(21_000));
        publish(&router, &message(&topic, n));
        publish(&router, &message("short", 1_000 + n));
    }
    router.shutdown().await;
    assert_eq!(recorder.got(FilterId(1)), (0..20).collect::<Vec<_>>());
    assert_eq!(recorder.got(FilterId(2)).len(), 40);
    assert_eq!(router.stats().failures, 0);
}

/// What a retained message or an MQTT 5 publish carries never reaches the router, and arrives as it
/// was.
#[tokio::test]
async fn a_message_arrives_as_it_was_published() {
    struct Keep(Mutex<Vec<Arc<Message>>>);
    impl Deliver for Keep {
        fn deliver(&self, _: FilterId, message: &Arc<Message>) {
            lock(&self.0).push(Arc::clone(message));
        }
    }
    let keep = Arc::new(Keep(Mutex::default()));
    let router = Router::start(Settings::default(), Arc::clone(&keep) as Arc<dyn Deliver>)
        .expect("the router starts");
    router.subscribe(FilterId(1), "#");
    let plain = message("a", 1);
    let sent = [
        Arc::new(Message {
            payload: Bytes::new(),
            retain: true,
            ..Message::clone(&plain)
        }),
        Arc::new(Message {
            qos: Qos::ExactlyOnce,
            properties: Bytes::from_static(b"\x26\x00\x01k\x00\x01v"),
            expiry_seconds: Some(0),
            publisher: 99,
            ..Message::clone(&plain)
        }),
        plain,
    ];
    sent.iter().for_each(|message| publish(&router, message));
    router.shutdown().await;
    let got = lock(&keep.0);
    assert_eq!(got.len(), sent.len());
    // The very same one: shared, not copied.
    assert!(
        got.iter()
            .zip(&sent)
            .all(|(got, sent)| Arc::ptr_eq(got, sent))
    );
}
