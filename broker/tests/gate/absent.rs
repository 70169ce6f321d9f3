//! Kept sessions whose client is away when rules, users and devices change: while the broker runs,
//! and while it does not.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use access::{DeviceCredentials, Lookup, PasswordHash, rules};
use broker::Config;
use journal::Journal;
use journal::local::LocalJournal;
use mqtt::Version;
use mqtt::client::{Connect, Will};

use super::Running;
use super::devices::{Keeper, known};
use testkit::PATIENCE;
use testkit::mqtt::Client;

/// Rules that fit nobody of whom no more is known than a name.
const RULES: &str = r#"
[[rule]]
group = ["operators", "devices"]
allow = "both"
topics = ["plant/#", "devices/#"]
"#;

const DENY_HALL: &str = "[[rule]]\ngroup = 'operators'\ndeny = 'both'\ntopics = 'plant/hall'\n";

/// A broker with users and devices, and what they are.
struct Plant {
    running: Running,
    devices: Arc<Keeper>,
}

/// One for all: a user is not changed by being written again.
static HASH: LazyLock<PasswordHash> =
    LazyLock::new(|| PasswordHash::create_at(b"secret", 8, 1).expect("hashed"));

/// The users file: name, group, and whether the user is disabled.
fn write_users(data: &Path, users: &[(&str, &str, bool)]) {
    let mut text = String::new();
    for (name, group, disabled) in users {
        let hash = &*HASH;
        let entry = format!("password = '{hash}'\ngroups = ['{group}']\ndisabled = {disabled}\n");
        writeln!(text, "[user.{name}]\n{entry}").expect("written");
    }
    fs::write(data.join("users.toml"), text).expect("written");
}

const USERS: [(&str, &str, bool); 2] =
    [("ada", "operators", false), ("source", "operators", false)];

impl Plant {
    fn start() -> Plant {
        let data = tempfile::tempdir().expect("a folder");
        write_users(data.path(), &USERS);
        fs::write(data.path().join("acl.toml"), RULES).expect("written");
        let devices = Arc::<Keeper>::default();
        devices.set(&[("press", known("secret", None))]);
        Plant::in_folder(data, devices)
    }

    fn in_folder(data: tempfile::TempDir, devices: Arc<Keeper>) -> Plant {
        let config = Config {
            acl: rules::Config {
                file: Some(data.path().join("acl.toml")),
                ..rules::Config::default()
            },
            reload_interval: Duration::from_millis(10),
            ..Config::default()
        };
        let is_telemetry = Arc::new(|topic: &str| topic.starts_with("devices/"));
        let credentials = Arc::clone(&devices) as Arc<dyn DeviceCredentials>;
        Plant {
            running: Running::assembled(config, data, is_telemetry, Some(credentials)),
            devices,
        }
    }

    /// Stops, lets something happen, and starts again.
    fn restart(mut self, happens: impl FnOnce(&Path, &Keeper)) -> Plant {
        self.running.stop();
        let nothing = tempfile::tempdir().expect("a folder");
        let data = std::mem::replace(&mut self.running.data, nothing);
        happens(data.path(), &self.devices);
        Plant::in_folder(data, self.devices)
    }

    fn data(&self) -> &Path {
        self.running.data.path()
    }

    /// Somebody with a kept session, and maybe a will; the line, and how it is answered.
    fn connects(&self, user: &str, will: Option<Will<'_>>) -> (Client, String) {
        let mut line = self.running.open(Version::V5);
        line.send_connect(&Connect {
            user: Some(user),
            password: Some(b"secret"),
            clean_start: false,
            session_expiry: Some(600),
            will,
            ..Connect::new(Version::V5, user)
        });
        let answer = line.next();
        (line, answer)
    }

    /// Somebody subscribes, and is lost.
    fn leaves_behind(&self, user: &str, filters: &[&str], will: Option<Will<'_>>) {
        let (mut line, answer) = self.connects(user, will);
        assert_eq!(answer, "connack 0");
        filters.iter().for_each(|filter| line.subscribe(filter));
        let kept = &self.running.stats().sessions_kept;
        let before = kept.get();
        drop(line);
        wait("the client to be away", || kept.get(), |now| *now > before);
    }

