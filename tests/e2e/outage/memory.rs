//! How much memory a process has.

use testkit::ChildGuard;

/// `VmRSS` of `/proc/PID/status`.
#[track_caller]
pub(super) fn resident_bytes(process: &ChildGuard) -> u64 {
    let file = format!("/proc/{}/status", process.id());
    let status = std::fs::read_to_string(file).expect("the process runs");
    let kibibytes: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .expect("VmRSS in kB");
    kibibytes * 1024
}
