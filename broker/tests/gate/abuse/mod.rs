//! What enemies and broken devices do to a broker. After each, a stranger is served, and memory is
//! what it was.

mod crowds;
mod floods;
mod hoards;
mod mutations;
mod names;
mod panics;

/// Bytes of this process (the broker and the test's own clients) that are in memory.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("linux tells");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    1_024
        * kilobytes
            .and_then(|text| text.parse::<u64>().ok())
            .expect("a number")
}
