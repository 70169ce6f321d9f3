//! A panic, should there ever be one, ends the connection it happened in and nothing else.

use std::sync::Arc;

use broker::Config;
use mqtt::Version;

use crate::{BOTH, Running};

#[test]
fn a_panic_does_not_reach_beyond_its_own_connection() {
    // What the broker asks of the rest of Millrace is the one door through which a test can make it
    // panic.
    let server = Running::with_telemetry(
        Config::default(),
        Arc::new(|topic: &str| {
            assert!(!topic.ends_with("/panic"), "as the test wants it");
            topic.starts_with("devices/")
        }),
    );
    let mut neighbour = server.connect(Version::V5, "neighbour");
    neighbour.subscribe("a/+");
    for round in 0..20 {
        for version in BOTH {
            let mut line = server.connect(version, &format!("panic-{round}"));
            line.subscribe("a/#");
            line.publish("devices/panic", b"1", 1, false);
            assert_eq!(line.next(), "closed");
        }
    }
    neighbour.publish("a/b", b"still here", 0, false);
    assert_eq!(neighbour.next(), "a/b = still here");
    server.serves_a_fresh_client();
    server.is_empty_but_for(1);
    assert_eq!(server.stats().subscriptions.get(), 1);
}
