//! The corpus, and bytes made at random from a seed: whatever comes in, the bounds hold and nothing
//! panics.

use std::fs;
use std::path::Path;

use super::*;
use crate::time::MICROS_END;

/// What must be true of any result.
fn audit(payload: &[u8], metric: Option<&str>, decoder: &mut Decoder) {
    audit_one(payload, metric, decoder);
    audit_one(payload, metric, &mut Decoder::with_options(every_option()));
}

/// Everything that is off by default.
fn every_option() -> Options {
    let names = ["ts", "a.k", "time"].map(str::to_owned);
    Options {
        numbers_in_quotes: true,
        time_fields: TimeFields::new(&names).unwrap(),
        zone: Some(jiff::tz::TimeZone::UTC),
        time_min: 0,
    }
}

fn audit_one(payload: &[u8], metric: Option<&str>, decoder: &mut Decoder) {
    match decoder.decode(payload, metric) {
        Ok(entries) => {
            assert!(entries.len() + entries.not_finite() <= VALUES_MAX);
            for entry in entries {
                assert!((1..=NAME_BYTES_MAX).contains(&entry.metric.len()));
                assert!(!entry.metric.contains('\0'));
                assert!(
                    entry
                        .time
                        .is_none_or(|time| (0..MICROS_END).contains(&time))
                );
                match entry.value {
                    Value::Number(number) => assert!(number.is_finite()),
                    Value::Text(text) => assert!(!text.contains('\0')),
                }
            }
        }
        Err(error) => {
            assert!(!error.reason().is_empty());
            let detail = error.to_string();
            assert!(detail.len() < 1_000 && !detail.contains('\0'), "{detail}");
        }
    }
}

#[test]
fn the_corpus_decodes_within_the_bounds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/decode");
    let mut decoder = Decoder::new();
    let mut files = 0;
    for file in fs::read_dir(folder).unwrap() {
        let payload = fs::read(file.unwrap().path()).unwrap();
        for metric in [None, Some("m"), Some("")] {
            audit(&payload, metric, &mut decoder);
            // Cut at every byte, as a broken device or proxy would.
            for length in 0..payload.len().min(300) {
                audit(&payload[..length], metric, &mut decoder);
            }
        }
        files += 1;
    }
    assert!(files >= 10, "only {files} files");
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for test bytes, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[test]
fn random_bytes_and_random_tokens() {
    const TOKENS: [&str; 32] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"a\"",
        "\"ts\"",
        "\"values\"",
        "\"value\"",
        "\"time\"",
        "null",
        "true",
        "NaN",
        "-",
        "1",
        "1e999",
        "0.5",
        "1769847300000",
        "\\u0000",
        "\\ud800",
        "\"2026-01-31T08:15:00Z\"",
        " ",
        "\n",
        "é",
        "\u{feff}",
        "\0",
        "{\"k\":1}",
        "\"\"",
        "-Infinity",
    ];
    let mut random = Random(7);
    let mut decoder = Decoder::new();
    let mut payload = Vec::new();
    let mut understood = 0;
    for round in 0..60_000 {
        payload.clear();
        for _ in 0..random.below(24) {
            match round % 3 {
                0 => payload.push(random.next() as u8),
                _ => payload.extend_from_slice(TOKENS[random.below(TOKENS.len())].as_bytes()),
            }
        }
        let metric = [None, Some("m")][random.below(2)];
        audit(&payload, metric, &mut decoder);
        understood += u32::from(decoder.decode(&payload, metric).is_ok());
    }
    assert!(understood > 500, "only {understood} were understood");
}

/// Good payloads with a few bytes changed reach deeper than random ones.
#[test]
fn mutations_of_good_payloads() {
    let good: [&[u8]; 4] = [
        br#"{"ts":1769847300000,"values":{"temperature":21.5,"oil":{"p":[1,2,3]},"s":"x"}}"#,
        br#"[{"a":1.25e3,"time":"2026-01-31T08:15:00.123+02:00"},{"b":true,"timestamp":1769847300}]"#,
        br#"{"value":-0.001,"ts":"1769847300.5","quality":"\u00e9\ud83d\ude00"}"#,
        b"12345678901234567890",
    ];
    let mut random = Random(11);
    let mut decoder = Decoder::new();
    for _ in 0..40_000 {
        let mut payload = good[random.below(good.len())].to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(payload.len());
            match random.below(3) {
                0 => payload[at] = random.next() as u8,
                1 => payload.insert(at, random.next() as u8),
                _ => drop(payload.remove(at)),
            }
            if payload.is_empty() {
                break;
            }
        }
        audit(&payload, [None, Some("m")][random.below(2)], &mut decoder);
    }
}
