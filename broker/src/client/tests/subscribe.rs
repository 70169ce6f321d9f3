//! SUBSCRIBEs that are made to keep the broker busy.

use std::collections::BTreeSet;

use super::*;

/// One packet with these filters.
fn ask(version: Version, packet_id: u16, filters: &[String]) -> Vec<u8> {
    let wanted = filters.iter();
    let wanted: Vec<_> = wanted
        .map(|filter| subscription(filter, Qos::AtMostOnce))
        .collect();
    let mut bytes = Vec::new();
    client::subscribe(&mut bytes, version, packet_id, None, &wanted);
    bytes
}

/// The packets, and the bytes of them that were handled.
fn receive(line: &mut Line, bytes: &[u8]) -> (Vec<String>, usize) {
    let mut out = Vec::new();
    let handled = line.client.receive(bytes, &mut out, Waker::noop());
    let handled = handled.expect("goes on");
    (describe(line.version, &out), handled)
}

#[tokio::test]
async fn of_one_packet_no_more_filters_are_entered_than_a_client_may_hold() {
    let bench = Bench::with(|config| config.max_subscriptions = 3);
    for (version, refused) in [(Version::V311, "80"), (Version::V5, "97")] {
        let mut line = bench.client(version);
        let same = vec!["a/#".to_owned(); 5];
        let (packets, _) = receive(&mut line, &ask(version, 9, &same));
        assert_eq!(packets, [format!("suback [0, 0, 0, {refused}, {refused}]")]);
        let three = ["a/#", "b/#", "c/#"].map(str::to_owned);
        let (packets, _) = receive(&mut line, &ask(version, 10, &three));
        assert_eq!(packets, ["suback [0, 0, 0]"]);
    }
}

#[tokio::test]
async fn the_filters_of_a_client_take_no_more_bytes_than_they_may() {
    let bench = Bench::with(|config| config.max_subscription_bytes = bytesize::ByteSize(10));
    let mut line = bench.client(Version::V5);
    let ask = |id, filters: [&str; 3]| ask(Version::V5, id, &filters.map(str::to_owned));
    // The one that is held already takes nothing more.
    let (packets, _) = receive(&mut line, &ask(1, ["12345", "123456", "12345"]));
    assert_eq!(packets, ["suback [0, 97, 0]"]);
    let (packets, _) = receive(&mut line, &ask(2, ["abcde", "x", "abcde"]));
    assert_eq!(packets, ["suback [0, 97, 0]"]);
    let mut bytes = Vec::new();
    client::unsubscribe(&mut bytes, Version::V5, 3, &["12345"]);
    receive(&mut line, &bytes);
    let (packets, _) = receive(&mut line, &ask(4, ["123456", "1234", "1"]));
    assert_eq!(packets, ["suback [97, 0, 0]"]);
}

#[tokio::test]
async fn after_many_filters_others_have_their_turn() {
    let bench = Bench::new();
    let mut line = bench.client(Version::V5);
    let filters: Vec<_> = (0..300).map(|number| format!("f/{number}")).collect();
    let packets = [1, 2].map(|id| ask(Version::V5, id, &filters));
    let both = packets.concat();
    let (answers, handled) = receive(&mut line, &both);
    assert_eq!((answers.len(), handled), (1, packets[0].len()));
    assert!(line.client.has_more_input, "nothing else wakes it");
    let (answers, handled) = receive(&mut line, &both[handled..]);
    assert_eq!((answers.len(), handled), (1, packets[1].len()));
    assert!(!line.client.has_more_input, "it is read again");
}

#[tokio::test]
async fn every_filter_of_many_gets_its_retained_messages_in_its_turn() {
    let bench = Bench::new();
    let topics: BTreeSet<_> = (0..100).map(|number| format!("t/{number}/x")).collect();
    for topic in &topics {
        bench.gate.retain(&Message {
            retain: true,
            ..message(topic)
        });
    }
    let mut line = bench.client(Version::V5);
    let filters: Vec<_> = (0..100).map(|number| format!("+/{number}/+")).collect();
    let (answers, _) = receive(&mut line, &ask(Version::V5, 9, &filters));
    assert!(answers[0].starts_with("suback"), "{answers:?}");
    let mut out = Vec::new();
    while line.client.send(&mut out, Waker::noop()).expect("goes on") {}
    let got = describe(line.version, &out);
    let got: Vec<_> = got
        .iter()
        .filter_map(|packet| packet.split(' ').nth(1))
        .collect();
    assert_eq!(got.len(), topics.len(), "each once");
    let got: BTreeSet<_> = got.into_iter().map(str::to_owned).collect();
    assert_eq!(got, topics);
}

#[tokio::test]
async fn a_subscription_between_two_publishes_of_one_read_counts_from_there() {
    let bench = Bench::new();
    for version in [Version::V311, Version::V5] {
        let mut line = bench.client(version);
        let filter = ["own/topic".to_owned()];
        let mut unsubscribe = Vec::new();
        client::unsubscribe(&mut unsubscribe, version, 9, &["own/topic"]);
        let read = [
            publish(version, "own/topic", 1),
            ask(version, 8, &filter),
            publish(version, "own/topic", 2),
            publish(version, "own/topic", 3),
            unsubscribe,
            publish(version, "own/topic", 4),
        ];
        let delivered = line.says(&read.concat());
        let delivered = delivered
            .iter()
            .filter(|packet| packet.starts_with("publish"));
        assert_eq!(delivered.count(), 2);
    }
}
