//! Any bytes as a payload: no panic, and every entry within the bounds. The corpus is replayed by
//! an ordinary test.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telemetry::decode::{Decoder, Options, TimeFields, VALUES_MAX};
use telemetry::{NAME_BYTES_MAX, Value};

fuzz_target!(|payload: &[u8]| {
    let names = ["ts", "a.k", "time"].map(str::to_owned);
    let options = Options {
        numbers_in_quotes: true,
        time_fields: TimeFields::new(&names).unwrap_or_default(),
        time_min: 0,
        ..Options::default()
    };
    for (metric, options) in [
        (None, Options::default()),
        (Some("m"), Options::default()),
        (None, options),
    ] {
        let mut decoder = Decoder::with_options(options);
        let Ok(entries) = decoder.decode(payload, metric) else {
            continue;
        };
        assert!(entries.len() + entries.not_finite() <= VALUES_MAX);
        for entry in entries {
            assert!((1..=NAME_BYTES_MAX).contains(&entry.metric.len()));
            match entry.value {
                Value::Number(number) => assert!(number.is_finite()),
                Value::Text(text) => assert!(!text.contains('\0')),
            }
        }
    }
});
