//! Waiting for a condition, and ports nobody listens on.

use std::fmt::Debug;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

/// Far more than anything takes that a test waits for: one that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often `wait_until` looks again.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A port on 127.0.0.1 that nobody listened on a moment ago. Prefer port 0 where the program can
/// say what it got.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a port on 127.0.0.1")
        .port()
}

/// Looks with `observe` until `accept` likes what it sees, and returns that.
///
/// # Panics
///
/// When `deadline` passes first; the message shows what was awaited and what was seen last.
#[track_caller]
pub fn wait_until<T: Debug>(
    what: &str,
    deadline: Duration,
    mut observe: impl FnMut() -> T,
    accept: impl Fn(&T) -> bool,
) -> T {
    let started = Instant::now();
    loop {
        let seen = observe();
        if accept(&seen) {
            return seen;
        }
        assert!(
            started.elapsed() < deadline,
            "waited {deadline:?} for {what}; saw {seen:#?}"
        );
        thread::sleep(POLL_INTERVAL);
    }
}
