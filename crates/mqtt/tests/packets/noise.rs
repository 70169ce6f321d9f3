//! Bytes at random, bytes at random in the shape of packets, and good packets with one thing wrong:
//! nothing panics.

use std::fs;
use std::path::PathBuf;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::exercise::exercise;

/// First bytes with the right flags, so that the noise behind them is looked at.
const FIRST_BYTES: [u8; 16] = [
    0x10, 0x20, 0x30, 0x32, 0x34, 0x3B, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0, 0xE0, 0xF0,
];

#[test]
fn noise_does_no_harm() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut bytes = [0; 64];
    for _ in 0..50_000 {
        let length = random.random_range(0..bytes.len());
        random.fill_bytes(&mut bytes[..length]);
        exercise(&bytes[..length]);
    }
}

#[test]
fn noise_in_the_shape_of_packets_does_no_harm() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..50_000 {
        let body = structured(&mut random);
        let first_byte = FIRST_BYTES[random.random_range(0..FIRST_BYTES.len())];
        let mut packet = vec![first_byte, body.len() as u8];
        packet.extend_from_slice(&body);
        exercise(&packet);
    }
}

#[test]
fn the_corpus_does_no_harm_nor_do_its_mutants() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/packets/corpus");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        exercise(&bytes);
        files += 1;
        for end in 0..bytes.len() {
            exercise(&bytes[..end]);
        }
        for _ in 0..2_000 {
            let mut mutant = bytes.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..mutant.len());
                mutant[at] = random.random();
            }
            exercise(&mutant);
        }
    }
    assert!(
        files >= 20,
        "`{files}` files: the corpus is not where it should be"
    );
}

#[test]
fn filters_and_topics_at_random_agree_with_their_prefixes() {
    const PARTS: [&str; 10] = ["a", "b", "/", "/", "+", "#", "$", "\u{e9}", "\n", "\n"];
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..20_000 {
        let text: String = (0..random.random_range(0..40))
            .map(|_| PARTS[random.random_range(0..PARTS.len())])
            .collect();
        exercise(text.as_bytes());
    }
}

/// At most 120 bytes of things packets are made of.
fn structured(random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut body = Vec::new();
    if random.random_ratio(1, 4) {
        body.extend_from_slice(b"\x00\x04MQTT\x05\xC6\x00\x0A");
    }
    while body.len() < 100 && random.random_ratio(9, 10) {
        match random.random_range(0..6) {
            0 => body.extend_from_slice(b"\x00\x03a/b"),
            1 => body.push(random.random_range(0..0x30)),
            2 => body.extend_from_slice(&[0, random.random_range(0..4)]),
            3 => body.extend_from_slice(b"\x26\x00\x01k\x00\x01v"),
            4 => body.extend_from_slice(b"\x02\x00\x00\x00\x05"),
            _ => body.push(random.random()),
        }
    }
    body
}
