//! Many at once: who come and say nothing, and who come and go.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

use broker::Config;
use mqtt::client::{self, Connect};
use mqtt::{ReasonCode, Version};

use super::resident_bytes;
use crate::{BOTH, Running};
use testkit::PATIENCE;
use testkit::mqtt::{Client, at_qos_1};

const HALF_OPEN: usize = 2_000;
#[test]
fn half_open_connections_keep_nobody_out() {
    let server = Running::with(Config::default());
    // None of them completes its CONNECT: nothing, a byte, or a packet that waits for its end.
    let beginnings: [&[u8]; 3] = [b"", &[0x10], &[0x10, 0x7F, 0x00, 0x04, b'M', b'Q']];
    let crowd: Vec<Client> = (0..HALF_OPEN)
        .map(|at| {
            let mut line = server.open(Version::V5);
            line.send(beginnings[at % beginnings.len()]);
            line
        })
        .collect();
    let started = Instant::now();
    server.serves_a_fresh_client();
    println!("a newcomer was served in {:?}", started.elapsed());
    drop(crowd);
    server.is_empty_but_for(0);
}

/// Connections that send nearly all of the largest CONNECT that is allowed.
const LARGE: usize = 300;
const LARGE_BYTES: usize = 900_000;
/// What the broker allows them together, and as much again for what the kernel and the allocator
/// hold.
const LARGE_BYTES_MAX: u64 = 128 << 20;

#[test]
fn large_connects_that_never_end_have_a_bounded_room_and_keep_nobody_out() {
    let server = Running::start();
    let mut large = vec![0x10, 0xC0, 0x84, 0x3D];
    large.resize(LARGE_BYTES, 0);
    let before = resident_bytes();
    let crowd: Vec<Client> = (0..LARGE)
        .map(|_| {
            let mut line = server.open(Version::V5);
            // It may have been closed before it took everything.
            let _ = line.stream.write_all(&large);
            line
        })
        .collect();
    let refused = || server.stats().connections_refused.get();
    testkit::wait_until("some to be refused", PATIENCE, refused, |refused| {
        *refused > LARGE as u64 / 2
    });
    let grown = resident_bytes().saturating_sub(before);
    println!("{LARGE} of {LARGE_BYTES} bytes: memory grew by {grown} bytes");
    assert!(grown < LARGE_BYTES_MAX, "{grown}");
    server.serves_a_fresh_client();
    drop(crowd);
    server.is_empty_but_for(0);
    // All of the room is there again.
    let long = "i".repeat(65_535);
    server.connect(Version::V5, &long).is_served();
}

/// Client ids that are never used twice.
const DISTINCT: usize = 100_000;
/// What may differ between two looks at the same broker: the allocator's slack, not a client's
/// state (100,000 of 100 bytes each would be 10 MB).
const SLACK_BYTES: u64 = 8 << 20;

#[test]
fn a_hundred_thousand_client_ids_leave_nothing_behind() {
    let server = Running::start();
    let visit = |ids: std::ops::Range<usize>| {
        let threads: Vec<_> = (0..2)
            .map(|part| {
                let (address, ids) = (server.address, ids.clone());
                std::thread::spawn(move || {
                    ids.skip(part)
                        .step_by(2)
                        .for_each(|id| come_and_go(address, id));
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("no panic"));
        server.is_empty_but_for(0);
    };
    visit(0..DISTINCT / 5);
    let before = resident_bytes();
    visit(DISTINCT / 5..DISTINCT);
    let after = resident_bytes();
    println!("{before} bytes resident after a fifth of them, {after} after all");
    assert!(
        after < before + SLACK_BYTES,
        "{before} bytes grew to {after}"
    );
    server.serves_a_fresh_client();
}

/// One short life: connect, subscribe to a filter of its own, say goodbye.
fn come_and_go(address: SocketAddr, id: usize) {
    let version = BOTH[id % 2];
    let client_id = format!("sensor-{id}");
    let filter = format!("commands/{id}/+");
    let mut bytes = Vec::new();
    client::connect(&mut bytes, &Connect::new(version, &client_id));
    if id.is_multiple_of(100) {
        // Some also leave a filter behind, which must be forgotten too.
        client::subscribe(&mut bytes, version, 1, None, &[at_qos_1(&filter)]);
    }
    client::disconnect(&mut bytes, version, ReasonCode::Success, None);
    let mut line = Client::open(address, version);
    line.send(&bytes);
    assert_eq!(line.next(), "connack 0");
    if id.is_multiple_of(100) {
        assert_eq!(line.next(), "suback [1]");
    }
    assert_eq!(line.next(), "closed");
}
