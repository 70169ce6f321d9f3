//! Access rules over the wire: what is answered to what they deny, and rules that change under
//! load.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use access::{DeviceCredentials, Lookup, rules, secret_digest};
use broker::Config;
use mqtt::client::{Connect, ServerPacket, Will};
use mqtt::{Qos, ReasonCode, Version, encode};
use testkit::mqtt::Client;

use super::{BOTH, Running};

/// Knows every device, by one secret.
struct Everyone;

const SECRET: &[u8] = b"of every device";

impl DeviceCredentials for Everyone {
    fn find(&self, _device: &str) -> Lookup {
        Lookup::Known {
            current: secret_digest(SECRET),
            previous: None,
        }
    }

    fn any(&self) -> bool {
        true
    }

    fn generation(&self) -> u64 {
        0
    }
}

/// A broker whose clients without a password are anonymous.
fn with_rules(rules: &str) -> (Running, PathBuf) {
    with_rules_and(rules, None)
}

fn with_rules_and(rules: &str, devices: Option<Arc<dyn DeviceCredentials>>) -> (Running, PathBuf) {
    let data = tempfile::tempdir().expect("a folder");
    fs::write(data.path().join("acl.toml"), rules).expect("written");
    in_folder_with_rules(data, devices)
}

fn in_folder_with_rules(
    data: tempfile::TempDir,
    devices: Option<Arc<dyn DeviceCredentials>>,
) -> (Running, PathBuf) {
    let file = data.path().join("acl.toml");
    let config = Config {
        reload_interval: Duration::from_millis(10),
        acl: rules::Config {
            file: Some(file.clone()),
            ..rules::Config::default()
        },
        ..Config::default()
    };
    let is_telemetry = Arc::new(|topic: &str| topic.starts_with("devices/"));
    (
        Running::assembled(config, data, is_telemetry, devices),
        file,
    )
}

/// Changes the rules and waits until they hold, and every session has been looked at.
fn change(broker: &Running, file: &Path, rules: &str) {
    let reloads = &broker.stats().access_reloads;
    let before = reloads.get();
    fs::write(file, rules).expect("written");
    testkit::wait_until(
        "the rules to be in force",
        Duration::from_secs(20),
        || reloads.get(),
        |now| *now > before,
    );
}

const PLANT: &str = r#"
[[rule]]
deny = "both"
topics = ["plant/secret/#"]
[[rule]]
allow = "both"
topics = ["plant/#", "devices/%c/#"]
"#;

#[test]
fn what_the_rules_deny_is_answered_as_each_version_can() {
    let (broker, _) = with_rules(PLANT);
    let mut five = broker.connect(Version::V5, "five");
    five.ask("plant/secret/+");
    assert_eq!(five.next(), "suback [87]");
    five.ask("plant/#");
    assert_eq!(five.next(), "suback [1]", "what is secret is left out");
    five.ask("$share/g/plant/open");
    assert_eq!(five.next(), "suback [1]");
    five.publish("plant/secret/1", b"x", 1, false);
    assert_eq!(five.next(), "puback 1 reason 87");
    five.publish("devices/six/telemetry", b"1", 2, false);
    assert_eq!(five.next(), "puback 2 reason 87");
    five.publish("devices/five/telemetry", b"1", 3, false);
    assert_eq!(five.next(), "puback 3");
    // Nobody is told of a denied QoS 0 publish, and nobody gets it.
    five.publish("plant/secret/1", b"x", 0, true);
    five.is_served();

    let mut three = broker.connect(Version::V311, "three");
    three.ask("plant/secret/+");
    assert_eq!(three.next(), "suback [80]");
    three.ask("plant/open/#");
    assert_eq!(three.next(), "suback [1]");
    three.publish("plant/open/1", b"x", 1, false);
    let mut answers = [three.next(), three.next()];
    answers.sort();
    assert_eq!(answers, ["plant/open/1 = x", "puback 1"]);
    three.publish("plant/secret/1", b"x", 2, false);
    assert_eq!(three.next(), "closed", "3.1.1 has no other word for it");
    assert_eq!(broker.stats().denied.get(), 4);
    assert_eq!(broker.stats().denied_subscriptions.get(), 2);
}

