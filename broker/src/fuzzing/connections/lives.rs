//! Scripts in which something happens: noise is a script too, but its clients seldom get past
//! CONNECT.
//!
//! Owns: how they are drawn. Invariant: a number is always the same script.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::LINES;

const STEPS_MAX: usize = 90;

/// First bytes of steps, without the line, and how many bytes follow; how often each is drawn.
const KINDS: [(u8, usize, u32); 25] = [
    (0, 2, 8),   // connect
    (6, 2, 30),  // publish
    (11, 2, 18), // subscribe
    (14, 1, 3),  // unsubscribe
    (15, 1, 10), // answer
    (17, 0, 10), // answer all
    (18, 1, 1),  // acknowledge
    (19, 1, 6),  // release
    (20, 0, 2),  // ping
    (21, 1, 3),  // disconnect
    (22, 1, 4),  // leave, abort
    (23, 1, 1),  // tear
    (24, 1, 2),  // room
    (25, 1, 3),  // pass
    (27, 1, 8),  // disk
    (29, 1, 2),  // rules
    (30, 1, 1),  // pieces
    (31, 1, 3),  // Millrace's own
    (4, 1, 1),   // open
    (5, 0, 1),   // raw: a length of 0 would be read as a step of its own
    (0, 3, 4),   // connect with a will
    (0, 2, 4),   // connect, and come back to what was kept
    (31, 1, 3),  // restart, crash
    (31, 1, 3),  // hold threads, and more: see `HOLD`
    (31, 1, 3),  // come back
];
const RAW: u8 = 5;
const WILL: usize = 20;
const RETURN: usize = 21;
const RESTART: usize = 22;
const HOLD: usize = 23;
const COME_BACK: usize = 24;

/// The script of that number.
pub(in crate::fuzzing) fn life(number: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(number);
    // One in four has a slow disk, or little room; one in two a log.
    let flags = u8::from(random.random_ratio(3, 4))
        | u8::from(random.random_ratio(1, 4)) << 1
        | u8::from(random.random_ratio(1, 2)) << 2;
    let mut script = vec![flags];
    let lines = random.random_range(2..=LINES as u8);
    for line in 0..lines {
        // Each its own name, and room for everything; a session that is kept.
        let who = random.random_range(0..2) | (line % 3) << 2;
        let limits = random.random_range(0..4) | 3 << 2;
        script.extend([line << 5, who, limits]);
    }
    let total: u32 = KINDS.iter().map(|(_, _, weight)| weight).sum();
    for _ in 0..random.random_range(5..STEPS_MAX) {
        let mut drawn = random.random_range(0..total);
        let index = KINDS.iter().position(|(_, _, weight)| {
            let found = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            found
        });
        let index = index.unwrap_or_default();
        let (kind, length, _) = KINDS[index];
        script.push(kind | random.random_range(0..lines) << 5);
        let start = script.len();
        script.extend((0..length).map(|_| random.random::<u8>()));
        match index {
            // A PINGREQ, a PUBLISH that is cut off, or noise.
            _ if kind == RAW => {
                let bytes: &[u8] = [&b"\xC0\x00"[..], b"\x30\x05\x00\x01a", b"\x00\xFF"]
                    [random.random_range(0..3)];
                script.push(bytes.len() as u8);
                script.extend(bytes);
            }
            WILL => script[start] |= 0x80,
            RETURN => script[start] &= 0x3D,
            RESTART => script[start] |= 0xC0,
            HOLD => hold(&mut script, start, &mut random),
            COME_BACK => script[start] = 0xB0,
            // Not one in two with a will, which would take a byte of the next step.
            0 => script[start] &= 0x7F,
            _ => {}
        }
        if kind == 27 && script[start] % 8 == 7 {
            // A journal that is poisoned ends every script in the same way.
            script[start] -= 4;
        }
    }
    script
}

/// Threads are held; then, in one of two, a kept client publishes at QoS 2 to another one, Millrace
/// crashes, and it comes back.
fn hold(script: &mut Vec<u8>, start: usize, random: &mut ChaCha8Rng) {
    let hold = [script[start - 1], 0x90 | script[start] & 7];
    if !random.random::<bool>() {
        script[start] = hold[1];
        return;
    }
    script.truncate(start - 1);
    let publisher = random.random_range(0..LINES as u8);
    let subscriber = (publisher + random.random_range(1..3)) % LINES as u8;
    let (topic, filter): (u8, u8) = if random.random() {
        (1, [0, 1, 2, 3, 6, 8][random.random_range(0..6)])
    } else {
        (5, [0, 4, 5, 8][random.random_range(0..4)])
    };
    for line in [subscriber, publisher] {
        // Lost, if it is there, and a session that is kept for a minute.
        script.extend([22 | line << 5, 1, line << 5, (line % 3) << 2, 0x0E]);
    }
    script.extend([11 | subscriber << 5, filter | 2 << 4, 0]);
    if random.random() {
        script.extend([22 | subscriber << 5, 1]);
    }
    script.extend(hold);
    script.extend([
        6 | publisher << 5,
        topic | 2 << 4,
        random.random_range(0..8),
    ]);
    script.extend([31, 0xFF, 20 | publisher << 5, 31 | publisher << 5, 0xB0]);
}
