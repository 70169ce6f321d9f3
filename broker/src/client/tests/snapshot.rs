//! The retained messages of a new subscription, when there are many of them and the client takes
//! its time.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// More than any page.
const MANY: usize = 2_000;
/// Far more than a client's queue is meant to hold.
const FLOOD: usize = 50_000;

fn retain(bench: &Bench, topic: &str, payload: &str, qos: Qos) {
    let message = Message {
        payload: payload.to_owned().into(),
        retain: true,
        qos,
        ..message(topic)
    };
    bench.gate.retain(&message);
}

/// `topic/0` and so on, as many as asked for; the payload says `old`.
fn retain_many(bench: &Bench, topic: &str, count: usize) {
    for number in 0..count {
        retain(bench, &format!("{topic}/{number}"), "old", Qos::AtLeastOnce);
    }
}

/// Publishes a retained message, which goes to the subscribers, too.
fn update(bench: &Bench, topic: &str, payload: &str) {
    bench.gate.distribute(Message {
        payload: payload.to_owned().into(),
        retain: true,
        ..message(topic)
    });
}

/// One turn of the connection's task, with a socket that takes all of it.
fn turn(line: &mut Line) -> Vec<String> {
    let mut out = Vec::new();
    let sent = line.client.send(&mut out, Waker::noop());
    sent.expect("goes on");
    describe(line.version, &out)
}

fn sorted(mut packets: Vec<String>) -> Vec<String> {
    packets.sort();
    packets
}

/// Says SUBSCRIBE, and nothing is sent yet.
fn asks(line: &mut Line, filter: &str, qos: Qos) {
    let mut bytes = Vec::new();
    let wanted = [subscription(filter, qos)];
    client::subscribe(&mut bytes, line.version, 9, None, &wanted);
    let handled = line
        .client
        .receive(&bytes, &mut Vec::new(), Waker::noop())
        .expect("accepted");
    assert_eq!(handled, bytes.len());
}

#[tokio::test]
async fn a_slow_client_gets_every_retained_message_once_and_what_changes_meanwhile_behind_it() {
    let bench = Bench::with(|config| {
        config.max_queued_messages = FLOOD;
        config.max_queued_bytes = bytesize::ByteSize::mb(64);
    });
    for number in 0..FLOOD {
        let topic = format!("state/{number:05}");
        retain(&bench, &topic, "0", Qos::AtMostOnce);
    }
    let mut console = bench.client(Version::V5);
    asks(&mut console, "#", Qos::AtMostOnce);
    // Every so often some topics change, on both sides of where the client has come to; the last
    // time as a word of its own.
    let mut published = BTreeMap::new();
    let mut seen: BTreeMap<String, Vec<(u32, bool)>> = BTreeMap::new();
    let mut take = |packets: Vec<String>| {
        for packet in packets {
            let mut words = packet.split(' ').skip(1);
            let (topic, payload) = (words.next().expect("a topic"), words.next());
            let number = payload.and_then(|payload| payload.parse().ok());
            let state = (number.expect("a number"), packet.ends_with(" retained"));
            seen.entry(topic.to_owned()).or_default().push(state);
        }
    };
    let mut version = 0;
    let mut queued_max = 0;
    while !matches!(console.client.session.backlog(), Some(0)) {
        take(turn(&mut console));
        if version < 100 {
            version += 1;
            for at in 0..5 {
                let number = (version as usize * 7_919 + at * 9_973) % FLOOD;
                let topic = format!("state/{number:05}");
                update(&bench, &topic, &version.to_string());
                published.insert(topic, version);
            }
        }
        let waiting = console.client.session.backlog().expect("connected");
        queued_max = queued_max.max(waiting);
    }
    // The snapshot is one entry, however large it is; the rest is live.
    assert!(queued_max <= 1 + 500, "{queued_max}");
    assert_eq!(seen.len(), FLOOD);
    for (topic, states) in &seen {
        let last = published.get(topic).copied().unwrap_or(0);
        assert!(states.is_sorted(), "{topic}: {states:?}");
        assert_eq!(states.last().map(|state| state.0), Some(last), "{topic}");
        let retained: Vec<_> = states.iter().filter(|state| state.1).collect();
        assert!(retained.len() <= 1, "{topic}: {states:?}");
        let all_live = states.iter().all(|state| state.0 > 0);
        assert!(!retained.is_empty() || all_live, "{topic}: {states:?}");
    }
    let stats = &bench.gate.stats;
    assert_eq!(stats.dropped_slow_consumer.get(), 0);
}