/// A reader of everything, from whom some of it is kept.
const IN_PART: &str = r##"
[[rule]]
client = "reader"
deny = "subscribe"
topics = ["plant/secret/#", "plant/+/key"]
[[rule]]
allow = "both"
topics = "#"
"##;

#[test]
fn a_filter_that_is_denied_in_part_brings_the_rest() {
    let (broker, _) = with_rules(IN_PART);
    let mut source = broker.connect(Version::V5, "source");
    let mut packet_id = 0;
    let mut publish = |topic: &str, payload: &str, retain: bool| {
        packet_id += 1;
        source.publish(topic, payload.as_bytes(), packet_id, retain);
        assert_eq!(source.next(), format!("puback {packet_id}"));
    };
    publish("plant/secret/1", "kept", true);
    publish("plant/open/1", "kept", true);
    let mut withheld = 0;
    for version in BOTH {
        let mut reader = broker.connect(version, "reader");
        let mut other = broker.connect(version, "other");
        other.subscribe("plant/#");
        let mut kept_ones = [other.next(), other.next()];
        kept_ones.sort();
        assert_eq!(
            kept_ones,
            [
                "plant/open/1 = kept retained",
                "plant/secret/1 = kept retained"
            ]
        );
        // Retained, and live.
        reader.subscribe("plant/#");
        assert_eq!(reader.next(), "plant/open/1 = kept retained");
        reader.subscribe("$share/g/+/hall/#");
        other.subscribe("$share/g/+/hall/#");
        for (topic, is_withheld) in [
            ("plant/secret/1", true),
            ("plant/a/key", true),
            ("plant/secret", true),
            ("plant/a/lock", false),
        ] {
            publish(topic, "x", false);
            assert_eq!(other.next(), format!("{topic} = x"));
            if !is_withheld {
                assert_eq!(reader.next(), format!("{topic} = x"));
            }
        }
        withheld += 3;
        let counter = || broker.stats().withheld.get();
        testkit::wait_until("the count", Duration::from_secs(20), counter, |count| {
            *count == withheld
        });
        // A group never gives it to a member that may not have it.
        for _ in 0..3 {
            publish("plant/hall/key", "x", false);
            let got = [other.next(), other.next()];
            assert_eq!(got, ["plant/hall/key = x", "plant/hall/key = x"]);
            withheld += 1;
        }
        // A wholly denied filter is refused, and one that nothing allows.
        reader.ask("plant/secret/#");
        let refused = match version {
            Version::V5 => "suback [87]",
            _ => "suback [80]",
        };
        assert_eq!(reader.next(), refused);
        reader.disconnect();
        other.disconnect();
        broker.is_empty_but_for(1);
    }
}

#[test]
fn what_new_rules_deny_in_part_is_left_out_from_then_on() {
    let (broker, file) = with_rules(IN_PART);
    let mut source = broker.connect(Version::V5, "source");
    let mut packet_id = 0;
    let mut publish = |topic: &str, payload: &str| {
        packet_id += 1;
        source.publish(topic, payload.as_bytes(), packet_id, false);
        assert_eq!(source.next(), format!("puback {packet_id}"));
    };
    for version in BOTH {
        let kept = Connect {
            clean_start: false,
            session_expiry: (version == Version::V5).then_some(600),
            ..Connect::new(version, "reader")
        };
        let mut reader = broker.open(version);
        reader.send_connect(&kept);
        assert_eq!(reader.next(), "connack 0");
        reader.subscribe("plant/#");
        reader.disconnect();
        broker.is_empty_but_for(1);
        // What waits of a topic that is denied by now goes.
        for topic in ["plant/b/1", "plant/c/1", "plant/secret/1"] {
            publish(topic, "before");
        }
        let denying = IN_PART.replace("plant/secret/#", "plant/b/#");
        change(&broker, &file, &denying);
        for topic in ["plant/b/1", "plant/secret/1"] {
            publish(topic, "after");
        }
        let mut reader = broker.open(version);
        reader.send_connect(&kept);
        assert_eq!(reader.next(), "connack 0 present");
        assert_eq!(reader.next(), "plant/c/1 = before");
        assert_eq!(reader.next(), "plant/secret/1 = after");
        // Rules that deny nothing, and some again, while it is there.
        change(&broker, &file, "[[rule]]\nallow = 'both'\ntopics = '#'\n");
        publish("plant/b/1", "open");
        assert_eq!(reader.next(), "plant/b/1 = open");
        change(&broker, &file, IN_PART);
        publish("plant/secret/1", "live");
        publish("plant/d/1", "live");
        assert_eq!(reader.next(), "plant/d/1 = live");
        drop(reader);
        broker.is_empty_but_for(1);
        let mut last = broker.connect(version, "reader");
        last.disconnect();
        broker.is_empty_but_for(1);
    }
}

