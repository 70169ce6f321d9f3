//! Records of the log of retained messages. What must hold is in `broker::fuzzing`, and tried by
//! its tests too.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::fuzzing::retained_record(data));
