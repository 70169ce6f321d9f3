//! Sessions that outlive their connection: sections 3.1.2.4, 3.1.2.11.2 and 4.4.

use super::*;
use access::Grant;

const SUCCESS: ReasonCode = ReasonCode::Success;

#[tokio::test]
async fn what_was_published_meanwhile_comes_when_the_client_is_back() {
    let bench = Bench::new();
    let mut publisher = bench.client(Version::V5);
    let mut console = bench.kept(Version::V5, "console");
    assert!(!console.present);
    console.subscribes("room/a", Qos::ExactlyOnce);
    console.subscribes("room/+", Qos::AtMostOnce);
    console.loses_connection();
    assert_eq!(bench.gate.stats.sessions_kept.get(), 1);
    publisher.publishes_text("room/a", 1, "one");
    publisher.publishes_text("room/a", 0, "gone");
    publisher.publishes_once("room/a", 2, "two");
    let mut console = bench.kept(Version::V311, "console");
    assert!(console.present);
    assert_eq!(
        console.waits(),
        ["publish room/a one qos 1", "publish room/a two qos 2"]
    );
    assert_eq!(bench.gate.stats.sessions_kept.get(), 0);
    assert!(bench.gate.stats.dropped_offline.get() >= 1);
}

#[tokio::test]
async fn what_was_not_finished_is_sent_again_before_anything_newer() {
    let bench = Bench::new();
    let mut publisher = bench.client(Version::V5);
    let mut console = bench.kept(Version::V5, "console");
    console.subscribes("room/a", Qos::ExactlyOnce);
    publisher.publishes_once("room/a", 1, "a");
    publisher.publishes_text("room/a", 2, "b");
    assert_eq!(console.waits().len(), 2);
    assert_eq!(console.answers(encode::pubrec, 1, SUCCESS), ["pubrel 1"]);
    console.loses_connection();
    publisher.publishes_text("room/a", 3, "c");
    for version in [Version::V5, Version::V311] {
        let mut console = bench.kept(version, "console");
        assert_eq!(
            console.waits(),
            ["pubrel 1", "publish room/a b qos 1 dup 2"],
            "and the window is full"
        );
        console.loses_connection();
    }
    let mut console = bench.kept(Version::V5, "console");
    console.waits();
    assert_eq!(
        console.answers(encode::puback, 2, SUCCESS),
        ["publish room/a c qos 1"]
    );
    assert_eq!(console.answers(encode::pubcomp, 1, SUCCESS), nothing());
    assert_eq!(bench.gate.stats.redelivered.get(), 6);
}

#[tokio::test]
async fn a_smaller_window_is_kept_to_when_things_are_sent_again() {
    let bench = Bench::new();
    let mut publisher = bench.client(Version::V5);
    let mut console = bench.kept(Version::V5, "console");
    console.subscribes("room/a", Qos::AtLeastOnce);
    publisher.publishes_text("room/a", 1, "a");
    publisher.publishes_text("room/a", 2, "bb");
    assert_eq!(console.waits().len(), 2);
    console.loses_connection();
    let mut console = bench.kept(Version::V5, "console");
    console.client.terms.inflight_max = 1;
    assert_eq!(console.waits(), ["publish room/a a qos 1 dup 1"]);
    assert_eq!(
        console.answers(encode::puback, 1, SUCCESS),
        ["publish room/a bb qos 1 dup 2"]
    );
    console.loses_connection();
    let mut console = bench.kept(Version::V5, "console");
    console.client.terms.max_packet_bytes = Some(14);
    assert_eq!(console.waits(), nothing(), "15 bytes are too large now");
    assert_eq!(bench.gate.stats.dropped_too_large.get(), 1);
    publisher.publishes_text("room/a", 3, "c");
    assert_eq!(console.waits(), ["publish room/a c qos 1"]);
}

#[tokio::test]
async fn a_clean_start_and_another_user_begin_anew() {
    let bench = Bench::new();
    let mut publisher = bench.client(Version::V5);
    let clean = |arrival: &mut Arrival| arrival.clean_start = true;
    let other = |arrival: &mut Arrival| {
        arrival.identity = Arc::new(Identity {
            user: "mallory".into(),
            ..Identity::default()
        });
    };
    for change in [&clean as &dyn Fn(&mut Arrival), &other] {
        let mut console = bench.kept(Version::V5, "console");
        console.subscribes("room/a", Qos::AtLeastOnce);
        console.loses_connection();
        publisher.publishes_text("room/a", 1, "secret");
        let mut console = bench.arrives(Version::V5, "console", change);
        assert!(!console.present);
        assert_eq!(console.waits(), nothing());
        assert_eq!(bench.gate.stats.subscriptions.get(), 0);
        console.loses_connection();
        let stats = &bench.gate.stats;
        assert_eq!((stats.sessions.get(), stats.sessions_kept.get()), (1, 0));
    }
}

