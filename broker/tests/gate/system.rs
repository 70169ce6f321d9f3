//! What the broker tells about itself on `$SYS/broker/…`.

use std::time::Duration;

use broker::Config;
use mqtt::Version;

use super::Running;

#[test]
fn a_console_gets_the_latest_values_and_then_what_changes() {
    let server = Running::with(Config {
        sys_interval: Duration::from_millis(100),
        ..Config::default()
    });
    let mut everything = server.connect(Version::V5, "everything");
    everything.subscribe("#");
    let mut first = server.connect(Version::V311, "console");
    first.subscribe("$SYS/broker/clients/connected");
    // The first value may come at the subscription or just after it.
    let told = first.next();
    assert!(
        told.starts_with("$SYS/broker/clients/connected = "),
        "{told}"
    );

    let mut late = server.connect(Version::V5, "late");
    late.subscribe("$SYS/broker/version");
    let version = concat!("$SYS/broker/version = millrace ", env!("CARGO_PKG_VERSION"));
    assert_eq!(late.next(), format!("{version} retained"));

    // Three are connected by now, and the console is told without asking again.
    let mut seen = told;
    while seen != "$SYS/broker/clients/connected = 3" {
        seen = first.next();
    }
    everything.is_served();
    late.is_served();
}
