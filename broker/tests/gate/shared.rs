//! Shared subscriptions: each message to one member of the group, whatever the members do.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};

use broker::Config;
use mqtt::client::{self, Connect, ServerPacket};
use mqtt::{Qos, ReasonCode, RetainHandling, Subscription, Version, encode};
use testkit::PATIENCE;
use testkit::mqtt::Client;

use super::{BOTH, Running};

/// A client that subscribes, and notes what it gets.
struct Worker {
    line: Client,
    version: Version,
}

/// What a worker got.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    payload: String,
    qos: Qos,
    dup: bool,
    packet_id: Option<u16>,
    identifier: Option<u32>,
}

impl Worker {
    fn connect(server: &Running, version: Version, client_id: &str) -> Worker {
        Worker {
            line: server.connect(version, client_id),
            version,
        }
    }

    fn subscribe(&mut self, filter: &str, qos: Qos) {
        self.subscribe_as(filter, qos, None);
    }

    fn subscribe_as(&mut self, filter: &str, qos: Qos, identifier: Option<NonZeroU32>) {
        let mut bytes = Vec::new();
        let subscription = Subscription {
            filter,
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let identifier = identifier.map(NonZeroU32::get);
        client::subscribe(&mut bytes, self.version, 7, identifier, &[subscription]);
        self.line.send(&bytes);
        assert_eq!(self.line.next(), format!("suback [{}]", qos as u8));
    }

    fn unsubscribe(&mut self, filter: &str) {
        let mut bytes = Vec::new();
        client::unsubscribe(&mut bytes, self.version, 8, &[filter]);
        self.line.send(&bytes);
        assert_eq!(self.line.next(), "unsuback");
    }

    /// The next publish; not acknowledged.
    fn get(&mut self) -> Got {
        let got = self.line.receive(|packet| match packet {
            ServerPacket::Publish(publish) => Got {
                payload: String::from_utf8_lossy(publish.payload).into_owned(),
                qos: publish.qos,
                dup: publish.dup,
                packet_id: publish.packet_id,
                identifier: publish.properties.subscription_ids().next(),
            },
            other => panic!("not a publish: {other:?}"),
        });
        got.expect("the connection is open")
    }

    /// The next publish's payload; acknowledged at QoS 1.
    fn work(&mut self) -> String {
        let got = self.get();
        if let Some(packet_id) = got.packet_id {
            self.acknowledge(packet_id);
        }
        got.payload
    }

    fn acknowledge(&mut self, packet_id: u16) {
        let mut bytes = Vec::new();
        encode::puback(&mut bytes, self.version, packet_id, ReasonCode::Success);
        self.line.send(&bytes);
    }
}

/// Publishes `count` numbered messages at QoS 1, each after the one before is acknowledged.
fn publish_numbers(source: &mut Client, topic: &str, numbers: std::ops::Range<u32>) {
    publish_with(source, topic, numbers, "puback 1");
}

fn publish_with(source: &mut Client, topic: &str, numbers: std::ops::Range<u32>, answer: &str) {
    for number in numbers {
        source.publish(topic, number.to_string().as_bytes(), 1, false);
        assert_eq!(source.next(), answer);
    }
}

/// What a publisher is told to whom nobody listens.
fn no_subscribers(version: Version) -> &'static str {
    match version {
        Version::V311 => "puback 1",
        Version::V5 => "puback 1 reason 10",
    }
}

fn numbers(range: std::ops::Range<u32>) -> BTreeSet<String> {
    range.map(|number| number.to_string()).collect()
}

#[test]
fn members_that_keep_up_take_turns_under_exact_and_wildcard_filters() {
    let server = Running::start();
    let mut source = server.connect(Version::V5, "source");
    for (topic, filter) in [("jobs/a", "$share/g/jobs/a"), ("work/a", "$share/g/work/+")] {
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
            let mut members = [Version::V5, Version::V311, Version::V5]
                .map(|version| Worker::connect(&server, version, ""));
            for member in &mut members {
                member.subscribe(filter, qos);
            }
            for number in 0..9 {
                publish_numbers(&mut source, topic, number..number + 1);
                let member = &mut members[number as usize % 3];
                assert_eq!(member.work(), number.to_string(), "{filter} at {qos:?}");
                // So the acknowledgement has been seen before the turn comes again.
                member.line.is_served();
            }
            for mut member in members {
                member.unsubscribe(filter);
                member.line.is_served();
            }
        }
    }
}

