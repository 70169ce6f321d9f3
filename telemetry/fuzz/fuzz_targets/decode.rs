//! Any bytes as a payload: no panic, and every entry within the bounds. The corpus is replayed by an ordinary test.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::decode::{Decoder, VALUES_MAX};
use telemetry::{NAME_BYTES_MAX, Value};

fuzz_target!(|payload: &[u8]| {
    let mut decoder = Decoder::new();
    for metric in [None, Some("m")] {
        let Ok(entries) = decoder.decode(payload, metric) else {
            continue;
        };
        assert!(entries.len() <= VALUES_MAX);
        for entry in entries {
            assert!((1..=NAME_BYTES_MAX).contains(&entry.metric.len()));
            match entry.value {
                Value::Number(number) => assert!(number.is_finite()),
                Value::Text(text) => assert!(!text.contains('\0')),
            }
        }
    }
});