#[tokio::test]
async fn what_changed_or_went_before_its_page_came_is_not_sent_as_it_was() {
    let bench = Bench::new();
    retain_many(&bench, "a", MANY);
    let mut console = bench.client(Version::V5);
    asks(&mut console, "a/#", Qos::AtMostOnce);
    for topic in ["a/998", "a/999"] {
        let mut bytes = Vec::new();
        let quiet = Subscription {
            retain_handling: mqtt::RetainHandling::Never,
            ..subscription(topic, Qos::AtMostOnce)
        };
        client::subscribe(&mut bytes, Version::V5, 9, None, &[quiet]);
        console
            .client
            .receive(&bytes, &mut Vec::new(), Waker::noop())
            .expect("accepted");
    }
    update(&bench, "a/998", "new");
    update(&bench, "a/999", "");
    let got = console.gets(MANY - 2 + 4).await;
    let of = |topic: &str| -> Vec<_> {
        let start = format!("publish {topic} ");
        let mine = got.iter().filter(|packet| packet.starts_with(&start));
        mine.map(|packet| &packet[start.len()..]).collect()
    };
    assert_eq!(of("a/997"), ["old qos 0 retained"]);
    // Once by each of the two filters.
    assert_eq!(of("a/998"), ["new qos 0"; 2]);
    assert_eq!(of("a/999"), [" qos 0"; 2]);
    assert_eq!(got.len(), MANY - 2 + 4);
}

#[tokio::test]
async fn many_subscriptions_at_once_get_all_of_theirs_and_refuse_none() {
    const FILTERS: usize = 20;
    let bench = Bench::new();
    for filter in 0..FILTERS {
        retain_many(&bench, &format!("set/{filter}"), 500);
    }
    let mut console = bench.client(Version::V5);
    // Nothing is read meanwhile, and the queue holds 100.
    for filter in 0..FILTERS {
        asks(&mut console, &format!("set/{filter}/+"), Qos::AtMostOnce);
    }
    assert_eq!(console.client.session.backlog(), Some(FILTERS));
    // Asked for again, it begins anew; given up, it goes no further.
    asks(&mut console, "set/3/+", Qos::AtMostOnce);
    let mut bytes = Vec::new();
    client::unsubscribe(&mut bytes, Version::V5, 4, &["set/4/+"]);
    console
        .client
        .receive(&bytes, &mut Vec::new(), Waker::noop())
        .expect("accepted");
    assert_eq!(console.client.session.backlog(), Some(FILTERS - 1));
    let got = console.waits();
    assert_eq!(got.len(), (FILTERS - 1) * 500);
    assert_eq!(got.iter().collect::<BTreeSet<_>>().len(), got.len());
    assert!(!got.iter().any(|packet| packet.contains("set/4/")));
    assert!(got.last().is_some_and(|packet| packet.contains("set/3/")));
    assert_eq!(console.client.session.backlog(), Some(0));
    assert_eq!(bench.gate.stats.dropped_slow_consumer.get(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_finds_the_rest_when_it_is_back() {
    let bench = Bench::new();
    retain_many(&bench, "a", MANY);
    retain_many(&bench, "b", MANY);
    let mut console = bench.kept(Version::V5, "console");
    asks(&mut console, "a/#", Qos::AtLeastOnce);
    asks(&mut console, "b/#", Qos::AtMostOnce);
    asks(&mut console, "live", Qos::AtLeastOnce);
    let mut got = Vec::new();
    for packet_id in 1..=300 {
        got.extend(console.waits());
        got.extend(console.answers(encode::puback, packet_id, ReasonCode::Success));
    }
    // Two are in flight.
    assert_eq!(got.len(), 302);
    console.loses_connection();
    // It is away, and one topic changes that it has not got yet.
    update(&bench, "live", "1");
    retain(&bench, "a/999", "newer", Qos::AtMostOnce);
    let mut console = bench.kept(Version::V5, "console");
    assert!(console.present);
    let again = console.waits();
    assert_eq!(again.len(), 2);
    assert!(again.iter().all(|packet| packet.contains(" dup ")));
    let mut bytes = Vec::new();
    for packet_id in [301, 302] {
        encode::puback(&mut bytes, Version::V5, packet_id, ReasonCode::Success);
    }
    got.extend(console.says(&bytes));
    for packet_id in 303.. {
        let packets = console.answers(encode::puback, packet_id, ReasonCode::Success);
        if packets.is_empty() {
            break;
        }
        got.extend(packets);
    }
    assert_eq!(got.last().map(String::as_str), Some("publish live 1 qos 1"));
    got.pop();
    // The changed one comes live, and nobody keeps QoS 0 for a client that is away.
    let expected = |topic: &str, qos: u8| -> Vec<String> {
        (0..MANY)
            .filter(|number| topic == "b" || *number != 999)
            .map(|number| format!("publish {topic}/{number} old qos {qos} retained"))
            .collect()
    };
    let expected = [expected("a", 1), expected("b", 0)].concat();
    assert_eq!(sorted(got), sorted(expected));
    assert_eq!(console.client.session.backlog(), Some(0));
}

#[tokio::test]
async fn the_status_of_many_clients_comes_in_pages_too() {
    let bench = Bench::new();
    let clients: Vec<_> = (0..300)
        .map(|number| bench.kept(Version::V5, &format!("device-{number}")))
        .collect();
    let mut console = bench.client(Version::V5);
    let mut got = console.subscribes("$clients/+/status", Qos::AtMostOnce);
    assert_eq!(got.remove(0), "suback [0]");
    let of_devices = got.iter().filter(|packet| packet.contains("device-"));
    assert_eq!(of_devices.count(), clients.len());
    assert_eq!(got.len(), clients.len() + 1, "and its own");
}