#[test]
fn each_member_gets_its_own_qos_and_identifier() {
    let server = Running::start();
    let mut source = server.connect(Version::V5, "source");
    let mut low = Worker::connect(&server, Version::V5, "low");
    low.subscribe_as("$share/g/jobs", Qos::AtMostOnce, NonZeroU32::new(11));
    let mut high = Worker::connect(&server, Version::V5, "high");
    high.subscribe_as("$share/g/jobs", Qos::AtLeastOnce, NonZeroU32::new(12));
    publish_numbers(&mut source, "jobs", 0..2);
    let (first, second) = (low.get(), high.get());
    let seen = |got: &Got| (got.payload.clone(), got.qos, got.identifier);
    assert_eq!(seen(&first), ("0".into(), Qos::AtMostOnce, Some(11)));
    assert_eq!(seen(&second), ("1".into(), Qos::AtLeastOnce, Some(12)));
}

#[test]
fn a_session_may_be_a_member_and_a_plain_subscriber_at_once() {
    let server = Running::start();
    let mut both = Worker::connect(&server, Version::V5, "both");
    both.subscribe_as("jobs", Qos::AtLeastOnce, NonZeroU32::new(1));
    both.subscribe_as("$share/g/jobs", Qos::AtLeastOnce, NonZeroU32::new(2));
    let mut source = server.connect(Version::V5, "source");
    publish_numbers(&mut source, "jobs", 0..1);
    let identifiers: BTreeSet<_> = [both.get(), both.get()]
        .iter()
        .map(|got| got.identifier)
        .collect();
    assert_eq!(identifiers, [Some(1), Some(2)].into());
    both.unsubscribe("$share/g/jobs");
    publish_numbers(&mut source, "jobs", 1..2);
    assert_eq!(both.get().identifier, Some(1));
    both.line.is_served();
}

#[test]
fn a_member_that_acknowledges_nothing_holds_a_window_and_the_others_get_the_rest() {
    const WINDOW: u32 = 10;
    const MESSAGES: u32 = 300;
    let server = Running::with(Config {
        max_inflight: WINDOW as u16,
        ..Config::default()
    });
    let mut slow = Worker::connect(&server, Version::V5, "slow");
    slow.subscribe("$share/g/jobs/a", Qos::AtLeastOnce);
    let mut quick = Worker::connect(&server, Version::V5, "quick");
    quick.subscribe("$share/g/jobs/a", Qos::AtLeastOnce);
    let mut source = server.connect(Version::V5, "source");
    let mut by_quick = Vec::new();
    for number in 0..MESSAGES {
        publish_numbers(&mut source, "jobs/a", number..number + 1);
        // In turn until the slow one's window is full, then one more waits in its queue.
        let slow_has = number.div_ceil(2);
        if number % 2 == 1 || slow_has > WINDOW {
            by_quick.push(quick.work());
            quick.line.is_served();
        }
    }
    assert!(by_quick.len() as u32 >= MESSAGES - WINDOW - 1);
    // It is lost, and what it held goes to the other one.
    let held: Vec<_> = (0..WINDOW).map(|_| slow.get().payload).collect();
    drop(slow);
    let handed_on: Vec<_> = (by_quick.len() as u32..MESSAGES)
        .map(|_| quick.work())
        .collect();
    assert_eq!(handed_on[..held.len()], held, "in their order");
    by_quick.extend(handed_on);
    assert_eq!(by_quick.len() as u32, MESSAGES, "each once");
    assert_eq!(BTreeSet::from_iter(by_quick), numbers(0..MESSAGES));
    quick.line.is_served();
}