    fn publishes(&self, topics: &[&str]) {
        let (mut source, _) = self.connects("source", None);
        for (topic, packet_id) in topics.iter().zip(1..) {
            source.publish(topic, b"x", packet_id, false);
            assert_eq!(source.next(), format!("puback {packet_id}"));
        }
    }

    fn change_rules(&self, rules: &str) {
        let reloads = &self.running.stats().access_reloads;
        let before = reloads.get();
        fs::write(self.data().join("acl.toml"), rules).expect("written");
        wait(
            "the rules to be in force",
            || reloads.get(),
            |now| *now > before,
        );
    }
}

fn wait(what: &str, value: impl Fn() -> u64, done: impl Fn(&u64) -> bool) {
    testkit::wait_until(what, PATIENCE, value, done);
}

/// Published some time after the loss.
fn will_to(topic: &str, delay: u32) -> Option<Will<'_>> {
    Some(Will {
        topic,
        payload: b"lost",
        delay: Some(delay),
        ..Will::default()
    })
}

#[test]
fn a_rule_that_changes_after_a_restart_holds_for_absent_clients_at_once() {
    let plant = Plant::start();
    for client in ["ada", "press"] {
        plant.leaves_behind(client, &["plant/hall", "plant/yard"], None);
    }
    let plant = plant.restart(|_, _| ());
    let stats = plant.running.stats();
    assert_eq!(stats.subscriptions.get(), 4);
    plant.change_rules(&format!("{DENY_HALL}{RULES}"));
    assert_eq!(stats.revoked_subscriptions.get(), 1, "the operator's");
    plant.change_rules(RULES);
    plant.publishes(&["plant/hall", "plant/yard"]);
    let (mut ada, answer) = plant.connects("ada", None);
    assert_eq!(answer, "connack 0 present");
    assert_eq!(ada.next(), "plant/yard = x");
    let (mut press, answer) = plant.connects("press", None);
    assert_eq!(answer, "connack 0 present");
    assert_eq!(press.next(), "plant/hall = x");
}

#[test]
fn a_rule_that_changed_while_the_broker_was_down_holds_from_the_start() {
    let plant = Plant::start();
    plant.leaves_behind("ada", &["plant/hall", "plant/yard"], None);
    let plant = plant.restart(|data, _| {
        let rules = format!("{DENY_HALL}{RULES}");
        fs::write(data.join("acl.toml"), rules).expect("written");
    });
    assert_eq!(plant.running.stats().revoked_subscriptions.get(), 1);
    assert_eq!(plant.running.stats().subscriptions.get(), 1);
}

#[test]
fn a_user_in_another_group_has_that_groups_rights_while_away() {
    let moved = [("ada", "guests", false), USERS[1]];
    let plant = Plant::start();
    plant.leaves_behind("ada", &["plant/hall"], None);
    let plant = plant.restart(|data, _| write_users(data, &moved));
    let stats = plant.running.stats();
    let state = || (stats.sessions_kept.get(), stats.subscriptions.get());
    assert_eq!(state(), (1, 0));

    let plant = plant.restart(|data, _| write_users(data, &USERS));
    let (mut ada, answer) = plant.connects("ada", None);
    assert_eq!(answer, "connack 0 present");
    ada.subscribe("plant/hall");
    write_users(plant.data(), &moved);
    // Its connection ends, and what is kept is looked at.
    assert_eq!(ada.next(), "disconnect 98");
    let stats = plant.running.stats();
    wait(
        "the subscription to end",
        || stats.subscriptions.get(),
        |left| *left == 0,
    );
    assert_eq!(stats.sessions_kept.get(), 1);
}

