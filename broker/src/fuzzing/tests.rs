//! What the fuzz targets check, with good bytes, bytes with something wrong, and noise: always the same ones.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{proxy_header, retained_record, session_events, websocket_frames, websocket_request};

const REQUEST: &[u8] =
    b"GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
    Sec-WebSocket-Protocol: mqtt\r\n\r\n";

/// Each seed, every beginning of it, and mutants of it; then noise alone.
fn try_all(check: fn(&[u8]), seeds: &[&[u8]]) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for seed in seeds {
        for end in 0..=seed.len() {
            check(&seed[..end]);
        }
        for _ in 0..2_000 {
            let mut mutant = seed.to_vec();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..mutant.len());
                mutant[at] = random.random();
            }
            check(&mutant);
        }
    }
    let mut bytes = [0; 96];
    for _ in 0..5_000 {
        let length = random.random_range(0..bytes.len());
        random.fill_bytes(&mut bytes[..length]);
        check(&bytes[..length]);
    }
}

#[test]
fn frames_of_a_websocket_mean_the_same_however_they_are_cut() {
    // A length of pieces, then: a message in two frames with a Ping between, and a Close.
    let frames = b"\x03\x02\x83abcdxyz\x89\x81abcdp\x80\x81abcdq\x88\x82abcd\x62\x8a";
    let long = [&b"\x05\x82\xfe\x01\x00abcd"[..], &[7; 256]].concat();
    try_all(websocket_frames, &[frames, &long]);
}

#[test]
fn requests_for_a_websocket_are_answered_with_http() {
    let evil = b"GET /x HTTP/1.0\r\nHost: a\r\nOrigin: http://b\r\n\r\n";
    try_all(websocket_request, &[REQUEST, evil]);
}

#[test]
fn a_proxy_header_takes_its_own_bytes_only() {
    let v4 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x30\x39\x07\x5bMQTT";
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0MQTT";
    try_all(proxy_header, &[v4, local]);
}

#[test]
fn what_the_log_of_sessions_reads_it_writes_alike() {
    // Subscribed, queued, sent, held, released, a snapshot begun, taken and sent: topic, length, format and kind, then the
    // event's own.
    let message = [
        &b"\x01\x00\x00\x00\x00"[..],
        &[0; 8],
        &[0; 4],
        b"\x01\x00\x00\x00x\x01\x00\x00\x00\x00",
    ]
    .concat();
    let queued = [&b"\x01\x1d\x01\x07"[..], &message];
    let taken = [&b"\x01\x1f\x01\x14"[..], &message, b"\x0d\x00"];
    let history = [
        b"\x02\x07\x01\x05\x01\x00\x00\x00\x00",
        &queued.concat()[..],
        b"\x00\x04\x01\x09\x01\x00\x00\x0c\x01\x0c\x05\x00\x09\x00\x00\x00\x00\x00\x00\x00",
        b"\x00\x04\x01\x0d\x05\x00",
        b"\x02\x02\x01\x15",
        &taken.concat(),
        b"\x02\x02\x01\x16",
    ];
    try_all(session_events, &[&history.concat()]);
}

#[test]
fn what_the_log_of_retained_messages_reads_it_writes_alike() {
    let mut record = vec![0xD5, 0x4D, 1, 1, 1, 0, 0, 0];
    record.extend([0; 8]);
    record.extend([1, 0, 0, 0]);
    record.extend([0; 12]);
    record.extend(b"ax");
    try_all(retained_record, &[&record]);
}