#[test]
fn what_nobody_is_left_to_take_is_counted() {
    let server = Running::start();
    let stats = server.stats();
    let mut source = server.connect(Version::V5, "source");
    let mut member = Worker::connect(&server, Version::V5, "member");
    member.subscribe("$share/g/jobs", Qos::AtLeastOnce);
    publish_numbers(&mut source, "jobs", 0..3);
    assert_eq!(member.get().payload, "0");
    drop(member);
    testkit::wait_until(
        "the three to be given up",
        PATIENCE,
        || (stats.dropped_no_member.get(), stats.subscriptions.get()),
        |now| *now == (3, 0),
    );
    // Nobody subscribes any more, so nothing is counted for what comes now.
    publish_with(&mut source, "jobs", 3..5, no_subscribers(Version::V5));
    assert_eq!(stats.dropped_no_member.get(), 3);
    server.serves_a_fresh_client();
}

/// The members' clients are away, and their sessions wait for them.
mod kept {
    use super::*;

    impl Worker {
        /// With a session that is kept for an hour.
        fn begin(server: &Running, version: Version, client_id: &str) -> Worker {
            Worker::with_kept(server, version, client_id, "connack 0")
        }

        fn resume(server: &Running, version: Version, client_id: &str) -> Worker {
            Worker::with_kept(server, version, client_id, "connack 0 present")
        }

        fn with_kept(server: &Running, version: Version, client_id: &str, answer: &str) -> Worker {
            let mut line = server.open(version);
            line.send_connect(&Connect {
                clean_start: false,
                session_expiry: (version == Version::V5).then_some(3_600),
                ..Connect::new(version, client_id)
            });
            assert_eq!(line.next(), answer);
            Worker { line, version }
        }

        /// Returns when the session counts as offline.
        fn leave(mut self) {
            self.line.disconnect();
            assert_eq!(self.line.next(), "closed");
        }
    }

    /// What the member had been given is not lost with it, though the broker was restarted
    /// meanwhile.
    #[test]
    fn what_a_member_was_given_goes_to_another_also_when_its_session_ends_after_a_restart() {
        let mut server = Running::start();
        let mut first = Worker::begin(&server, Version::V5, "first");
        first.subscribe("$share/g/jobs", Qos::AtLeastOnce);
        let mut source = server.connect(Version::V5, "source");
        publish_numbers(&mut source, "jobs", 0..1);
        assert_eq!(first.line.next(), "jobs = 0");
        first.leave();
        publish_numbers(&mut source, "jobs", 1..3);

        server.stop();
        let data = std::mem::replace(&mut server.data, tempfile::tempdir().expect("a folder"));
        drop(server);
        let server = Running::in_folder(Config::default(), data);
        let mut second = Worker::begin(&server, Version::V5, "second");
        second.subscribe("$share/g/jobs", Qos::AtLeastOnce);
        // With a clean start, which ends what was kept.
        server.connect(Version::V5, "first").is_served();
        let numbers = [second.work(), second.work(), second.work()];
        assert_eq!(numbers, ["0", "1", "2"]);
        assert_eq!(server.stats().handed_on.get(), 3);
    }

    #[test]
    fn members_that_are_away_get_their_turns_when_nobody_is_connected() {
        let server = Running::start();
        for version in BOTH {
            let topic = format!("jobs/{version:?}");
            let filter = format!("$share/g/{topic}");
            let names = ["first", "second"].map(|name| format!("{name} {version:?}"));
            let [mut first, mut second] = names
                .each_ref()
                .map(|id| Worker::begin(&server, version, id));
            first.subscribe(&filter, Qos::AtLeastOnce);
            second.subscribe(&filter, Qos::AtLeastOnce);
            let mut source = server.connect(version, "source");
            first.leave();
            publish_numbers(&mut source, &topic, 0..4);
            let by_second = [(); 4].map(|()| second.work());
            assert_eq!(
                by_second,
                ["0", "1", "2", "3"],
                "the connected one takes all"
            );
            second.line.is_served();

            second.leave();
            let dropped = server.stats().dropped_no_member.get();
            source.publish(&topic, b"nobody waits for it", 0, false);
            publish_numbers(&mut source, &topic, 4..8);
            assert_eq!(server.stats().dropped_no_member.get(), dropped + 1);
            let mut members = names
                .each_ref()
                .map(|id| Worker::resume(&server, version, id));
            let got: BTreeSet<_> = members
                .iter_mut()
                .flat_map(|member| [member.work(), member.work()])
                .collect();
            assert_eq!(got, numbers(4..8), "two each");
            for member in &mut members {
                member.unsubscribe(&filter);
                member.line.is_served();
            }
        }
    }

