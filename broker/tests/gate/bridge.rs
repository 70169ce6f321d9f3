//! What a bridge of Mosquitto says and expects, byte by byte; the end-to-end tests run a real one.

use broker::Config;
use mqtt::Version;
use mqtt::client::{Connect, Will};
use testkit::mqtt::Client;

use crate::{BOTH, Running};

const STATE: &str = "$SYS/broker/connection/plant/state";

/// CONNECT at level 0x84, with the bridge's state as its will.
fn bridge(broker: &Running) -> Client {
    let mut bytes = Vec::new();
    let will = Will {
        topic: STATE,
        payload: b"0",
        retain: true,
        ..Will::default()
    };
    let connect = Connect {
        will: Some(will),
        ..Connect::new(Version::V311, "plant")
    };
    mqtt::client::connect(&mut bytes, &connect);
    // Behind the fixed header and the protocol name.
    assert_eq!(bytes[8], 4);
    bytes[8] |= 0x80;
    let mut line = broker.open(Version::V311);
    line.send(&bytes);
    assert_eq!(line.next(), "connack 0");
    line
}

#[test]
fn it_gets_no_copy_of_its_own_and_sees_what_was_retained() {
    let broker = Running::start();
    let mut bridge = bridge(&broker);
    bridge.subscribe("#");
    bridge.publish("room/a", b"own", 1, false);
    assert_eq!(bridge.next(), "puback 1");
    let mut source = broker.connect(Version::V311, "source");
    source.publish("room/a", b"plain", 0, false);
    source.publish("room/a", b"kept", 0, true);
    assert_eq!(bridge.next(), "room/a = plain");
    assert_eq!(bridge.next(), "room/a = kept retained");
    bridge.is_served();
}

#[test]
fn its_state_is_retained_below_sys_where_the_rules_allow_it() {
    let broker = Running::start();
    for version in BOTH {
        let mut bridge = bridge(&broker);
        bridge.publish(STATE, b"1", 1, true);
        assert_eq!(bridge.next(), "puback 1");
        let mut console = broker.connect(version, "console");
        console.subscribe("$SYS/broker/connection/#");
        assert_eq!(console.next(), format!("{STATE} = 1 retained"));
        drop(bridge);
        assert_eq!(console.next(), format!("{STATE} = 0"));
    }
    // Everything else there is Millrace's own.
    for topic in [
        "$SYS/broker/connection",
        "$SYS/broker/connection/",
        "$SYS/x",
    ] {
        let mut client = broker.connect(Version::V311, "client");
        client.publish(topic, b"x", 1, false);
        assert_eq!(client.next(), "closed", "{topic}");
    }
}

#[test]
fn what_the_rules_deny_it_does_not_end_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = "[[rule]]\nallow = 'both'\ntopics = 'room/#'\n";
    std::fs::write(folder.path().join("acl.toml"), rules).expect("rules");
    let mut config = Config::default();
    config.acl.file = Some(folder.path().join("acl.toml"));
    let broker = Running::in_folder(config, folder);
    let mut console = broker.connect(Version::V5, "console");
    console.subscribe("room/#");
    let mut bridge = bridge(&broker);
    for (id, topic) in [(1, STATE), (2, "alerts/critical/a/hot"), (3, "room/a")] {
        bridge.publish(topic, b"x", id, true);
        assert_eq!(bridge.next(), format!("puback {id}"));
    }
    assert_eq!(console.next(), "room/a = x");
    console.is_served();
    // Its will and both publishes.
    assert_eq!(broker.stats().denied.get(), 3);
}
