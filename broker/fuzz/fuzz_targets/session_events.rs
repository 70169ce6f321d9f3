//! Records of the log of kept sessions. What must hold is in `broker::fuzzing`, and tried by its
//! tests too.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::fuzzing::session_events(data));
