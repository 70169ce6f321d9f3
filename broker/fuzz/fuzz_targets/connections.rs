//! Scripts of several clients at a gate. What must hold is in `broker::fuzzing`, and tried by its
//! tests too.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::fuzzing::connections(data));