#[tokio::test]
async fn a_session_ends_when_its_time_has_come() {
    let bench = Bench::new();
    let mut console = bench.kept(Version::V5, "console");
    console.subscribes("room/a", Qos::AtLeastOnce);
    console.loses_connection();
    bench.skip(59);
    assert_eq!(bench.gate.stats.sessions_expired.get(), 0);
    bench.skip(2);
    let stats = &bench.gate.stats;
    assert_eq!(stats.sessions_expired.get(), 1);
    assert_eq!((stats.sessions.get(), stats.subscriptions.get()), (0, 0));
    assert!(!bench.kept(Version::V5, "console").present);
}

#[tokio::test]
async fn a_session_does_not_end_while_its_client_is_connected() {
    let bench = Bench::new();
    bench.kept(Version::V5, "console").loses_connection();
    let console = bench.kept(Version::V5, "console");
    bench.skip(1_000);
    console.loses_connection();
    bench.skip(50);
    assert!(bench.kept(Version::V5, "console").present);
}

#[tokio::test]
async fn a_disconnect_may_change_the_expiry_but_not_from_nothing() {
    let bench = Bench::new();
    bench.kept(Version::V5, "console").says_goodbye(Some(0));
    assert_eq!(bench.gate.stats.sessions.get(), 0);
    bench
        .kept(Version::V5, "console")
        .says_goodbye(Some(u32::MAX));
    bench.skip(599);
    assert!(bench.kept(Version::V5, "console").present);
    bench
        .kept(Version::V5, "other")
        .says_goodbye(Some(u32::MAX));
    bench.skip(601);
    let other = bench.kept(Version::V5, "other");
    assert!(!other.present, "`max_session_expiry` is ten minutes");
    let mut guest = bench.client(Version::V5);
    let mut bytes = Vec::new();
    client::disconnect(&mut bytes, Version::V5, SUCCESS, Some(1));
    let end = guest.is_refused(&bytes);
    assert!(
        matches!(end, End::Refused(ReasonCode::ProtocolError)),
        "{end}"
    );
}

#[tokio::test]
async fn a_kept_queue_is_bounded_and_what_expires_in_it_is_not_sent() {
    let bench = Bench::new();
    let mut publisher = bench.client(Version::V5);
    let mut console = bench.kept(Version::V5, "console");
    console.subscribes("room/a", Qos::AtLeastOnce);
    console.loses_connection();
    (1..=110).for_each(|id| drop(publisher.publishes("room/a", id)));
    assert_eq!(bench.gate.stats.dropped_offline_full.get(), 10);
    bench.kept(Version::V5, "console").says_goodbye(Some(0));

    let mut console = bench.kept(Version::V5, "console");
    console.subscribes("room/a", Qos::AtLeastOnce);
    console.loses_connection();
    let stale = Message {
        expiry_seconds: Some(1),
        ..message("room/a")
    };
    bench.gate.distribute(stale);
    assert_eq!(bench.kept(Version::V5, "console").waits(), nothing());
    assert_eq!(bench.gate.stats.dropped_expired.get(), 1);
}

#[tokio::test]
async fn no_more_sessions_are_kept_than_configured() {
    let bench = Bench::with(|config| {
        config.max_sessions = 2;
        config.max_sessions_per_user = Some(2);
    });
    for id in ["a", "b", "c"] {
        bench.kept(Version::V5, id).loses_connection();
    }
    let stats = &bench.gate.stats;
    assert_eq!((stats.sessions.get(), stats.sessions_refused.get()), (2, 1));
    assert!(bench.kept(Version::V5, "b").present);
    assert!(!bench.kept(Version::V5, "c").present);
}

#[tokio::test]
async fn subscriptions_can_be_dropped_from_outside_also_of_a_kept_session() {
    let bench = Bench::new();
    let mut console = bench.kept(Version::V5, "console");
    for filter in ["room/a", "room/b", "secret/a"] {
        console.subscribes(filter, Qos::AtLeastOnce);
    }
    console.loses_connection();
    let mut dropped = 0;
    bench.gate.registry.for_each(|session| {
        dropped += session.revoke_subscriptions(&bench.gate, |filter| {
            denied_if(filter.starts_with("secret/"))
        });
    });
    assert_eq!((dropped, bench.gate.stats.subscriptions.get()), (1, 2));
    let mut publisher = bench.client(Version::V5);
    publisher.publishes_text("secret/a", 1, "s");
    publisher.publishes_text("room/a", 2, "r");
    assert_eq!(
        bench.kept(Version::V5, "console").waits(),
        ["publish room/a r qos 1"]
    );
}

