//! Devices with a secret of their own: who gets in, and what becomes of a connection whose secret
//! ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use access::{DeviceCredentials, Lookup, secret_digest};
use mqtt::Version;
use mqtt::client::Connect;
use testkit::mqtt::Client;

use super::{BOTH, Running};

/// Keeps what a test says.
#[derive(Default)]
pub(crate) struct Keeper {
    /// `None`: nothing is known yet.
    devices: Mutex<Option<HashMap<String, Lookup>>>,
    generation: AtomicU64,
}

impl Keeper {
    pub(crate) fn set(&self, devices: &[(&str, Lookup)]) {
        let devices = devices
            .iter()
            .map(|(device, lookup)| ((*device).to_owned(), *lookup));
        *self.devices.lock().expect("no panic") = Some(devices.collect());
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// As before the database was reached.
    pub(crate) fn forget(&self) {
        *self.devices.lock().expect("no panic") = None;
    }
}

impl DeviceCredentials for Keeper {
    fn find(&self, device: &str) -> Lookup {
        match &*self.devices.lock().expect("no panic") {
            None => Lookup::Unavailable,
            Some(devices) => devices.get(device).copied().unwrap_or(Lookup::Unknown),
        }
    }

    fn any(&self) -> bool {
        true
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

pub(crate) fn known(current: &str, previous: Option<&str>) -> Lookup {
    Lookup::Known {
        current: secret_digest(current.as_bytes()),
        previous: previous.map(|secret| secret_digest(secret.as_bytes())),
    }
}

fn start() -> (Running, Arc<Keeper>) {
    let keeper = Arc::<Keeper>::default();
    let devices: Arc<dyn DeviceCredentials> = Arc::clone(&keeper) as _;
    (Running::with_devices(devices), keeper)
}

/// The device connects; the line, and how CONNACK begins it.
fn connect(running: &Running, version: Version, device: &str, secret: &str) -> (Client, String) {
    let mut line = running.open(version);
    line.send_connect(&Connect {
        user: Some(device),
        password: Some(secret.as_bytes()),
        ..Connect::new(version, &format!("client of {device} with {secret}"))
    });
    let answer = line.next();
    (line, answer)
}

#[test]
fn a_device_gets_in_with_its_secret_alone() {
    let (running, keeper) = start();
    keeper.set(&[
        ("a", known("new", Some("old"))),
        ("b", known("other", None)),
    ]);
    for (version, refused) in [(Version::V311, "connack 4"), (Version::V5, "connack 86")] {
        for (device, secret, expected) in [
            ("a", "new", "connack 0"),
            ("a", "old", "connack 0"),
            ("a", "other", refused),
            ("a", "", refused),
            ("b", "other", "connack 0"),
            ("c", "new", refused),
        ] {
            let (_line, answer) = connect(&running, version, device, secret);
            assert_eq!(answer, expected, "{device} with {secret}, {version:?}");
        }
    }
}

#[test]
fn before_anything_is_known_devices_are_asked_to_come_back() {
    let (running, keeper) = start();
    for (version, refused) in [(Version::V311, "connack 3"), (Version::V5, "connack 88")] {
        assert_eq!(connect(&running, version, "a", "secret").1, refused);
    }
    keeper.set(&[("a", known("secret", None))]);
    for version in BOTH {
        assert_eq!(connect(&running, version, "a", "secret").1, "connack 0");
    }
}

#[test]
fn a_connection_ends_with_the_secret_that_let_it_in() {
    let (running, keeper) = start();
    keeper.set(&[("a", known("old", None)), ("b", known("other", None))]);
    let (mut bystander, _) = connect(&running, Version::V5, "b", "other");
    let (mut with_old, _) = connect(&running, Version::V5, "a", "old");

    keeper.set(&[
        ("a", known("new", Some("old"))),
        ("b", known("other", None)),
    ]);
    let (mut with_new, _) = connect(&running, Version::V311, "a", "new");
    with_old.is_served();

    keeper.set(&[("a", known("new", None)), ("b", known("other", None))]);
    assert_eq!(with_old.next(), "disconnect 87");
    assert_eq!(with_old.next(), "closed");
    with_new.is_served();

    keeper.set(&[("b", known("other", None))]);
    assert_eq!(with_new.next(), "closed");
    bystander.is_served();
}