#[test]
fn nothing_is_kept_over_a_restart_for_those_who_are_no_more() {
    type Happens = fn(&Path, &Keeper);
    let cases: [(&str, Happens); 3] = [
        ("ada", |data, _| write_users(data, &USERS[1..])),
        ("ada", |data, _| {
            write_users(data, &[("ada", "operators", true), USERS[1]]);
        }),
        ("press", |_, devices| {
            devices.set(&[("another", Lookup::Unknown)])
        }),
    ];
    for (who, happens) in cases {
        let plant = Plant::start();
        plant.leaves_behind(who, &["plant/hall"], will_to("plant/will", 300));
        let plant = plant.restart(happens);
        let stats = plant.running.stats();
        let left = (stats.sessions.get(), stats.subscriptions.get());
        assert_eq!(left, (0, 0), "{who}");
        assert_eq!(stats.denied.get(), 1, "the will of {who}");
        // And it stays so.
        let plant = plant.restart(|data, devices| {
            write_users(data, &USERS);
            devices.set(&[("press", known("secret", None))]);
        });
        let (_back, answer) = plant.connects(who, None);
        assert_eq!(answer, "connack 0", "{who} begins anew");
    }
}

#[test]
fn as_long_as_devices_are_not_known_their_sessions_are_kept() {
    let plant = Plant::start();
    plant.leaves_behind("press", &["plant/hall"], None);
    let plant = plant.restart(|_, devices| devices.forget());
    let kept = &plant.running.stats().sessions_kept;
    assert_eq!(kept.get(), 1);
    plant.devices.set(&[("another", known("secret", None))]);
    wait("the session to end", || kept.get(), |left| *left == 0);
}

#[test]
fn what_is_kept_of_a_user_ends_with_the_user() {
    let plant = Plant::start();
    plant.leaves_behind("ada", &["plant/hall"], will_to("plant/will", 300));
    let (mut press, _) = plant.connects("press", will_to("plant/will", 0));
    let (mut witness, _) = plant.connects("source", None);
    witness.subscribe("plant/will");
    plant.devices.set(&[]);
    write_users(plant.data(), &USERS[1..]);
    assert_eq!(press.next(), "disconnect 87");
    let stats = plant.running.stats();
    wait(
        "all but the witness to end",
        || stats.sessions.get(),
        |left| *left == 1,
    );
    wait(
        "both wills to be denied",
        || stats.denied.get(),
        |denied| *denied == 2,
    );
    witness.is_served();
}

#[test]
fn a_will_that_waits_over_a_restart_is_judged_again_when_it_is_published() {
    let plant = Plant::start();
    plant.leaves_behind("ada", &[], will_to("plant/hall", 1));
    plant.leaves_behind("press", &[], will_to("plant/hall", 2));
    let plant = plant.restart(|data, _| {
        let rules = format!("{DENY_HALL}{RULES}");
        fs::write(data.join("acl.toml"), rules).expect("written");
    });
    let mut witness = plant.running.open(Version::V5);
    plant.devices.set(&[
        ("press", known("secret", None)),
        ("witness", known("secret", None)),
    ]);
    witness.send_connect(&Connect {
        user: Some("witness"),
        password: Some(b"secret"),
        ..Connect::new(Version::V5, "witness")
    });
    assert_eq!(witness.next(), "connack 0");
    witness.subscribe("plant/hall");
    assert_eq!(witness.next(), "plant/hall = lost", "the device's");
    witness.is_served();
    let denied = &plant.running.stats().denied;
    wait("the operator's", || denied.get(), |denied| *denied == 1);
}

#[test]
fn a_telemetry_will_has_its_content_type_and_its_user_after_a_restart() {
    let plant = Plant::start();
    let will = Will {
        properties: b"\x03\0\x08text/csv",
        ..will_to("devices/press/telemetry", 1).expect("one")
    };
    plant.leaves_behind("press", &[], Some(will));
    let mut plant = plant.restart(|_, _| ());
    let journalled = &plant.running.stats().journalled;
    wait("the will", || journalled.get(), |count| *count == 1);
    plant.running.stop();
    let settings = journal::Config::default().validate().expect("good");
    let (journal, _) =
        LocalJournal::open_dir(&plant.data().join("journal"), settings).expect("a journal");
    let mut reader = journal.reader(journal.start()).expect("a reader");
    let mut chunks = Vec::new();
    reader
        .read(&mut chunks, 1 << 20, Duration::ZERO)
        .expect("read");
    let records = chunks.iter().flat_map(journal::Chunk::records);
    let found: Vec<_> = records
        .map(|(_, record)| format!("{} {} {}", record.topic, record.content_type, record.user))
        .collect();
    assert_eq!(found, ["devices/press/telemetry text/csv press"]);
}