#[test]
fn a_session_that_is_kept_over_a_restart_is_denied_its_part_again() {
    let (mut broker, _) = with_rules(IN_PART);
    let kept = Connect {
        clean_start: false,
        ..Connect::new(Version::V311, "reader")
    };
    let mut reader = broker.open(Version::V311);
    reader.send_connect(&kept);
    assert_eq!(reader.next(), "connack 0");
    reader.subscribe("plant/#");
    reader.disconnect();
    broker.is_empty_but_for(0);
    broker.stop();
    let folder = std::mem::replace(&mut broker.data, tempfile::tempdir().expect("a folder"));
    drop(broker);
    let (broker, _) = in_folder_with_rules(folder, None);
    let mut source = broker.connect(Version::V5, "source");
    for (packet_id, topic) in [(1, "plant/secret/1"), (2, "plant/open")] {
        source.publish(topic, b"x", packet_id, false);
        assert_eq!(source.next(), format!("puback {packet_id}"));
    }
    let mut reader = broker.open(Version::V311);
    reader.send_connect(&kept);
    assert_eq!(reader.next(), "connack 0 present");
    assert_eq!(reader.next(), "plant/open = x");
}

#[test]
fn a_denied_publish_of_3_1_1_is_acknowledged_and_dropped_where_that_is_configured() {
    let data = tempfile::tempdir().expect("a folder");
    let file = data.path().join("acl.toml");
    fs::write(&file, PLANT).expect("written");
    let config = Config {
        acl: rules::Config {
            file: Some(file),
            denied_publish_v3: rules::DeniedPublish::Acknowledge,
        },
        ..Config::default()
    };
    let is_telemetry = Arc::new(|_: &str| false);
    let broker = Running::assembled(config, data, is_telemetry, None);
    let mut witness = broker.connect(Version::V5, "witness");
    witness.subscribe("plant/#");
    let mut three = broker.connect(Version::V311, "three");
    three.publish("plant/secret/1", b"x", 1, true);
    assert_eq!(three.next(), "puback 1");
    three.publish("plant/secret/1", b"x", 0, false);
    three.publish_at(Qos::ExactlyOnce, "plant/secret/1", b"x", 2, false);
    assert_eq!(three.next(), "pubrec 2");
    let mut released = Vec::new();
    encode::pubrel(&mut released, Version::V311, 2, ReasonCode::Success);
    three.send(&released);
    assert_eq!(three.next(), "pubcomp 2");
    three.publish("plant/open", b"x", 3, false);
    assert_eq!(three.next(), "puback 3");
    assert_eq!(witness.next(), "plant/open = x");
    // MQTT 5 is told, and what is too deep still ends the connection.
    let mut five = broker.connect(Version::V5, "five");
    five.publish("plant/secret/1", b"x", 1, false);
    assert_eq!(five.next(), "puback 1 reason 87");
    assert_eq!(broker.stats().denied.get(), 4);
    assert_eq!(broker.stats().dropped_denied.get(), 3);
}

#[test]
fn a_qos_2_publish_that_is_denied_ends_with_its_pubrec() {
    let (broker, _) = with_rules(PLANT);
    let mut five = broker.connect(Version::V5, "five");
    five.publish_at(Qos::ExactlyOnce, "plant/secret/1", b"x", 9, false);
    let answer = five.receive(|packet| match packet {
        ServerPacket::PubRec(ack) => (ack.packet_id, ack.reason.code()),
        other => panic!("{other:?}"),
    });
    assert_eq!(answer, Some((9, 0x87)));
    // Its packet id is free.
    five.publish_at(Qos::ExactlyOnce, "plant/open", b"x", 9, false);
    assert_eq!(five.next(), "pubrec 9");
}

