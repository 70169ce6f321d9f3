//! Shared subscriptions: each message to one member of the group, whatever the members do.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use broker::packet::client::{self, ServerPacket};
use broker::packet::{Qos, ReasonCode, RetainHandling, Subscription, Version, encode};

use super::line::Line;
use super::{BOTH, Running};

/// A client that subscribes, and notes what it gets.
struct Worker {
    line: Line,
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
fn publish_numbers(source: &mut Line, topic: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        source.publish(topic, number.to_string().as_bytes(), 1, false);
        assert_eq!(source.next(), "puback 1");
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
fn each_group_and_each_plain_subscription_gets_every_message() {
    let server = Running::start();
    for version in BOTH {
        let mut plain = Worker::connect(&server, version, "plain");
        plain.subscribe("jobs/#", Qos::AtLeastOnce);
        let mut red = [(); 2].map(|()| Worker::connect(&server, version, ""));
        for member in &mut red {
            member.subscribe("$share/red/jobs/#", Qos::AtLeastOnce);
        }
        let mut blue = Worker::connect(&server, version, "blue");
        blue.subscribe("$share/blue/jobs/#", Qos::AtLeastOnce);
        // The same name on another filter is another group.
        let mut other = Worker::connect(&server, version, "other");
        other.subscribe("$share/red/jobs/+", Qos::AtLeastOnce);
        let mut source = server.connect(version, "source");
        publish_numbers(&mut source, "jobs/a", 0..4);
        for number in ["0", "1", "2", "3"] {
            assert_eq!([plain.work(), blue.work(), other.work()], [number; 3]);
        }
        let shared: BTreeSet<_> = red
            .iter_mut()
            .flat_map(|member| [member.work(), member.work()])
            .collect();
        assert_eq!(shared, numbers(0..4));
    }
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
fn a_shared_subscription_gets_nothing_retained_when_it_is_made() {
    let server = Running::start();
    let mut source = server.connect(Version::V5, "source");
    source.publish("jobs/a", b"old", 1, true);
    assert_eq!(source.next(), "puback 1");
    let mut member = Worker::connect(&server, Version::V5, "member");
    member.subscribe("$share/g/jobs/+", Qos::AtLeastOnce);
    member.line.is_served();
    publish_numbers(&mut source, "jobs/a", 0..1);
    assert_eq!(member.work(), "0");
}