    #[test]
    fn a_lost_member_gives_what_it_had_to_those_connected_and_finds_nothing_again() {
        let server = Running::start();
        let mut source = server.connect(Version::V5, "source");
        let mut lost = Worker::begin(&server, Version::V5, "lost");
        lost.subscribe("$share/g/jobs/+", Qos::AtLeastOnce);
        publish_numbers(&mut source, "jobs/a", 0..10);
        let had = [(); 10].map(|()| lost.get().payload);
        let mut other = Worker::connect(&server, Version::V5, "other");
        other.subscribe("$share/g/jobs/+", Qos::AtLeastOnce);
        drop(lost);
        for payload in &had {
            let got = other.get();
            assert_eq!(
                (&got.payload, got.dup),
                (payload, false),
                "new to this client"
            );
            other.acknowledge(got.packet_id.expect("QoS 1"));
        }
        other.line.is_served();
        let mut back = Worker::resume(&server, Version::V5, "lost");
        back.line.is_served();
        other.leave();
        publish_numbers(&mut source, "jobs/a", 10..11);
        assert_eq!(back.work(), "10");
    }

    #[test]
    fn the_last_member_keeps_what_it_had_until_it_is_back() {
        let server = Running::start();
        for version in BOTH {
            let mut source = server.connect(version, "source");
            let name = format!("alone {version:?}");
            let mut alone = Worker::begin(&server, version, &name);
            alone.subscribe("$share/g/jobs/+", Qos::AtLeastOnce);
            publish_numbers(&mut source, "jobs/a", 0..3);
            let before = [(); 3].map(|()| alone.get());
            drop(alone);
            publish_numbers(&mut source, "jobs/a", 3..5);
            let mut back = Worker::resume(&server, version, &name);
            for earlier in before {
                assert_eq!(
                    back.get(),
                    Got {
                        dup: true,
                        ..earlier
                    }
                );
            }
            assert_eq!([back.get().payload, back.get().payload], ["3", "4"]);
            // It leaves the group, not its session, with all of it unacknowledged.
            back.unsubscribe("$share/g/jobs/+");
            publish_with(&mut source, "jobs/a", 5..6, no_subscribers(version));
            back.line.is_served();
            back.leave();
            let mut again = Worker::resume(&server, version, &name);
            let again: Vec<_> = (0..5).map(|_| again.work()).collect();
            assert_eq!(again, ["0", "1", "2", "3", "4"]);
            server.serves_a_fresh_client();
        }
    }

    /// [MQTT-4.8.2-4], [MQTT-4.8.2-5]
    #[test]
    fn what_was_sent_at_qos_2_stays_with_its_session() {
        let server = Running::start();
        let mut lost = Worker::begin(&server, Version::V5, "lost");
        lost.subscribe("$share/g/jobs", Qos::ExactlyOnce);
        let mut source = server.connect(Version::V5, "source");
        publish_exactly_once(&mut source, "jobs", b"begun");
        let begun = lost.get();
        let mut other = Worker::connect(&server, Version::V5, "other");
        other.subscribe("$share/g/jobs", Qos::ExactlyOnce);
        drop(lost);
        publish_exactly_once(&mut source, "jobs", b"next");
        assert_eq!(other.get().payload, "next", "and nothing before it");
        let mut back = Worker::resume(&server, Version::V5, "lost");
        assert_eq!(back.get(), Got { dup: true, ..begun });
    }
}

fn publish_exactly_once(source: &mut Client, topic: &str, payload: &[u8]) {
    let mut bytes = Vec::new();
    let publish = encode::Publish {
        qos: Qos::ExactlyOnce,
        topic,
        packet_id: 1,
        payload,
        ..Default::default()
    };
    encode::publish(&mut bytes, Version::V5, &publish);
    encode::pubrel(&mut bytes, Version::V5, 1, ReasonCode::Success);
    source.send(&bytes);
    let answers = [(); 2].map(|()| {
        source.receive(|packet| match packet {
            ServerPacket::PubRec(ack) => format!("pubrec {}", ack.packet_id),
            ServerPacket::PubComp(ack) => format!("pubcomp {}", ack.packet_id),
            other => format!("{other:?}"),
        })
    });
    assert_eq!(
        answers.map(Option::unwrap_or_default),
        ["pubrec 1", "pubcomp 1"]
    );
}