#[test]
fn a_will_is_checked_as_a_publish_when_the_client_connects() {
    let (broker, _) = with_rules(PLANT);
    for (version, refused) in [(Version::V311, "connack 5"), (Version::V5, "connack 87")] {
        for (topic, answer) in [("plant/secret/x", refused), ("plant/open", "connack 0")] {
            let mut line = broker.open(version);
            line.send_connect(&with_will(version, "c", topic));
            assert_eq!(line.next(), answer, "{topic}");
        }
    }
    for version in BOTH {
        let mut line = broker.open(version);
        line.send_connect(&with_will(version, "c", "alerts/active/a/hot"));
        assert_ne!(line.next(), "connack 0", "whatever the rules say");
    }
}

#[test]
fn a_will_is_checked_again_when_it_is_published() {
    let (broker, file) = with_rules(PLANT);
    let mut witness = broker.connect(Version::V5, "witness");
    witness.subscribe("plant/will");
    witness.subscribe("plant/after");
    let mut doomed = broker.open(Version::V5);
    doomed.send_connect(&with_will(Version::V5, "doomed", "plant/will"));
    assert_eq!(doomed.next(), "connack 0");
    let denying = format!("[[rule]]\ndeny = 'publish'\ntopics = 'plant/will'\n{PLANT}");
    change(&broker, &file, &denying);
    drop(doomed);
    testkit::wait_until(
        "the will to be denied",
        Duration::from_secs(20),
        || broker.stats().denied.get(),
        |denied| *denied == 1,
    );
    witness.publish("plant/after", b"1", 1, false);
    let mut answers = [witness.next(), witness.next()];
    answers.sort();
    assert_eq!(answers, ["plant/after = 1", "puback 1"]);
}

#[test]
fn a_device_writes_under_its_own_name_alone_and_reads_its_commands() {
    let devices: Arc<dyn DeviceCredentials> = Arc::new(Everyone);
    let data = tempfile::tempdir().expect("a folder");
    let is_telemetry = Arc::new(|topic: &str| topic.starts_with("devices/"));
    // Without a file: the built-in rules.
    let broker = Running::assembled(Config::default(), data, is_telemetry, Some(devices));
    let connect = |client_id: &'static str| {
        let mut line = broker.open(Version::V5);
        line.send_connect(&Connect {
            user: Some("press-1"),
            password: Some(SECRET),
            ..Connect::new(Version::V5, client_id)
        });
        assert_eq!(line.next(), "connack 0");
        line
    };
    // A client id proves nothing.
    let mut device = connect("press-2");
    let denied = |packet_id| format!("puback {packet_id} reason 87");
    device.publish("devices/press-1/telemetry", b"1", 1, false);
    assert_eq!(device.next(), "puback 1");
    device.publish("devices/press-2/telemetry", b"1", 2, false);
    assert_eq!(device.next(), denied(2));
    device.publish("v1/devices/me/telemetry", b"1", 3, false);
    assert_eq!(
        device.next(),
        denied(3),
        "the device there is the client id"
    );
    device.publish("alerts/command/press-1/hot", b"{}", 4, false);
    assert_eq!(device.next(), denied(4));
    device.publish("clients/press-1/status", b"{}", 5, true);
    assert_eq!(device.next(), denied(5));
    for (filter, answer) in [
        ("devices/press-1/commands/#", "suback [1]"),
        ("devices/press-2/commands/#", "suback [87]"),
        ("devices/#", "suback [87]"),
        ("$share/g/devices/+/telemetry", "suback [87]"),
        ("#", "suback [87]"),
        ("$SYS/#", "suback [87]"),
    ] {
        device.ask(filter);
        assert_eq!(device.next(), answer, "{filter}");
    }
    let mut device = connect("press-1");
    // What is telemetry here begins with `devices/`, so nobody takes it.
    device.publish("v1/devices/me/telemetry", b"1", 1, false);
    assert_eq!(device.next(), "puback 1 reason 10");
}

