//! Headers of the PROXY protocol. What must hold is in `broker::fuzzing`, and tried by its tests
//! too.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| broker::fuzzing::proxy_header(data));