#[tokio::test]
async fn what_waits_behind_a_revoked_message_is_sent_without_being_asked_for() {
    let bench = Bench::new();
    let mut console = bench.client(Version::V5);
    console.subscribes("secret/a", Qos::AtLeastOnce);
    console.subscribes("room/a", Qos::AtMostOnce);
    let mut publisher = bench.client(Version::V5);
    for packet_id in 1..=3 {
        publisher.publishes("secret/a", packet_id);
    }
    publisher.publishes("room/a", 0);
    assert_eq!(console.waits().len(), 2, "`inflight_max` is 2");
    let (wakes, waker) = Wakes::new();
    let sent = console.client.send(&mut Vec::new(), &waker);
    assert!(matches!(sent, Ok(false)), "{sent:?}");
    let session = Arc::clone(&console.client.session);
    session.revoke_subscriptions(&bench.gate, |filter| denied_if(filter == "secret/a"));
    assert_eq!(wakes.count(), 1);
    assert_eq!(console.waits(), ["publish room/a x qos 0"]);
}

#[tokio::test]
async fn shared_deliveries_of_a_client_that_left_go_to_others_but_not_qos_2_that_was_sent() {
    let bench = Bench::new();
    let mut publisher = bench.client(Version::V5);
    let mut first = bench.kept(Version::V5, "first");
    first.subscribes("$share/g/jobs", Qos::ExactlyOnce);
    publisher.publishes_once("jobs", 1, "twice");
    publisher.publishes_text("jobs", 2, "once");
    publisher.publishes_text("jobs", 3, "queued");
    assert_eq!(first.waits().len(), 2, "`inflight_max` is 2");
    let mut second = bench.client(Version::V5);
    second.subscribes("$share/g/jobs", Qos::ExactlyOnce);
    first.loses_connection();
    assert_eq!(
        second.waits(),
        ["publish jobs once qos 1", "publish jobs queued qos 1"]
    );
    let mut first = bench.kept(Version::V5, "first");
    assert_eq!(first.waits(), ["publish jobs twice qos 2 dup 1"]);
}

#[tokio::test]
async fn shared_deliveries_stay_in_place_when_nobody_else_can_take_them() {
    let bench = Bench::new();
    let mut publisher = bench.client(Version::V5);
    let mut only = bench.kept(Version::V5, "only");
    only.subscribes("$share/g/jobs", Qos::AtLeastOnce);
    for (id, text) in [(1, "a"), (2, "b"), (3, "c")] {
        publisher.publishes_text("jobs", id, text);
    }
    assert_eq!(only.waits().len(), 2);
    only.loses_connection();
    publisher.publishes_text("jobs", 4, "d");
    let mut only = bench.kept(Version::V5, "only");
    let again = ["publish jobs a qos 1 dup 1", "publish jobs b qos 1 dup 2"];
    assert_eq!(only.waits(), again);
    assert_eq!(
        only.answers(encode::puback, 1, SUCCESS),
        ["publish jobs c qos 1"]
    );
    assert_eq!(
        only.answers(encode::puback, 2, SUCCESS),
        ["publish jobs d qos 1"]
    );
}

#[tokio::test]
async fn a_publish_is_acknowledged_when_kept_sessions_have_it_on_disk() {
    let bench = Bench::with(|config| {
        config.max_session_log_size = crate::Config::default().max_session_log_size;
    });
    let log = bench.gate.session_log.as_deref().expect("a log");
    for (id, filter) in [("exact", "room/a"), ("wildcard", "room/+")] {
        let mut console = bench.kept(Version::V5, id);
        console.subscribes(filter, Qos::AtLeastOnce);
        console.loses_connection();
        let mut publisher = bench.client(Version::V5);
        let before = log.end();
        let mut answers = publisher.publishes("room/a", 1);
        if answers.is_empty() {
            answers = publisher.gets(1).await;
        }
        assert_eq!(answers, ["puback 1"]);
        assert!(log.end() > before, "it was queued");
        assert_eq!(log.durable(), log.end(), "{filter}");
    }
}

fn denied_if(denied: bool) -> Grant {
    if denied { Grant::Denied } else { Grant::Whole }
}
