//! A client driven with bytes, against a journal whose disk is in the test's hand.

mod bench;
mod budget;
mod crash;
mod qos2;
mod resume;
mod snapshot;
mod strangers;
mod subscribe;
mod takeover;
mod wakes;
mod wills;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use journal::{AppendError, Journal, Poisoned};

use super::End;
use crate::message::Message;
use crate::presence::Visit;
use crate::session::Arrival;
use access::Identity;
use mqtt::client;
use mqtt::{Qos, ReasonCode, Subscription, Version, encode};

use bench::*;

#[tokio::test]
async fn telemetry_is_acknowledged_when_it_is_durable_and_not_before() {
    let bench = Bench::new();
    for version in [Version::V311, Version::V5] {
        let mut device = bench.client(version);
        assert_eq!(device.publishes("devices/a/telemetry", 1), nothing());
        assert_eq!(device.waits(), nothing());
        bench.journal.sync();
        assert_eq!(device.waits(), ["puback 1"]);
    }
}

#[tokio::test]
async fn acknowledgements_keep_the_order_of_their_publishes() {
    let bench = Bench::new();
    let mut device = bench.client(Version::V311);
    let mut bytes = publish(Version::V311, "devices/a/telemetry", 1);
    bytes.extend(publish(Version::V311, "other", 2));
    bytes.extend(publish(Version::V311, "devices/a/telemetry", 3));
    assert_eq!(
        device.says(&bytes),
        nothing(),
        "2 needs no disk, but waits for 1"
    );
    bench.journal.sync();
    assert_eq!(device.waits(), ["puback 1", "puback 2", "puback 3"]);
}

#[tokio::test]
async fn a_full_journal_refuses_mqtt_5_and_holds_3_1_1_back() {
    let bench = Bench::new();
    let (mut new, mut old) = (bench.client(Version::V5), bench.client(Version::V311));
    bench.journal.refuse(Some(AppendError::Full));
    assert_eq!(
        new.publishes("devices/a/telemetry", 1),
        ["puback 1 quota exceeded"]
    );
    assert_eq!(old.publishes("devices/a/telemetry", 1), nothing());
    assert!(!old.client.may_receive(), "nothing more is read from it");
    assert!(new.client.may_receive());

    bench.journal.refuse(None);
    assert_eq!(old.waits(), nothing());
    bench.journal.sync();
    assert_eq!(old.waits(), ["puback 1"]);
    assert!(old.client.may_receive());
    let stats = &bench.gate.stats;
    assert_eq!(
        (stats.refused_journal_full.get(), stats.journalled.get()),
        (1, 1)
    );
}

#[tokio::test]
async fn qos_0_telemetry_is_counted_and_dropped_when_the_journal_is_full() {
    let bench = Bench::new();
    bench.journal.refuse(Some(AppendError::Full));
    for version in [Version::V311, Version::V5] {
        let mut device = bench.client(version);
        assert_eq!(device.publishes("devices/a/telemetry", 0), nothing());
        assert!(device.client.may_receive());
    }
    assert_eq!(bench.gate.stats.dropped_journal_full.get(), 2);
}

#[tokio::test]
async fn a_busy_journal_is_waited_for_by_both_versions() {
    let bench = Bench::new();
    for version in [Version::V311, Version::V5] {
        let mut device = bench.client(version);
        bench.journal.refuse(Some(AppendError::Busy));
        assert_eq!(device.publishes("devices/a/telemetry", 1), nothing());
        assert!(!device.client.may_receive());
        bench.journal.refuse(None);
        assert_eq!(device.waits(), nothing());
        bench.journal.sync();
        assert_eq!(device.waits(), ["puback 1"]);
    }
}

#[tokio::test]
async fn a_client_that_waits_for_a_journal_which_then_fails_is_ended_at_once() {
    for version in [Version::V311, Version::V5] {
        let bench = Bench::new();
        let mut device = bench.client(version);
        bench.journal.refuse(Some(AppendError::Busy));
        assert_eq!(device.publishes("devices/a/telemetry", 1), nothing());
        bench.journal.refuse(Some(AppendError::Poisoned(Poisoned)));
        let client = &mut device.client;
        client.resume(Waker::noop()).expect("it tries again");
        // No acknowledgement will come that it could wait for.
        let end = client.send(&mut Vec::new(), Waker::noop());
        assert!(
            matches!(end, Err(End::Refused(ReasonCode::ServerUnavailable))),
            "{end:?}"
        );
    }
}