/// [MQTT-4.8.2-6]
#[test]
fn what_a_member_refuses_goes_to_nobody_else() {
    let server = Running::start();
    let mut source = server.connect(Version::V5, "source");
    let mut member = Worker::connect(&server, Version::V5, "member");
    member.subscribe("$share/g/jobs", Qos::AtLeastOnce);
    publish_numbers(&mut source, "jobs", 0..1);
    let packet_id = member.get().packet_id.expect("QoS 1");
    let mut other = Worker::connect(&server, Version::V5, "other");
    other.subscribe("$share/g/jobs", Qos::AtLeastOnce);
    let mut bytes = Vec::new();
    encode::puback(
        &mut bytes,
        Version::V5,
        packet_id,
        ReasonCode::UnspecifiedError,
    );
    member.line.send(&bytes);
    member.line.disconnect();
    assert_eq!(member.line.next(), "closed");
    publish_numbers(&mut source, "jobs", 1..2);
    assert_eq!(other.work(), "1");
    other.line.is_served();
}

/// A member whose socket takes nothing more: what was not sent goes to another when it is gone, at
/// QoS 0 too.
#[test]
fn a_member_that_reads_nothing_gives_back_what_was_not_sent() {
    const MESSAGES: u64 = 300;
    let server = Running::start();
    let mut stuck = Worker::connect(&server, Version::V311, "stuck");
    stuck.subscribe("$share/g/jobs", Qos::AtMostOnce);
    let mut source = server.connect(Version::V5, "source");
    // 30 MB, far more than the kernel buffers for one connection; within the queue's bound.
    let payload = vec![b'x'; 100_000];
    for _ in 0..MESSAGES / 2 {
        source.publish("jobs", &payload, 0, false);
    }
    source.is_served();
    let mut quick = Worker::connect(&server, Version::V311, "quick");
    quick.subscribe("$share/g/jobs", Qos::AtMostOnce);
    for _ in 0..MESSAGES / 2 {
        source.publish("jobs", &payload, 0, false);
        quick.get();
    }
    quick.line.is_served();
    let stats = server.stats();
    assert_eq!(stats.handed_on.get(), 0);
    drop(stuck);
    let sessions = || stats.sessions.get();
    testkit::wait_until("the stuck one's end", PATIENCE, sessions, |left| *left == 2);
    let handed_on = stats.handed_on.get();
    assert!(handed_on > 0);
    for _ in 0..handed_on {
        assert_eq!(quick.get().payload.len(), payload.len());
    }
    quick.line.is_served();
    assert_eq!(stats.delivered.get(), MESSAGES, "each to one of them");
}

/// Members come and go without ever acknowledging: the one that stays gets everything in the end,
/// once.
#[test]
fn nothing_is_lost_or_doubled_while_members_come_and_go() {
    const MESSAGES: u32 = 2_000;
    for (topic, filter) in [("jobs/a", "$share/g/jobs/a"), ("work/a", "$share/g/work/#")] {
        let server = Running::start();
        let mut steady = Worker::connect(&server, Version::V5, "steady");
        steady.subscribe(filter, Qos::AtLeastOnce);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for member in 0..3 {
                let (server, done) = (&server, &done);
                scope.spawn(move || {
                    let mut round = 0;
                    while !done.load(Ordering::Relaxed) {
                        let name = format!("passing-{member}-{}", round % 2);
                        let mut passing = Worker::connect(server, BOTH[round % 2], &name);
                        passing.subscribe(filter, Qos::AtLeastOnce);
                        // A round trip is time enough to be given something.
                        let mut ping = Vec::new();
                        client::pingreq(&mut ping);
                        passing.line.send(&ping);
                        while passing.line.next() != "pingresp" {}
                        round += 1;
                    }
                });
            }
            let mut source = server.connect(Version::V5, "source");
            publish_numbers(&mut source, topic, 0..MESSAGES);
            done.store(true, Ordering::Relaxed);
        });
        let got: Vec<_> = (0..MESSAGES).map(|_| steady.work()).collect();
        assert_eq!(BTreeSet::from_iter(got), numbers(0..MESSAGES));
        steady.line.is_served();
    }
}