#[test]
fn a_broken_file_keeps_the_rules_and_a_good_one_changes_them() {
    let (broker, file) = with_rules(PLANT);
    let mut client = broker.connect(Version::V5, "client");
    let failed = &broker.stats().access_reloads_failed;
    let breaks = |count: u64, text: &str| {
        fs::write(&file, text).expect("written");
        testkit::wait_until(
            "the file to be refused",
            Duration::from_secs(20),
            || failed.get(),
            |now| *now >= count,
        );
    };
    breaks(1, "[[rule]]\nalow = 'both'\ntopics = '#'\n");
    breaks(2, "");
    client.subscribe("plant/open");
    fs::remove_file(&file).expect("removed");
    testkit::wait_until(
        "the absence to be noticed",
        Duration::from_secs(20),
        || failed.get(),
        |now| *now == 3,
    );
    client.ask("plant/secret/1");
    assert_eq!(client.next(), "suback [87]");
    assert_eq!(broker.stats().access_reloads.get(), 0);
    change(
        &broker,
        &file,
        "[[rule]]\nallow = 'both'\ntopics = 'plant/#'\n",
    );
    client.subscribe("plant/secret/1");
    assert_eq!(broker.stats().revoked_subscriptions.get(), 0);
}

#[test]
fn a_live_subscription_that_new_rules_deny_ends_and_others_go_on() {
    let (broker, file) = with_rules(PLANT);
    for version in BOTH {
        let mut reader = broker.connect(version, "reader");
        let mut other = broker.connect(version, "other");
        for line in [&mut reader, &mut other] {
            line.subscribe("plant/hall/#");
            line.subscribe("plant/yard");
            line.subscribe("$share/group/plant/gate");
        }
        let live = broker.stats().subscriptions.get();
        let revoked = broker.stats().revoked_subscriptions.get();
        let denying = format!(
            "[[rule]]\nclient = 'reader'\ndeny = 'subscribe'\ntopics = ['plant/hall/#', 'plant/gate']\n{PLANT}"
        );
        change(&broker, &file, &denying);
        assert_eq!(broker.stats().revoked_subscriptions.get(), revoked + 2);
        assert_eq!(broker.stats().subscriptions.get(), live - 2);

        let mut source = broker.connect(version, "source");
        for (packet_id, topic) in [(1, "plant/hall/2"), (2, "plant/gate"), (3, "plant/yard")] {
            source.publish(topic, b"x", packet_id, false);
            assert_eq!(source.next(), format!("puback {packet_id}"));
        }
        // Only what is still subscribed: the others would have come before.
        assert_eq!(reader.next(), "plant/yard = x");
        let mut got = [other.next(), other.next(), other.next()];
        got.sort();
        assert_eq!(
            got,
            ["plant/gate = x", "plant/hall/2 = x", "plant/yard = x"]
        );
        reader.ask("plant/hall/#");
        let denied = if version == Version::V5 {
            "suback [87]"
        } else {
            "suback [80]"
        };
        assert_eq!(reader.next(), denied);
        change(&broker, &file, PLANT);
        reader.subscribe("plant/hall/#");
        reader.disconnect();
        other.disconnect();
        source.disconnect();
        broker.is_empty_but_for(0);
    }
}

#[test]
fn a_kept_session_comes_back_without_what_is_denied_by_then() {
    let (broker, file) = with_rules(PLANT);
    let kept = Connect {
        clean_start: false,
        ..Connect::new(Version::V311, "sleeper")
    };
    let mut sleeper = broker.open(Version::V311);
    sleeper.send_connect(&kept);
    assert_eq!(sleeper.next(), "connack 0");
    sleeper.subscribe("plant/hall");
    sleeper.subscribe("plant/yard");
    sleeper.disconnect();
    broker.is_empty_but_for(0);
    change(
        &broker,
        &file,
        "[[rule]]\nallow = 'both'\ntopics = ['plant/yard', 'plant/source']\n",
    );
    assert_eq!(broker.stats().revoked_subscriptions.get(), 1);
    change(&broker, &file, PLANT);
    let mut source = broker.connect(Version::V5, "source");
    // Nobody subscribes to the first any more.
    for (packet_id, topic, answer) in [
        (1, "plant/hall", "puback 1 reason 10"),
        (2, "plant/yard", "puback 2"),
    ] {
        source.publish(topic, b"x", packet_id, false);
        assert_eq!(source.next(), answer);
    }
    let mut sleeper = broker.open(Version::V311);
    sleeper.send_connect(&kept);
    assert_eq!(sleeper.next(), "connack 0 present");
    assert_eq!(sleeper.next(), "plant/yard = x");
}