#[tokio::test]
async fn a_client_with_too_many_publishes_in_flight_is_not_read_further() {
    let bench = Bench::new();
    let mut device = bench.client(Version::V311);
    let bytes: Vec<u8> = (1..=9)
        .flat_map(|id| publish(Version::V311, "devices/a/telemetry", id))
        .collect();
    let one = bytes.len() / 9;
    let handled = device
        .client
        .receive(&bytes, &mut Vec::new(), Waker::noop())
        .expect("accepted");
    assert_eq!(handled, 8 * one, "`receive_maximum` is 8");
    bench.journal.sync();
    assert_eq!(device.waits().len(), 8);
    assert_eq!(device.says(&bytes[handled..]), nothing());
}

#[tokio::test]
async fn a_batch_is_bounded_though_its_records_are_larger_than_their_packets() {
    let bench = Bench::new();
    let long_id = "x".repeat(60_000);
    let mut device = bench.arrives(Version::V311, &long_id, &|_| {});
    let client = &mut device.client;
    let bytes: Vec<u8> = (0..20)
        .flat_map(|_| publish(Version::V311, "devices/a/telemetry", 0))
        .collect();
    let one = bytes.len() / 20;
    let handled = client
        .receive(&bytes, &mut Vec::new(), Waker::noop())
        .expect("accepted");
    assert_eq!(
        (handled, client.has_more_input),
        (5 * one, true),
        "300 KB of records"
    );
    let handled = client.receive(&bytes[15 * one..], &mut Vec::new(), Waker::noop());
    assert_eq!(
        (handled.expect("accepted"), client.has_more_input),
        (5 * one, false),
        "the batch is full, and nothing is left: the client is read again"
    );
    let handled = client.receive(&bytes[19 * one..], &mut Vec::new(), Waker::noop());
    assert_eq!(
        (handled.expect("accepted"), client.has_more_input),
        (one, false)
    );
}

#[tokio::test]
async fn a_denied_publish_is_told_to_mqtt_5_and_ends_3_1_1() {
    let bench = Bench::new();
    let mut new = bench.client(Version::V5);
    assert_eq!(
        new.publishes("alerts/critical/a/hot", 1),
        ["puback 1 not authorized"]
    );
    let mut old = bench.client(Version::V311);
    let end = old.is_refused(&publish(Version::V311, "alerts/critical/a/hot", 1));
    assert!(
        matches!(end, End::Refused(ReasonCode::NotAuthorized)),
        "{end}"
    );
}

#[tokio::test]
async fn a_filter_that_is_none_is_refused() {
    let bench = Bench::new();
    let (mut new, mut old) = (bench.client(Version::V5), bench.client(Version::V311));
    assert_eq!(new.subscribes("a/#/b", Qos::AtMostOnce), ["suback [8f]"]);
    assert_eq!(old.subscribes("a/#/b", Qos::AtMostOnce), ["suback [80]"]);
}

#[tokio::test]
async fn a_shared_subscription_is_granted_to_both_versions_if_it_is_one() {
    let bench = Bench::new();
    let (mut new, mut old) = (bench.client(Version::V5), bench.client(Version::V311));
    for (filter, valid) in [
        ("$share/g/a", true),
        ("$share/g/#", true),
        ("$share/größe/a/+/b", true),
        ("$share/g//", true),
        ("$share/g/", false),
        ("$share//a", false),
        ("$share/g", false),
        ("$share/", false),
        ("$share/+/a", false),
        ("$share/g#/a", false),
        ("$share/g/a/#/b", false),
    ] {
        let expected = if valid {
            ["suback [0]", "suback [0]"]
        } else {
            ["suback [8f]", "suback [80]"]
        };
        let answers = [
            new.subscribes(filter, Qos::AtMostOnce),
            old.subscribes(filter, Qos::AtMostOnce),
        ];
        assert_eq!(answers.concat(), expected, "{filter}");
    }
    let mut bytes = Vec::new();
    let no_local = Subscription {
        no_local: true,
        ..subscription("$share/g/a", Qos::AtMostOnce)
    };
    client::subscribe(&mut bytes, Version::V5, 9, None, &[no_local]);
    // [MQTT-3.8.3-4]
    let end = new.is_refused(&bytes);
    assert!(
        matches!(&end, End::Malformed(error) if error.reason == ReasonCode::ProtocolError),
        "{end}"
    );
}

