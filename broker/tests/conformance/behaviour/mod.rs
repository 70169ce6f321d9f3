//! What two implementations must agree on to work together, beyond single statements.

mod restart;
mod retained;
mod session;
mod shared;
mod will;

use mqtt::Version;

use crate::table::play_all;

/// Plays the script in both versions.
fn both(script: &str) {
    let cases = [Version::V311, Version::V5].map(|version| (String::new(), version, script));
    play_all("in either version", &cases);
}

/// Plays the script in MQTT 5.
fn v5(script: &str) {
    play_all("in version 5", &[(String::new(), Version::V5, script)]);
}