#[test]
fn what_waits_because_of_a_revoked_subscription_alone_is_not_sent_any_more() {
    const IN_FLIGHT: u16 = 100;
    for version in BOTH {
        let (broker, file) = with_rules(PLANT);
        let kept = Connect {
            clean_start: false,
            session_expiry: (version == Version::V5).then_some(600),
            ..Connect::new(version, "reader")
        };
        let mut reader = broker.open(version);
        reader.send_connect(&kept);
        assert_eq!(reader.next(), "connack 0");
        for filter in [
            "plant/yard",
            "plant/hall/#",
            "plant/hall/2",
            "$share/g/plant/gate",
        ] {
            reader.subscribe(filter);
        }
        let mut source = broker.connect(Version::V5, "source");
        let mut packet_id = 0;
        let mut publish = |topic: &str, payload: &str| {
            packet_id += 1;
            source.publish(topic, payload.as_bytes(), packet_id, false);
            assert_eq!(source.next(), format!("puback {packet_id}"));
        };
        // The window is full, and the rest waits.
        for _ in 0..IN_FLIGHT {
            publish("plant/yard", "early");
        }
        for topic in ["plant/hall/1", "plant/hall/1", "plant/hall/2", "plant/gate"] {
            publish(topic, "x");
        }
        publish("plant/yard", "late");
        let denying = format!(
            "[[rule]]\nclient = 'reader'\nallow = 'subscribe'\ntopics = 'plant/hall/2'\n\
             [[rule]]\nclient = 'reader'\ndeny = 'subscribe'\ntopics = ['plant/hall/#', 'plant/gate']\n\
             {PLANT}"
        );
        change(&broker, &file, &denying);
        let stats = broker.stats();
        assert_eq!(stats.revoked_subscriptions.get(), 2);
        assert_eq!(stats.dropped_revoked.get(), 2);
        assert_eq!(stats.dropped_no_member.get(), 1, "the group has no other");
        drop(reader);
        broker.is_empty_but_for(1);

        // It is not in the log either.
        let mut broker = broker;
        broker.stop();
        let folder = std::mem::replace(&mut broker.data, tempfile::tempdir().expect("a folder"));
        drop(broker);
        let (broker, _) = in_folder_with_rules(folder, None);
        let mut reader = broker.open(version);
        reader.send_connect(&kept);
        assert_eq!(reader.next(), "connack 0 present");
        let mut acknowledgements = Vec::new();
        for packet_id in 1..=IN_FLIGHT {
            assert_eq!(reader.next(), "plant/yard = early again");
            encode::puback(
                &mut acknowledgements,
                version,
                packet_id,
                ReasonCode::Success,
            );
        }
        reader.send(&acknowledgements);
        let mut rest = [reader.next(), reader.next(), reader.next()];
        rest.sort();
        // Both copies: what another subscription wants may be sent.
        assert_eq!(
            rest,
            ["plant/hall/2 = x", "plant/hall/2 = x", "plant/yard = late"]
        );
        reader.is_served();
    }
}

#[test]
fn what_waits_for_a_revoked_member_of_a_group_goes_to_another() {
    let (broker, file) = with_rules(PLANT);
    let mut reader = broker.connect(Version::V5, "reader");
    reader.subscribe("$share/g/plant/gate");
    let mut source = broker.connect(Version::V5, "source");
    for packet_id in 1..=110 {
        source.publish("plant/gate", b"x", packet_id, false);
        assert_eq!(source.next(), format!("puback {packet_id}"));
    }
    let mut other = broker.connect(Version::V311, "other");
    other.subscribe("$share/g/plant/gate");
    let denying =
        format!("[[rule]]\nclient = 'reader'\ndeny = 'subscribe'\ntopics = 'plant/gate'\n{PLANT}");
    change(&broker, &file, &denying);
    // A hundred were in flight to the first.
    for _ in 0..10 {
        assert_eq!(other.next(), "plant/gate = x");
    }
    other.is_served();
    assert_eq!(broker.stats().handed_on.get(), 10);
    assert_eq!(broker.stats().dropped_no_member.get(), 0);
}

