//! Whose a kept session is, known also to the process that comes after a kill.

use std::fs;

use mqtt::client::{Connect, Will};
use mqtt::{Qos, Version};

use crate::auth::user;
use crate::server::{PATIENCE, Setup};
use testkit::mqtt::Client;

const RULES: &str =
    "[[rule]]\ngroup = [\"operators\", \"admins\"]\nallow = \"both\"\ntopics = \"plant/#\"\n";
const DENY: &str =
    "[[rule]]\ngroup = \"operators\"\ndeny = \"subscribe\"\ntopics = \"plant/hall\"\n";

/// Connects with a session and a will that outlive the connection for long; how it is answered.
fn connect(setup: &Setup, name: &str) -> (Client, String) {
    let mut line = Client::open(setup.address, Version::V5);
    line.send_connect(&Connect {
        user: Some(name),
        password: Some(b"secret"),
        clean_start: false,
        session_expiry: Some(3_600),
        will: Some(Will {
            topic: "plant/will",
            payload: name.as_bytes(),
            delay: Some(3_000),
            ..Will::default()
        }),
        ..Connect::new(Version::V5, name)
    });
    let answer = line.next();
    (line, answer)
}

#[test]
fn after_a_kill_the_rules_know_the_absent_and_a_removed_user_has_nothing_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("acl.toml");
    fs::write(&rules, RULES).expect("written");
    let data = folder.path().join("data");
    for (name, group) in [
        ("ada", "operators"),
        ("bob", "operators"),
        ("ops", "admins"),
    ] {
        let added = user(&data, &format!("add {name} --group {group}"), "secret");
        assert!(added.status.success(), "{added:?}");
    }
    let setup = Setup::new(&data)
        .with("MILLRACE_BROKER__ACL__FILE", rules.display())
        .with("MILLRACE_BROKER__RELOAD_INTERVAL", "20ms");
    let mut server = setup.start();
    for name in ["ada", "bob"] {
        let (mut line, answer) = connect(&setup, name);
        assert_eq!(answer, "connack 0");
        line.subscribe("plant/hall");
        // SUBACK does not wait for the disk; PUBREC does, and for what was before it.
        line.publish_at(Qos::ExactlyOnce, "plant/yard", b"x", 1, false);
        assert_eq!(line.next(), "pubrec 1");
    }
    server.kill();
    assert!(user(&data, "remove ada", "").status.success());

    let mut server = setup.start();
    let ended = server.lines();
    let ended = ended
        .iter()
        .find(|line| line.contains("clients that are let in no more"));
    assert!(ended.expect("said").contains("sessions=1"), "{ended:?}");
    fs::write(&rules, format!("{DENY}{RULES}")).expect("written");
    let changed = server.wait_for_line("the access rules have changed", PATIENCE);
    assert!(changed.contains("subscriptions_ended=1"), "{changed}");
    fs::write(&rules, RULES).expect("written");
    server.wait_for_line("the access rules have changed", PATIENCE);

    let (mut ops, _) = connect(&setup, "ops");
    ops.subscribe("plant/will");
    ops.publish("plant/hall", b"x", 1, false);
    assert_eq!(
        ops.next(),
        "puback 1 reason 10",
        "nobody subscribes any more"
    );
    let (mut bob, answer) = connect(&setup, "bob");
    assert_eq!(answer, "connack 0 present");
    bob.is_served();
    let added = user(&data, "add ada --group operators", "secret");
    assert!(added.status.success(), "{added:?}");
    server.wait_for_line("users read", PATIENCE);
    let (mut ada, answer) = connect(&setup, "ada");
    assert_eq!(answer, "connack 0", "nothing was kept");
    ada.is_served();
    // No will has come.
    ops.is_served();
    drop(server);
}
