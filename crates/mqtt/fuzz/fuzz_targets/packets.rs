//! Whatever bytes come, the codec does not panic and what it accepts can be sent on as it was. The
//! checks are those of the test `packets`.

#![no_main]

#[path = "../../tests/packets/exercise.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|data: &[u8]| exercise::exercise(data));
