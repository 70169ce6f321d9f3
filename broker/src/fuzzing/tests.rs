//! What the fuzz targets check, with the inputs that are checked in, what is near to them, and
//! noise: always the same ones.

use std::fs;
use std::path::{Path, PathBuf};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::connections::lives::life;
use super::{
    connections, proxy_header, retained_record, session_events, websocket_frames, websocket_request,
};

/// Scripts of the corpus that are those of a number.
const LIVES: u64 = 40;
/// Further ones.
const UNKNOWN_LIVES: u64 = 400;

/// Each input, every beginning of it, and mutants of it; then noise alone.
fn try_all(check: fn(&[u8]), target: &str) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for (_, input) in corpus(target) {
        for end in 0..=input.len() {
            check(&input[..end]);
        }
        for _ in 0..1_000 {
            let mut mutant = input.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..mutant.len());
                mutant[at] = random.random();
            }
            check(&mutant);
        }
    }
    let mut bytes = [0; 96];
    for _ in 0..5_000 {
        check(noise(&mut random, &mut bytes));
    }
}

fn noise<'a>(random: &mut ChaCha8Rng, bytes: &'a mut [u8]) -> &'a [u8] {
    let length = random.random_range(0..bytes.len());
    random.fill_bytes(&mut bytes[..length]);
    &bytes[..length]
}

/// The inputs that are checked in for the target, by name.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder(target)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "`{target}` has no corpus");
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
}

#[test]
fn frames_of_a_websocket_mean_the_same_however_they_are_cut() {
    try_all(websocket_frames, "websocket_frames");
}

#[test]
fn requests_for_a_websocket_are_answered_with_http() {
    try_all(websocket_request, "websocket_request");
}

#[test]
fn a_proxy_header_takes_its_own_bytes_only() {
    try_all(proxy_header, "proxy_header");
}

#[test]
fn what_the_log_of_sessions_reads_it_writes_alike() {
    try_all(session_events, "session_events");
}

#[test]
fn what_the_log_of_retained_messages_reads_it_writes_alike() {
    try_all(retained_record, "retained_record");
}

#[test]
fn whatever_clients_did_once_the_broker_keeps_its_promises() {
    for (path, script) in corpus("connections") {
        // Shown if the test fails.
        println!("{}", path.display());
        connections(&script);
    }
}

#[test]
fn whatever_clients_do_the_broker_keeps_its_promises() {
    for number in LIVES..LIVES + UNKNOWN_LIVES {
        println!("life {number}");
        connections(&life(number));
    }
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut bytes = [0; 400];
    for number in 0..50 {
        println!("noise {number}");
        connections(noise(&mut random, &mut bytes));
    }
}

/// With the variable `UPDATE_EXPECT` they are written.
#[test]
fn lives_that_are_checked_in_are_those_of_their_numbers() {
    for number in 0..LIVES {
        let path = folder("connections").join(format!("life-{number:02}"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, life(number)).unwrap();
        }
        let message = "the steps of a script have changed; run this test with UPDATE_EXPECT=1";
        assert!(fs::read(&path).unwrap() == life(number), "{message}");
    }
}