#[tokio::test]
async fn a_subscriber_gets_the_lower_qos_and_its_own_version() {
    let bench = Bench::new();
    let (mut new, mut old) = (bench.client(Version::V5), bench.client(Version::V311));
    new.subscribes("room/a", Qos::AtLeastOnce);
    old.subscribes("room/a", Qos::AtMostOnce);
    let mut publisher = bench.client(Version::V5);
    let properties = [0x26, 0, 1, b'k', 0, 1, b'v'];
    let rest = encode::Publish {
        payload: b"x",
        properties: &properties,
        ..Default::default()
    };
    publisher.says(&publish_with(Version::V5, "room/a", 1, rest));
    assert_eq!(new.waits(), ["publish room/a x qos 1"]);
    assert_eq!(old.waits(), ["publish room/a x qos 0"]);
}

#[tokio::test]
async fn deliveries_wait_for_the_in_flight_window() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V311);
    console.subscribes("room/a", Qos::AtLeastOnce);
    let mut publisher = bench.client(Version::V311);
    (1..=3).for_each(|id| drop(publisher.publishes("room/a", id)));
    assert_eq!(console.waits().len(), 2, "`inflight_max` is 2");
    let mut ack = Vec::new();
    encode::puback(&mut ack, Version::V311, 1, ReasonCode::Success);
    assert_eq!(console.says(&ack), ["publish room/a x qos 1"]);
}

#[tokio::test]
async fn retained_messages_come_with_the_subscription_and_go_with_an_empty_payload() {
    let bench = Bench::new();
    let mut publisher = bench.client(Version::V311);
    let retained = |payload| encode::Publish {
        payload,
        retain: true,
        ..Default::default()
    };
    publisher.says(&publish_with(Version::V311, "room/a", 0, retained(b"on")));
    let mut console = bench.client(Version::V311);
    let expected = ["suback [0]", "publish room/a on qos 0 retained"];
    assert_eq!(console.subscribes("room/+", Qos::AtMostOnce), expected);
    publisher.says(&publish_with(Version::V311, "room/a", 0, retained(b"")));
    let mut late = bench.client(Version::V311);
    assert_eq!(late.subscribes("room/+", Qos::AtMostOnce), ["suback [0]"]);
}

#[tokio::test]
async fn topic_aliases_are_learned_and_unknown_ones_end_the_connection() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("room/a", Qos::AtMostOnce);
    let mut publisher = bench.client(Version::V5);
    let with_alias = |topic, alias| {
        let rest = encode::Publish {
            payload: b"x",
            topic_alias: Some(alias),
            ..Default::default()
        };
        publish_with(Version::V5, topic, 0, rest)
    };
    publisher.says(&with_alias("room/a", 3));
    publisher.says(&with_alias("", 3));
    assert_eq!(
        console.waits(),
        ["publish room/a x qos 0", "publish room/a x qos 0"]
    );
    let end = publisher.is_refused(&with_alias("", 4));
    assert!(
        matches!(end, End::Refused(ReasonCode::ProtocolError)),
        "{end}"
    );
    let end = bench
        .client(Version::V5)
        .is_refused(&with_alias("room/a", 33));
    assert!(
        matches!(end, End::Refused(ReasonCode::TopicAliasInvalid)),
        "{end}"
    );
}

#[tokio::test]
async fn a_slow_consumer_costs_no_more_than_its_queue() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V311);
    console.subscribes("room/a", Qos::AtMostOnce);
    let mut publisher = bench.client(Version::V311);
    (0..150).for_each(|_| drop(publisher.publishes("room/a", 0)));
    assert_eq!(bench.gate.stats.dropped_slow_consumer.get(), 50);
    assert_eq!(console.waits().len(), 100);
}

#[tokio::test]
async fn a_newcomer_takes_the_client_id_over() {
    let bench = Bench::new();
    let mut first = bench.client(Version::V5);
    let id = first.client.session.client_id.clone();
    let gate = Arc::clone(&bench.gate);
    let arrival = Arrival {
        order: gate.connect_order(),
        identity: Arc::default(),
        clean_start: true,
        expiry_seconds: 0,
        silence_seconds_max: 0,
        visit: Visit::of_a_test(),
        will: None,
    };
    let mut attaching = pin!(gate.registry.attach(&gate, &id, arrival));
    let mut context = Context::from_waker(Waker::noop());
    assert!(
        attaching.as_mut().poll(&mut context).is_pending(),
        "waits for the other"
    );
    let end = first.client.resume(Waker::noop()).expect_err("ends");
    assert!(
        matches!(end, End::Refused(ReasonCode::SessionTakenOver)),
        "{end}"
    );
    let mut farewell = Vec::new();
    first.client.finish(&end, &mut farewell);
    assert_eq!(farewell, [0xE0, 1, 0x8E]);
    drop(first);
    let Poll::Ready(Ok(newcomer)) = attaching.as_mut().poll(&mut context) else {
        panic!("the other has let go");
    };
    assert!(!newcomer.present, "it has a session of its own");
    let newcomer = newcomer.session;
    bench
        .gate
        .registry
        .close_all(ReasonCode::ServerShuttingDown);
    let closed = newcomer.with_outbound(Waker::noop(), |outbound| outbound.close_requested());
    assert_eq!(
        closed,
        Some(ReasonCode::ServerShuttingDown),
        "the newcomer is still registered"
    );
}