/// Messages in one batch of the load, and how far it may be ahead of its subscriber: less than what
/// may queue.
const BATCH: u64 = 200;
const AHEAD_MAX: u64 = 5_000;
const REWRITES: usize = 20;

#[test]
fn rules_change_under_load_without_a_lost_message() {
    let (broker, file) = with_rules(PLANT);
    let received = AtomicU64::new(0);
    let enough = AtomicBool::new(false);
    let mut subscriber = broker.connect(Version::V311, "subscriber");
    subscriber.subscribe("plant/load/#");
    let mut fickle = broker.connect(Version::V5, "fickle");
    fickle.subscribe("plant/fickle/#");
    let sent = thread::scope(|scope| {
        let load = scope.spawn(|| publish_load(&broker, &received, &enough));
        scope.spawn(|| receive_load(&mut subscriber, &received));
        for round in 0..REWRITES {
            // Each file is another one; every second denies somebody else's subscription.
            let rule = match round % 2 {
                0 => "[[rule]]\nclient = 'fickle'\ndeny = 'subscribe'\ntopics = 'plant/fickle/#'\n",
                _ => "",
            };
            change(&broker, &file, &format!("# {round}\n{rule}{PLANT}"));
            if round % 2 == 1 {
                fickle.subscribe("plant/fickle/#");
            }
        }
        enough.store(true, Ordering::Release);
        load.join().expect("the load ends well")
    });
    assert_eq!(received.load(Ordering::Acquire), sent);
    let stats = broker.stats();
    assert_eq!(stats.access_reloads.get(), REWRITES as u64);
    assert_eq!(stats.revoked_subscriptions.get(), REWRITES as u64 / 2);
    assert_eq!(stats.dropped_slow_consumer.get() + stats.denied.get(), 0);
    fickle.is_served();
}

/// Publishes numbers at QoS 1 until it is enough; how many there were.
fn publish_load(broker: &Running, received: &AtomicU64, enough: &AtomicBool) -> u64 {
    let mut source = broker.connect(Version::V5, "source");
    let mut sent = 0;
    while !enough.load(Ordering::Acquire) {
        let mut bytes = Vec::new();
        for packet_id in 1..=BATCH {
            sent += 1;
            let payload = sent.to_string();
            let publish = encode::Publish {
                qos: Qos::AtLeastOnce,
                topic: "plant/load/1",
                packet_id: packet_id as u16,
                payload: payload.as_bytes(),
                ..Default::default()
            };
            encode::publish(&mut bytes, Version::V5, &publish);
        }
        source.send(&bytes);
        for packet_id in 1..=BATCH {
            assert_eq!(source.next(), format!("puback {packet_id}"));
        }
        while sent - received.load(Ordering::Acquire) > AHEAD_MAX {
            thread::yield_now();
        }
    }
    source.publish("plant/load/end", b"end", 1, false);
    assert_eq!(source.next(), "puback 1");
    sent
}

/// Expects the numbers one after the other, without a gap, until the end.
fn receive_load(subscriber: &mut Client, received: &AtomicU64) {
    let mut acknowledgements = Vec::new();
    for expected in 1.. {
        let (payload, packet_id) = subscriber
            .receive(|packet| match packet {
                ServerPacket::Publish(publish) => {
                    let payload = String::from_utf8_lossy(publish.payload).into_owned();
                    (payload, publish.packet_id.expect("QoS 1"))
                }
                other => panic!("{other:?}"),
            })
            .expect("connected");
        encode::puback(
            &mut acknowledgements,
            Version::V311,
            packet_id,
            ReasonCode::Success,
        );
        if acknowledgements.len() > 100 || expected % 10 == 0 {
            subscriber.send(&acknowledgements);
            acknowledgements.clear();
        }
        if payload == "end" {
            return;
        }
        assert_eq!(payload, expected.to_string());
        received.store(expected, Ordering::Release);
    }
}

fn with_will<'a>(version: Version, client_id: &'a str, topic: &'a str) -> Connect<'a> {
    Connect {
        will: Some(Will {
            topic,
            payload: b"gone",
            qos: Qos::AtMostOnce,
            retain: true,
            ..Will::default()
        }),
        ..Connect::new(version, client_id)
    }
}