#[tokio::test]
async fn nothing_stays_of_a_client_that_is_gone() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("room/+", Qos::AtMostOnce);
    console.subscribes("room/a", Qos::AtMostOnce);
    assert!(!bench.gate.subscriptions.targets("room/a").is_empty());
    assert_eq!(bench.gate.stats.subscriptions.get(), 2);
    drop(console);
    assert!(bench.gate.subscriptions.targets("room/a").is_empty());
    assert_eq!(bench.gate.stats.subscriptions.get(), 0);
}

#[tokio::test]
async fn only_a_normal_disconnection_takes_the_will_back() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("status/a", Qos::AtMostOnce);
    let endings = [
        (ReasonCode::Success, 0),
        (ReasonCode::DisconnectWithWill, 1),
        (ReasonCode::UnspecifiedError, 1),
    ];
    for (reason, wills) in endings {
        let mut device = bench.arrives(Version::V5, "device", &|arrival| {
            arrival.will = Some(Box::new(will("status/a", 0)));
        });
        let mut bytes = Vec::new();
        client::disconnect(&mut bytes, Version::V5, reason, None);
        let end = device.is_refused(&bytes);
        device.client.finish(&end, &mut Vec::new());
        drop(device);
        assert_eq!(console.waits().len(), wills, "{}", reason.name());
    }
}

#[tokio::test]
async fn a_client_that_died_while_it_was_held_back_is_overdue_later() {
    let bench = Bench::new();
    let mut device = bench.client_silent_for(Version::V311, 5);
    for id in 1..=8 {
        device.publishes("devices/a/telemetry", id);
    }
    let later = bench.gate.clock.seconds() + 1_000;
    assert!(
        !device.client.session.is_overdue(later),
        "not read, so its silence proves nothing"
    );
    bench.journal.sync();
    assert_eq!(device.waits().len(), 8);
    assert!(device.client.session.is_overdue(later));
    bench.journal.refuse(Some(AppendError::Full));
    device.publishes("devices/a/telemetry", 1);
    assert!(!device.client.session.is_overdue(later));
    bench.journal.refuse(None);
    device.waits();
    assert!(device.client.session.is_overdue(later));
}

#[tokio::test]
async fn filters_are_bounded_in_depth_and_number() {
    let bench = Bench::new();
    let deep = "+/".repeat(30_000);
    for version in [Version::V311, Version::V5] {
        let mut console = bench.client(version);
        let refused = match version {
            Version::V311 => "suback [80]",
            Version::V5 => "suback [8f]",
        };
        assert_eq!(console.subscribes(&deep, Qos::AtMostOnce), [refused]);
        let filters: Vec<String> = (0..1_001).map(|number| format!("f/{number}/+")).collect();
        let all: Vec<_> = filters
            .iter()
            .map(|filter| subscription(filter, Qos::AtMostOnce))
            .collect();
        let mut bytes = Vec::new();
        client::subscribe(&mut bytes, version, 9, None, &all);
        let answer = console.says(&bytes);
        let last = match version {
            Version::V311 => ", 0, 80]",
            Version::V5 => ", 0, 97]",
        };
        assert!(answer[0].ends_with(last), "{answer:?}");
        assert_eq!(bench.gate.stats.subscriptions.get(), 1_000);
    }
    assert_eq!(bench.gate.stats.subscriptions.get(), 0);
}

#[tokio::test]
async fn an_unknown_filter_is_unsubscribed_without_harm() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("room/a", Qos::AtMostOnce);
    let mut bytes = Vec::new();
    client::unsubscribe(&mut bytes, Version::V5, 4, &["room/b", "room/a", "room/a"]);
    let mut out = Vec::new();
    console
        .client
        .receive(&bytes, &mut out, Waker::noop())
        .expect("accepted");
    // No properties; "no subscription existed", "success", and again the first.
    assert_eq!(out, [0xB0, 6, 0, 4, 0, 0x11, 0, 0x11]);
    assert_eq!(bench.gate.stats.subscriptions.get(), 0);
}
